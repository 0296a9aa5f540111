//! Codex's `config.toml`: `[mcp_servers.NAME]`.

use std::ops::Range;

use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::entry::Entry;
use super::mcp_servers::{BEARER, Spot, bridged, by_server, prefix};
use super::server::Server;
use super::{Malformed, Reference, Way};
use crate::toml_tables;

const TABLE: &str = "mcp_servers";

pub fn servers(text: &str) -> Result<Vec<Server>, Malformed> {
    let tree = tree(text)?;
    let Some(servers) = tree.get(TABLE).and_then(serde_json::Value::as_object) else {
        return Ok(Vec::new());
    };
    let of = |(name, value): (&String, &serde_json::Value)| Server {
        at: vec![TABLE.to_owned(), name.clone()],
        value: value.clone(),
    };
    Ok(servers.iter().map(of).collect())
}

fn tree(text: &str) -> Result<serde_json::Value, Malformed> {
    parse(text)?;
    toml::from_str(text).map_err(|_| Malformed::Syntax { what: "TOML", line: None, column: None })
}

fn parse(text: &str) -> Result<DocumentMut, Malformed> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        super::syntax_at("TOML", text, error.span().map_or(0, |span| span.start))
    })
}

/// A table of its own at the end; or in the place of one of that name, or among others in one line.
pub fn put(text: &str, name: &str, entry: &Entry) -> Result<String, Malformed> {
    let mut document = parse(&unix(text))?;
    if document.get(TABLE).is_some_and(|servers| !servers.is_table_like()) {
        return Err(Malformed::Form(TABLE.into()));
    }
    let is_inline = document.get(TABLE).is_some_and(Item::is_inline_table);
    let servers = document.get_mut(TABLE).and_then(Item::as_table_like_mut);
    let Some(servers) = servers.filter(|servers| is_inline || servers.get(name).is_some()) else {
        return Ok(appended(text, name, entry));
    };
    if let Some(there) = servers.get_mut(name).and_then(Item::as_table_like_mut) {
        there.clear();
        fill(there, entry);
    } else {
        let mut inline = InlineTable::new();
        fill(&mut inline, entry);
        servers.insert(name, Item::Value(Value::InlineTable(inline)));
    }
    Ok(written(&document, text))
}

/// The document with the line breaks of the text that it was, line by line: it knows one kind alone.
fn written(document: &DocumentMut, text: &str) -> String {
    let (before, after) = (unix(text), unix(&document.to_string()));
    if before == text {
        return after;
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let difference = similar::TextDiff::from_lines(&before, &after);
    let kept = difference.iter_all_changes().filter(|line| line.new_index().is_some());
    kept.map(|line| match line.old_index() {
        Some(old) => lines[old].to_owned(),
        None => line.value().replace('\n', "\r\n"),
    })
    .collect()
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn fill(server: &mut dyn TableLike, entry: &Entry) {
    server.insert("command", Item::Value(entry.command.as_str().into()));
    server.insert("args", Item::Value(Value::Array(entry.args.iter().collect())));
}

fn appended(text: &str, name: &str, entry: &Entry) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut server = Table::new();
    fill(&mut server, entry);
    let mut servers = Table::new();
    servers.set_implicit(true);
    servers.insert(name, Item::Table(server));
    let mut document = DocumentMut::new();
    document.insert(TABLE, Item::Table(servers));
    let added = document.to_string().replace('\n', newline);
    match text {
        "" => added,
        _ if text.ends_with('\n') => format!("{text}{newline}{added}"),
        _ => format!("{text}{newline}{newline}{added}"),
    }
}

pub fn remove(text: &str, at: &[String]) -> Result<String, Malformed> {
    if let Some(after) = without_sections(text, at) {
        return Ok(after);
    }
    let mut document = parse(&unix(text))?;
    let gone = || Malformed::Gone(at.join("."));
    let [table, name] = at else { return Err(gone()) };
    if toml_tables::remove(&mut document, table, name) {
        Ok(written(&document, text))
    } else {
        Err(gone())
    }
}

/// The text without the sections of a server; `None` where it has none of its own. What stands above a heading or
/// below a section is about something else, and stays.
fn without_sections(text: &str, at: &[String]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let [table, name] = at else { return None };
    let server = document.get(table)?.as_table()?.get(name)?.as_table()?;
    let mut cuts = Vec::new();
    if server.is_dotted() || !sections(server, &mut cuts) {
        return None;
    }
    let mut after = text.to_owned();
    for cut in lines_of(text, cuts).into_iter().rev() {
        // Of the empty lines around it, those below part what is left.
        let below = text[cut.end..].trim_start_matches('\r');
        let is_parted = below.is_empty() || below.starts_with('\n');
        let is_empty = |line: &&str| {
            let above = text[..cut.start].strip_suffix(line);
            above.is_some_and(|above| above.is_empty() || above.ends_with('\n'))
        };
        let empty = ["\r\n", "\n"].into_iter().find(is_empty).filter(|_| is_parted);
        let start = cut.start - empty.map_or(0, str::len);
        // At the beginning there is nothing to be parted from.
        let parting =
            if start == 0 && below.starts_with('\n') { text[cut.end..].find('\n') } else { None };
        after.replace_range(start..cut.end + parting.map_or(0, |end| end + 1), "");
    }
    Some(after)
}

/// The lines that these places take, as one where nothing is between them.
fn lines_of(text: &str, mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| place.start);
    let mut lines: Vec<Range<usize>> = Vec::new();
    for place in places {
        let start = text[..place.start].rfind('\n').map_or(0, |end| end + 1);
        let end = text[place.end..].find('\n').map_or(text.len(), |end| place.end + end + 1);
        match lines.last_mut() {
            Some(last) if text[last.end..start].trim().is_empty() => last.end = end,
            _ => lines.push(start..end),
        }
    }
    lines
}

/// Where the sections of a table and those below it stand; whether all of them do.
fn sections(table: &Table, found: &mut Vec<Range<usize>>) -> bool {
    if !table.is_implicit() {
        let Some(heading) = table.span() else { return false };
        found.push(heading.start..end_of(table).max(heading.end));
    }
    table.iter().all(|(_, item)| match item {
        Item::Table(inner) if !inner.is_dotted() => sections(inner, found),
        Item::ArrayOfTables(inner) => inner.iter().all(|inner| sections(inner, found)),
        _ => true,
    })
}

/// Where the last value ends that stands in the section of a table.
fn end_of(table: &Table) -> usize {
    let ends = table.iter().filter_map(|(_, item)| match item {
        Item::Table(inner) if inner.is_dotted() => Some(end_of(inner)),
        Item::Value(value) => value.span().map(|span| span.end),
        _ => None,
    });
    ends.max().unwrap_or_default()
}

pub fn refer(text: &str, references: &[Reference<'_>], program: &str) -> Result<String, Malformed> {
    let tree = tree(text)?;
    let mut document = parse(&unix(text))?;
    for (at, of_server) in by_server(references)? {
        let form = || Malformed::Form(at.join("."));
        let server = server_at(&mut document, at)?;
        let (bridges, others): (Vec<_>, Vec<_>) =
            of_server.into_iter().partition(|reference| reference.way == Way::Bridge);
        for reference in &others {
            take(server, reference)?;
        }
        if bridges.is_empty() {
            let with: Vec<String> = others.iter().map(|it| it.with.clone()).collect();
            wrap(server, &with, program).ok_or_else(form)?;
        } else {
            let value = at.iter().try_fold(&tree, |value, key| value.get(key)).ok_or_else(form)?;
            bridge(server, &bridged(value, &bridges, program).ok_or_else(form)?);
        }
    }
    Ok(written(&document, text))
}

/// Takes the literal of a local server out.
fn take(server: &mut dyn TableLike, reference: &Reference<'_>) -> Result<(), Malformed> {
    let done =
        match Spot::of(reference.at).ok_or_else(|| Malformed::Form(reference.at.join(".")))? {
            Spot::Variable { name } => {
                let env = server.get_mut("env").and_then(Item::as_table_like_mut);
                env.and_then(|env| env.remove(name)).map(drop)
            }
            Spot::Argument { index } => keep_name(server, index),
        };
    done.ok_or_else(|| Malformed::Gone(reference.at.join(".")))
}

/// Lets `authctl mcp` reach the server: its address and headers make room for a command.
fn bridge(server: &mut dyn TableLike, entry: &Entry) {
    for key in ["url", "http_headers", BEARER, "args"] {
        server.remove(key);
    }
    fill(server, entry);
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
fn wrap(server: &mut dyn TableLike, with: &[String], program: &str) -> Option<()> {
    let arguments = server.get("args").and_then(Item::as_array);
    let first = arguments.and_then(|arguments| arguments.get(0)?.as_str()).map(str::to_owned);
    let command = server.get_mut("command")?.as_value_mut()?;
    let (prefix, runs_already) = prefix(command.as_str()?, first.as_deref(), with);
    if !runs_already {
        let mut authctl = Value::from(program);
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
        let found = servers(text).unwrap()[0].literals();
        assert_eq!(found[0].place(), "mcp_servers.gh.env.GITHUB_TOKEN");
        let with = "github=GITHUB_TOKEN".into();
        let reference = Reference { at: &found[0].at, way: Way::Exec, with };
        let after = refer(text, &[reference], "authctl").unwrap();
        assert!(!after.contains("ghp_1"), "{after}");
        for kept in ["# mine", "# hub", "# old", "# two", "LEVEL = \"debug\""] {
            assert!(after.contains(kept), "{kept}: {after}");
        }
        let args = "args = [\"exec\", \"--with\", \"github=GITHUB_TOKEN\", \"--\", \"npx\",\"-y\", \"server\"]";
        assert!(after.replace(", ", ",").contains(&args.replace(", ", ",")), "{after}");
        assert!(after.contains("command = \"authctl\" # old"), "{after}");
    }

    fn entry() -> Entry {
        Entry { command: "authctl".into(), args: vec!["mcp".into(), "https://x.example/".into()] }
    }

    #[test]
    fn what_was_put_in_is_taken_out_without_a_trace() {
        for text in [
            "",
            "model = \"x\" # mine\n",
            "[mcp_servers.a]\ncommand = \"b\"\n[mcp_servers.a.env]\nK = \"v\"\n\n# the end\n",
            "[mcp_servers.a]\r\ncommand = 'b'\r\n\r\n[profiles.x]\r\nk = 1\r\n",
            "[mcp_servers.a]\r\ncommand = \"n\"\r\n# my note\r\n",
            "[mcp_servers.a]\r\ncommand = \"n\"\n# my note\r\n\n# another\n",
            "mcp_servers.a.command = \"b\"\n",
        ] {
            for name in ["new", "with.dot"] {
                let after = put(text, name, &entry()).unwrap();
                assert!(after.contains("args = [\"mcp\", \"https://x.example/\"]"), "{after}");
                let at = [TABLE.to_owned(), name.to_owned()];
                assert_eq!(remove(&after, &at).unwrap(), text, "{after:?}");
            }
        }
        let inline = "mcp_servers = { a = { command = \"b\" } } # here\n";
        let after = put(inline, "new", &entry()).unwrap();
        assert_eq!(servers(&after).unwrap().len(), 2, "{after}");
        assert!(after.contains("# here"), "{after}");
    }

    #[test]
    fn sections_go_and_what_stands_around_them_stays() {
        let at = |name: &str| [TABLE.to_owned(), name.to_owned()];
        let text = "[mcp_servers.a]\ncommand = \"x\"\n\n# note about b\n[mcp_servers.b] # b\ncommand = \"\"\"\ny\"\"\" # end\n\n[mcp_servers.b.env]\n# inner\nK.x = [\n 1, # one\n]\n# below\n\n\n[[hist]]\na = 1\n[mcp_servers.b.tools]\n\n[[hist]]\na = 2\n";
        let left = "[mcp_servers.a]\ncommand = \"x\"\n\n# note about b\n# below\n\n\n[[hist]]\na = 1\n\n[[hist]]\na = 2\n";
        assert_eq!(remove(text, &at("b")).unwrap(), left);
        let windows = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(remove(&windows(text), &at("b")).unwrap(), windows(left));
        let left = text.replace("[mcp_servers.a]\ncommand = \"x\"\n\n", "");
        assert_eq!(remove(text, &at("a")).unwrap(), left);
        // No break at the end.
        let text = "a = 1\n\n[mcp_servers.b]\nx = 1";
        assert_eq!(remove(text, &at("b")).unwrap(), "a = 1\n");
    }

    #[test]
    fn comments_around_a_server_stay() {
        let text = "# top\n\n[mcp_servers.a] # a\nurl = \"https://a.example\"\n\n# about b\n[mcp_servers.b]\ncommand = \"b\"\n";
        let after = put(text, "a", &entry()).unwrap();
        for kept in ["# top", "# a\n", "# about b"] {
            assert!(after.contains(kept) && !after.contains("url ="), "{after}");
        }
        let left = remove(&after, &[TABLE.to_owned(), "a".to_owned()]).unwrap();
        assert!(left.contains("# top") && left.contains("# about b\n[mcp_servers.b]"), "{left}");
    }
}
