//! A client registration as stored: who we are at one issuer, shared by all credentials from there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::{self, Grant, Unreadable};
use crate::oauth::Client;
use crate::secret::Secret;

/// One client at one authorization server, keyed by the issuer exactly as received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistrationRecord {
    pub format: u32,
    pub issuer: String,
    pub client: Client,
    /// As registered: a redirect listener takes its port from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// As registered; empty for a client that a person gave, of which nothing is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    pub created_at: Timestamp,
    /// When the client secret ends (RFC 7591 §3.2.1), where the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_at: Option<Timestamp>,
    /// Made by RFC 7591, so that it may be made again; otherwise a person gave the client id.
    pub dynamic: bool,
}

impl RegistrationRecord {
    /// Whether the client may use `grant` and its secret has not ended.
    pub fn serves(&self, grant: Grant, now: Timestamp) -> bool {
        let is_for_it = !self.dynamic || self.grants.contains(&grant);
        is_for_it && self.secret_expires_at.is_none_or(|end| end > now)
    }

    /// The text that goes to the store.
    pub fn to_stored(&self) -> Secret {
        // Serialising strings, numbers and enums into memory has no failing case.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a stored registration. The error says where it is wrong, never what it holds.
    pub fn from_stored(stored: &str) -> Result<Self, Unreadable> {
        credential::check_format(stored)?;
        serde_json::from_str(stored)
            .map_err(|error| Unreadable::Damaged { line: error.line(), column: error.column() })
    }
}
