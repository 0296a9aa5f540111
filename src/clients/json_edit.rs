//! One property of a JSON file with comments that comes, changes or goes, while every other byte stays. What was
//! put in is taken out without a trace.

use std::ops::Range;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, parse_to_ast};

use super::Malformed;
use super::entry::Entry;
use super::json::{SYNTAX, syntax};

/// A value to be written, with its keys in order.
#[derive(Debug, Clone)]
pub enum Node {
    Text(String),
    List(Vec<String>),
    Table(Vec<(String, Node)>),
}

/// The entry as clients write it in JSON.
pub fn node(entry: &Entry, is_typed: bool) -> Node {
    let kind = is_typed.then(|| ("type".to_owned(), Node::Text("stdio".to_owned())));
    let own = [
        ("command".to_owned(), Node::Text(entry.command.clone())),
        ("args".to_owned(), Node::List(entry.args.clone())),
    ];
    Node::Table(kind.into_iter().chain(own).collect())
}

/// Puts a property into the table that `table` leads to, in place of one of that name.
pub fn put(text: &str, table: &[&str], name: &str, node: Node) -> Result<String, Malformed> {
    let file = File::parse(text)?;
    let form = |keys: &[&str]| Malformed::Form(keys.join("."));
    let Some(root) = &file.root else {
        return Ok(file.with_root(&nested(table, nested(&[name], node))));
    };
    let mut object = root.as_object().ok_or_else(|| form(&["the file"]))?;
    for (depth, key) in table.iter().enumerate() {
        let Some(property) = object.get(key) else {
            let inner = nested(&table[depth + 1..], nested(&[name], node));
            return Ok(file.insert(object, key, &inner));
        };
        if matches!(property.value, Value::NullKeyword(_)) {
            let inner = nested(&table[depth + 1..], nested(&[name], node));
            return Ok(file.replace(property, &inner));
        }
        object = property.value.as_object().ok_or_else(|| form(&table[..=depth]))?;
    }
    Ok(match object.get(name) {
        Some(property) => file.replace(property, &node),
        None => file.insert(object, name, &node),
    })
}

/// Takes a property out; a table that has nothing else goes with it where `with_table` says so.
pub fn remove(text: &str, at: &[String], with_table: bool) -> Result<String, Malformed> {
    let file = File::parse(text)?;
    let gone = || Malformed::Gone(at.join("."));
    let mut path: Vec<(&Object<'_>, usize)> = Vec::new();
    let mut object = file.root.as_ref().and_then(Value::as_object).ok_or_else(gone)?;
    for (depth, key) in at.iter().enumerate() {
        let index = object.properties.iter().position(|property| property.name.as_str() == key);
        let index = index.ok_or_else(gone)?;
        path.push((object, index));
        if depth + 1 < at.len() {
            object = object.properties[index].value.as_object().ok_or_else(gone)?;
        }
    }
    while with_table && path.len() > 1 && path.last().is_some_and(|(last, _)| file.is_alone(last)) {
        path.pop();
    }
    let (object, index) = path.pop().ok_or_else(gone)?;
    Ok(file.without(object, index))
}

/// Whether there is a table of servers, or the place of one.
pub fn has_table(text: &str, table: &[&str]) -> bool {
    let Ok(file) = File::parse(text) else { return false };
    let mut value = file.root.as_ref();
    for key in table {
        let next = value.and_then(Value::as_object).and_then(|object| object.get(key));
        value = next.map(|property| &property.value);
    }
    value.is_some()
}

/// A value below these keys.
fn nested(keys: &[&str], node: Node) -> Node {
    keys.iter().rev().fold(node, |node, key| Node::Table(vec![((*key).to_owned(), node)]))
}

struct File<'a> {
    text: &'a str,
    root: Option<Value<'a>>,
    /// Comments among them.
    tokens: Vec<TokenAndRange<'a>>,
    newline: &'static str,
    /// One step of indentation.
    step: String,
}

impl<'a> File<'a> {
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        let collect =
            CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
        let parsed = parse_to_ast(text, &collect, &SYNTAX).map_err(|error| syntax(text, &error))?;
        Ok(Self {
            text,
            root: parsed.value,
            tokens: parsed.tokens.unwrap_or_default(),
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            step: step(text),
        })
    }

    fn with_root(&self, node: &Node) -> String {
        let before = self.text.trim_end();
        let gap = if before.is_empty() { "" } else { self.newline };
        format!("{before}{gap}{}{}", self.rendered(node, ""), self.newline)
    }

    fn replace(&self, property: &ObjectProp<'_>, node: &Node) -> String {
        let indent = self.indent_before(property.range.start);
        let value = match indent {
            Some(indent) => self.rendered(node, indent),
            None => compact(node, gap(&self.text[property.range.start..property.range.end])),
        };
        self.spliced(vec![(span(&property.value), value)])
    }

    fn insert(&self, object: &Object<'_>, key: &str, node: &Node) -> String {
        match object.properties.last() {
            Some(last) => self.insert_after(object, last, key, node),
            None => self.insert_alone(object, key, node),
        }
    }

    fn insert_after(
        &self,
        object: &Object<'_>,
        last: &ObjectProp<'_>,
        key: &str,
        node: &Node,
    ) -> String {
        let comma = self.comma_after(last.range.end);
        let end = comma.as_ref().map_or(last.range.end, |comma| comma.end);
        let Some(indent) = self.indent_before(last.range.start) else {
            let gap = gap(&self.text[object.range.start..object.range.end]);
            let added = format!("{gap}{}:{gap}{}", quoted(key), compact(node, gap));
            let added = if comma.is_some() { format!("{added},") } else { format!(",{added}") };
            return self.spliced(vec![(end..end, added)]);
        };
        let at = self.after_comments_of_the_line(end);
        let tail = if comma.is_some() { "," } else { "" };
        let property = format!("{}: {}", quoted(key), self.rendered(node, indent));
        let added = (at..at, format!("{}{indent}{property}{tail}", self.newline));
        let own_comma = (comma.is_none()).then(|| (end..end, ",".to_owned()));
        self.spliced(own_comma.into_iter().chain([added]).collect())
    }

    fn insert_alone(&self, object: &Object<'_>, key: &str, node: &Node) -> String {
        let close = object.range.end - 1;
        let outer = self.indent_of_line(object.range.start);
        let indent = format!("{outer}{}", self.step);
        let property = format!("{}: {}", quoted(key), self.rendered(node, &indent));
        // Comments below stay below: above the property they would be its own.
        let at = self.after_comments_of_the_line(object.range.start + 1);
        let rest = &self.text[at..close];
        let newline = self.newline;
        if rest.contains('\n') {
            return self.spliced(vec![(at..at, format!("{newline}{indent}{property}"))]);
        }
        self.spliced(vec![(at..close, format!("{newline}{indent}{property}{newline}{outer}"))])
    }

    fn without(&self, object: &Object<'_>, index: usize) -> String {
        if self.is_alone(object) {
            return self
                .spliced(vec![(object.range.start + 1..object.range.end - 1, String::new())]);
        }
        let property = &object.properties[index];
        let before = index
            .checked_sub(1)
            .and_then(|before| self.comma_after(object.properties[before].range.end));
        let own = self.comma_after(property.range.end);
        let mut cuts = vec![self.cut_of(property.range.start, property.range.end, own.as_ref())];
        let entry = cuts[0].clone();
        let is_beside = |comma: &Range<usize>| {
            let gap = &self.text[comma.end..entry.start];
            gap.trim().is_empty() && !gap.contains('\n')
        };
        let is_last = index + 1 == object.properties.len();
        match (own, before) {
            (Some(own), _) if own.start >= entry.end => cuts.push(own),
            (Some(_), Some(comma)) if is_last && is_beside(&comma) => cuts[0].start = comma.end,
            (None, Some(comma)) if is_beside(&comma) => cuts[0].start = comma.start,
            (None, Some(comma)) => cuts.insert(0, comma),
            _ => {}
        }
        self.spliced(cuts.into_iter().map(|cut| (cut, String::new())).collect())
    }

    /// What goes with an entry: its comma and, where nothing else is in its lines, these. Comments stay.
    fn cut_of(&self, start: usize, end: usize, own: Option<&Range<usize>>) -> Range<usize> {
        let own = own.filter(|own| self.text[end..own.start].trim().is_empty());
        let behind = own.map_or(end, |own| own.end);
        let rest = self.text[behind..].trim_start_matches([' ', '\t', '\r']);
        let is_last_in_line = rest.starts_with(['\n', '}']);
        match self.indent_before(start) {
            Some(indent) if is_last_in_line => {
                let line = start - indent.len();
                let above = line - if self.text[..line].ends_with("\r\n") { 2 } else { 1 };
                // Behind a comment the break has to stay, unless another one follows.
                let is_kept = !rest.starts_with('\n') && self.ends_comment(above);
                if is_kept { start..behind } else { above..behind }
            }
            _ if is_last_in_line => start..behind,
            _ => start..self.text.len() - self.text[behind..].trim_start_matches([' ', '\t']).len(),
        }
    }

    /// Whether an object has one property and no comment beside it.
    fn is_alone(&self, object: &Object<'_>) -> bool {
        let [only] = &object.properties[..] else { return false };
        let within = |range: &jsonc_parser::common::Range| {
            object.range.start < range.start && range.end < object.range.end
        };
        !self.tokens.iter().any(|token| {
            let is_inner =
                only.range.start <= token.range.start && token.range.end <= only.range.end;
            is_comment(token) && within(&token.range) && !is_inner
        })
    }

    fn comma_after(&self, place: usize) -> Option<Range<usize>> {
        let first = self.tokens.partition_point(|token| token.range.start < place);
        let next = self.tokens[first..].iter().find(|token| !is_comment(token))?;
        (next.token == Token::Comma).then_some(next.range.start..next.range.end)
    }

    /// The end of the comments that follow in the same line.
    fn after_comments_of_the_line(&self, place: usize) -> usize {
        let first = self.tokens.partition_point(|token| token.range.start < place);
        let mut end = place;
        for token in &self.tokens[first..] {
            if !is_comment(token) || self.text[end..token.range.start].contains('\n') {
                break;
            }
            end = self.without_return(token.range.end);
        }
        end
    }

    /// Whether a comment that takes the rest of its line ends at a place.
    fn ends_comment(&self, place: usize) -> bool {
        let is_it = |token: &TokenAndRange<'_>| matches!(token.token, Token::CommentLine(_));
        let mut ends = self.tokens.iter().filter(|token| is_it(token)).map(|token| token.range.end);
        ends.any(|end| self.without_return(end) == place)
    }

    fn without_return(&self, end: usize) -> usize {
        end - usize::from(self.text[..end].ends_with('\r'))
    }

    /// The blanks before a place, if nothing else stands before it in its line.
    fn indent_before(&self, place: usize) -> Option<&'a str> {
        let line = self.text[..place].rfind('\n')? + 1;
        let blanks = &self.text[line..place];
        blanks.bytes().all(|byte| byte == b' ' || byte == b'\t').then_some(blanks)
    }

    fn indent_of_line(&self, place: usize) -> &'a str {
        let line = self.text[..place].rfind('\n').map_or(0, |end| end + 1);
        let rest = self.text[line..].trim_start_matches([' ', '\t']);
        &self.text[line..self.text.len() - rest.len()]
    }

    /// A value whose tables take lines of their own.
    fn rendered(&self, node: &Node, indent: &str) -> String {
        let Node::Table(entries) = node else { return compact(node, " ") };
        let (newline, inner) = (self.newline, format!("{indent}{}", self.step));
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, node)| format!("{inner}{}: {}", quoted(key), self.rendered(node, &inner)))
            .collect();
        format!("{{{newline}{}{newline}{indent}}}", entries.join(&format!(",{newline}")))
    }

    /// The text with other texts in places that ascend.
    fn spliced(&self, places: Vec<(Range<usize>, String)>) -> String {
        let mut after = self.text.to_owned();
        for (place, text) in places.into_iter().rev() {
            after.replace_range(place, &text);
        }
        after
    }
}

fn span(value: &Value<'_>) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

/// What stands between the parts of a line.
fn gap(line: &str) -> &'static str {
    if line.contains("\": ") { " " } else { "" }
}

fn is_comment(token: &TokenAndRange<'_>) -> bool {
    matches!(token.token, Token::CommentLine(_) | Token::CommentBlock(_))
}

/// A value in one line.
fn compact(node: &Node, gap: &str) -> String {
    let comma = format!(",{gap}");
    match node {
        Node::Text(text) => quoted(text),
        Node::List(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            format!("[{}]", texts.join(&comma))
        }
        Node::Table(entries) => {
            let entry = |(key, node): &(String, Node)| {
                format!("{}:{gap}{}", quoted(key), compact(node, gap))
            };
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(&comma))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The blanks before the first line that has any; two where none has.
fn step(text: &str) -> String {
    let mut blanks = text.lines().map(|line| &line[..line.len() - line.trim_start().len()]);
    let first = blanks.find(|blanks| !blanks.is_empty());
    first.filter(|blanks| blanks.len() <= 8).unwrap_or("  ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Node {
        Node::Table(vec![
            ("command".into(), Node::Text("authctl".into())),
            ("args".into(), Node::List(vec!["mcp".into(), "https://x.example/".into()])),
        ])
    }

    fn at(name: &str) -> Vec<String> {
        vec!["mcpServers".into(), name.into()]
    }

    #[test]
    fn what_was_put_in_is_taken_out_without_a_trace() {
        for text in [
            "{\n  \"mcpServers\": {\n    \"a\": {}\n  }\n}\n",
            "{\n  \"mcpServers\": {\n    \"a\": {}\n  },\n  \"z\": 1\n}",
            "{\r\n\t\"mcpServers\": {\r\n\t\t\"a\": {} // one\r\n\t}\r\n}\r\n",
            "{\n  \"mcpServers\": {\n    \"a\": {}, // one\n    // two\n  },\n}\n",
            "{\n    \"mcpServers\": {\n\n        // first\n        \"a\": {\"k\":1} /* x */ // y\n\n    }\n}\n",
            "{\"mcpServers\":{\"a\":{}}}",
            "{ \"mcpServers\": { \"a\": {}, } }",
            "{ \"mcpServers\": { \"a\": {} } }\n",
            "{\"mcpServers\":{}}",
            "{\n  \"mcpServers\": {}\n}\n",
            "{\n  \"mcpServers\": {\n    // none yet\n  }\n}\n",
            "{\n  \"mcpServers\": { /* none yet */\n  }\n}\n",
            "// mine\n{\n  \"mcpServers\": {\n    \"a\": { \"x\": [1,2] }, \"b\": 2\n  }\n}\n",
        ] {
            let after = put(text, &["mcpServers"], "new", entry()).unwrap();
            let value = File::parse(&after).unwrap();
            assert!(value.root.is_some() && after.contains("\"new\""), "{after}");
            assert_eq!(remove(&after, &at("new"), false).unwrap(), text, "{after}");
            // Twice the same is once.
            assert_eq!(put(&after, &["mcpServers"], "new", entry()).unwrap(), after);
        }
    }

    #[test]
    fn a_table_comes_and_goes_with_its_only_server() {
        for text in [
            "{\n  \"theme\": \"dark\"\n}\n",
            "{\n  // mine\n  \"theme\": 1, // x\n}\n",
            "{}\n",
            "{\"a\":1}",
        ] {
            let after = put(text, &["mcpServers"], "new", entry()).unwrap();
            assert_eq!(remove(&after, &at("new"), true).unwrap(), text, "{after}");
        }
        for text in ["", "\n", "// only this\n"] {
            let after = put(text, &["mcp", "servers"], "new", entry()).unwrap();
            let path = ["mcp", "servers", "new"].map(str::to_owned);
            let left = remove(&after, &path, true).unwrap();
            assert!(left.trim_end().ends_with("{}"), "{left}");
        }
    }

    #[test]
    fn any_of_several_goes_alone() {
        let text = "{\n  \"mcpServers\": {\n    \"a\": 1, // one\n    // of b\n    \"b\": 2,\n    \"c\": 3 // three\n  }\n}\n";
        let without = |name: &str| remove(text, &at(name), true).unwrap();
        // Comments inside an entry go with it, those beside it may be about anything.
        assert_eq!(without("a"), text.replace("\"a\": 1, // one", "// one"));
        assert_eq!(without("b"), text.replace("\n    \"b\": 2,", ""));
        assert_eq!(without("c"), text.replace(",\n    \"c\": 3 // three", "\n    // three"));
        let inline = r#"{"mcpServers":{"a":1, /* of b */ "b":2 /* two */, "c":3 /* of c */}}"#;
        let without = |name: &str| remove(inline, &at(name), true).unwrap();
        assert_eq!(without("a"), inline.replace("\"a\":1, ", ""));
        assert_eq!(without("b"), inline.replace("\"b\":2 /* two */,", "/* two */"));
        assert_eq!(without("c"), inline.replace(", \"c\":3 ", ""));
        let line = r#"{"mcpServers":{"a":1, "b":2, "c":3}}"#;
        let without = |name: &str| remove(line, &at(name), true).unwrap();
        assert_eq!(without("a"), r#"{"mcpServers":{"b":2, "c":3}}"#);
        assert_eq!(without("b"), r#"{"mcpServers":{"a":1, "c":3}}"#);
        assert_eq!(without("c"), r#"{"mcpServers":{"a":1, "b":2}}"#);
    }

    #[test]
    fn an_entry_has_the_indentation_of_its_file() {
        let text = "{\n\t\"mcpServers\": {\n\t\t\"a\": {}\n\t}\n}";
        let after = put(text, &["mcpServers"], "new", entry()).unwrap();
        let expected = "{\n\t\"mcpServers\": {\n\t\t\"a\": {},\n\t\t\"new\": {\n\t\t\t\"command\": \"authctl\",\n\t\t\t\"args\": [\"mcp\", \"https://x.example/\"]\n\t\t}\n\t}\n}";
        assert_eq!(after, expected);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["[]", "1", "{\"mcpServers\": []}"] {
            let outcome = put(text, &["mcpServers"], "new", entry());
            assert!(matches!(outcome, Err(Malformed::Form(_))), "{text}");
        }
        assert!(matches!(remove("{}", &at("x"), true), Err(Malformed::Gone(_))));
    }

    fn value(text: &str) -> serde_json::Value {
        let root = super::super::json::parse(text).unwrap();
        root.to_serde_value().unwrap()
    }

    /// Blanks, breaks and comments as people leave them between the parts.
    fn gap() -> impl proptest::strategy::Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "",
            "",
            " ",
            "\n",
            "\n  ",
            "\r\n\t",
            " // é\n",
            "/* , } */",
            "\n\n    // \"x\"\n  ",
        ])
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_between_the_parts_one_comes_and_goes(
            gaps in proptest::collection::vec(gap(), 16),
            count in 0_usize..4,
            has_comma in proptest::bool::ANY,
            taken in 0_usize..4,
        ) {
            let mut gaps = gaps.into_iter();
            let mut next = || gaps.next().unwrap_or_default();
            let mut inner = String::new();
            for number in 0..count {
                let comma = if number + 1 < count || has_comma { "," } else { "" };
                inner.extend([next(), &format!("\"s{number}\":"), next(), "{}", next(), comma]);
            }
            let text = format!("{}{{{}\"mcpServers\": {{{inner}{}}}{}}}{}", next(), next(), next(), next(), next());
            let before = value(&text);
            let after = put(&text, &["mcpServers"], "new", entry()).unwrap();
            let mut expected = before.clone();
            expected["mcpServers"]["new"] = serde_json::json!({ "command": "authctl", "args": ["mcp", "https://x.example/"] });
            proptest::prop_assert_eq!(value(&after), expected, "{}", after);
            let left = remove(&after, &at("new"), false).unwrap();
            proptest::prop_assert_eq!(value(&left), before.clone(), "{}", left);
            // Any other one goes as well.
            if taken < count {
                let name = format!("s{taken}");
                let left = remove(&text, &at(&name), false).unwrap();
                let mut expected = before;
                expected["mcpServers"].as_object_mut().unwrap().remove(&name);
                proptest::prop_assert_eq!(value(&left), expected, "{}", left);
            }
        }
    }
}
