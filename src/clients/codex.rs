//! Codex's `config.toml`: `[mcp_servers.NAME]`.

use std::collections::BTreeMap;

use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::mcp_servers::{self, Spot, prefix};
use super::{Literal, Malformed, Reference};

const TABLE: &str = "mcp_servers";

pub fn literals(text: &str) -> Result<Vec<Literal>, Malformed> {
    parse(text)?;
    let tree: serde_json::Value = toml::from_str(text).map_err(|_| syntax(None))?;
    let Some(servers) = tree.get(TABLE).and_then(serde_json::Value::as_object) else {
        return Ok(Vec::new());
    };
    let of = |(name, server): (&String, &serde_json::Value)| {
        mcp_servers::literals(&[TABLE.to_owned(), name.clone()], server)
    };
    Ok(servers.iter().flat_map(of).collect())
}

fn syntax(line: Option<usize>) -> Malformed {
    Malformed::Syntax { what: "TOML", line }
}

fn parse(text: &str) -> Result<DocumentMut, Malformed> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        syntax(error.span().map(|span| super::line_of(text, span.start)))
    })
}

pub fn refer(text: &str, references: &[Reference<'_>]) -> Result<String, Malformed> {
    let mut document = parse(text)?;
    let mut servers: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for reference in references {
        let form = || Malformed::Form(reference.at.join("."));
        let spot = Spot::of(reference.at).ok_or_else(form)?;
        let server = server_at(&mut document, spot.server())?;
        let done = match spot {
            Spot::Variable { name, .. } => {
                let env = server.get_mut("env").and_then(Item::as_table_like_mut);
                env.and_then(|env| env.remove(name)).map(drop)
            }
            Spot::Argument { index, .. } => keep_name(server, index),
        };
        done.ok_or_else(|| Malformed::Gone(reference.at.join(".")))?;
        servers.entry(spot.server()).or_default().push(reference.with.clone());
    }
    for (at, with) in servers {
        let server = server_at(&mut document, at)?;
        wrap(server, &with).ok_or_else(|| Malformed::Form(at.join(".")))?;
    }
    Ok(document.to_string())
}

fn server_at<'a>(
    document: &'a mut DocumentMut,
    at: &[String],
) -> Result<&'a mut dyn TableLike, Malformed> {
    let [table, name] = at else { return Err(Malformed::Form(at.join("."))) };
    let servers = document.get_mut(table).and_then(Item::as_table_like_mut);
    let server = servers.and_then(|servers| servers.get_mut(name)?.as_table_like_mut());
    server.ok_or_else(|| Malformed::Gone(at.join(".")))
}

fn keep_name(server: &mut dyn TableLike, index: usize) -> Option<()> {
    let argument = server.get_mut("args")?.as_array_mut()?.get_mut(index)?;
    let (name, _) = argument.as_str()?.split_once('=')?;
    let mut name = Value::from(name);
    *name.decor_mut() = argument.decor().clone();
    *argument = name;
    Some(())
}

/// Lets `authctl exec` run the server's command with these credentials.
fn wrap(server: &mut dyn TableLike, with: &[String]) -> Option<()> {
    let arguments = server.get("args").and_then(Item::as_array);
    let first = arguments.and_then(|arguments| arguments.get(0)?.as_str()).map(str::to_owned);
    let command = server.get_mut("command")?.as_value_mut()?;
    let (prefix, runs_already) = prefix(command.as_str()?, first.as_deref(), with);
    if !runs_already {
        let mut authctl = Value::from("authctl");
        *authctl.decor_mut() = command.decor().clone();
        *command = authctl;
    }
    if server.get("args").is_none() {
        server.insert("args", Item::Value(Value::Array(Array::new())));
    }
    let arguments = server.get_mut("args")?.as_array_mut()?;
    for (index, argument) in prefix.into_iter().enumerate() {
        arguments.insert(index + usize::from(runs_already), argument);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_runs_under_exec_and_comments_stay() {
        let text = "model = \"x\" # mine\n\n[mcp_servers.gh] # hub\ncommand = \"npx\" # old\nargs = [\"-y\", \"server\"] # two\n[mcp_servers.gh.env]\n# keep\nGITHUB_TOKEN = \"ghp_1\"\nLEVEL = \"debug\"\n";
        let found = literals(text).unwrap();
        assert_eq!(found[0].place(), "mcp_servers.gh.env.GITHUB_TOKEN");
        let reference = Reference { at: &found[0].at, with: "github=GITHUB_TOKEN".into() };
        let after = refer(text, &[reference]).unwrap();
        assert!(!after.contains("ghp_1"), "{after}");
        for kept in ["# mine", "# hub", "# old", "# two", "LEVEL = \"debug\""] {
            assert!(after.contains(kept), "{kept}: {after}");
        }
        let args = "args = [\"exec\", \"--with\", \"github=GITHUB_TOKEN\", \"--\", \"npx\",\"-y\", \"server\"]";
        assert!(after.replace(", ", ",").contains(&args.replace(", ", ",")), "{after}");
        assert!(after.contains("command = \"authctl\" # old"), "{after}");
    }
}
