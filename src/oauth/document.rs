//! A server's answer as a document: exactly one object, with each key once and of the right type,
//! or nothing at all. Also tells an error answer (RFC 6749 §5.2) from a good one.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroize;

use super::Error;
use crate::http::{Answer, Reach, check_reach, parse_url};
use crate::secret::{Secret, conceal};
use crate::text::clean;

/// The fields of one JSON object (or form), wiped when dropped.
pub(super) struct Document {
    host: String,
    fields: Map<String, Value>,
    never_shown: Vec<Secret>,
}

impl Drop for Document {
    fn drop(&mut self) {
        for (_, value) in &mut self.fields {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

impl Document {
    /// Reads a JSON object. Refused: repeated keys, anything after the object, bytes that are not
    /// UTF-8, any other JSON value. The media type is not looked at: servers get it wrong.
    pub fn json(answer: &Answer) -> Result<Self, Error> {
        let pairs = pairs(&answer.body).ok_or_else(|| malformed(answer, &unlike_json(answer)))?;
        let document = Self::unambiguous(answer, pairs)?;
        match serde_json::from_slice::<Unrepeated>(&answer.body) {
            Ok(_) => Ok(document),
            Err(_) => Err(document.malformed("it repeats a key within a value")),
        }
    }

    /// The same, or `application/x-www-form-urlencoded` from a server that does not heed `Accept`.
    fn json_or_form(answer: &Answer) -> Result<Self, Error> {
        let plain = ["application/x-www-form-urlencoded", "text/plain", ""];
        let body = answer.body.trim_ascii();
        let form = plain.contains(&answer.media_type().as_str())
            && body.is_ascii()
            && body.contains(&b'=')
            && !body.starts_with(b"{")
            && !body.starts_with(b"<");
        if !form {
            return Self::json(answer);
        }
        let text = |text: std::borrow::Cow<'_, str>| text.into_owned();
        let pairs = url::form_urlencoded::parse(body)
            .map(|(key, value)| (text(key), Value::String(text(value))));
        Self::unambiguous(answer, pairs.collect())
    }

    /// No field at all: for what the headers of an answer say.
    pub fn empty(answer: &Answer) -> Self {
        Self {
            host: answer.host().to_owned(),
            fields: Map::new(),
            never_shown: answer.never_shown.clone(),
        }
    }

    fn unambiguous(answer: &Answer, pairs: Vec<(String, Value)>) -> Result<Self, Error> {
        let mut document = Self::empty(answer);
        for (key, value) in pairs {
            if document.fields.contains_key(&key) {
                return Err(
                    document.malformed(&format!("it repeats the key {}", document.quote(&key)))
                );
            }
            document.fields.insert(key, value);
        }
        Ok(document)
    }

    /// Reads the answer to a request that either succeeds with a document or is refused with one.
    pub fn of_success(answer: &Answer) -> Result<Self, Error> {
        let status = answer.status;
        if (300..400).contains(&status) {
            return Err(redirected(answer));
        }
        let document = Self::json_or_form(answer);
        let refusal = document.as_ref().ok().and_then(Document::refusal);
        match refusal {
            // RFC 8628 §3.5, sent with 429 by some.
            Some(refusal) if status < 500 && (status != 429 || is_slow_down(&refusal)) => {
                Err(said_later(refusal, answer))
            }
            _ if status == 429 || status >= 500 => Err(unavailable(answer)),
            _ if !(200..300).contains(&status) => {
                Err(malformed(answer, &format!("HTTP {status} without an OAuth error")))
            }
            _ => document,
        }
    }

    /// The error in this document, if it is an error answer.
    fn refusal(&self) -> Option<Error> {
        let (code, mut description) = match self.fields.get("error")? {
            Value::Null | Value::Bool(false) => return None,
            Value::String(code) if code.is_empty() => return None,
            Value::String(code) => (code.as_str(), self.first_text(DESCRIPTIONS)),
            Value::Object(error) => (
                texts_of(error, &["code", "status", "type"]).unwrap_or("unknown_error"),
                texts_of(error, DESCRIPTIONS),
            ),
            _ => ("unknown_error", self.first_text(DESCRIPTIONS)),
        };
        let known = rfc_code(code);
        if known != code && description.is_none() {
            description = Some(code);
        }
        Some(Error::Refused {
            host: self.host.clone(),
            code: self.quote(known),
            description: description.map(|text| self.quote(text)),
        })
    }

    /// Text of the server, safe to show: without the secrets that it was sent, and cleaned. In this order,
    /// or a secret that is cut would not be known again.
    pub fn quote(&self, foreign: &str) -> String {
        clean(&conceal(foreign, &self.never_shown))
    }

    fn first_text(&self, keys: &[&str]) -> Option<&str> {
        texts_of(&self.fields, keys)
    }

    /// All of it.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// A text; null counts as absent.
    pub fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.malformed(&format!("{key} is not a text"))),
        }
    }

    /// A text that must be there and not be empty.
    pub fn required_text(&self, key: &str) -> Result<&str, Error> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.malformed(&format!("it has no {key}")))
    }

    /// `text`, found under `key`, as an address that may be asked or opened.
    pub fn web_address(&self, key: &str, text: &str, reach: Reach) -> Result<Url, Error> {
        let url = parse_url(text).and_then(|url| check_reach(&url, reach).map(|()| url));
        url.map_err(|error| self.malformed(&format!("{key}: {error}")))
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        let wrong = || self.malformed(&format!("{key} is not a list of texts"));
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong).map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A truth value, false when absent.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.malformed(&format!("{key} is neither true nor false"))),
        }
    }

    /// A number, also one written as text.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        let number = match self.value(key) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) if f64::is_finite(number) => Ok(Some(number)),
            _ => Err(self.malformed(&format!("{key} is not a number"))),
        }
    }

    pub fn malformed(&self, what: &str) -> Error {
        Error::Malformed { host: self.host.clone(), what: what.to_owned() }
    }
}

const DESCRIPTIONS: &[&str] = &["error_description", "message"];

fn texts_of<'a>(object: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| object.get(*key)?.as_str()).filter(|text| !text.is_empty())
}

/// RFC 6749 §5.2's code for what GitHub and Slack call otherwise.
fn rfc_code(code: &str) -> &str {
    match code {
        "bad_verification_code" | "bad_refresh_token" | "incorrect_device_code" // GitHub
        | "invalid_code" | "code_already_used" | "invalid_refresh_token" => "invalid_grant", // Slack
        "incorrect_client_credentials" // GitHub
        | "invalid_client_id" | "bad_client_secret" => "invalid_client", // Slack
        other => other,
    }
}

/// RFC 6749 §4.1.2.1's two codes that mean «not now» are no refusal.
fn said_later(refusal: Error, answer: &Answer) -> Error {
    match &refusal {
        Error::Refused { code, .. }
            if code == "temporarily_unavailable" || code == "server_error" =>
        {
            later(answer, code == "temporarily_unavailable")
        }
        _ => refusal,
    }
}

fn is_slow_down(refusal: &Error) -> bool {
    matches!(refusal, Error::Refused { code, .. } if code == "slow_down")
}

pub(super) fn unavailable(answer: &Answer) -> Error {
    later(answer, matches!(answer.status, 429 | 503))
}

fn later(answer: &Answer, not_carried_out: bool) -> Error {
    Error::Unavailable {
        host: answer.host().to_owned(),
        status: answer.status,
        retry_after: answer.retry_after(Timestamp::now()),
        not_carried_out,
    }
}

/// A redirect could carry secrets to anywhere, and is never followed.
pub(super) fn redirected(answer: &Answer) -> Error {
    malformed(answer, &format!("a redirect (HTTP {}), never followed", answer.status))
}

pub(super) fn malformed(answer: &Answer, what: &str) -> Error {
    Error::Malformed { host: answer.host().to_owned(), what: what.to_owned() }
}

/// Whether the answer was meant as a JSON object, sound or not.
pub(super) fn looks_like_json(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"{")
}

/// What the body is instead of one JSON object, without repeating any of it.
fn unlike_json(answer: &Answer) -> String {
    let status = answer.status;
    let body = answer.body.trim_ascii_start();
    if body.is_empty() {
        format!("nothing (HTTP {status})")
    } else if answer.media_type() == "text/html" || body.starts_with(b"<") {
        format!("a web page instead of JSON (HTTP {status})")
    } else if looks_like_json(answer) {
        format!("damaged JSON (HTTP {status})")
    } else {
        format!("no JSON object (HTTP {status})")
    }
}

/// JSON of which no object has a key twice.
struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, _)) = map.next_entry::<String, Self>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(self)
    }
}

/// The pairs of one JSON object, repeated keys included; `None` for anything else.
fn pairs(body: &[u8]) -> Option<Vec<(String, Value)>> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, Value)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let pairs = deserializer.deserialize_map(Pairs).ok()?;
    deserializer.end().ok()?;
    Some(pairs)
}
