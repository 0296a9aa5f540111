//! MCP servers as the clients' configurations write them, whatever the syntax around them: which values
//! may be secrets, and the command that a reference makes of one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

use super::entry::{Entry, file_name, is_authctl, origin};
use super::exposed::{USER, in_address, in_words};
use super::{Literal, Malformed, Reference, Sign, Way, is_stand_in, looks_secret};
use crate::secret::Secret;

const REMOTE: &str = "the server is remote, and its variables are for no command";
const HEADERS: &str = "another header of the server has blanks, which are no good in an argument";
const IN_ADDRESS: &str = "it is part of the server's address";
const ADDRESS: &str = "authctl mcp takes no address with a user or a fragment in it";
const IN_ARGUMENT: &str = "it is an argument of a command, which has no variable for it";

/// The secrets of one server; `at` leads to it.
pub fn literals(at: &[String], server: &Value) -> Vec<Literal> {
    let Some(server) = server.as_object() else { return Vec::new() };
    // Zed's older form has the command's parts in a table of its own.
    if let Some(Value::Object(command)) = server.get("command") {
        let at = below(at, "command");
        return with_exposed(of_command(&at, command, "path"), &at, command, "path");
    }
    let mut found = of_command(at, server, "command");
    found.extend(of_headers(at, server));
    with_exposed(found, at, server, "command")
}

/// Those that were found, and what else stands in the open, where nothing can stand in its place.
fn with_exposed(
    mut found: Vec<Literal>,
    at: &[String],
    server: &Map<String, Value>,
    program: &str,
) -> Vec<Literal> {
    let words = arguments(server);
    let runs_authctl = server.get(program).and_then(Value::as_str).is_some_and(is_authctl);
    // Its own options take the names of secrets.
    let first = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let at_args = below(at, "args");
    for secret in in_words(&words) {
        if runs_authctl && secret.index < first && !secret.is_in_address {
            continue;
        }
        let at = below(&at_args, &secret.index.to_string());
        let (at, sign, way) = if secret.is_in_address {
            let sign = in_address_at(words[secret.index], &secret.name);
            (below(&at, &secret.name), sign, Way::Stays(IN_ADDRESS))
        } else {
            (at, Sign::Argument(secret.name), Way::Stays(IN_ARGUMENT))
        };
        if !found.iter().any(|other| other.at == at) {
            found.extend(literal(at, sign, &secret.value, way));
        }
    }
    for (key, address) in addresses(server) {
        for (name, value) in in_address(address) {
            let sign = in_address_at(address, &name);
            let at = below(&below(at, key), &name);
            found.extend(literal(at, sign, &value, Way::Stays(IN_ADDRESS)));
        }
    }
    found
}

/// The sign of a part of an address.
fn in_address_at(address: &str, part: &str) -> Sign {
    Sign::Address { origin: origin(address).filter(|_| !USER.contains(&part)) }
}

fn of_command(at: &[String], server: &Map<String, Value>, program: &str) -> Vec<Literal> {
    let is_local = server.get(program).is_some_and(Value::is_string);
    let mut found = Vec::new();
    for (name, value) in texts(server.get("env")) {
        let way = if is_local { Way::Exec } else { Way::Stays(REMOTE) };
        let at = below(&below(at, "env"), name);
        found.extend(literal(at, Sign::Variable(name.to_owned()), value, way));
    }
    found.extend(of_arguments(at, server));
    found
}

/// `-e NAME=value`, as docker takes it.
fn of_arguments(at: &[String], server: &Map<String, Value>) -> Vec<Literal> {
    let mut found = Vec::new();
    for (index, pair) in arguments(server).windows(2).enumerate() {
        let ("-e" | "--env", Some((name, value))) = (pair[0], pair[1].split_once('=')) else {
            continue;
        };
        let at = below(&below(at, "args"), &(index + 1).to_string());
        found.extend(literal(at, Sign::Variable(name.to_owned()), value, Way::Exec));
    }
    found
}

fn arguments(server: &Map<String, Value>) -> Vec<&str> {
    let arguments = server.get("args").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    arguments.iter().map(|value| value.as_str().unwrap_or("")).collect()
}

/// The address of a remote server.
pub fn url(server: &Map<String, Value>) -> Option<&str> {
    addresses(server).next().map(|(_, address)| address)
}

fn addresses(server: &Map<String, Value>) -> impl Iterator<Item = (&'static str, &str)> {
    let keys = ["url", "serverUrl", "httpUrl"].into_iter();
    keys.filter_map(|key| Some((key, server.get(key)?.as_str()?)))
}

/// The address that a command bridges to, as mcp-remote takes it.
fn bridged_url(server: &Map<String, Value>) -> Option<&str> {
    let mut arguments = arguments(server).into_iter();
    arguments.find(|text| text.starts_with("https://") || text.starts_with("http://"))
}

fn runs_mcp_remote(server: &Map<String, Value>) -> bool {
    let is_it = |text: &str| {
        let name = file_name(text);
        name == "mcp-remote" || name.starts_with("mcp-remote@")
    };
    arguments(server).into_iter().any(is_it)
        || server.get("command").and_then(Value::as_str).is_some_and(is_it)
}

/// A header that is sent to a server.
struct Header<'a> {
    /// The keys that lead to it within the server.
    at: Vec<String>,
    name: &'a str,
    value: Cow<'a, str>,
}

fn headers(server: &Map<String, Value>) -> Vec<Header<'_>> {
    let mut found = Vec::new();
    for key in ["headers", "http_headers"] {
        for (name, value) in texts(server.get(key)) {
            let at = vec![key.to_owned(), name.to_owned()];
            found.push(Header { at, name, value: value.into() });
        }
    }
    // Codex's own for `Authorization`.
    if let Some(token) = server.get(BEARER).and_then(Value::as_str).filter(|it| !is_stand_in(it)) {
        let value = format!("Bearer {token}").into();
        found.push(Header { at: vec![BEARER.to_owned()], name: "Authorization", value });
    }
    for (index, pair) in arguments(server).windows(2).enumerate() {
        if let ("--header" | "-H", Some((name, value))) = (pair[0], pair[1].split_once(':')) {
            let at = vec!["args".to_owned(), (index + 1).to_string()];
            found.push(Header { at, name, value: value.trim_start().into() });
        }
    }
    found
}

fn of_headers(at: &[String], server: &Map<String, Value>) -> Vec<Literal> {
    let Some(url) = url(server).or_else(|| bridged_url(server)) else { return Vec::new() };
    let headers = headers(server);
    let is_remote = self::url(server).is_some();
    let way = match () {
        () if !is_remote && !runs_mcp_remote(server) => Way::Stays(IN_ARGUMENT),
        () if !can_bridge(url) => Way::Stays(ADDRESS),
        () if headers.iter().all(|header| can_move(header, is_remote)) => Way::Bridge,
        () => Way::Stays(HEADERS),
    };
    let found = headers.iter().filter_map(|header| {
        let at = at.iter().chain(&header.at).cloned().collect();
        literal(at, self::header(header.name, url), &header.value, way)
    });
    found.collect()
}

/// Whether `authctl mcp` takes the address.
fn can_bridge(url: &str) -> bool {
    let fits = |url: Url| {
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    };
    Url::parse(url).is_ok_and(fits)
}

/// Whether a header can become an argument of `authctl mcp`, or a credential. Some clients tear arguments with
/// blanks apart on Windows, and what mcp-remote replaces itself means nothing to others.
fn can_move(header: &Header<'_>, is_remote: bool) -> bool {
    let is_replaced = is_stand_in(&header.value);
    (!is_replaced && looks_secret(header.name))
        || (!header.value.contains(char::is_whitespace) && (is_remote || !is_replaced))
}

/// The key by which Codex keeps a literal token.
pub const BEARER: &str = "bearer_token";

/// The keys that lead to the server of a literal.
pub fn server_of(at: &[String]) -> &[String] {
    let depth = match at {
        [.., table, _] if ["env", "args", "headers", "http_headers"].contains(&table.as_str()) => 2,
        _ => 1,
    };
    &at[..at.len().saturating_sub(depth)]
}

/// References by the server that they are of.
pub fn by_server<'r, 'a>(
    references: &'r [Reference<'a>],
) -> Result<BTreeMap<&'a [String], Vec<&'r Reference<'a>>>, Malformed> {
    let mut servers: BTreeMap<&[String], Vec<&Reference<'_>>> = BTreeMap::new();
    for reference in references {
        servers.entry(server_of(reference.at)).or_default().push(reference);
    }
    if servers.contains_key(&[][..]) {
        return Err(Malformed::Form("the file".into()));
    }
    Ok(servers)
}

/// The entry by which `authctl mcp` reaches a remote server, without the headers that are stored now.
pub fn bridged(server: &Value, taken: &[&Reference<'_>], program: &str) -> Option<Entry> {
    let server = server.as_object()?;
    let url = url(server).or_else(|| bridged_url(server))?;
    let mut args = vec!["mcp".to_owned()];
    let credential = taken.first().map(|reference| ["--name".into(), reference.with.clone()]);
    args.extend(credential.into_iter().flatten());
    for Header { at, name, value } in headers(server) {
        if !taken.iter().any(|reference| reference.at.ends_with(&at)) {
            args.extend(["--header".to_owned(), format!("{name}:{value}")]);
        }
    }
    args.push(url.to_owned());
    Some(Entry { command: program.to_owned(), args })
}

fn header(name: &str, url: &str) -> Sign {
    Sign::Header { name: name.trim().to_owned(), url: url.to_owned() }
}

fn texts(table: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let table = table.and_then(Value::as_object);
    table.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

fn literal(at: Vec<String>, sign: Sign, value: &str, way: Way) -> Option<Literal> {
    (!is_stand_in(value)).then(|| Literal { at, sign, secret: Secret::new(value), way })
}

fn below(at: &[String], key: &str) -> Vec<String> {
    at.iter().cloned().chain([key.to_owned()]).collect()
}

/// Where a literal of a local server stands in it.
pub enum Spot<'a> {
    /// `env.NAME`: the entry goes.
    Variable { name: &'a str },
    /// `args.N`, `NAME=value`: the name stays.
    Argument { index: usize },
}

impl<'a> Spot<'a> {
    pub fn of(at: &'a [String]) -> Option<Self> {
        let [.., table, key] = at else { return None };
        match table.as_str() {
            "env" => Some(Spot::Variable { name: key }),
            "args" => Some(Spot::Argument { index: key.parse().ok()? }),
            _ => None,
        }
    }
}

/// What goes before the arguments so that `authctl exec` runs a command with these credentials; and whether
/// it runs it already, so that they go after its first argument.
pub fn prefix(program: &str, first: Option<&str>, with: &[String]) -> (Vec<String>, bool) {
    let runs_already = is_authctl(program) && first == Some("exec");
    let credentials = ["--with".to_owned(), with.join(",")];
    if runs_already {
        return (credentials.into(), true);
    }
    let [option, value] = credentials;
    (vec!["exec".into(), option, value, "--".into(), program.to_owned()], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_runs_under_exec_gets_further_credentials() {
        let with = ["github".to_owned(), "stripe=KEY".to_owned()];
        let expected = ["exec", "--with", "github,stripe=KEY", "--", "npx"];
        assert_eq!(prefix("npx", Some("-y"), &with), (expected.map(str::to_owned).into(), false));
        let further = ["--with", "github,stripe=KEY"].map(str::to_owned);
        for program in ["authctl", "/usr/bin/authctl", "C:\\bin\\authctl.exe"] {
            assert_eq!(prefix(program, Some("exec"), &with), (further.clone().into(), true));
        }
        assert!(!prefix("authctl", Some("mcp"), &with).1);
    }
}
