//! `Mcp-Param-*` (MCP 2026-07-28, Streamable HTTP, custom headers): which arguments of which tool a server
//! wants to see in the headers too, learned from its lists as they pass.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::jsonrpc::{Members, Message, rewritten};

const ANNOTATION: &str = "x-mcp-header";

/// The annotated tools of a server.
#[derive(Default)]
pub struct Tools {
    annotated: RefCell<HashMap<String, Vec<Param>>>,
    /// The whole list was seen, and nothing was said of a newer one.
    complete: Cell<bool>,
}

/// An argument that goes into a header.
#[derive(Debug, PartialEq, Eq)]
struct Param {
    header: String,
    /// The chain of properties that leads to it.
    path: Vec<String>,
}

/// One page of a list of tools.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(rename = "nextCursor")]
    next: Option<String>,
}

/// What is to be done about a page that was looked at.
#[derive(Default)]
pub struct Learned {
    /// Where the next page begins.
    pub next: Option<String>,
    /// The page without the tools that must not be used.
    pub rewritten: Option<Message>,
}

impl Tools {
    /// Whether a call of this tool may need headers that are not known.
    pub fn is_unknown(&self, tool: &str) -> bool {
        !self.complete.get() && !self.annotated.borrow().contains_key(tool)
    }

    /// The server has another list now.
    pub fn forget(&self) {
        self.complete.set(false);
        self.annotated.borrow_mut().clear();
    }

    /// There is nothing more to be learned.
    pub fn complete(&self) {
        self.complete.set(true);
    }

    /// Looks at a page; `is_first` begins a list anew.
    pub fn learn(&self, is_first: bool, response: &Message) -> Learned {
        let whole = Members::of(response);
        let result = whole.text_of("result").unwrap_or_default();
        let Ok(page) = serde_json::from_str::<Page<'_>>(result) else { return Learned::default() };
        if is_first {
            self.forget();
        }
        self.complete.set(page.next.is_none());
        let usable: Vec<&str> =
            page.tools.iter().map(|tool| tool.get()).filter(|tool| self.note(tool)).collect();
        let is_whole = usable.len() == page.tools.len();
        let tools = || format!("[{}]", usable.join(","));
        let rewritten = (!is_whole).then(|| {
            rewritten(response, |whole| whole.edit("result", |result| result.set("tools", tools())))
        });
        Learned { next: page.next, rewritten }
    }

    /// Notes one tool; false if its annotations are invalid, and it must not be used.
    fn note(&self, tool: &str) -> bool {
        // An escape may hide the name.
        if !tool.contains(ANNOTATION) && !tool.contains("\\u") {
            return true;
        }
        let tool: Value = serde_json::from_str(tool).unwrap_or_default();
        let Some(params) = annotations(&tool["inputSchema"]) else { return false };
        if let (Some(name), false) = (tool["name"].as_str(), params.is_empty()) {
            self.annotated.borrow_mut().insert(name.to_owned(), params);
        }
        true
    }

    /// The headers for a call with these arguments.
    pub fn headers(&self, tool: &str, arguments: &str) -> Vec<(String, String)> {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let mirrored = self.mirrored(tool, &arguments).into_iter();
        mirrored.filter_map(|(header, value)| Some((header, encoded(&text(&value)?)))).collect()
    }

    /// What the headers of a call repeat: their names, and the arguments; `null` where there is none.
    pub fn mirrored(&self, tool: &str, arguments: &Value) -> Vec<(String, Value)> {
        let annotated = self.annotated.borrow();
        let mirrored = |param: &Param| {
            let value = param.path.iter().try_fold(arguments, |value, name| value.get(name));
            (format!("Mcp-Param-{}", param.header), value.cloned().unwrap_or_default())
        };
        annotated.get(tool).into_iter().flatten().map(mirrored).collect()
    }
}

/// A primitive value as text. Integers may be written as `42.0`.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => Some(format!("{float:.0}")),
            _ => Some(number.to_string()),
        },
        _ => None,
    }
}

/// The annotated arguments of an input schema; `None` if an annotation is invalid.
fn annotations(schema: &Value) -> Option<Vec<Param>> {
    let mut found = Vec::new();
    walk(schema, Some(&[]), &mut found)?;
    let mut names = HashSet::new();
    let is_unique = |param: &Param| names.insert(param.header.to_ascii_lowercase());
    found.iter().all(is_unique).then_some(found)
}

/// Looks through a schema. `path` leads to it from the root through `properties` alone, if it can be reached so.
fn walk(schema: &Value, path: Option<&[String]>, found: &mut Vec<Param>) -> Option<()> {
    let members = match schema {
        Value::Array(schemas) => {
            return schemas.iter().try_for_each(|schema| walk(schema, None, found));
        }
        Value::Object(members) => members,
        _ => return Some(()),
    };
    if let Some(header) = members.get(ANNOTATION) {
        let path =
            path.filter(|path| !path.is_empty() && members.get("type").is_some_and(is_primitive))?;
        let header = header.as_str().filter(|header| is_token(header))?;
        found.push(Param { header: header.to_owned(), path: path.to_vec() });
    }
    for (keyword, value) in members {
        match (keyword.as_str(), value) {
            (ANNOTATION | "const" | "enum" | "default" | "examples", _) => {}
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let below = path.map(|path| [path, std::slice::from_ref(name)].concat());
                    walk(property, below.as_deref(), found)?;
                }
            }
            // The names in these are no keywords.
            (
                "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
                Value::Object(schemas),
            ) => schemas.values().try_for_each(|schema| walk(schema, None, found))?,
            _ => walk(value, None, found)?,
        }
    }
    Some(())
}

fn is_primitive(kind: &Value) -> bool {
    matches!(kind.as_str(), Some("string" | "integer" | "boolean"))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// A value as a header can carry it: itself where it is visible ASCII, else in Base64.
pub fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if plain { value.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(value)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(tools: &Value) -> Message {
        Message::read(json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string())
            .unwrap()
    }

    fn tool(name: &str, properties: &Value) -> Value {
        json!({"name": name, "inputSchema": {"type": "object", "properties": properties}})
    }

    #[test]
    fn arguments_become_headers() {
        let tools = Tools::default();
        assert!(tools.is_unknown("t"));
        let properties = json!({
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {
                "count": {"type": "integer", "x-mcp-header": "Count"},
            }},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "plain": {"type": "string"},
            "x-mcp-header": {"type": "string", "default": {"x-mcp-header": 1}},
        });
        let learned = tools.learn(true, &page(&json!([tool("t", &properties)])));
        assert!(learned.rewritten.is_none() && !tools.is_unknown("other"));
        let headers = |arguments: &Value| tools.headers("t", &arguments.to_string());
        let given =
            json!({"region": "Zürich", "deep": {"count": 42.0}, "dry": false, "plain": "x"});
        let mut found = headers(&given);
        found.sort();
        let expected = [("Count", "42"), ("Dry", "false"), ("Region", "=?base64?WsO8cmljaA==?=")];
        assert_eq!(found, expected.map(|(k, v)| (format!("Mcp-Param-{k}"), v.to_owned())));
        assert_eq!(headers(&json!({"region": null, "deep": {}, "dry": []})), []);
    }

    #[test]
    fn tools_with_invalid_annotations_are_left_out() {
        let with = |schema: Value| tool("bad", &json!({"a": schema}));
        let bad = [
            with(json!({"type": "string", "x-mcp-header": ""})),
            with(json!({"type": "string", "x-mcp-header": "a b"})),
            with(json!({"type": "string", "x-mcp-header": "a\n"})),
            with(json!({"type": "string", "x-mcp-header": 7})),
            with(json!({"type": "number", "x-mcp-header": "A"})),
            with(json!({"type": "object", "x-mcp-header": "A"})),
            with(json!({"x-mcp-header": "A"})),
            with(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})),
            with(json!({"anyOf": [{"type": "string", "x-mcp-header": "A"}]})),
            with(
                json!({"type": "object", "$defs": {"d": {"type": "string", "x-mcp-header": "A"}}}),
            ),
            json!({"name": "bad", "inputSchema": {"type": "string", "x-mcp-header": "A"}}),
            tool(
                "bad",
                &json!({
                    "a": {"type": "string", "x-mcp-header": "A"},
                    "b": {"type": "string", "x-mcp-header": "a"},
                }),
            ),
        ];
        for bad in bad {
            let good = tool("good", &json!({}));
            let learned = Tools::default().learn(true, &page(&json!([good, bad])));
            let left = learned.rewritten.unwrap_or_else(|| panic!("{bad}")).member("result");
            assert_eq!(left["tools"], json!([good]), "{bad}");
        }
    }

    #[test]
    fn values_that_no_header_can_carry_are_encoded() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("", ""),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encoded(value), header);
        }
    }
}
