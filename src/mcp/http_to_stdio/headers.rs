//! What the headers of a request have to say (MCP, Streamable HTTP): media types, revision, and in 2026-07-28
//! once more what is in the body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply::{self, Reply};
use crate::jsonrpc::{self, Message};
use crate::mcp::MODERN;

/// Revisions with sessions.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

const HEADER_MISMATCH: i64 = -32_020;
const UNSUPPORTED_VERSION: i64 = -32_022;

const VERSION: &str = "mcp-protocol-version";
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

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
    let version = text(headers, VERSION);
    let is_legacy = version.is_some_and(|version| LEGACY.contains(&version));
    message.member("params")["_meta"][VERSION_KEY].is_string()
        || version == Some(MODERN)
        || (headers.contains_key("mcp-method") && !is_legacy)
}

/// Whether the revision of a request in a session is one that has sessions.
pub fn is_legacy_version(headers: &HeaderMap) -> bool {
    let is_known = || text(headers, VERSION).is_some_and(|version| LEGACY.contains(&version));
    !headers.contains_key(VERSION) || is_known()
}

/// The headers of a modern message say what its body says.
pub fn check_modern(headers: &HeaderMap, message: &Message) -> Result<(), Response<Reply>> {
    let params = message.member("params");
    let said = &params["_meta"][VERSION_KEY];
    let version = text(headers, VERSION).unwrap_or_default();
    let known =
        if message.id().is_some() { said.as_str() } else { said.as_str().or(Some(version)) };
    if known != Some(version) {
        return Err(mismatch(message, "MCP-Protocol-Version"));
    }
    if version != MODERN {
        return Err(unsupported(message, version));
    }
    if text(headers, "mcp-method") != message.method() {
        return Err(mismatch(message, "Mcp-Method"));
    }
    let member = match message.method() {
        Some("tools/call" | "prompts/get") => "name",
        Some("resources/read") => "uri",
        _ => return Ok(()),
    };
    let sent = text(headers, "mcp-name").and_then(decoded);
    match &params[member] {
        Value::String(name) if sent.as_deref() == Some(name) => Ok(()),
        _ => Err(mismatch(message, "Mcp-Name")),
    }
}

fn mismatch(message: &Message, header: &str) -> Response<Reply> {
    let what = format!("{header} does not say what the body says");
    reply::error(StatusCode::BAD_REQUEST, message.id(), HEADER_MISMATCH, &what)
}

fn unsupported(message: &Message, version: &str) -> Response<Reply> {
    let data = json!({"supported": [MODERN], "requested": version});
    let what = "this revision is not supported";
    let error = Message::error(message.id(), UNSUPPORTED_VERSION, what, Some(&data));
    reply::message(StatusCode::BAD_REQUEST, error)
}

/// For a client of 2026-07-28 whose server is older: no error of that revision, so that it falls back.
pub fn too_new(message: &Message) -> Response<Reply> {
    let what = "this server speaks revisions up to 2025-11-25; begin with initialize";
    reply::error(StatusCode::BAD_REQUEST, message.id(), jsonrpc::INVALID_REQUEST, what)
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
        let meta = json!({VERSION_KEY: MODERN});
        Message::request(
            &jsonrpc::Id::number(1),
            "tools/call",
            &json!({"name": name, "_meta": meta}),
        )
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
}
