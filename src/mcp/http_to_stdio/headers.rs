//! What the headers of a request have to say (MCP, Streamable HTTP): media types, revision, and in 2026-07-28
//! once more what is in the body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply::{self, Reply};
use crate::jsonrpc::{self, Message};
use crate::mcp::meta::{CLIENT_CAPABILITIES, PROTOCOL_VERSION};
use crate::mcp::modern::{HEADER_MISMATCH, UNSUPPORTED_VERSION};
use crate::mcp::{LEGACY_VERSIONS, MODERN, params};

const VERSION: &str = "mcp-protocol-version";

/// A header that is there once, as text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

pub fn accepts(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let all = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<String> = all
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let is_met = |wanted: &&str| {
        let (kind, _) = wanted.split_once('/').unwrap_or_default();
        ranges
            .iter()
            .any(|range| range == "*/*" || range == wanted || *range == format!("{kind}/*"))
    };
    wanted.iter().all(is_met)
}

pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Whether a message is of 2026-07-28 or later, by its body or its headers.
pub fn is_modern(headers: &HeaderMap, message: &Message) -> bool {
    let has_newer = headers.contains_key(VERSION) && !headers.contains_key("mcp-session-id");
    message.member("params")["_meta"][PROTOCOL_VERSION].is_string()
        || text(headers, VERSION) == Some(MODERN)
        || (has_newer || headers.contains_key("mcp-method")) && !names_legacy(headers)
}

/// Whether the revision of a request in a session is one that has sessions.
pub fn is_legacy_version(headers: &HeaderMap) -> bool {
    !headers.contains_key(VERSION) || names_legacy(headers)
}

fn names_legacy(headers: &HeaderMap) -> bool {
    text(headers, VERSION).is_some_and(|version| LEGACY_VERSIONS.contains(&version))
}

/// The headers of a modern message say what its body says, and a request says what each one has to.
pub fn check_modern(headers: &HeaderMap, message: &Message) -> Result<(), Response<Reply>> {
    let params = message.member("params");
    check_version(headers, message, &params["_meta"])?;
    let method = message.method().unwrap_or_default();
    check(headers, "Mcp-Method", method).map_err(|what| mismatch(message, &what))?;
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    match params[member].as_str() {
        Some(name) => check(headers, "Mcp-Name", name).map_err(|what| mismatch(message, &what)),
        None => Err(invalid(message, &format!("params.{member} is missing"))),
    }
}

fn check_version(
    headers: &HeaderMap,
    message: &Message,
    meta: &Value,
) -> Result<(), Response<Reply>> {
    let (sent, said) = (text(headers, VERSION), meta[PROTOCOL_VERSION].as_str());
    if let Some(version) = sent.filter(|version| *version != MODERN)
        && said.is_none_or(|said| said == version)
    {
        return Err(unsupported(message, version));
    }
    let is_request = message.id().is_some();
    for (key, is_there) in [
        (PROTOCOL_VERSION, said.is_some()),
        (CLIENT_CAPABILITIES, meta[CLIENT_CAPABILITIES].is_object()),
    ] {
        if is_request && !is_there {
            return Err(invalid(message, &format!("{key} is missing in params._meta")));
        }
    }
    check(headers, "MCP-Protocol-Version", said.unwrap_or(MODERN))
        .map_err(|what| mismatch(message, &what))
}

/// A header that repeats a text of the body.
fn check(headers: &HeaderMap, name: &str, said: &str) -> Result<(), String> {
    match text(headers, name).and_then(decoded) {
        Some(sent) if sent == said => Ok(()),
        Some(_) => Err(format!("{name} does not say what the body says")),
        None if headers.contains_key(name) => Err(format!("{name} is malformed")),
        None => Err(format!("{name} is missing")),
    }
}

/// `Mcp-Param-*` (MCP 2026-07-28, Streamable HTTP, server behavior for custom headers): each repeats its
/// argument, and none is there without one. Numbers may be written in other ways.
pub fn check_params(headers: &HeaderMap, mirrored: &[(String, Value)]) -> Result<(), String> {
    for (name, value) in mirrored {
        let Some(said) = params::text(value) else {
            if headers.contains_key(name) {
                return Err(format!("{name} repeats an argument that is not in the body"));
            }
            continue;
        };
        let number = |text: &str| text.parse::<f64>().ok();
        let sent = text(headers, name).and_then(decoded);
        let is_same_number =
            || value.is_number() && sent.as_deref().and_then(number) == value.as_f64();
        check(headers, name, &said).or_else(|what| is_same_number().then_some(()).ok_or(what))?;
    }
    Ok(())
}

/// The response to a call whose headers differ from its body.
pub fn mismatch(message: &Message, what: &str) -> Response<Reply> {
    let what = format!("Header mismatch: {what}");
    reply::error(StatusCode::BAD_REQUEST, message.id(), HEADER_MISMATCH, &what)
}

fn invalid(message: &Message, what: &str) -> Response<Reply> {
    reply::error(StatusCode::BAD_REQUEST, message.id(), jsonrpc::INVALID_PARAMS, what)
}

fn unsupported(message: &Message, version: &str) -> Response<Reply> {
    let data = json!({"supported": [MODERN], "requested": version});
    let what = "Unsupported protocol version";
    let error = Message::error(message.id(), UNSUPPORTED_VERSION, what, Some(&data));
    reply::message(StatusCode::BAD_REQUEST, error)
}

/// A header's value: plain, or Base64 of UTF-8.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|value| value.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn call(name: &str) -> Message {
        let meta = json!({PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: {}});
        let params = json!({"name": name, "_meta": meta});
        Message::request(&jsonrpc::Id::number(1), "tools/call", &params)
    }

    #[test]
    fn both_media_types_are_wanted() {
        let both = ["application/json", "text/event-stream"];
        for fine in ["application/json, text/event-stream", "*/*", "Application/*;q=0.9,text/*"] {
            assert!(accepts(&headers(&[("accept", fine)]), &both), "{fine}");
        }
        for wrong in ["application/json", "text/event-stream", "text/html", ""] {
            assert!(!accepts(&headers(&[("accept", wrong)]), &both), "{wrong}");
        }
    }

    #[test]
    fn headers_of_modern_requests_agree_with_their_bodies() {
        let fine =
            [(VERSION, MODERN), ("mcp-method", "tools/call"), ("mcp-name", "=?base64?w6k=?=")];
        assert!(check_modern(&headers(&fine), &call("é")).is_ok());
        for (index, wrong) in [(0, "2025-11-25"), (1, "tools/list"), (2, "e"), (2, "=?base64?!?=")]
        {
            let mut pairs = fine;
            pairs[index].1 = wrong;
            let refused = check_modern(&headers(&pairs), &call("é")).unwrap_err();
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
            assert!(check_modern(&headers(&fine[..index]), &call("é")).is_err());
        }
    }

    #[test]
    fn arguments_stand_in_headers_as_they_stand_in_the_body() {
        let said = |value: Value| vec![("Mcp-Param-X".to_owned(), value)];
        let check = |sent: &[&str], value: Value| {
            let sent: Vec<_> = sent.iter().map(|sent| ("mcp-param-x", *sent)).collect();
            check_params(&headers(&sent), &said(value)).is_ok()
        };
        for (sent, value) in [
            ("=?base64?SGVsbG8=?=", json!("Hello")),
            ("SGVsbG8=", json!("SGVsbG8=")),
            ("=?base64?SGVsbG8=", json!("=?base64?SGVsbG8=")),
            ("42.0", json!(42)),
            ("42", json!(42.0)),
            ("false", json!(false)),
        ] {
            assert!(check(&[sent], value.clone()), "{sent} {value}");
        }
        for (sent, value) in [
            ("=?base64?SGVsbG8?=", json!("Hello")),
            ("=?base64?SGVs!!!bG8=?=", json!("Hello")),
            ("hello", json!("Hello")),
            ("43", json!(42)),
            ("forty-two", json!(42)),
            ("False", json!(false)),
            ("x", Value::Null),
            ("x", json!({"a": 1})),
        ] {
            assert!(!check(&[sent], value.clone()), "{sent} {value}");
        }
        assert!(check(&[], Value::Null));
        assert!(!check(&[], json!("x")));
        assert!(!check(&["x", "x"], json!("x")), "twice");
    }
}
