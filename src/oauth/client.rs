//! The client of RFC 6749 §2: who we are at one authorization server and how we prove it.

use serde::{Deserialize, Serialize};

use super::ClientKey;
use crate::secret::Secret;

/// The OAuth client that we are at one authorization server.
#[expect(clippy::struct_field_names, reason = "the names of RFC 6749 and RFC 7591")]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    /// Empty where the request goes without a client (RFC 7521 §4.1, RFC 8693 §2.1).
    pub client_id: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::secret::at_rest_option"
    )]
    pub client_secret: Option<Secret>,
    /// For `private_key_jwt`; absent in what is stored while the configuration names the key's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ClientKey>,
    pub authentication: ClientAuthentication,
}

/// Two clients are the same when id and method are; a rotated secret is still the same client.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.authentication == other.authentication
    }
}

impl Eq for Client {}

/// How the client authenticates at the token endpoint (RFC 6749 §2.3.1, RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// A public client.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// An assertion signed with the client's key (RFC 7523 §2.2, OpenID Connect Core §9).
    PrivateKeyJwt,
}

impl ClientAuthentication {
    /// The name of the method in metadata and registrations.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientAuthentication::None => "none",
            ClientAuthentication::ClientSecretBasic => "client_secret_basic",
            ClientAuthentication::ClientSecretPost => "client_secret_post",
            ClientAuthentication::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method of this name, if it is one that a client can register for by itself.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let all = [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost];
        all.into_iter().find(|method| method.as_str() == name)
    }
}
