//! Files in which other programs keep credentials in the open: what is in them, and the same text with a
//! reference to authctl in its place. Text in, text out; nothing is read or written here, and nothing but
//! the place that is meant is changed.

mod adcp;
mod codex;
mod dotenv;
mod gh_hosts;
mod json;
mod mcp_remote;
mod mcp_servers;

pub use mcp_remote::{Session, session};

use crate::secret::Secret;

/// The sorts of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `.env` of many tools
    Dotenv,
    /// MCP servers in JSON: Claude, Cursor, VS Code, Windsurf, Cline, Zed, Gemini
    Mcp,
    /// MCP servers in Codex's config.toml
    Codex,
    /// gh's hosts.yml
    Gh,
    /// config.json of the adcp command line
    Adcp,
}

/// A secret that stands in a file.
#[derive(Debug)]
pub struct Literal {
    /// Where: the keys that lead to it, or a line.
    pub at: Vec<String>,
    pub sign: Sign,
    pub secret: Secret,
    pub way: Way,
}

impl Literal {
    /// The place for people: `mcpServers.github.env.GITHUB_TOKEN`, `line 3`.
    pub fn place(&self) -> String {
        crate::text::clean(&self.at.join("."))
    }
}

/// What tells whose secret it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// It is the value of this environment variable.
    Variable(String),
    /// It is the value of this header in requests to this address.
    Header { name: String, url: String },
    /// It is the token of an account at this host.
    Host { host: String, account: Option<String> },
    /// It is of this provider, for an account.
    Provider { provider: &'static str, account: String },
}

/// What can stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The line becomes a comment; the program is run by `authctl exec`.
    Comment,
    /// `authctl exec` runs the command that the file names.
    Exec,
    /// The entry goes; the program is run by `authctl exec`.
    Remove,
    /// Nothing: why.
    Stays(&'static str),
    /// It is of no use anywhere else: why.
    Useless(&'static str),
}

/// What is to stand in the place of a literal: an argument of `exec --with`.
#[derive(Debug)]
pub struct Reference<'a> {
    pub at: &'a [String],
    pub with: String,
}

/// A text that is not what its sort of file is. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is not {what}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Syntax { what: &'static str, line: Option<usize> },
    #[error("it has {0} twice, and no program knows which one counts")]
    Repeated(String),
    #[error("{0} is not there any more")]
    Gone(String),
    #[error("{0} has a form that cannot be changed here")]
    Form(String),
}

/// Every value in `text` that may be a secret, in order. Which are is for whoever knows the providers.
pub fn literals(format: Format, text: &str) -> Result<Vec<Literal>, Malformed> {
    match format {
        Format::Dotenv => Ok(dotenv::literals(text)),
        Format::Mcp => json::literals(text),
        Format::Codex => codex::literals(text),
        Format::Gh => gh_hosts::literals(text),
        Format::Adcp => adcp::literals(text),
    }
}

/// `text` with references in the place of literals; everything else stays byte for byte.
pub fn refer(
    format: Format,
    text: &str,
    references: &[Reference<'_>],
) -> Result<String, Malformed> {
    match format {
        Format::Dotenv => dotenv::refer(text, references),
        Format::Mcp => json::refer(text, references),
        Format::Codex => codex::refer(text, references),
        Format::Adcp => adcp::refer(text, references),
        Format::Gh => Err(Malformed::Form("hosts.yml".into())),
    }
}

/// Whether a value stands for a secret and is none: empty, a placeholder, a reference to something else.
fn is_stand_in(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    value.is_empty()
        || value.starts_with('$')
        || value.contains("${")
        || value.contains("$(")
        || (value.starts_with('<') && value.ends_with('>'))
        || ["your", "op://", "changeme", "replace", "xxx", "***", "..."]
            .iter()
            .any(|beginning| lower.starts_with(beginning))
}

/// The line of a place, counted from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes()[..place.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
