//! RFC 8693: a token that we have is exchanged for one that is of use elsewhere.

use super::{Error, Request};
use crate::http::Http;
use crate::oauth::{self, TokenAnswer, TokenExchange, TokenGrant, TokenRequest};

/// One token request.
pub async fn token_exchange(
    http: &Http,
    request: &Request<'_>,
    exchange: &TokenExchange<'_>,
) -> Result<TokenAnswer, Error> {
    let asked = TokenRequest {
        endpoint: &request.server.token_endpoint,
        client: request.client,
        grant: TokenGrant::TokenExchange(exchange),
        scopes: request.scopes,
        resource: request.resource,
        parameters: request.parameters,
        dpop: request.dpop,
    };
    Ok(oauth::request_tokens(http, &asked).await?)
}
