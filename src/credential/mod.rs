//! What the store keeps: a credential (API key, bearer token, name and password, OAuth tokens), the
//! binding that says where it may go, and the record around both with its format version,
//! random id and generation. Judges expiry with the time passed in.

mod binding;
mod name;
mod record;
mod tokens;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::oauth::{Client, ClientAuthentication};
use crate::secret::Secret;

pub use binding::{Binding, Grant};
pub use name::{BadName, DEFAULT_ACCOUNT, Name, is_part, variable_part};
pub use record::{Failing, Record, Refreshing, Refused, Unreadable, check_format, new_id};
pub use tokens::{Freshness, Tokens};

/// Format of records that every authctl reads.
pub const FORMAT: u32 = 1;

/// Format of records with keys, ID tokens or grants of machines: an authctl that does not know of them would
/// take bound tokens (RFC 9449) for bearer tokens, and lose the key of a client. The highest that this
/// build reads; a record with a higher number is refused untouched.
pub const NEWEST_FORMAT: u32 = 2;

/// The lowest format whose readers understand all of a client.
pub fn client_format(client: &Client) -> u32 {
    let has_key =
        client.key.is_some() || client.authentication == ClientAuthentication::PrivateKeyJwt;
    if has_key { NEWEST_FORMAT } else { FORMAT }
}

/// A credential as one of its kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// A key that its maker's own API takes, usually without an end.
    ApiKey {
        #[serde(with = "crate::secret::at_rest")]
        key: Secret,
    },
    /// A token that goes in `Authorization: Bearer` (RFC 6750) and cannot be refreshed here.
    Bearer {
        #[serde(with = "crate::secret::at_rest")]
        token: Secret,
    },
    /// Name and password (RFC 7617). The name has no colon.
    Basic {
        user: String,
        #[serde(with = "crate::secret::at_rest")]
        password: Secret,
    },
    /// What a token endpoint gave (RFC 6749 §5.1), and what is needed to ask it again.
    OAuth { tokens: Tokens, binding: Binding },
}

/// The kinds by name, as the catalog and `--json` write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    ApiKey,
    Bearer,
    Basic,
    #[serde(rename = "oauth")]
    OAuth,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ApiKey => "api_key",
            Kind::Bearer => "bearer",
            Kind::Basic => "basic",
            Kind::OAuth => "oauth",
        }
    }
}

impl Credential {
    pub fn kind(&self) -> Kind {
        match self {
            Credential::ApiKey { .. } => Kind::ApiKey,
            Credential::Bearer { .. } => Kind::Bearer,
            Credential::Basic { .. } => Kind::Basic,
            Credential::OAuth { .. } => Kind::OAuth,
        }
    }

    /// The one secret that is handed out: key, access token or password; never a refresh token.
    pub fn secret(&self) -> &Secret {
        match self {
            Credential::ApiKey { key } => key,
            Credential::Bearer { token } => token,
            Credential::Basic { password, .. } => password,
            Credential::OAuth { tokens, .. } => &tokens.access_token,
        }
    }

    /// When the handed-out secret ends, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Credential::OAuth { tokens, .. } => tokens.expires_at,
            _ => None,
        }
    }

    /// Whether new tokens can be had without a person: with a refresh token, as the client itself, or
    /// for an identity that this machine has.
    pub fn is_renewable(&self) -> bool {
        self.as_oauth().is_some_and(|(tokens, binding)| {
            tokens.refresh_token.is_some() || binding.grant.needs_nobody()
        })
    }

    /// Whether the handed-out secret works only with a proof of possession (RFC 9449 §7).
    pub fn is_bound(&self) -> bool {
        self.as_oauth().is_some_and(|(tokens, _)| tokens.is_bound())
    }

    /// The lowest format whose readers understand all of it.
    fn format(&self) -> u32 {
        let Some((tokens, binding)) = self.as_oauth() else { return FORMAT };
        let is_new =
            tokens.dpop_key.is_some() || tokens.id_token.is_some() || binding.grant.is_of_machine();
        if is_new { NEWEST_FORMAT } else { client_format(&binding.client) }
    }

    pub fn as_oauth(&self) -> Option<(&Tokens, &Binding)> {
        match self {
            Credential::OAuth { tokens, binding } => Some((tokens, binding)),
            _ => None,
        }
    }
}
