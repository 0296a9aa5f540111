//! The command line as a whole: the global flags, the list of commands, and a word on a frequent slip.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser};

use crate::commands::Command;
use crate::context::Options;
use crate::ui::Manner;

/// Log in once; every agent, script and MCP session gets a working credential without keeping one.
#[derive(Debug, Parser)]
#[command(
    name = "authctl",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Begin with:\n  authctl login audiostack\n  authctl exec --with audiostack -- agent"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print data and errors as JSON
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    json: bool,

    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    quiet: bool,

    /// Never ask, also at a terminal
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    no_input: bool,

    /// Account for names that give none
    #[arg(long, global = true, value_name = "ACCOUNT")]
    account: Option<String>,
}

/// `exec --with github make`: says that `--` is missing, which clap's own words do not.
pub fn explain_separator(error: &mut clap::Error) {
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => word,
        _ => return,
    };
    if !word.starts_with('-') {
        let tip = format!("put -- before the command: authctl exec --with NAME -- {word} …");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

impl Global {
    pub fn options(&self) -> Options {
        Options {
            manner: Manner { json: self.json, quiet: self.quiet, no_input: self.no_input },
            account: self.account.clone(),
        }
    }
}
