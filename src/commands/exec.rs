//! `authctl exec`: run a command with credentials in its environment. What fails, fails before the
//! command starts; once it runs, it is the process that the caller started.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::complete;
use super::environment::{self, Environment, Wanted};
use super::handing::{self, Handings};
use super::proxy::{Typed, Wish, run_child};
use super::purpose::Purpose;
use crate::audit::Outcome;
use crate::context::Context;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::launch;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl exec --with audiostack -- ./agent\n  authctl exec --with github:work,openai -- ./agent\n  authctl exec --with github=MY_TOKEN -- ./script\n  authctl exec --env-header API_AUTH=github -- ./script\n\nExit status: the command's own; 125 when authctl fails before it starts, 126 when it cannot be\nexecuted, 127 when it is not found."
)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct Arguments {
    /// Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    #[arg(long, value_name = "NAME[=VARIABLE]", value_delimiter = ',', add = complete::stored())]
    with: Vec<String>,

    /// Ask what to hand over, even if an earlier answer is remembered for this program here
    #[arg(long, conflicts_with_all = ["with", "env_header"])]
    ask: bool,

    /// Hand over a whole header value, as in `Bearer …`, in VARIABLE
    #[arg(long, value_name = "VARIABLE=NAME", value_delimiter = ',')]
    env_header: Vec<String>,

    /// Least time that tokens must still live
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::parse_time)]
    min_ttl: Duration,

    /// Write `[masked]` instead of the secrets in output that goes to a pipe or a file
    #[arg(long)]
    mask: bool,

    /// Remove the variables of every known provider, not only of those handed over
    #[arg(long)]
    clean: bool,

    /// Keep the secrets out of the command: its variables hold placeholders, which a proxy beside it replaces
    #[arg(long, conflicts_with = "mask")]
    proxy: bool,

    /// With --proxy, let the command reach no host but those of the credentials
    #[arg(long, requires = "proxy")]
    strict: bool,

    #[command(flatten)]
    typed: Typed,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.proxy {
        return start(context, arguments).map_err(CommandError::lending);
    }
    arguments.typed.refuse()?;
    start(context, arguments)
}

fn start(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let program = arguments.command.first().cloned().unwrap_or_default();
    let typed = handing::parse(context, &arguments.with, &arguments.env_header)?;
    launch::check(&program)?;
    let purpose = Purpose::exec(&program);
    let handings = match typed {
        none if none.is_empty() => handing::unnamed(context, &program, arguments.ask)
            .inspect_err(|error| purpose.record_failure(context, Outcome::Refused, None, error))?,
        list => Handings { list, manifest: None },
    };
    environment::note_nesting(context);
    if arguments.proxy {
        let wish = Wish {
            program,
            arguments: arguments.command.iter().skip(1).cloned().collect(),
            handings: &handings,
            purpose: &purpose,
            clean: arguments.clean,
            is_strict: arguments.strict,
            typed: &arguments.typed,
        };
        return run_child(context, wish);
    }
    let wanted = Wanted {
        min_ttl: arguments.min_ttl,
        force_refresh: false,
        clean: arguments.clean,
        without_missing: false,
    };
    let environment = environment::gather(context, &handings, &purpose, wanted)?;
    environment.record(context, &handings, &purpose)?;
    context.ui.notice(&environment.announcement(handings.manifest.as_deref()));
    launch(arguments, program, environment)
}

fn launch(
    arguments: &Arguments,
    program: OsString,
    environment: Environment,
) -> Result<ExitCode, CommandError> {
    let secrets = environment.secrets();
    let rest = arguments.command.iter().skip(1).cloned().collect();
    let command = environment.into_command(program, rest);
    let exit = if arguments.mask {
        launch::supervise(&command, &secrets)?
    } else {
        launch::replace(&command)?
    };
    Ok(exit.leave())
}
