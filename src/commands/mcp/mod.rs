//! `authctl mcp`: stand between an MCP client and a server, and look after the clients' own lists of servers.

mod bridge;
mod bringer;
mod change;
mod client;
mod credentials;
mod import;
mod install;
mod list;
mod listen;
mod outfit;
mod remove;
mod target;
mod wrap;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::CommandError;
pub use bringer::Bringer;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "authctl mcp [OPTIONS] <URL>\n       authctl mcp [OPTIONS] -- <COMMAND>...\n       authctl mcp --listen [<PORT>] [OPTIONS] -- <COMMAND>...\n       authctl mcp <install|list|remove|import> ...",
    after_help = "Examples:\n  authctl mcp https://mcp.example.com/mcp\n  authctl mcp work --allow-tool 'get_*'\n  authctl mcp --with github -- some-stdio-server\n  authctl mcp --listen --with github -- some-stdio-server\n  authctl mcp --listen 8808 --idle 1h --with github=GITHUB_TOKEN -- some-stdio-server\n\nExit status:\n  0 once the client has gone; 2 where the command line or the configuration is wrong. With a command its own status, 128+N on a signal; 125 if authctl failed before it ran, 126 if it cannot be executed, 127 if it is not found."
)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    bridge: bridge::Arguments,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Let MCP clients reach a server through authctl
    ///
    /// Writes an entry that runs authctl mcp into each client's own file, and keeps its comments, order and mode,
    /// and a backup. The difference is shown first, without any secret of the file, and asked about at a terminal.
    /// A server of the same name that does not go through authctl is left alone unless --replace is given. A
    /// person's file gets the path of authctl, since programs that no shell starts have another PATH; a
    /// project's gets the name. Under a coding agent the command refuses, unless it is a --dry-run.
    Install(Box<install::Arguments>),
    /// List the servers of MCP clients, and which of them go through authctl
    List(list::Arguments),
    /// Take a server out of MCP clients' files
    ///
    /// Only one that goes through authctl, unless --force is given. Comments and order stay, and a backup is kept.
    /// Under a coding agent the command refuses, unless it is a --dry-run.
    Remove(Box<remove::Arguments>),
    /// Take over the keys that stand in MCP clients' files
    ///
    /// Like authctl import, in these files alone: variables become credentials of authctl exec, and a remote
    /// server whose headers hold a key becomes authctl mcp with its address.
    Import(import::Arguments),
}

impl Arguments {
    /// Whether the command leaves with the status of a child.
    pub fn starts_child(&self) -> bool {
        self.what.is_none() && self.bridge.starts_child()
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        Some(What::Install(arguments)) => install::run(context, arguments),
        Some(What::List(arguments)) => list::run(context, arguments),
        Some(What::Remove(arguments)) => remove::run(context, arguments),
        Some(What::Import(arguments)) => import::run(context, arguments),
        None => bridge::run(context, &arguments.bridge),
    }
}
