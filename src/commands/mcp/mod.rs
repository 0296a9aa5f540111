//! `authctl mcp`: stand between an MCP client and a server, and look after the clients' own lists of servers.

mod bridge;
mod bringer;
mod client;
mod credentials;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::CommandError;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  authctl mcp https://mcp.example.com/mcp\n  authctl mcp -- some-stdio-server"
)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    bridge: bridge::Arguments,
}

#[derive(Debug, Subcommand)]
enum What {}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        Some(what) => match *what {},
        None => bridge::run(context, &arguments.bridge),
    }
}
