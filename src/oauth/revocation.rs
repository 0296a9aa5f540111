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
    let answer = form.post(http, endpoint, client, None).await?;
    match answer.status {
        // The body of a good answer has no meaning, unless it is an error after all.
        200..300 if looks_like_json(&answer) => match Document::of_success(&answer) {
            Err(refused @ Error::Refused { .. }) => Err(refused),
            _ => Ok(()),
        },
        // Something between us and the server, which never saw the request.
        200..300 if answer.media_type() == "text/html" => {
            Err(malformed(&answer, "a web page, which says nothing of the token"))
        }
        200..300 => Ok(()),
        429 | 500.. => Err(unavailable(&answer)),
        _ => Err(Document::of_success(&answer)
            .err()
            .unwrap_or_else(|| malformed(&answer, "neither success nor an error"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::Server;
    use crate::oauth::ClientAuthentication;

    fn told(server: &Server) -> Result<(), Error> {
        let client = Client {
            client_id: "me".into(),
            client_secret: Some(Secret::new("s")),
            key: None,
            authentication: ClientAuthentication::ClientSecretPost,
        };
        let http = Http::new();
        let token = Secret::new("r1");
        http.block_on(revoke(&http, &server.url("/revoke"), &client, &token, "refresh_token"))
    }

    #[test]
    fn the_token_goes_with_its_hint_and_the_clients_proof() {
        let server = Server::json(200, "");
        told(&server).unwrap();
        let expected = [
            ("token", "r1"),
            ("token_type_hint", "refresh_token"),
            ("client_id", "me"),
            ("client_secret", "s"),
        ];
        let sent = server.received()[0].form();
        assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn success_is_told_from_refusal_and_from_not_now() {
        for (status, body) in
            [(200, ""), (200, r#"{"revoked":true}"#), (204, ""), (200, "<html>"), (200, "{")]
        {
            assert!(told(&Server::json(status, body)).is_ok(), "{status} {body}");
        }
        for (status, body) in [
            (400, r#"{"error":"unsupported_token_type"}"#),
            (401, r#"{"error":"invalid_client"}"#),
            (200, r#"{"ok":false,"error":"invalid_auth"}"#),
        ] {
            let refusal = told(&Server::json(status, body)).unwrap_err();
            assert!(matches!(refusal, Error::Refused { .. }), "{status} {body}: {refusal:?}");
        }
        for status in [429, 500, 503] {
            let refusal = told(&Server::json(status, "")).unwrap_err();
            assert!(matches!(refusal, Error::Unavailable { .. }), "{status}: {refusal:?}");
        }
        for status in [302, 404] {
            let refusal = told(&Server::json(status, "")).unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{status}: {refusal:?}");
        }
    }
}
