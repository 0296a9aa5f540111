//! One credential as it is stored: the record around it, and what refreshes note there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BadName, Credential, NEWEST_FORMAT, Name};
use crate::secret::Secret;

/// One credential as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    /// Provider and account, so that a record says by itself whose it is.
    pub provider: String,
    pub account: String,
    /// Random, stable, not secret: survives refresh and key replacement.
    pub id: String,
    /// Grows by one with every write of new tokens; a refresh compares it under the lock.
    pub generation: u64,
    pub created_at: Timestamp,
    /// The last time somebody signed in; a refresh leaves it.
    pub signed_in_at: Timestamp,
    pub credential: Credential,
    /// A refresh is under way, or was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshing: Option<Refreshing>,
    /// The server said no for good; only a new sign-in helps. The tokens stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The refreshes since the last good one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
}

/// The journal of a refresh: written before the refresh token is sent, gone once the answer is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshing {
    pub generation: u64,
    pub started: Timestamp,
    /// Identity of the lock that the holder has; another value means another machine.
    pub lock_domain: String,
    /// How often this refresh token has been sent, this time included.
    pub attempt: u32,
}

/// Why and when the authorization server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub at: Timestamp,
    /// Cleaned text for people, without any secret.
    pub reason: String,
}

/// Refreshes that failed, and did not end the sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The last of them.
    pub at: Timestamp,
    /// How many of this sort in a row.
    pub attempts: u32,
    /// The server answered and said no; asking again at once would bring the same.
    pub refused: bool,
    /// Cleaned text for people, without any secret.
    pub reason: String,
}

impl Failing {
    /// Whether this is more than one bad moment of the network.
    pub fn persists(&self) -> bool {
        self.refused || self.attempts > 1
    }
}

impl Record {
    /// A first record for `name`, with a new id.
    pub fn new(name: &Name, credential: Credential, now: Timestamp) -> Self {
        Self {
            format: credential.format(),
            provider: name.provider().to_owned(),
            account: name.account().to_owned(),
            id: new_id(),
            generation: 1,
            created_at: now,
            signed_in_at: now,
            credential,
            refreshing: None,
            refused: None,
            failing: None,
        }
    }

    /// The record that follows this one: same id, next generation, no marks.
    pub fn succeeded_by(&self, credential: Credential) -> Self {
        Self {
            format: credential.format(),
            generation: self.generation + 1,
            credential,
            refreshing: None,
            refused: None,
            failing: None,
            ..self.clone()
        }
    }

    pub fn name(&self) -> Result<Name, BadName> {
        Name::new(&self.provider, &self.account)
    }

    /// The bytes that go to the store.
    pub fn to_stored(&self) -> Secret {
        // Serialising strings, numbers and enums into memory has no failing case.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a stored record. The error says where it is wrong, never what it holds.
    pub fn from_stored(stored: &str) -> Result<Self, Unreadable> {
        check_format(stored)?;
        serde_json::from_str(stored).map_err(|error| Unreadable::damaged(&error))
    }
}

/// A record that this build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is damaged at line {line}, column {column}")]
    Damaged { line: usize, column: usize },
    #[error("it has format {0}, made by a newer authctl; this one reads up to {NEWEST_FORMAT}")]
    NewerFormat(u32),
}

impl Unreadable {
    /// serde's own messages quote values, so only the position is kept.
    fn damaged(error: &serde_json::Error) -> Self {
        Unreadable::Damaged { line: error.line(), column: error.column() }
    }
}

/// Reads the format number alone, before anything that a newer format may have changed.
pub fn check_format(stored: &str) -> Result<(), Unreadable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } =
        serde_json::from_str(stored).map_err(|error| Unreadable::damaged(&error))?;
    if format > NEWEST_FORMAT { Err(Unreadable::NewerFormat(format)) } else { Ok(()) }
}

/// A new credential id: `cred_` and 128 random bits in base64url. Not derived from any secret.
pub fn new_id() -> String {
    format!("cred_{}", Secret::random().expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_told_from_damage() {
        assert_eq!(
            Record::from_stored(r#"{"format":3,"what":"ever"}"#).unwrap_err(),
            Unreadable::NewerFormat(3)
        );
        assert!(matches!(
            Record::from_stored(r#"{"format":1"#).unwrap_err(),
            Unreadable::Damaged { .. }
        ));
    }

    #[test]
    fn a_record_survives_the_store_and_keeps_its_id() {
        let name: Name = "x".parse().unwrap();
        let first = Record::new(
            &name,
            Credential::ApiKey { key: Secret::new("k1") },
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        let read = Record::from_stored(first.to_stored().expose()).unwrap();
        assert_eq!((read.id.as_str(), read.generation), (first.id.as_str(), 1));
        let next = read.succeeded_by(Credential::ApiKey { key: Secret::new("k2") });
        assert_eq!((next.id.as_str(), next.generation), (first.id.as_str(), 2));
    }
}
