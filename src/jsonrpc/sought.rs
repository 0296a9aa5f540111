//! What a text shows of itself that is no message, or only parts of one: enough to answer whom it concerns.

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Id;

/// The members of one object, as far as they could be read.
#[derive(Debug, Default)]
pub struct Sought {
    ids: Vec<Option<Id>>,
    names: Vec<String>,
}

impl Sought {
    /// Each object of a text, up to where it breaks off; and whether it does.
    pub fn of(text: &[u8]) -> (Vec<Self>, bool) {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let mut found = Vec::new();
        loop {
            if reader.end().is_ok() {
                return (found, false);
            }
            let mut sought = Self::default();
            let read = reader.deserialize_map(Seek(&mut sought));
            found.push(sought);
            if read.is_err() {
                return (found, true);
            }
        }
    }

    /// The same object with the members of another part of it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.ids.extend(other.ids);
        self.names.extend(other.names);
        self
    }

    /// The id of what may be a request. `None` for a response: an error in answer to one would be taken for
    /// another's.
    pub fn id_of_request(self) -> Option<Id> {
        if self.has("result") || self.has("error") || self.ids.len() != 1 {
            return None;
        }
        self.ids.into_iter().next().flatten()
    }

    /// The id of what may be a response. Programs log objects with ids too: those are none.
    pub fn id_of_response(self) -> Option<Id> {
        let is_one = self.has("jsonrpc") || self.has("result");
        if !is_one || self.has("method") || self.ids.windows(2).any(|two| two[0] != two[1]) {
            return None;
        }
        self.ids.into_iter().next().flatten()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether one of the members that tell what a message is stands there twice.
    pub fn repeats(&self) -> bool {
        let is_known = |name: &&String| {
            matches!(name.as_str(), "jsonrpc" | "id" | "method" | "params" | "result" | "error")
        };
        let mut names: Vec<_> = self.names.iter().filter(is_known).collect();
        names.sort_unstable();
        names.windows(2).any(|two| two[0] == two[1])
    }
}

/// The `id` of a text that may be a request, or only the beginning of one.
pub fn sought_id(text: &[u8]) -> Option<Id> {
    Sought::of(text).0.into_iter().next()?.id_of_request()
}

struct Seek<'a>(&'a mut Sought);

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let is_id = name == "id";
            self.0.names.push(name);
            if is_id {
                self.0.ids.push(Id::read(map.next_value::<Box<RawValue>>()?.get()));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_what_is_no_request_is_found() {
        for (text, id) in [
            (r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, Some(Id::number(7))),
            (r#"{"id":"a","method":3}"#, Some(Id::name("a"))),
            (
                r#"{"jsonrpc":"2.0","\u0069d":7,"method":"x","params":{},"params":{}}"#,
                Some(Id::number(7)),
            ),
            (r#"{"jsonrpc":"2.0","id":7,"params":{"x":"cut o"#, Some(Id::number(7))),
            (r#"{"params":{"id":7},"method":"x"}"#, None),
            (r#"{"id":7,"id":8}"#, None),
            (r#"{"id":[7]}"#, None),
            (r#"{"id":7,"result":{}}"#, None),
            ("[7]", None),
        ] {
            assert_eq!(sought_id(text.as_bytes()), id, "{text}");
        }
    }

    #[test]
    fn the_id_of_what_is_no_response_is_found() {
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"x":"cut o"#, Some(Id::number(7))),
            (r#"{"jsonrpc":"2.0","id":7,"result":1,"error":{}}"#, Some(Id::number(7))),
            (r#"{"id":7,"id":7,"result":1}"#, Some(Id::number(7))),
            (r#"{"id":7,"id":8,"result":1}"#, None),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":1}"#, None),
            (r#"{"level":30,"id":7,"error":"a line of a log"}"#, None),
            (r#"{"result":{"id":7}}"#, None),
        ] {
            let (found, _) = Sought::of(text.as_bytes());
            assert_eq!(found.into_iter().next().unwrap().id_of_response(), id, "{text}");
        }
    }
}
