//! A JSON-RPC message: refusals that came in a 200. It is called for everything that crosses a bridge, so a
//! scan over the bytes decides what is worth parsing, and parsing copies nothing.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::adcp::{AdcpError, Envelope};
use super::lenient::{self, Text};
use super::link::{Invitations, Link};
use super::{Signal, prose};

/// URL elicitation required (MCP 2025-11-25, client/elicitation).
const URL_ELICITATION_REQUIRED: i64 = -32042;

/// Errors of the request itself (JSON-RPC 2.0 §5.1), whatever their text says.
const REQUEST_ERRORS: [i64; 4] = [-32700, -32600, -32601, -32602];

/// Longest text of a successful result that can be an invitation, in bytes.
const LONGEST_INVITATION: usize = 4 * 1024;

/// What every message with a signal has: a failed result, an error, or the session of a link.
const NEEDLES: [&str; 3] = ["\"isError\"", "\"error\"", "mcp_session="];

static SCAN: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    // The leftmost kinds search with vector instructions.
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(NEEDLES).ok()
});

#[derive(Deserialize)]
struct Message<'a> {
    method: Option<IgnoredAny>,
    #[serde(borrow)]
    error: Option<RpcError<'a>>,
    #[serde(borrow)]
    result: Option<ToolResult<'a>>,
}

/// JSON-RPC 2.0 §5.1.
#[derive(Deserialize)]
struct RpcError<'a> {
    code: i64,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    message: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    data: Option<ErrorData<'a>>,
}

#[derive(Deserialize)]
struct ErrorData<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    adcp_error: Option<AdcpError<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::elements")]
    elicitations: Vec<Elicitation<'a>>,
}

#[derive(Deserialize)]
struct Elicitation<'a> {
    #[serde(borrow)]
    mode: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    message: Option<Text<'a>>,
    #[serde(borrow, rename = "elicitationId", default, deserialize_with = "lenient::member")]
    id: Option<Text<'a>>,
}

/// `CallToolResult` of MCP.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    #[serde(default, deserialize_with = "lenient::member")]
    is_error: Option<bool>,
    #[serde(borrow, default, deserialize_with = "lenient::elements")]
    content: Vec<Content<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    structured_content: Option<Envelope<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    text: Option<Text<'a>>,
}

/// What a JSON-RPC message of `server` says about a sign-in: the body of an answer in JSON, or the data
/// of one server-sent event. The message does not know what the request had: who presented a credential
/// takes `Missing` for a refusal.
pub fn of_message(message: &[u8], server: &Url) -> Signal {
    if !is_candidate(message) {
        return Signal::Nothing;
    }
    // All of it has to be text, also what is passed over below.
    let Ok(message) = std::str::from_utf8(message) else { return Signal::Nothing };
    match serde_json::from_str(message) {
        Ok(Message { method: None, error: Some(error), result: None }) => error.signal(server),
        Ok(Message { method: None, error: None, result: Some(result) }) => result.signal(server),
        _ => Signal::Nothing,
    }
}

/// Whether the bytes can hold a signal at all.
fn is_candidate(message: &[u8]) -> bool {
    let Some(scan) = &*SCAN else { return true };
    scan.find_iter(message).any(|found| {
        let value = member_value(&message[found.end()..]);
        match found.pattern().as_usize() {
            0 => value.is_some_and(|value| value.starts_with(b"true")),
            1 => value.is_some_and(|value| value.starts_with(b"{")),
            _ => true,
        }
    })
}

/// What follows the colon behind a name.
fn member_value(after_name: &[u8]) -> Option<&[u8]> {
    Some(after_name.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

impl RpcError<'_> {
    fn signal(&self, server: &Url) -> Signal {
        let data = self.data.as_ref();
        if let Some(error) = data.and_then(|data| data.adcp_error.as_ref()) {
            return error.signal(server);
        }
        if self.code == URL_ELICITATION_REQUIRED {
            let elicitations = data.map_or(&[][..], |data| &data.elicitations);
            return followed(asked(elicitations, server));
        }
        let text = self.message.as_ref().map(Text::as_str).unwrap_or_default();
        if REQUEST_ERRORS.contains(&self.code) {
            return Signal::Nothing;
        }
        let found = prose::sign_in_links(text, server);
        if found.is_empty() && found.dropped.is_empty() { hint(text) } else { followed(found) }
    }
}

/// The URL elicitations of an error; forms are another matter.
fn asked(elicitations: &[Elicitation], server: &Url) -> Invitations {
    let mut found = Invitations::default();
    for asked in elicitations.iter().filter(|asked| asked.mode.as_str() == "url") {
        let message = lenient::said([asked.message.as_ref()]).unwrap_or_default();
        let id = asked.id.as_ref().map(|id| id.as_str().to_owned());
        found.invite(Link::parse(asked.url.as_str(), server), message, id);
    }
    found
}

/// Without a link that can be followed, what remains is why.
fn followed(found: Invitations) -> Signal {
    match found.dropped.first() {
        _ if !found.is_empty() => Signal::Follow(found),
        Some(reason) => Signal::Hint(reason.to_string()),
        None => Signal::Nothing,
    }
}

fn hint(text: &str) -> Signal {
    if prose::is_hint(text) {
        return Signal::Hint(super::line(text));
    }
    Signal::Nothing
}

impl ToolResult<'_> {
    fn signal(&self, server: &Url) -> Signal {
        if self.is_error == Some(true) { self.failure(server) } else { self.invitation(server) }
    }

    fn failure(&self, server: &Url) -> Signal {
        if let Some(error) = self.structured_content.as_ref().and_then(|it| it.adcp_error.as_ref())
        {
            return error.signal(server);
        }
        let texts: Vec<&str> = self.texts().collect();
        let envelopes = texts.iter().filter_map(|text| serde_json::from_str(text).ok());
        let errors = envelopes.filter_map(|envelope: Envelope| envelope.adcp_error);
        if let Some(error) = errors.into_iter().next() {
            return error.signal(server);
        }
        let links = texts.iter().map(|text| prose::session_links(text, server));
        let hints = texts.iter().map(|text| hint(text));
        let signals = links.map(followed).chain(hints);
        signals.into_iter().find(|signal| *signal != Signal::Nothing).unwrap_or_default()
    }

    /// The answer of an `authorize` tool: a short text with a link, and nothing else.
    fn invitation(&self, server: &Url) -> Signal {
        match &self.content[..] {
            [Content { text: Some(text) }]
                if self.structured_content.is_none()
                    && text.as_str().len() <= LONGEST_INVITATION =>
            {
                followed(prose::session_links(text.as_str(), server))
            }
            _ => Signal::Nothing,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter_map(|content| content.text.as_ref().map(Text::as_str))
    }
}
