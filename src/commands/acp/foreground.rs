//! The agent at a terminal, with what it would get from an editor: for its own sign-in, and to try it out.

use std::process::ExitCode;

use super::agent::Agent;
use super::desk;
use super::grants::Grants;
use crate::acp::{Way, Worth, dress};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::launch;

pub fn run(
    context: &Context,
    agent: &Agent<'_>,
    grants: Grants,
    mut command: launch::Command,
    forced: Option<Way>,
) -> Result<ExitCode, CommandError> {
    context.ui.notice(&format!(
        "authctl: {} runs at this terminal; in an editor: authctl acp --print-config zed|jetbrains|neovim -- {}",
        grants.title,
        agent.line()
    ));
    for grant in &grants.list {
        let by_proxy = grant.ways.base_url.is_some() && forced != Some(Way::Variable);
        let way = if by_proxy { Way::BaseUrl } else { Way::Variable };
        let worth = match way {
            Way::Variable => match desk::possess(context, &command.program, &grant.name) {
                Ok(key) => {
                    desk::announce(context, &command.program, &grant.name, way);
                    Worth::Key(key)
                }
                Err(error) if error.kind() == Kind::LoginRequired => {
                    context.ui.warn(&error.in_one_line());
                    continue;
                }
                Err(error) => return Err(error),
            },
            _ => Worth::Address,
        };
        // Its words may be those of a command of its own.
        let typed = command.arguments.clone();
        dress(&mut command, grant, &worth);
        command.arguments = typed;
    }
    let exit = launch::supervise(&command, &[]);
    grants.end(context);
    Ok(exit?.leave())
}
