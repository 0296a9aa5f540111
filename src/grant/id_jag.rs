//! Enterprise-managed authorization (draft-ietf-oauth-identity-assertion-authz-grant; MCP SEP-990): the
//! identity provider of a login makes an assertion for one authorization server, which gives an
//! access token for it. Nobody is asked: the enterprise has decided already.

use super::{AtProvider, Error, Request, jwt_bearer};
use crate::credential::Name;
use crate::http::Http;
use crate::oauth::{self, IdJagRequest, TokenAnswer};

/// Asks the identity provider, then the authorization server, once each.
pub fn id_jag(
    http: &Http,
    name: &Name,
    provider: &AtProvider,
    request: &Request<'_>,
) -> Result<TokenAnswer, Error> {
    let audience = request.server.issuer.as_ref().ok_or(Error::NoIssuer)?;
    let asked = IdJagRequest {
        endpoint: &provider.token_endpoint,
        client: &provider.client,
        id_token: &provider.id_token,
        audience,
        resource: request.resource,
        scopes: request.scopes,
    };
    let at_provider = |source| Error::AtIdentityProvider { name: name.clone(), source };
    let assertion = http.block_on(oauth::request_id_jag(http, &asked)).map_err(at_provider)?;
    http.block_on(jwt_bearer(http, request, &assertion))
}
