//! Files in which other programs keep credentials in the open: what is in them, and the same text with a
//! reference to authctl in its place. Text in, text out; nothing is read or written here, and nothing but
//! the place that is meant is changed.

mod adcp;
mod codex;
mod dotenv;
mod entry;
mod exposed;
mod gh_hosts;
mod json;
mod json_edit;
mod mask;
mod mcp_client;
mod mcp_remote;
mod mcp_servers;
mod server;

pub use entry::{Entry, Through, file_name};
pub use exposed::{secret_in_url, secrets_in_words};
pub use mask::mask;
pub use mcp_client::{Layout, Machine, McpClient, Platform, is_settings};
pub use mcp_remote::{Session, session};
pub use mcp_servers::server_of;
pub use server::Server;

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
    /// It is in an argument of a command, behind this option.
    Argument(String),
    /// It is part of an address at this origin; of `None`: the user's there, and no key.
    Address { origin: Option<String> },
    /// It is the token of an account at this host.
    Host { host: String, account: Option<String> },
    /// It is of this provider, for an account.
    Provider { provider: &'static str, account: String },
}

impl Sign {
    /// Whether a variable or header has the name of a secret.
    pub fn looks_secret(&self) -> bool {
        match self {
            Sign::Variable(name) | Sign::Header { name, .. } => looks_secret(name),
            Sign::Argument(_)
            | Sign::Address { .. }
            | Sign::Host { .. }
            | Sign::Provider { .. } => true,
        }
    }
}

/// Whether the name of a variable, header or option says that its value is a secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let words = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PAT", "AUTHORIZATION", "APIKEY"];
    name.split('_').any(|word| words.contains(&word)) && !name.split('_').any(|w| w == "PUBLIC")
}

/// What can stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The line becomes a comment; the program is run by `authctl exec`.
    Comment,
    /// `authctl exec` runs the command that the file names.
    Exec,
    /// `authctl mcp` reaches the remote server that the file names.
    Bridge,
    /// The entry goes; the program is run by `authctl exec`.
    Remove,
    /// Nothing: why.
    Stays(&'static str),
    /// It is of no use anywhere else: why.
    Useless(&'static str),
}

/// What is to stand in the place of a literal.
#[derive(Debug)]
pub struct Reference<'a> {
    pub at: &'a [String],
    pub way: Way,
    /// An argument of `exec --with`.
    pub with: String,
}

/// A text that is not what its sort of file is. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is not {what}{}", place_in_words(*line, *column))]
    Syntax { what: &'static str, line: Option<usize>, column: Option<usize> },
    #[error("it is nested too deeply to be changed here")]
    TooDeep,
    #[error("it has {0} twice, and no program knows which one counts")]
    Repeated(String),
    #[error("{0} is not there any more")]
    Gone(String),
    #[error("{0} has a form that cannot be changed here")]
    Form(String),
}

/// The mark with which some editors begin a file, and the text behind it.
fn behind_mark(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with('\u{feff}') { 3 } else { 0 })
}

/// Every value in `text` that may be a secret, in order. Which are is for whoever knows the providers.
pub fn literals(format: Format, text: &str) -> Result<Vec<Literal>, Malformed> {
    let (_, text) = behind_mark(text);
    match format {
        Format::Dotenv => Ok(dotenv::literals(text)),
        Format::Mcp | Format::Codex => {
            Ok(servers(format, text)?.iter().flat_map(Server::literals).collect())
        }
        Format::Gh => gh_hosts::literals(text),
        Format::Adcp => adcp::literals(text),
    }
}

/// The MCP servers of a client's file, in order.
pub fn servers(format: Format, text: &str) -> Result<Vec<Server>, Malformed> {
    let (_, text) = behind_mark(text);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match format {
        Format::Mcp => json::servers(text),
        Format::Codex => codex::servers(text),
        Format::Dotenv | Format::Gh | Format::Adcp => Ok(Vec::new()),
    }
}

/// `text` with this entry in its table of servers, in place of one of that name; everything else stays.
pub fn put(layout: Layout, text: &str, name: &str, entry: &Entry) -> Result<String, Malformed> {
    let (mark, text) = behind_mark(text);
    let mut expected = others(layout.format, text, &at(layout, name))?;
    let after = match layout.format {
        Format::Codex => codex::put(text, name, entry)?,
        _ => json_edit::put(text, layout.table, name, json_edit::node(entry, layout.is_typed))?,
    };
    // Whatever the file looks like: it has that server now, and the others as they were.
    let now = servers(layout.format, &after)?;
    let added = now.iter().find(|server| server.at == at(layout, name)).cloned();
    let is_there = added.as_ref().and_then(Server::entry).is_some_and(|there| there == *entry);
    expected.extend(added);
    let is_done = is_there && is_same(&now, &expected);
    if is_done { Ok(format!("{mark}{after}")) } else { Err(Malformed::Form(name.into())) }
}

/// Whether a file has a table of servers, even an empty one.
pub fn has_table(layout: Layout, text: &str) -> bool {
    let (_, text) = behind_mark(text);
    layout.format == Format::Mcp && json_edit::has_table(text, layout.table)
}

/// Whether a file became `now` by nothing but the server that it did not have.
pub fn is_put(layout: Layout, before: &str, server: &Server, now: &str) -> bool {
    let others = |before| servers(layout.format, before).unwrap_or_default();
    let is_new = !others(before).iter().any(|other| other.at == server.at);
    let put = |entry: &Entry| put(layout, before, server.name(), entry).ok();
    is_new && server.entry().as_ref().and_then(put).is_some_and(|text| text == now)
}

/// `text` without one server; a table that becomes empty goes with it where `with_table` says so.
pub fn take_out(
    format: Format,
    text: &str,
    at: &[String],
    with_table: bool,
) -> Result<String, Malformed> {
    let (mark, text) = behind_mark(text);
    let expected = others(format, text, at)?;
    let after = match format {
        Format::Codex => codex::remove(text, at)?,
        _ => json_edit::remove(text, at, with_table)?,
    };
    let is_done = is_same(&servers(format, &after)?, &expected);
    if is_done { Ok(format!("{mark}{after}")) } else { Err(Malformed::Form(at.join("."))) }
}

/// The keys that lead to a server of this name.
pub fn at(layout: Layout, name: &str) -> Vec<String> {
    layout.table.iter().copied().chain([name]).map(str::to_owned).collect()
}

fn others(format: Format, text: &str, at: &[String]) -> Result<Vec<Server>, Malformed> {
    let mut servers = servers(format, text)?;
    servers.retain(|server| server.at != at);
    Ok(servers)
}

fn is_same(some: &[Server], others: &[Server]) -> bool {
    some.len() == others.len() && some.iter().all(|server| others.contains(server))
}

/// `text` with references in the place of literals, which `program` resolves; everything else stays byte for
/// byte.
pub fn refer(
    format: Format,
    text: &str,
    references: &[Reference<'_>],
    program: &str,
) -> Result<String, Malformed> {
    let (mark, text) = behind_mark(text);
    let after = match format {
        Format::Dotenv => dotenv::refer(text, references),
        Format::Mcp => json::refer(text, references, program),
        Format::Codex => codex::refer(text, references, program),
        Format::Adcp => adcp::refer(text, references),
        Format::Gh => Err(Malformed::Form("hosts.yml".into())),
    }?;
    Ok(format!("{mark}{after}"))
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

fn place_in_words(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
        (Some(line), None) => format!(" (line {line})"),
        (None, _) => String::new(),
    }
}

/// What is wrong at a place of a text.
fn syntax_at(what: &'static str, text: &str, place: usize) -> Malformed {
    let before = text.get(..place).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Malformed::Syntax { what, line: Some(line_of(text, place)), column: Some(column) }
}

/// The line of a place, counted from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes()[..place.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
