//! `authctl mcp URL`: what an MCP client runs to reach a remote server.

use std::process::ExitCode;
use std::rc::Rc;

use clap::Args;
use tokio::task::LocalSet;

use super::credentials::{self, Target};
use crate::context::{Context, Options};
use crate::error::CommandError;
use crate::forward::{Broker, Forward};
use crate::http::{Http, parse_url};
use crate::mcp::{self, Endpoint, Known, Settings};
use crate::ui::Manner;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments {
    /// Address of the MCP server, or the name that it has here
    #[arg(value_name = "URL", required = true)]
    server: Option<String>,

    /// Name of the credential, where it is not the server's own
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let typed = arguments.server.as_deref().unwrap_or_default();
    let url = parse_url(typed)?;
    let target = Target { url: typed.to_owned(), name: arguments.name.clone() };
    let (asks, desk) = credentials::start(quiet(context), context.command_line, target);
    let forward = Forward { http: Http::new(), broker: Broker::new(asks), extra: Vec::new() };
    let known = Known::of(&url, &context.paths()?.state);
    let link = Rc::new(Rc::new(Endpoint { url, forward, known }));
    let serve = async {
        LocalSet::new().run_until(mcp::serve(link, Settings::new(context.ui.clone()))).await;
    };
    context.http.block_on(serve);
    let _ = desk.join();
    Ok(ExitCode::SUCCESS)
}

/// stdin and stdout carry the protocol: nobody can be asked there.
fn quiet(context: &Context) -> Options {
    let options = context.options();
    Options { manner: Manner { no_input: true, ..options.manner }, ..options }
}
