//! MCP clients' configurations in JSON, with comments where the client allows them: Claude Code and Desktop,
//! Cursor, Windsurf, Cline and Gemini (`mcpServers`), VS Code (`servers`, `mcp.servers`), Zed (`context_servers`).

use std::collections::BTreeMap;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstObject, CstObjectProp, CstRootNode};
use jsonc_parser::errors::{ParseError, ParseErrorKind};

use super::entry::Entry;
use super::mcp_servers::{BEARER, Spot, bridged, by_server, prefix};
use super::server::Server;
use super::{Malformed, Reference, Way};

/// Comments and commas at the end, as VS Code and Zed take them; nothing else beyond JSON.
pub(super) const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Where the tables of servers stand.
const TABLES: [&[&str]; 4] =
    [&["mcpServers"], &["servers"], &["mcp", "servers"], &["context_servers"]];

/// Every server in every table of them, in order.
pub fn servers(text: &str) -> Result<Vec<Server>, Malformed> {
    let root = parse(text)?;
    let Some(top) = root.object_value() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for table in TABLES {
        table_of_servers(&top, table, &[], &mut found)?;
    }
    // Claude Code keeps the servers of each project in one file.
    if let Some(projects) = top.object_value("projects") {
        for (name, _) in entries(&projects)? {
            if let Some(project) = projects.object_value(&name) {
                let at = ["projects".to_owned(), name];
                table_of_servers(&project, &["mcpServers"], &at, &mut found)?;
            }
        }
    }
    Ok(found)
}

/// The text as a tree that keeps every byte.
pub(super) fn parse(text: &str) -> Result<CstRootNode, Malformed> {
    let root = CstRootNode::parse(text, &SYNTAX).map_err(|error| syntax(text, &error))?;
    check_strings(text)?;
    Ok(root)
}

/// Control characters stand in no string of JSON (RFC 8259 §7), which the parser does not mind.
fn check_strings(text: &str) -> Result<(), Malformed> {
    let mut rest = text.char_indices();
    let mut is_string = false;
    let mut before = ' ';
    while let Some((at, character)) = rest.next() {
        match (is_string, character) {
            (true, '\\') => {
                let _ = rest.next();
            }
            (true, '\0'..='\x1f') => return Err(super::syntax_at("JSON", text, at)),
            (_, '"') => is_string = !is_string,
            (false, '/') if before == '/' => {
                let _ = rest.by_ref().find(|(_, next)| *next == '\n');
            }
            (false, '*') if before == '/' => {
                let mut last = ' ';
                let ends = |(_, next): &(usize, char)| {
                    std::mem::replace(&mut last, *next) == '*' && *next == '/'
                };
                let _ = rest.by_ref().find(ends);
            }
            _ => {}
        }
        before = character;
    }
    Ok(())
}

pub(super) fn syntax(text: &str, error: &ParseError) -> Malformed {
    let stopped = match error.kind() {
        ParseErrorKind::NestingDepthExceeded => return Malformed::TooDeep,
        ParseErrorKind::UnterminatedObject | ParseErrorKind::UnterminatedArray => {
            text.trim_end().len()
        }
        _ => error.range().start,
    };
    super::syntax_at("JSON", text, stopped)
}

/// The servers in the table that `table` leads to.
fn table_of_servers(
    top: &CstObject,
    table: &[&str],
    above: &[String],
    found: &mut Vec<Server>,
) -> Result<(), Malformed> {
    let mut inner = top.clone();
    let mut at = above.to_vec();
    for key in table {
        entries(&inner)?;
        let Some(next) = inner.object_value(key) else { return Ok(()) };
        inner = next;
        at.push((*key).to_owned());
    }
    for (name, value) in entries(&inner)? {
        if let Some(server) = inner.object_value(&name) {
            check_unique(&server)?;
        }
        if let Some(value) = value {
            found.push(Server { at: at.iter().cloned().chain([name]).collect(), value });
        }
    }
    Ok(())
}

/// Names and values of an object; a name that stands twice is refused.
pub(super) fn entries(
    object: &CstObject,
) -> Result<BTreeMap<String, Option<serde_json::Value>>, Malformed> {
    let mut entries = BTreeMap::new();
    for property in object.properties() {
        let Some(name) = property.decoded_name() else { continue };
        let value = property.value().and_then(|value| value.to_serde_value());
        if entries.insert(name.clone(), value).is_some() {
            return Err(Malformed::Repeated(crate::text::clean(&name)));
        }
    }
    Ok(entries)
}

fn check_unique(server: &CstObject) -> Result<(), Malformed> {
    entries(server)?;
    for inner in ["env", "headers", "command"] {
        if let Some(inner) = server.object_value(inner) {
            check_unique(&inner)?;
        }
    }
    Ok(())
}

pub fn refer(text: &str, references: &[Reference<'_>], program: &str) -> Result<String, Malformed> {
    let root = parse(text)?;
    for (at, of_server) in by_server(references)? {
        let server = object_at(&root, at)?;
        let form = || Malformed::Form(at.join("."));
        let value = server.to_serde_value().ok_or_else(form)?;
        let (bridges, others): (Vec<_>, Vec<_>) =
            of_server.into_iter().partition(|reference| reference.way == Way::Bridge);
        for reference in &others {
            take(&server, reference)?;
        }
        if bridges.is_empty() {
            let with: Vec<String> = others.iter().map(|it| it.with.clone()).collect();
            wrap(&server, &with, program).ok_or_else(form)?;
        } else {
            let entry = bridged(&value, &bridges, program).ok_or_else(form)?;
            bridge(&server, &entry).ok_or_else(form)?;
        }
    }
    Ok(root.to_string())
}

/// Takes the literal of a local server out.
fn take(server: &CstObject, reference: &Reference<'_>) -> Result<(), Malformed> {
    let form = || Malformed::Form(reference.at.join("."));
    match Spot::of(reference.at).ok_or_else(form)? {
        Spot::Variable { name } => {
            let variable = server.object_value("env").and_then(|env| env.get(name));
            variable.ok_or_else(|| Malformed::Gone(reference.at.join(".")))?.remove();
            Ok(())
        }
        Spot::Argument { index } => keep_name(server, index).ok_or_else(form),
    }
}

/// Lets `authctl mcp` reach the server: its address and headers make room for a command.
fn bridge(server: &CstObject, entry: &Entry) -> Option<()> {
    let place = PLACES.iter().find_map(|key| server.get(key))?;
    let index = place.property_index();
    place.replace_with("command", CstInputValue::from(entry.command.as_str()));
    let args = entry.args.iter().map(|arg| CstInputValue::from(arg.as_str())).collect();
    let gone = ["headers", BEARER, "args"]
        .into_iter()
        .chain(PLACES.into_iter().filter(|key| *key != "command"));
    gone.filter_map(|key| server.get(key)).for_each(CstObjectProp::remove);
    server.insert(index + 1, "args", CstInputValue::Array(args));
    for key in ["type", "transport"] {
        if let Some(transport) = server.get(key) {
            transport.set_value(CstInputValue::from("stdio"));
        }
    }
    Some(())
}

/// What names a server, remote or local.
const PLACES: [&str; 4] = ["url", "serverUrl", "httpUrl", "command"];

pub(super) fn object_at(root: &CstRootNode, at: &[String]) -> Result<CstObject, Malformed> {
    let gone = || Malformed::Gone(at.join("."));
    let mut object = root.object_value().ok_or_else(gone)?;
    for key in at {
        object = object.object_value(key).ok_or_else(gone)?;
    }
    Ok(object)
}

/// `-e NAME=value` becomes `-e NAME`: docker takes the value from its own environment then.
fn keep_name(server: &CstObject, index: usize) -> Option<()> {
    let argument = server.array_value("args")?.elements().into_iter().nth(index)?;
    let text = argument.as_string_lit()?.decoded_value().ok()?;
    let (name, _) = text.split_once('=')?;
    argument.as_string_lit()?.replace_with(CstInputValue::from(name));
    Some(())
}

/// Lets `authctl exec` run the server's command with these credentials.
fn wrap(server: &CstObject, with: &[String], authctl: &str) -> Option<()> {
    let program = ["command", "path"].into_iter().find_map(|key| {
        let property = server.get(key)?;
        let text = property.value()?.as_string_lit()?.decoded_value().ok()?;
        Some((property, text))
    });
    let (property, program) = program?;
    let arguments = server.array_value("args");
    let (prefix, runs_already) = prefix(&program, first(arguments.as_ref()).as_deref(), with);
    if !runs_already {
        property.set_value(CstInputValue::from(authctl));
    }
    let arguments = arguments.or_else(|| {
        let index = property.property_index() + 1;
        server.insert(index, "args", CstInputValue::Array(Vec::new())).array_value()
    })?;
    put_before(arguments, usize::from(runs_already), prefix);
    Some(())
}

/// Inserts texts into an array. One that stands in a line without comments is written anew: what is inserted
/// there would be set apart like the lines of a longer one.
fn put_before(array: CstArray, at: usize, texts: Vec<String>) {
    let inner: Option<Vec<String>> =
        array.elements().iter().map(|one| one.as_string_lit()?.decoded_value().ok()).collect();
    let is_plain = !array.children().iter().any(|child| child.is_comment() || child.is_newline());
    match inner.filter(|_| is_plain) {
        Some(mut inner) => {
            inner.splice(at..at, texts);
            let inner = inner.into_iter().map(CstInputValue::from).collect();
            array.replace_with(CstInputValue::Array(inner));
        }
        None => {
            for (index, text) in texts.into_iter().enumerate() {
                array.insert(at + index, CstInputValue::from(text));
            }
        }
    }
}

fn first(arguments: Option<&CstArray>) -> Option<String> {
    arguments?.elements().first()?.as_string_lit()?.decoded_value().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Literal;

    fn literals(text: &str) -> Result<Vec<Literal>, Malformed> {
        Ok(servers(text)?.iter().flat_map(Server::literals).collect())
    }

    fn places(text: &str) -> Vec<String> {
        literals(text).unwrap().iter().map(Literal::place).collect()
    }

    #[test]
    fn every_clients_table_is_read() {
        for (text, place) in [
            (r#"{"mcpServers":{"x":{"command":"c","env":{"K":"v"}}}}"#, "mcpServers.x.env.K"),
            (r#"{"servers":{"x":{"command":"c","env":{"K":"v"}}},}"#, "servers.x.env.K"),
            (r#"{"mcp":{"servers":{"x":{"command":"c","env":{"K":"v"}}}}}"#, "mcp.servers.x.env.K"),
            (
                r#"{"context_servers":{"x":{"command":{"path":"c","env":{"K":"v"}}}}}"#,
                "context_servers.x.command.env.K",
            ),
            (
                r#"{"projects":{"/a.b":{"mcpServers":{"x":{"url":"https://x.example","headers":{"K":"v"}}}}}}"#,
                "projects./a.b.mcpServers.x.headers.K",
            ),
            (
                r#"{"mcpServers":{"x":{"command":"docker","args":["run","-e","K=v"]}}}"#,
                "mcpServers.x.args.2",
            ),
        ] {
            assert_eq!(places(text), [place], "{text}");
        }
        assert!(
            places(r#"{"mcpServers":{"x":{"command":"c","env":{"K":"${input:k}"}}}}"#).is_empty()
        );
        assert!(places("[1]").is_empty());
    }

    #[test]
    fn arguments_are_written_as_they_stood() {
        let with = |arguments: &str| {
            let text = format!(
                r#"{{"servers":{{"x":{{"command":"c","args":{arguments},"env":{{"K":"v"}}}}}}}}"#
            );
            let found = literals(&text).unwrap();
            let reference = Reference { at: &found[0].at, way: found[0].way, with: "k".into() };
            let after = refer(&text, &[reference], "authctl").unwrap();
            let (_, after) = after.split_once("\"args\":").unwrap();
            after.split_once(",\"env\"").unwrap().0.to_owned()
        };
        let plain = r#"["exec", "--with", "k", "--", "c", "-y", "z"]"#;
        assert_eq!(with(r#"["-y", "z"]"#), plain);
        assert_eq!(with(r#"[ "-y","z" ]"#), plain);
        assert_eq!(with("[]"), r#"["exec", "--with", "k", "--", "c"]"#);
        let lines = with("[\n  \"-y\", // yes\n  \"z\"\n]");
        assert!(lines.starts_with("[\n") && lines.contains("  \"c\",\n"), "{lines}");
        assert!(lines.ends_with("\"-y\", // yes\n  \"z\"\n]"), "{lines}");
    }

    #[test]
    fn what_is_no_json_or_says_a_thing_twice_is_refused() {
        for text in ["", "{", "{'a':1}", "{\"mcpServers\":{\"x\":{\"env\":{}}", &"[".repeat(5000)] {
            let outcome = literals(text);
            assert!(outcome.is_err() || outcome.unwrap().is_empty(), "{text:.20}");
        }
        for text in [
            r#"{"mcpServers":{"x":{},"x":{}}}"#,
            r#"{"mcpServers":{},"mcpServers":{}}"#,
            r#"{"mcpServers":{"x":{"env":{"x":"a","x":"b"}}}}"#,
        ] {
            assert!(matches!(literals(text), Err(Malformed::Repeated(_))), "{text}");
        }
    }
}
