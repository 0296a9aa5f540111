//! Enterprise-managed authorization (draft-ietf-oauth-identity-assertion-authz-grant; MCP SEP-990): the
//! identity provider of a stored login makes an assertion for one authorization server, which gives an
//! access token for it. Nobody is asked: the enterprise has decided already.

use super::{Error, Logins, Need, Request, jwt_bearer};
use crate::credential::Name;
use crate::http::Http;
use crate::oauth::{self, IdJagRequest, TokenAnswer};

/// Asks the identity provider, then the authorization server, once each.
pub fn id_jag(
    http: &Http,
    logins: &dyn Logins,
    identity_provider: &Name,
    request: &Request<'_>,
) -> Result<TokenAnswer, Error> {
    let login = logins.credential(identity_provider, Need::IdToken)?;
    let (Some((tokens, binding)), Some(audience)) = (login.as_oauth(), &request.server.issuer)
    else {
        return Err(Error::NoIssuer);
    };
    let id_token = tokens.id_token.as_ref().ok_or(Error::NoIssuer)?;
    binding.confine(http);
    let asked = IdJagRequest {
        endpoint: &binding.token_endpoint,
        client: &binding.client,
        id_token,
        audience,
        resource: request.resource,
        scopes: request.scopes,
    };
    let at_provider =
        |source| Error::AtIdentityProvider { name: identity_provider.clone(), source };
    let assertion = http.block_on(oauth::request_id_jag(http, &asked)).map_err(at_provider)?;
    http.block_on(jwt_bearer(http, request, &assertion))
}
