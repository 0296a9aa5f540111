//! The token endpoint (RFC 6749 §3.2): every grant's request, in one place.

use std::collections::BTreeMap;

use super::form::{Form, check_parameters};
use super::{Client, Error, TokenAnswer};
use crate::http::Http;
use crate::secret::Secret;

/// What is exchanged for tokens.
#[derive(Debug, Clone, Copy)]
pub enum TokenGrant<'a> {
    /// RFC 6749 §4.1.3 with RFC 7636 §4.5. The redirect URI is the one of the authorization request.
    AuthorizationCode { code: &'a Secret, redirect_uri: &'a str, code_verifier: &'a Secret },
    /// RFC 8628 §3.4. `authorization_pending` and `slow_down` come as [`Error::Refused`].
    DeviceCode { device_code: &'a Secret },
    /// RFC 6749 §6.
    RefreshToken { refresh_token: &'a Secret },
    /// RFC 6749 §4.4.
    ClientCredentials,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    pub endpoint: &'a str,
    pub client: &'a Client,
    pub grant: TokenGrant<'a>,
    /// Sent with client credentials only: in the other grants they are already settled, and a server
    /// that granted less than was asked for refuses a refresh that names more (RFC 6749 §6).
    pub scopes: &'a [String],
    /// RFC 8707, the same string as in the authorization request.
    pub resource: Option<&'a str>,
    pub parameters: &'a BTreeMap<String, String>,
}

/// Asks once. The answer is validated whole; nothing is retried here.
pub async fn request_tokens(http: &Http, request: &TokenRequest<'_>) -> Result<TokenAnswer, Error> {
    check_parameters(request.endpoint, request.parameters)?;
    let form = match request.grant {
        TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier } => Form::new()
            .add("grant_type", "authorization_code")
            .add("code", code.expose())
            .add("redirect_uri", redirect_uri)
            .add("code_verifier", code_verifier.expose()),
        TokenGrant::DeviceCode { device_code } => Form::new()
            .add("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .add("device_code", device_code.expose()),
        TokenGrant::RefreshToken { refresh_token } => Form::new()
            .add("grant_type", "refresh_token")
            .add("refresh_token", refresh_token.expose()),
        TokenGrant::ClientCredentials => {
            Form::new().add("grant_type", "client_credentials").scopes(request.scopes)
        }
    };
    let form = form.resource(request.resource).parameters(request.parameters);
    let answer = form.post(http, request.endpoint, request.client).await?;
    TokenAnswer::read(&answer)
}
