//! The form of a request to the authorization server, with the client's proof of who it is
//! (RFC 6749 §2.3.1, RFC 7523 §2.2).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use url::form_urlencoded::byte_serialize;

use super::client_assertion::{CLIENT_ASSERTION_TYPE, client_assertion};
use super::{Client, ClientAuthentication, Error};
use crate::http::{Answer, Http, Request, host_of, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// Parameters that the protocol itself sets: nobody's configuration may add or replace them.
pub const OWN_PARAMETERS: [&str; 25] = [
    "actor_token",
    "actor_token_type",
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "device_code",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "requested_token_type",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "subject_token",
    "subject_token_type",
];

/// Those of them that are secrets, and the one of RFC 7009.
const SECRET_PARAMETERS: [&str; 10] = [
    "actor_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "refresh_token",
    "subject_token",
    "token",
];

/// The form under construction.
pub(super) struct Form<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Form<'a> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn add(mut self, name: &'a str, value: &'a str) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// Scopes in one parameter; none, when there are none.
    pub fn scopes(mut self, scopes: &[String]) -> Self {
        if !scopes.is_empty() {
            self.0.push(("scope", scopes.join(" ").into()));
        }
        self
    }

    /// The resource indicator (RFC 8707), where there is one.
    pub fn resource(mut self, resource: Option<&'a str>) -> Self {
        self.0.extend(resource.map(|resource| ("resource", resource.into())));
        self
    }

    /// The provider's own parameters.
    pub fn parameters(mut self, parameters: &'a BTreeMap<String, String>) -> Self {
        self.0.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.into())));
        self
    }

    /// Sends it as `client`. Messages about the answer will not repeat the secrets in it.
    pub async fn post(
        mut self,
        http: &Http,
        endpoint: &str,
        client: &'a Client,
    ) -> Result<Answer, Error> {
        let secret = client_secret(client, endpoint)?;
        let in_header = client.authentication == ClientAuthentication::ClientSecretBasic;
        if !in_header && !client.client_id.is_empty() {
            self = self.add("client_id", &client.client_id);
        }
        if client.authentication == ClientAuthentication::PrivateKeyJwt {
            self = self.client_assertion(client, endpoint)?;
        }
        if let (ClientAuthentication::ClientSecretPost, Some(secret)) =
            (client.authentication, secret)
        {
            self = self.add("client_secret", secret.expose());
        }
        let mut secrets = self.secrets();
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let mut request = Request::post_form(endpoint, &pairs)?;
        if let (ClientAuthentication::ClientSecretBasic, Some(secret)) =
            (client.authentication, secret)
        {
            let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let password = Secret::new(encode(secret.expose()));
            let user = encode(&client.client_id);
            secrets.push(Secret::new(STANDARD.encode(format!("{user}:{}", password.expose()))));
            secrets.push(secret.clone());
            request = request.basic(&user, &password);
        }
        let mut answer = http.send(request).await?;
        answer.never_shown = secrets;
        Ok(answer)
    }

    /// The assertion with which the client proves itself (RFC 7523 §2.2).
    fn client_assertion(mut self, client: &Client, endpoint: &str) -> Result<Self, Error> {
        let assertion = client_assertion(client, endpoint, Timestamp::now())
            .map_err(|error| {
                let id = clean(&client.client_id);
                unsupported(endpoint, format!("the key of the client {id} cannot be used: {error}"))
            })?
            .ok_or_else(|| unsupported(endpoint, no_proof(client, "key")))?;
        self = self.add("client_assertion_type", CLIENT_ASSERTION_TYPE);
        self.0.push(("client_assertion", assertion.expose().to_owned().into()));
        Ok(self)
    }

    fn secrets(&self) -> Vec<Secret> {
        let secret = self.0.iter().filter(|(name, _)| SECRET_PARAMETERS.contains(name));
        secret.map(|(_, value)| Secret::new(value.as_ref())).collect()
    }
}

/// The client's secret, which every authentication but `none` needs.
fn client_secret<'a>(client: &'a Client, endpoint: &str) -> Result<Option<&'a Secret>, Error> {
    use ClientAuthentication::{None as Public, PrivateKeyJwt};
    if matches!(client.authentication, Public | PrivateKeyJwt) || client.client_secret.is_some() {
        return Ok(client.client_secret.as_ref());
    }
    Err(unsupported(endpoint, no_proof(client, "secret")))
}

fn unsupported(endpoint: &str, what: String) -> Error {
    match parse_url(endpoint) {
        Ok(url) => Error::Unsupported { host: host_of(&url), what },
        Err(error) => error.into(),
    }
}

fn no_proof(client: &Client, what: &str) -> String {
    format!("the client {} has no {what} to prove itself with", clean(&client.client_id))
}

/// Refuses configured parameters that would replace one of the protocol's own.
pub(super) fn check_parameters(
    endpoint: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<(), Error> {
    match parameters.keys().find(|name| OWN_PARAMETERS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(unsupported(
            endpoint,
            format!("the parameter {name} is set by the protocol and cannot be configured"),
        )),
    }
}
