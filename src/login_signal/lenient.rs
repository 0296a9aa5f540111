//! Reading of single members of foreign JSON: one that has another type than expected, or that is far too
//! long, counts as absent, and nothing else in its object suffers.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Longest JSON text that is looked into, in bytes. What a server says about a sign-in is short.
const LONGEST: usize = 256 * 1024;

/// A text of JSON, borrowed where it has no escapes.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// For `deserialize_with`: the member if it is a `T`. The value must be JSON all the same.
pub fn member<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(read(<&RawValue>::deserialize(deserializer)?))
}

/// The elements of an array that are a `T`.
pub fn elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let array: Option<Vec<&RawValue>> = read(<&RawValue>::deserialize(deserializer)?);
    Ok(array.unwrap_or_default().into_iter().filter_map(read).collect())
}

fn read<'de, T: Deserialize<'de>>(raw: &'de RawValue) -> Option<T> {
    if raw.get().len() > LONGEST {
        return None;
    }
    serde_json::from_str(raw.get()).ok()
}

/// What of `texts` is there, as one line for people, without session ids.
pub fn said<'t>(texts: impl IntoIterator<Item = Option<&'t Text<'t>>>) -> Option<String> {
    let texts = texts.into_iter().flatten().map(|text| text.as_str().trim());
    let said = texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    (!said.is_empty()).then(|| super::line(&said))
}
