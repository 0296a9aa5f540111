//! RFC 7523 §2.1: an assertion of who asks, signed by somebody whom the server trusts, or by ourselves.

use jiff::Timestamp;
use serde_json::Map;

use super::client_key::key_file;
use super::{Error, Request};
use crate::config::OwnAssertion;
use crate::http::Http;
use crate::oauth::{self, Assertion, TokenAnswer, TokenGrant, TokenRequest};
use crate::secret::Secret;

/// One token request.
pub async fn jwt_bearer(
    http: &Http,
    request: &Request<'_>,
    assertion: &Secret,
) -> Result<TokenAnswer, Error> {
    let asked = TokenRequest {
        endpoint: &request.server.token_endpoint,
        client: request.client,
        grant: TokenGrant::JwtBearer { assertion },
        scopes: request.scopes,
        resource: request.resource,
        parameters: request.parameters,
        dpop: request.dpop,
    };
    Ok(oauth::request_tokens(http, &asked).await?)
}

/// An assertion that we sign ourselves, with the key of a file or that of the client. The scopes stand in
/// it as well, since some servers look for them there.
pub(super) fn own_assertion(
    own: &OwnAssertion,
    audience: &str,
    request: &Request<'_>,
) -> Result<Secret, Error> {
    let brought = request.client.key.clone();
    let key = match &own.key_file {
        Some(path) => key_file(path, own.key_id.clone())?,
        None => brought.ok_or(Error::NoKey)?,
    };
    let place = || own.key_file.as_ref().map_or("the store".into(), |it| it.display().to_string());
    let endpoint = &request.server.token_endpoint;
    if let Some(named) = key.token_endpoint().filter(|named| named != endpoint) {
        let named = crate::text::clean(&named);
        return Err(Error::KeyElsewhere { place: place(), named, endpoint: endpoint.clone() });
    }
    let client_id = Some(request.client.client_id.clone()).filter(|id| !id.is_empty());
    let issuer = own.issuer.clone().or_else(|| key.owner()).or(client_id).ok_or(Error::NoIssuer)?;
    let mut claims: Map<_, _> =
        own.claims.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
    if !request.scopes.is_empty() {
        claims.entry("scope").or_insert_with(|| request.scopes.join(" ").into());
    }
    let subject = own.subject.as_deref().unwrap_or(&issuer);
    let assertion = Assertion { issuer: &issuer, subject, audience, claims: &claims };
    key.signing_key()
        .and_then(|key| oauth::sign_assertion(&key, &assertion, Timestamp::now()))
        .map_err(|source| Error::ClientKey { place: place(), source })
}
