//! `authctl acp --chain`: a part of a chain of proxies. Its conductor runs the agent, which gets what it takes in
//! band and nothing else.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::desk::Desk;
use crate::acp::{self, Grant, Lent, Settings, Way};
use crate::commands::handing::{self, Handings};
use crate::commands::proxy::{Beside, Offer};
use crate::commands::purpose::Purpose;
use crate::config::AcpProvider;
use crate::context::Context;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::launch;

/// What the agent is called here: it is not known before it speaks.
const TITLE: &str = "the agent";

pub fn run(
    context: &Context,
    with: &[String],
    forced: Option<Way>,
) -> Result<ExitCode, CommandError> {
    let list = handing::parse(context, with, &[])?;
    if list.is_empty() {
        return Err(CommandError::usage("which credentials may the agent of the chain have?")
            .hint("authctl acp --chain --with NAME"));
    }
    let handings = Handings { list, manifest: None };
    let purpose = Purpose::proxy();
    let beside = Beside::start(context, &handings, &purpose, purpose.program.clone())?;
    let grants = grants(context, &beside)?;
    let desk = Rc::new(Desk::start(context, OsStr::new(TITLE)));
    let settings = Settings {
        command: launch::Command {
            program: TITLE.into(),
            arguments: Vec::new(),
            set: Vec::new(),
            clear: Vec::new(),
            clear_tokens: true,
        },
        title: TITLE.to_owned(),
        grants,
        forced,
        advice: String::new(),
        // Nobody could run the conductor from here.
        own_command: Vec::new(),
        supply: desk.clone(),
        interact: context.ui.clone(),
    };
    let local = LocalSet::new();
    let exit = context.http.block_on(local.run_until(acp::serve_in_chain(settings)));
    desk.end(context);
    if let Err(error) = beside.end() {
        context.ui.warn(error.message());
    }
    Ok(exit.map_err(super::failed)?.leave())
}

fn grants(context: &Context, beside: &Beside) -> Result<Vec<Grant>, CommandError> {
    let grant = |offer: &Offer| {
        let name = &offer.named.name;
        Ok(Grant {
            name: name.to_string(),
            title: context.provider(name)?.title.clone(),
            ways: AcpProvider::unknown(name.provider()),
            variable: None,
            lent: Lent {
                url: offer.url.clone(),
                headers: vec![("x-authctl-key".to_owned(), offer.stand_in.clone())],
                stand_in: offer.stand_in.clone(),
            },
            home: None,
            held: offer.is_held,
            gates: true,
            waits: true,
        })
    };
    beside.offers.iter().map(grant).collect()
}
