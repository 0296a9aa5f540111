//! The command line as a whole: the global flags, the list of commands, and a word on a frequent slip.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser};

use crate::commands::Command;
use crate::context::Options;
use crate::text;
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

/// Longest part of what was typed that an error repeats, in characters.
const REPEATED: usize = 80;

/// What clap's own words leave unsaid, for the command that was typed; and what they should not repeat.
pub fn explain(error: &mut clap::Error, command: &[&str]) {
    match command.first().copied() {
        Some("exec") => explain_separator(error, "before the command: authctl exec --with NAME"),
        Some("acp") if command.get(1) == Some(&"doctor") => {
            explain_separator(error, "before the agent: authctl acp doctor");
        }
        Some("acp") if surplus(error).is_some_and(|word| is_nearly(word, "doctor")) => {
            suggest(error, "did you mean authctl acp doctor?".to_owned());
        }
        Some("acp") => explain_separator(error, "before the agent: authctl acp"),
        Some("login") => conceal_key(error),
        _ => {}
    }
    for place in
        [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand]
    {
        if let Some(ContextValue::String(typed)) = error.get(place) {
            let typed = text::clean_to(typed, REPEATED);
            error.insert(place, ContextValue::String(typed));
        }
    }
}

/// `exec --with github make`: says that `--` is missing, and where.
fn explain_separator(error: &mut clap::Error, place: &str) {
    if let Some(word) = surplus(error) {
        let tip = format!("put -- {place} -- {word} …");
        suggest(error, tip);
    }
}

fn suggest(error: &mut clap::Error, tip: String) {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
}

/// `login audiostack KEY`: the key is not repeated, and the way is shown.
fn conceal_key(error: &mut clap::Error) {
    let place = match error.kind() {
        ErrorKind::TooManyValues => ContextKind::InvalidValue,
        _ if surplus(error).is_some() => ContextKind::InvalidArg,
        _ => return,
    };
    error.insert(place, ContextValue::String("…".into()));
    let tip = "a key has no place on a command line, where other programs can read it: authctl login NAME \
               --with-key asks for it, or reads it from standard input";
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
}

/// Whether a word may be another one, mistyped.
fn is_nearly(word: &str, other: &str) -> bool {
    strsim::damerau_levenshtein(word, other) <= 2
}

/// A word that clap has no place for.
fn surplus(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => {
            Some(word.as_str()).filter(|word| !word.starts_with('-'))
        }
        _ => None,
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
