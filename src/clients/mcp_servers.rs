//! MCP servers as the clients' configurations write them, whatever the syntax around them: which values
//! may be secrets, and the command that a reference makes of one.

use serde_json::{Map, Value};

use super::{Literal, Sign, Way, is_stand_in};
use crate::secret::Secret;

const REMOTE: &str =
    "the server is remote, and its configuration takes nothing but the value itself";
const IN_ARGUMENT: &str = "it is an argument of a command, which has no variable for it";

/// The secrets of one server; `at` leads to it.
pub fn literals(at: &[String], server: &Value) -> Vec<Literal> {
    let Some(server) = server.as_object() else { return Vec::new() };
    // Zed's older form has the command's parts in a table of its own.
    if let Some(Value::Object(command)) = server.get("command") {
        return of_command(&below(at, "command"), command, "path");
    }
    let mut found = of_command(at, server, "command");
    found.extend(of_headers(at, server));
    found
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

/// `--header 'Name: value'` as mcp-remote takes it, and `-e NAME=value` as docker does.
fn of_arguments(at: &[String], server: &Map<String, Value>) -> Vec<Literal> {
    let arguments = server.get("args").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let texts: Vec<&str> = arguments.iter().map(|value| value.as_str().unwrap_or("")).collect();
    let url = texts.iter().find(|text| text.starts_with("https://") || text.starts_with("http://"));
    let mut found = Vec::new();
    for (index, pair) in texts.windows(2).enumerate() {
        let at = below(&below(at, "args"), &(index + 1).to_string());
        match (pair[0], url) {
            ("--header" | "-H", Some(url)) => {
                let Some((name, value)) = pair[1].split_once(':') else { continue };
                let sign = header(name, url);
                found.extend(literal(at, sign, value.trim_start(), Way::Stays(IN_ARGUMENT)));
            }
            ("-e" | "--env", _) => {
                let Some((name, value)) = pair[1].split_once('=') else { continue };
                found.extend(literal(at, Sign::Variable(name.to_owned()), value, Way::Exec));
            }
            _ => {}
        }
    }
    found
}

fn of_headers(at: &[String], server: &Map<String, Value>) -> Vec<Literal> {
    let url = ["url", "serverUrl", "httpUrl"].iter().find_map(|key| server.get(*key)?.as_str());
    let Some(url) = url else { return Vec::new() };
    let mut found = Vec::new();
    for key in ["headers", "http_headers"] {
        for (name, value) in texts(server.get(key)) {
            let at = below(&below(at, key), name);
            found.extend(literal(at, header(name, url), value, Way::Stays(REMOTE)));
        }
    }
    found
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
    Variable { server: &'a [String], name: &'a str },
    /// `args.N`, `NAME=value`: the name stays.
    Argument { server: &'a [String], index: usize },
}

impl<'a> Spot<'a> {
    pub fn of(at: &'a [String]) -> Option<Self> {
        let [server @ .., table, key] = at else { return None };
        match table.as_str() {
            "env" => Some(Spot::Variable { server, name: key }),
            "args" => Some(Spot::Argument { server, index: key.parse().ok()? }),
            _ => None,
        }
    }

    pub fn server(&self) -> &'a [String] {
        match self {
            Spot::Variable { server, .. } | Spot::Argument { server, .. } => server,
        }
    }
}

/// What goes before the arguments so that `authctl exec` runs a command with these credentials; and whether
/// it runs it already, so that they go after its first argument.
pub fn prefix(program: &str, first: Option<&str>, with: &[String]) -> (Vec<String>, bool) {
    let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
    let runs_already = matches!(name, "authctl" | "authctl.exe") && first == Some("exec");
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
