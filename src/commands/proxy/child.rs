//! `authctl exec --proxy`: a command whose environment holds placeholders, and a proxy beside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;

use super::Typed;
use super::bundle;
use super::lend::{self, Loan, Missing};
use super::serve::{Running, Start};
use crate::commands::environment::Environment;
use crate::commands::handing::Handings;
use crate::commands::holding;
use crate::commands::purpose::Purpose;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::launch;
use crate::listen::Sockets;
use crate::secret::Secret;

/// Where a child finds the proxy.
const PROXY_URL: &str = "AUTHCTL_PROXY_URL";

/// What is started, and how.
pub struct Wish<'a> {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub handings: &'a Handings,
    pub purpose: &'a Purpose,
    pub clean: bool,
    pub is_strict: bool,
    pub typed: &'a Typed,
}

pub fn run(context: &Context, wish: Wish<'_>) -> Result<ExitCode, CommandError> {
    let options = holding::quiet(context);
    let loans = lend::loans(
        context,
        &options,
        wish.handings,
        wish.purpose,
        (wish.typed, Missing::Refused),
    )?;
    let sockets = Sockets::bind(None).map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot listen on this computer: {error}"))
    })?;
    let url = format!("http://127.0.0.1:{}", sockets.port());
    let key = Secret::random();
    let authority = lend::authority(&loans)?;
    let bundle = bundle::write(context, &authority)?;
    let mut environment = environment(context, &wish, &loans, &url)?;
    bundle::put(&mut environment, &bundle, sockets.port(), &key, &loans);
    environment.record(context, wish.handings, wish.purpose)?;
    context.ui.notice(&environment.announcement(wish.handings.manifest.as_deref()));
    let command = environment.into_command(wish.program, wish.arguments);
    let program = command.program.to_string_lossy().into_owned();
    let start = Start {
        options,
        command_line: context.command_line,
        loans,
        key,
        authority: authority.into(),
        takes_secret_in_path: false,
        is_strict: wish.is_strict,
        says_strays: true,
        program: Some(program),
    };
    let running = Running::start(start, sockets);
    let exit = launch::supervise(&command, &[]);
    let ended = running.end();
    let exit = exit?;
    if let Err(error) = ended {
        context.ui.warn(error.message());
    }
    Ok(exit.leave())
}

/// The child's environment: nothing in it is worth anything elsewhere.
fn environment(
    context: &Context,
    wish: &Wish<'_>,
    loans: &[Loan],
    url: &str,
) -> Result<Environment, CommandError> {
    let mut environment = Environment::default();
    for handing in &wish.handings.list {
        let Some(loan) = loans.iter().find(|loan| loan.named.name == handing.named.name) else {
            continue;
        };
        if let Some((variable, value)) = lend::stand_in(loan, handing) {
            environment.put(handing, &variable, value)?;
        }
        environment.withhold(loan.provider.variables());
    }
    let mut led: BTreeSet<String> = BTreeSet::new();
    for loan in loans.iter().filter(|loan| !loan.is_companion) {
        if let Some(held) = &loan.held {
            environment.note_lent(loan.name(), &held.id);
        }
        for (variable, address) in lend::base_urls(loan, url) {
            // Of several accounts the first one counts, as its placeholder does in the variable of the key.
            if led.insert(variable.clone()) {
                environment.add(&variable, &address);
            }
        }
    }
    if wish.clean {
        for provider in context.config()?.providers() {
            environment.withhold(provider.variables());
        }
    }
    environment.add(PROXY_URL, url);
    Ok(environment)
}
