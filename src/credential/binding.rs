//! Where an OAuth credential came from, by which grant, and where alone it may go.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::Http;
use crate::oauth::Client;

/// Where an OAuth credential came from and the only places it may go, as the strings received: they
/// are compared byte for byte and never re-serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The authorization server's issuer (RFC 8414 §2), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    pub token_endpoint: String,
    /// Where the refresh token goes instead, where the server has a place of its own for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Those of the two at hosts that only a public server's document named: no private address may
    /// be behind them, then and later. All others were named by the user, or are the issuer's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confined: Vec<String>,
    /// Resource indicator (RFC 8707), the same in login, code and refresh requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    pub client: Client,
    /// The configuration's client, where the command line named another one at the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_instead_of: Option<String>,
    /// The grant by which the tokens were first acquired.
    pub grant: Grant,
    /// Scopes asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Binding {
    /// The only place that ever sees the refresh token.
    pub fn refresh_endpoint(&self) -> &String {
        self.refresh_endpoint.as_ref().unwrap_or(&self.token_endpoint)
    }

    /// Keeps `http` to public addresses where the login was kept to them.
    pub fn confine(&self, http: &Http) {
        let urls = self.confined.iter().filter_map(|endpoint| Url::parse(endpoint).ok());
        urls.for_each(|url| http.confine(&url));
    }
}

/// A way to obtain tokens, by its RFC's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    AuthorizationCode,
    DeviceCode,
    ClientCredentials,
    /// Client credentials, with an identity that this machine has as the client's proof (RFC 7523 §2.2).
    ClientAssertion,
    /// Such an identity as an assertion (RFC 7523 §2.1).
    JwtBearer,
    /// Such an identity, or another credential, exchanged (RFC 8693).
    TokenExchange,
    /// An assertion that an identity provider makes out of a sign-in there (ID-JAG).
    IdJag,
}

impl Grant {
    /// Whether its tokens are had from an identity that is at hand: nothing need be stored for it.
    pub fn is_of_machine(self) -> bool {
        self.shows_identity() || self == Grant::IdJag
    }

    /// Whether it shows an identity token to the authorization server.
    pub fn shows_identity(self) -> bool {
        matches!(self, Grant::ClientAssertion | Grant::JwtBearer | Grant::TokenExchange)
    }

    /// Whether it brings new tokens at any time without a person.
    pub fn needs_nobody(self) -> bool {
        self == Grant::ClientCredentials || self.is_of_machine()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Grant::AuthorizationCode => "authorization_code",
            Grant::DeviceCode => "device_code",
            Grant::ClientCredentials => "client_credentials",
            Grant::ClientAssertion => "client_assertion",
            Grant::JwtBearer => "jwt_bearer",
            Grant::TokenExchange => "token_exchange",
            Grant::IdJag => "id_jag",
        }
    }

    /// The `grant_type` of the request for tokens (RFC 6749 §4, RFC 8628 §3.4, RFC 7523 §2.1, RFC 8693
    /// §2.1).
    pub fn grant_type(self) -> &'static str {
        match self {
            Grant::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Grant::JwtBearer | Grant::IdJag => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Grant::ClientAssertion => Grant::ClientCredentials.grant_type(),
            Grant::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            other => other.as_str(),
        }
    }
}
