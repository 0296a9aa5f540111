//! `authctl mcp import`: `authctl import` in the files of MCP clients alone.

use std::process::ExitCode;

use clap::Args;

use crate::clients::McpClient;
use crate::commands::import::{self, Wishes};
use crate::context::Context;
use crate::error::CommandError;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl mcp import\n  authctl mcp import cursor --dry-run\n  authctl mcp import claude-code --rewrite"
)]
pub struct Arguments {
    /// Clients; without any, all
    #[arg(value_name = "CLIENT")]
    clients: Vec<McpClient>,

    #[command(flatten)]
    wishes: Wishes,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let clients = match &arguments.clients[..] {
        [] => &McpClient::ALL[..],
        named => named,
    };
    import::run_for_clients(context, clients, &arguments.wishes)
}
