//! How a credential is acquired: one file a grant. Each is handed the server, the client and somebody
//! to talk to, and gives back tokens or a key that have been checked and are kept nowhere yet.

mod api_key;
mod authorization_code;
mod browser;
mod browser_poll;
mod client_credentials;
mod client_key;
mod device_code;
mod error;
mod id_jag;
mod identity;
mod jwt_bearer;
mod machine;
mod pkce_key;
mod qr;
mod redirect;
mod token_exchange;
mod waiting;

use std::collections::BTreeMap;

use crate::oauth::{Client, Dpop};
use crate::{http, text};

pub use api_key::{KeySource, api_key, password};
pub use authorization_code::{
    Invitation, authorization_code, authorization_request, exchange, refused,
};
pub use browser::{ANYWHERE, Opening, show_address};
pub use browser_poll::browser_poll;
pub use client_credentials::client_credentials;
pub use client_key::{check_algorithm, client_key, with_key};
pub use device_code::{device_authorization, device_code, show_code};
pub use error::{Error, Unobtained};
pub use identity::{IdentityError, ends_at};
pub use machine::{AtProvider, Logins, Machine};
pub use pkce_key::pkce_key;
pub use redirect::RedirectListener;
pub use waiting::{Waiting, typed_line};

use id_jag::id_jag;
use jwt_bearer::jwt_bearer;
use token_exchange::token_exchange;

/// The authorization server as one login knows it: from metadata, or from the provider's own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// RFC 8414 §2; `None` where the server has no metadata.
    pub issuer: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: String,
    pub device_authorization_endpoint: Option<String>,
    /// RFC 9126 §2.
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Authorization requests are pushed, however short they are.
    pub pushes: bool,
    /// The metadata promises `iss` in the redirect (RFC 9207 §3): an answer without it is refused.
    pub iss_required: bool,
}

/// What is asked of the server.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub server: &'a Server,
    pub client: &'a Client,
    pub scopes: &'a [String],
    /// Resource indicator (RFC 8707).
    pub resource: Option<&'a str>,
    /// Further parameters of the authorization request, such as `access_type`.
    pub parameters: &'a BTreeMap<String, String>,
    /// The key that the tokens are to be bound to (RFC 9449).
    pub dpop: Option<Dpop<'a>>,
}

impl Request<'_> {
    /// An endpoint that this grant cannot do without.
    fn needs<'e>(&self, endpoint: Option<&'e str>, name: &'static str) -> Result<&'e str, Error> {
        let server = self.server;
        let known = server.issuer.as_deref().unwrap_or(&server.token_endpoint);
        endpoint.ok_or_else(|| Error::Unsupported { host: host_of(known), endpoint: name })
    }
}

/// The host of a URL, for messages; the cleaned text itself where it is not a URL.
fn host_of(url: &str) -> String {
    http::parse_url(url).map_or_else(|_| text::clean(url), |url| http::host_of(&url))
}

#[cfg(test)]
mod fake;
