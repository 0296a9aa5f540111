//! `authctl mcp URL`: what an MCP client runs to reach a remote server.

use std::process::ExitCode;

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Address of the MCP server, or the name that it has here
    #[arg(value_name = "URL", required = true)]
    server: Option<String>,
}

pub fn run(_context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    Err(CommandError::usage(format!("no bridge to {:?} yet", arguments.server)))
}
