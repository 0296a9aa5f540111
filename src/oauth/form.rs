//! The form of a request to the authorization server, with the client's proof of who it is
//! (RFC 6749 §2.3.1, RFC 7523 §2.2).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use url::form_urlencoded::byte_serialize;

use super::client_assertion::{CLIENT_ASSERTION_TYPE, client_assertion};
use super::dpop::asks_for_nonce;
use super::{Client, ClientAuthentication, DPOP, DpopKey, Error, Proven};
use crate::http::{Answer, Http, Request, host_of, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// Parameters that the protocol itself sets: nobody's configuration may add or replace them.
pub const OWN_PARAMETERS: [&str; 26] = [
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
    "dpop_jkt",
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

    /// Sends it as `client`, with a proof of possession if there is a key for one. A server that asks
    /// for a nonce has not carried out the request, and gets it once more. Messages about the answer will
    /// not repeat the secrets in it.
    pub async fn post(
        self,
        http: &Http,
        endpoint: &str,
        client: &Client,
        dpop: Option<&DpopKey>,
    ) -> Result<Answer, Error> {
        let answer = self.send(http, endpoint, client, dpop).await?;
        if dpop.is_some() && asks_for_nonce(&answer) {
            return self.send(http, endpoint, client, dpop).await;
        }
        Ok(answer)
    }

    async fn send(
        &self,
        http: &Http,
        endpoint: &str,
        client: &Client,
        dpop: Option<&DpopKey>,
    ) -> Result<Answer, Error> {
        let secret = client_secret(client, endpoint)?;
        let assertion = assertion(client, endpoint)?;
        let mut pairs: Vec<_> =
            self.0.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let names_client = pairs.iter().any(|(name, _)| *name == "client_id")
            || client.authentication == ClientAuthentication::ClientSecretBasic;
        if !names_client && !client.client_id.is_empty() {
            pairs.push(("client_id", &client.client_id));
        }
        if let Some(assertion) = &assertion {
            pairs.push(("client_assertion_type", CLIENT_ASSERTION_TYPE));
            pairs.push(("client_assertion", assertion.expose()));
        }
        if let (ClientAuthentication::ClientSecretPost, Some(secret)) =
            (client.authentication, secret)
        {
            pairs.push(("client_secret", secret.expose()));
        }
        let mut secrets = secrets(&pairs);
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
        if let Some(key) = dpop {
            let proof = proof(http, endpoint, key)?;
            request = request.secret_header(DPOP, &proof)?;
            secrets.push(proof);
        }
        let mut answer = http.send(request).await?;
        answer.never_shown = secrets;
        Ok(answer)
    }
}

/// The assertion with which the client proves itself (RFC 7523 §2.2), a new one for each request.
fn assertion(client: &Client, endpoint: &str) -> Result<Option<Secret>, Error> {
    if client.authentication != ClientAuthentication::PrivateKeyJwt {
        return Ok(None);
    }
    let assertion = client_assertion(client, endpoint, Timestamp::now()).map_err(|error| {
        let id = clean(&client.client_id);
        unsupported(endpoint, format!("the key of the client {id} cannot be used: {error}"))
    })?;
    assertion.ok_or_else(|| unsupported(endpoint, no_proof(client, "key"))).map(Some)
}

fn secrets(pairs: &[(&str, &str)]) -> Vec<Secret> {
    let secret = pairs.iter().filter(|(name, _)| SECRET_PARAMETERS.contains(name));
    secret.map(|(_, value)| Secret::new(*value)).collect()
}

/// The proof for one POST to `endpoint` (RFC 9449 §5).
fn proof(http: &Http, endpoint: &str, key: &DpopKey) -> Result<Secret, Error> {
    let url = parse_url(endpoint)?;
    let nonce = http.nonces.newest(&url);
    let request = Proven { method: "POST", url: &url, nonce: nonce.as_deref(), access_token: None };
    key.proof(&request).map_err(|error| Error::Unsupported {
        host: host_of(&url),
        what: format!("the key of its tokens cannot sign: {error}"),
    })
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
