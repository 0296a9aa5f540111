//! JSON-RPC 2.0 messages as MCP and ACP carry them: what one is, whom it answers, and the errors that authctl
//! itself has to answer with. The text is kept as received and never written anew.

mod sought;

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use sought::{Sought, sought_id};

use crate::line_end;

/// Codes of JSON-RPC 2.0 §5.1.
pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;

/// The id of a request, so that `"a"` and `"\u0061"` are the same one. Displayed as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    pub fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    pub fn name(name: &str) -> Self {
        Self(Value::from(name).to_string())
    }

    /// `None`: neither a string nor a number.
    pub fn of(value: &Value) -> Option<Self> {
        matches!(value, Value::String(_) | Value::Number(_)).then(|| Self(value.to_string()))
    }

    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Request {
        id: Id,
        method: String,
    },
    Notification {
        method: String,
    },
    /// `id` is `None` where the other side could not tell what it answers.
    Response {
        id: Option<Id>,
        is_error: bool,
    },
}

/// One message: its text on one line, as received, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    kind: Kind,
}

/// Why a text is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is not JSON")]
    NotJson,
    #[error("it is no JSON-RPC 2.0 message")]
    NoMessage,
}

/// The members that tell what a message is; a repeated one is refused.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Not looked into; twice, it could mean one thing here and another over there.
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Tells `null` from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Message {
    /// Reads one message. Line breaks can only stand between its tokens, and become blanks.
    pub fn read(text: impl Into<String>) -> Result<Self, Error> {
        Self::read_or_return(text.into()).map_err(|(error, _)| error)
    }

    /// The same; a text that is none comes back.
    pub fn read_or_return(mut text: String) -> Result<Self, (Error, String)> {
        let kind = match kind(&text) {
            Ok(kind) => kind,
            Err(error) => return Err((error, text)),
        };
        if line_end::find(text.as_bytes()).is_some() {
            text = text.replace(['\n', '\r'], " ");
        }
        Ok(Self { text, kind })
    }

    /// Reads one message, or a batch of them (MCP 2025-03-26 alone has batches).
    pub fn read_all(text: impl Into<String>) -> Result<Vec<Self>, Error> {
        let text = text.into();
        if !text.trim_start().starts_with('[') {
            return Ok(vec![Self::read(text)?]);
        }
        let batch: Vec<&RawValue> = serde_json::from_str(&text).map_err(|_| Error::NotJson)?;
        batch.into_iter().map(|message| Self::read(message.get())).collect()
    }

    /// A request of our own.
    pub fn request(id: &Id, method: &str, params: &Value) -> Self {
        let text =
            json!({"jsonrpc": "2.0", "id": id.to_value(), "method": method, "params": params});
        let kind = Kind::Request { id: id.clone(), method: method.to_owned() };
        Self { text: text.to_string(), kind }
    }

    pub fn notification(method: &str, params: Option<&Value>) -> Self {
        let mut text = json!({"jsonrpc": "2.0", "method": method});
        if let Some(params) = params {
            text["params"] = params.clone();
        }
        Self { text: text.to_string(), kind: Kind::Notification { method: method.to_owned() } }
    }

    pub fn result(id: &Id, result: &Value) -> Self {
        let text = json!({"jsonrpc": "2.0", "id": id.to_value(), "result": result}).to_string();
        Self { text, kind: Kind::Response { id: Some(id.clone()), is_error: false } }
    }

    /// An error of our own; `None`: the request's id could not be read.
    pub fn error(id: Option<&Id>, code: i64, message: &str, data: Option<&Value>) -> Self {
        let mut error = json!({"code": code, "message": message});
        if let Some(data) = data {
            error["data"] = data.clone();
        }
        let value = id.map_or(Value::Null, Id::to_value);
        let text = json!({"jsonrpc": "2.0", "id": value, "error": error}).to_string();
        Self { text, kind: Kind::Response { id: id.cloned(), is_error: true } }
    }

    /// One line, without its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request { method, .. } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } => None,
        }
    }

    /// The same response to another request: for one that names none, or a stranger.
    #[must_use]
    pub fn renamed(&self, id: &Id) -> Self {
        if self.id() == Some(id) {
            return self.clone();
        }
        let mut value = self.to_value();
        value["id"] = id.to_value();
        Self::read(value.to_string()).unwrap_or_else(|_| self.clone())
    }

    /// Of a request, or of the request that a response answers.
    pub fn id(&self) -> Option<&Id> {
        match &self.kind {
            Kind::Request { id, .. } => Some(id),
            Kind::Response { id, .. } => id.as_ref(),
            Kind::Notification { .. } => None,
        }
    }

    /// Whether it is a response that is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.kind, Kind::Response { is_error: true, .. })
    }

    /// The whole message, for what has to look inside.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A member of the message, `null` where there is none.
    pub fn member(&self, name: &str) -> Value {
        self.to_value().get_mut(name).map_or(Value::Null, Value::take)
    }
}

fn kind(text: &str) -> Result<Kind, Error> {
    // The members in an array, without their names, would be read as well.
    if !text.trim_ascii_start().starts_with('{') {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        return Err(if is_json { Error::NoMessage } else { Error::NotJson });
    }
    let envelope: Envelope<'_> = serde_json::from_str(text)
        .map_err(|error| if error.is_data() { Error::NoMessage } else { Error::NotJson })?;
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Err(Error::NoMessage);
    }
    let _ = envelope.params;
    let id = envelope.id.as_ref().and_then(Id::of);
    let answers = envelope.result.is_some() || envelope.error.is_some();
    match (envelope.method, envelope.id) {
        (Some(_), _) if answers => Err(Error::NoMessage),
        (Some(method), None) => Ok(Kind::Notification { method: method.into_owned() }),
        (Some(method), Some(_)) => {
            let id = id.ok_or(Error::NoMessage)?;
            Ok(Kind::Request { id, method: method.into_owned() })
        }
        (None, sent) => {
            let is_error = envelope.error.is_some();
            let is_one = answers && !(is_error && envelope.result.is_some());
            let nameless = is_error && matches!(sent, None | Some(Value::Null));
            if is_one && (id.is_some() || nameless) {
                Ok(Kind::Response { id, is_error })
            } else {
                Err(Error::NoMessage)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Result<Kind, Error> {
        Message::read(text).map(|message| message.kind)
    }

    #[test]
    fn messages_are_told_apart() {
        let id = || Id::number(1);
        let request = Kind::Request { id: id(), method: "ping".into() };
        assert_eq!(kind_of(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Ok(request));
        let notification = Kind::Notification { method: "notifications/x".into() };
        let text = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"id":4}}"#;
        assert_eq!(kind_of(text), Ok(notification));
        let result = Kind::Response { id: Some(id()), is_error: false };
        assert_eq!(kind_of(r#"{"id":1,"result":{"error":1},"jsonrpc":"2.0"}"#), Ok(result));
        let error = Kind::Response { id: None, is_error: true };
        assert_eq!(kind_of(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#), Ok(error));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "{", "nonsense", "{} {}", "[1"] {
            assert_eq!(kind_of(text), Err(Error::NotJson), "{text}");
        }
        for text in [
            "{}",
            "1",
            r#"["2.0",1,"x",null,null]"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"y"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"y","params":{},"params":{}}"#,
        ] {
            assert_eq!(kind_of(text), Err(Error::NoMessage), "{text}");
        }
    }

    #[test]
    fn the_text_stays_but_for_line_breaks() {
        let text = "{\"jsonrpc\":\"2.0\",\r\n  \"id\" : \"\\u0061\", \"result\": 1.50}";
        let message = Message::read(text).unwrap();
        assert_eq!(message.text(), text.replace("\r\n", "  "));
        assert_eq!(message.id(), Id::of(&json!("a")).as_ref());
    }

    #[test]
    fn batches_fall_apart() {
        let batch = r#" [{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"}]"#;
        let methods: Vec<_> = Message::read_all(batch)
            .unwrap()
            .iter()
            .map(|message| message.method().map(str::to_owned))
            .collect();
        assert_eq!(methods, [Some("a".into()), Some("b".into())]);
        assert_eq!(Message::read_all("[1]"), Err(Error::NoMessage));
    }
}
