//! A JSON object of which some members are changed and all others stay as they were written: their order,
//! and numbers of any length.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Id, Message};

/// The members in their order, each with its JSON text.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(Vec<(String, Cow<'a, str>)>);

impl<'a> Members<'a> {
    /// `None`: the text is no JSON object.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub fn of(message: &'a Message) -> Self {
        Self::read(message.text()).unwrap_or_default()
    }

    /// Names and JSON texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), &**text))
    }

    /// Whether a name is there twice.
    pub fn has_repeated(&self) -> bool {
        let mut names = BTreeSet::new();
        !self.0.iter().all(|(name, _)| names.insert(name))
    }

    /// The JSON text of a member.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(other, _)| other == name).map(|(_, text)| &**text)
    }

    /// A member's value; `None` where there is none of that type.
    pub fn value_of<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.text_of(name)?).ok()
    }

    /// A member that is an object; an empty one where there is none.
    pub fn object(&self, name: &str) -> Members<'static> {
        let text = self.text_of(name).unwrap_or_default();
        Members::read(text).map(Members::into_owned).unwrap_or_default()
    }

    /// Puts a member where it was, or at the end.
    pub fn set(&mut self, name: &str, text: impl Into<Cow<'a, str>>) {
        match self.0.iter_mut().rfind(|(other, _)| other == name) {
            Some((_, old)) => *old = text.into(),
            None => self.0.push((name.to_owned(), text.into())),
        }
    }

    pub fn set_value(&mut self, name: &str, value: &Value) {
        self.set(name, value.to_string());
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// Changes a member that is an object; one that is empty afterwards is left out.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut Members<'_>)) {
        let text = self.text_of(name).unwrap_or_default();
        let mut inner = Members::read(text).unwrap_or_default();
        change(&mut inner);
        let changed = (!inner.0.is_empty()).then(|| inner.to_string());
        match changed {
            Some(text) => self.set(name, text),
            None => self.remove(name),
        }
    }

    /// The same, independent of the text it was read from.
    pub fn into_owned(self) -> Members<'static> {
        let owned = self.0.into_iter().map(|(name, text)| (name, Cow::Owned(text.into_owned())));
        Members(owned.collect())
    }
}

impl fmt::Display for Members<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, text)) in self.0.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            write!(formatter, "{before}{}:{text}", Value::from(name.as_str()))?;
        }
        formatter.write_str(if self.0.is_empty() { "{}" } else { "}" })
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, text)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Cow::Borrowed(text.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A message with other members.
pub fn rewritten(message: &Message, change: impl FnOnce(&mut Members<'_>)) -> Message {
    let mut members = Members::of(message);
    change(&mut members);
    Message::read(members.to_string()).unwrap_or_else(|_| message.clone())
}

/// A response as the answer to another request.
pub fn renamed(response: &Message, id: &Id) -> Message {
    if response.id().is_some_and(|own| own.to_string() == id.to_string()) {
        return response.clone();
    }
    rewritten(response, |members| members.set("id", id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_was_written() {
        let text = r#"{"z":1.50,"a": {"n":123456789012345678901234567890,"b":null},"m":[ 1 ]}"#;
        let mut members = Members::read(text).unwrap();
        members.set("z", "2");
        members.edit("a", |inner| inner.set("c", r#""\u0061""#));
        assert_eq!(
            members.to_string(),
            r#"{"z":2,"a":{"n":123456789012345678901234567890,"b":null,"c":"\u0061"},"m":[ 1 ]}"#
        );
        members.edit("a", |inner| ["n", "b", "c"].into_iter().for_each(|name| inner.remove(name)));
        assert_eq!(members.to_string(), r#"{"z":2,"m":[ 1 ]}"#);
    }

    #[test]
    fn only_objects_have_members() {
        assert!(Members::read("[1]").is_none());
        assert_eq!(Members::read("{}").unwrap().to_string(), "{}");
        assert_eq!(Members::default().object("x").to_string(), "{}");
    }
}
