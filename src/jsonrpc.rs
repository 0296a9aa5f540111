//! JSON-RPC 2.0 messages as MCP and ACP carry them: what one is, whom it answers, and the errors that authctl
//! itself has to answer with. The text is kept as received and never written anew.

mod members;
mod sought;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use members::{Members, renamed, rewritten};
pub use sought::{Sought, sought_id};

use crate::line_end;

/// Codes of JSON-RPC 2.0 §5.1.
pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;

/// The id of a request, so that `"a"` and `"\u0061"` are the same one, and so are `1` and `1.0`. Displayed as the
/// JSON that it was received as.
#[derive(Debug, Clone)]
pub struct Id {
    /// What is the same for all that mean the same.
    meaning: String,
    text: String,
}

impl Id {
    pub fn number(number: u64) -> Self {
        let text = number.to_string();
        Self { meaning: text.clone(), text }
    }

    pub fn name(name: &str) -> Self {
        let text = Value::from(name).to_string();
        Self { meaning: text.clone(), text }
    }

    /// `None`: neither a string nor a number.
    pub fn of(value: &Value) -> Option<Self> {
        Self::read(&value.to_string())
    }

    /// The same for its JSON text.
    fn read(text: &str) -> Option<Self> {
        let meaning = match serde_json::from_str(text).ok()? {
            Value::String(name) => Value::from(name).to_string(),
            Value::Number(number) => meaning_of(text, number.as_f64()?),
            _ => return None,
        };
        Some(Self { meaning, text: text.to_owned() })
    }

    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// Digits stay, whatever their number; a fraction that is none becomes one with the whole number.
#[expect(clippy::cast_possible_truncation, reason = "within the bounds of whole numbers")]
fn meaning_of(text: &str, number: f64) -> String {
    /// Up to here, all whole numbers can be told apart.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let is_digits = !text.contains(['.', 'e', 'E']);
    match number {
        _ if is_digits => text.to_owned(),
        whole if whole.fract() == 0.0 && whole.abs() <= WHOLE => (whole as i64).to_string(),
        other => other.to_string(),
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl Eq for Id {}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        self.meaning.cmp(&other.meaning)
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning.hash(state);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
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
    flaw: Option<Flaw>,
}

/// Why clients that are strict drop a response, so that its request seems to have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("it has an error beside its result")]
    Both,
    #[error("its error is not an object with a code and a message")]
    Error,
    #[error("its result is no object")]
    Result,
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
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    /// Not looked into; twice, it could mean one thing here and another over there.
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Tells `null` from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Message {
    /// Reads one message. Line breaks can only stand between its tokens, and become blanks.
    pub fn read(text: impl Into<String>) -> Result<Self, Error> {
        Self::read_or_return(text.into()).map_err(|(error, _)| error)
    }

    /// The same; a text that is none comes back.
    pub fn read_or_return(mut text: String) -> Result<Self, (Error, String)> {
        let (kind, flaw) = match kind(&text) {
            Ok(read) => read,
            Err(error) => return Err((error, text)),
        };
        if line_end::find(text.as_bytes()).is_some() {
            text = text.replace(['\n', '\r'], " ");
        }
        Ok(Self { text, kind, flaw })
    }

    /// Reads one message, or a batch of them (MCP 2025-03-26 alone has batches).
    pub fn read_all(text: impl Into<String>) -> Result<Vec<Self>, Error> {
        let text = text.into();
        if !text.trim_start().starts_with('[') {
            return Ok(vec![Self::read(text)?]);
        }
        batch(&text)?.into_iter().map(|message| Self::read(message.get())).collect()
    }

    /// The same where each of a batch stands for itself; with what is none comes its text. An empty batch is no
    /// message (JSON-RPC 2.0 §6).
    pub fn read_each(text: &str) -> Vec<Result<Self, (Error, String)>> {
        let bad = |error| vec![Err((error, text.to_owned()))];
        if !text.trim_start().starts_with('[') {
            return vec![Self::read(text).map_err(|error| (error, text.to_owned()))];
        }
        match batch(text) {
            Ok(batch) if batch.is_empty() => bad(Error::NoMessage),
            Ok(batch) => {
                let each = |one: &RawValue| {
                    Self::read(one.get()).map_err(|error| (error, one.get().to_owned()))
                };
                batch.into_iter().map(each).collect()
            }
            Err(error) => bad(error),
        }
    }

    /// A request of our own.
    pub fn request(id: &Id, method: &str, params: &Value) -> Self {
        let name = Value::from(method);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{name},"params":{params}}}"#);
        let kind = Kind::Request { id: id.clone(), method: method.to_owned() };
        Self { text, kind, flaw: None }
    }

    pub fn notification(method: &str, params: Option<&Value>) -> Self {
        let mut text = json!({"jsonrpc": "2.0", "method": method});
        if let Some(params) = params {
            text["params"] = params.clone();
        }
        let kind = Kind::Notification { method: method.to_owned() };
        Self { text: text.to_string(), kind, flaw: None }
    }

    pub fn result(id: &Id, result: &Value) -> Self {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let kind = Kind::Response { id: Some(id.clone()), is_error: false };
        Self { text, kind, flaw: None }
    }

    /// An error of our own; `None`: the request's id could not be read.
    pub fn error(id: Option<&Id>, code: i64, message: &str, data: Option<&Value>) -> Self {
        let mut error = json!({"code": code, "message": message});
        if let Some(data) = data {
            error["data"] = data.clone();
        }
        let name = id.map_or("null", |id| &id.text);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{name},"error":{error}}}"#);
        let kind = Kind::Response { id: id.cloned(), is_error: true };
        Self { text, kind, flaw: None }
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

    /// What is wrong with a response that has no valid form.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
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

fn batch(text: &str) -> Result<Vec<&RawValue>, Error> {
    serde_json::from_str(text).map_err(|_| Error::NotJson)
}

fn kind(text: &str) -> Result<(Kind, Option<Flaw>), Error> {
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
    let id = envelope.id.and_then(|id| Id::read(id.get()));
    let error = envelope.error.filter(|error| error.get() != "null");
    let answers = envelope.result.is_some() || error.is_some();
    match (&envelope.method, envelope.id) {
        (Some(_), _) if answers => Err(Error::NoMessage),
        (Some(method), None) => Ok((Kind::Notification { method: method.to_string() }, None)),
        (Some(method), Some(_)) => {
            let id = id.ok_or(Error::NoMessage)?;
            Ok((Kind::Request { id, method: method.to_string() }, None))
        }
        (None, sent) => {
            let is_error = error.is_some();
            let is_one = answers && !(is_error && envelope.result.is_some());
            let nameless = is_error && sent.is_none_or(|id| id.get() == "null");
            if is_one && (id.is_some() || nameless) {
                Ok((Kind::Response { id, is_error }, flaw(&envelope)))
            } else {
                Err(Error::NoMessage)
            }
        }
    }
}

/// JSON-RPC 2.0 §5, and MCP, which has objects alone as results.
fn flaw(envelope: &Envelope<'_>) -> Option<Flaw> {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only whether they are there counts")]
    struct Whole<'a> {
        code: i64,
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    match (envelope.result, envelope.error) {
        (Some(_), Some(_)) => Some(Flaw::Both),
        (Some(result), None) => (!result.get().starts_with('{')).then_some(Flaw::Result),
        (None, error) => {
            let text = error.map_or("", RawValue::get);
            let is_whole = text.starts_with('{') && serde_json::from_str::<Whole<'_>>(text).is_ok();
            (!is_whole).then_some(Flaw::Error)
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
    fn responses_that_strict_clients_drop_are_found_out() {
        for (members, flaw) in [
            (r#""result":{}"#, None),
            (r#""error":{"code":-1,"message":"\u0061","data":[]}"#, None),
            (r#""error":null,"result":{}"#, Some(Flaw::Both)),
            (r#""error":"boom""#, Some(Flaw::Error)),
            (r#""error":["x","y"]"#, Some(Flaw::Error)),
            (r#""error":{"code":"1","message":"x"}"#, Some(Flaw::Error)),
            (r#""error":{"code":1}"#, Some(Flaw::Error)),
            (r#""result":"x""#, Some(Flaw::Result)),
            (r#""result":[]"#, Some(Flaw::Result)),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,{members}}}"#);
            assert_eq!(Message::read(text).unwrap().flaw(), flaw, "{members}");
        }
    }

    #[test]
    fn ids_stay_as_they_were_written() {
        for (text, meaning) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("1.50", "1.5"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (r#""\u0061""#, r#""a""#),
        ] {
            let id = Id::read(text).unwrap();
            assert_eq!((id.to_string().as_str(), &id), (text, &Id::read(meaning).unwrap()));
            let error = Message::error(Some(&id), 1, "x", None);
            assert!(error.text().contains(&format!(r#""id":{text},"#)), "{}", error.text());
        }
        assert_ne!(Id::read("9007199254740993"), Id::read("9007199254740992"));
        assert_ne!(Id::read("1"), Id::read(r#""1""#));
        assert_eq!(Id::read("null"), None);
    }

    #[test]
    fn each_of_a_batch_stands_for_itself() {
        let good = r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#;
        let each = Message::read_each(&format!(r#"[{good},1,{{"id":7}},{good}]"#));
        let bad: Vec<_> = each.iter().filter_map(|one| one.as_ref().err()).cloned().collect();
        assert_eq!(
            bad,
            [(Error::NoMessage, "1".to_owned()), (Error::NoMessage, r#"{"id":7}"#.to_owned())]
        );
        assert_eq!(each.iter().filter(|one| one.is_ok()).count(), 2);
        assert_eq!(Message::read_each("[]"), [Err((Error::NoMessage, "[]".to_owned()))]);
        assert_eq!(Message::read_each("[1,")[0], Err((Error::NotJson, "[1,".to_owned())));
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
