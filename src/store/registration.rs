//! A client as stored: who we are at one issuer, shared by all credentials from there, or the client
//! that a person brought for one provider.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::credential::{self, Grant, Unreadable};
use crate::oauth::Client;
use crate::secret::Secret;

/// One client at one authorization server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistrationRecord {
    pub format: u32,
    /// Exactly as received; the token endpoint of a server without one.
    pub issuer: String,
    /// Whose client it is, where a person brought it; otherwise authctl registered it (RFC 7591), and may
    /// do so again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
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
    /// The server gives this client bound tokens alone (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
}

impl RegistrationRecord {
    /// What it is stored under.
    pub fn key(&self) -> Key<'_> {
        match &self.provider {
            Some(provider) => Key::Client(provider),
            None => Key::Registration(&self.issuer),
        }
    }

    /// Whether a registered client may use `grant` and its secret has not ended.
    pub fn serves(&self, grant: Grant, now: Timestamp) -> bool {
        self.grants.contains(&grant) && self.secret_expires_at.is_none_or(|end| end > now)
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
