//! Token revocation (RFC 7009).

use super::document::{Document, looks_like_json, malformed, unavailable};
use super::form::Form;
use super::{Client, Error};
use crate::http::Http;
use crate::secret::Secret;

/// Tells the server to forget a token. `hint` is `access_token` or `refresh_token` (§2.1). A token
/// that the server does not know counts as revoked (§2.2); on 503 it lives on (§2.2.1).
pub async fn revoke(
    http: &Http,
    endpoint: &str,
    client: &Client,
    token: &Secret,
    hint: &str,
) -> Result<(), Error> {
    let form = Form::new().add("token", token.expose()).add("token_type_hint", hint);
    let answer = form.post(http, endpoint, client).await?;
    match answer.status {
        // The body of a good answer has no meaning, unless it is an error after all.
        200..300 if looks_like_json(&answer) => match Document::of_success(&answer) {
            Err(refused @ Error::Refused { .. }) => Err(refused),
            _ => Ok(()),
        },
        200..300 => Ok(()),
        429 | 500.. => Err(unavailable(&answer)),
        _ => Err(Document::of_success(&answer)
            .err()
            .unwrap_or_else(|| malformed(&answer, "neither success nor an error"))),
    }
}
