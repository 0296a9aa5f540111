//! The token endpoint (RFC 6749 §3.2): every grant's request, in one place.

use std::collections::BTreeMap;

use super::form::{Form, check_parameters};
use super::{Client, Dpop, Error, TokenAnswer, TokenExchange};
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
    /// RFC 7523 §2.1.
    JwtBearer { assertion: &'a Secret },
    /// RFC 8693 §2.1.
    TokenExchange(&'a TokenExchange<'a>),
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    pub endpoint: &'a str,
    pub client: &'a Client,
    pub grant: TokenGrant<'a>,
    /// Sent where nobody was asked for them before: with client credentials, assertions and exchanges. In
    /// the other grants they are already settled, and a server that granted less than was asked for
    /// refuses a refresh that names more (RFC 6749 §6).
    pub scopes: &'a [String],
    /// RFC 8707, the same string as in the authorization request.
    pub resource: Option<&'a str>,
    pub parameters: &'a BTreeMap<String, String>,
    /// The key that the tokens are to be bound to (RFC 9449 §5), or are bound to already.
    pub dpop: Option<Dpop<'a>>,
}

/// Asks once; again only where the server wants a nonce in the proof of possession. The answer is
/// validated whole.
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
        TokenGrant::JwtBearer { assertion } => Form::new()
            .add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .add("assertion", assertion.expose())
            .scopes(request.scopes),
        TokenGrant::TokenExchange(exchange) => {
            let form =
                Form::new().add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
            exchange.add_to(form).scopes(request.scopes)
        }
    };
    let form = form.resource(request.resource).parameters(request.parameters);
    let key = request.dpop.map(|dpop| dpop.key);
    let answer = form.post(http, request.endpoint, request.client, key).await?;
    let tokens = TokenAnswer::read(&answer, key.is_some())?;
    match request.dpop {
        Some(Dpop { required: true, .. }) if !tokens.is_bound() => {
            Err(Error::NotBound { host: answer.host().to_owned() })
        }
        _ => Ok(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Received, Server};
    use crate::oauth::{ClientAuthentication, ClientKey};

    const GOOD: &str = r#"{"access_token":"a1","token_type":"Bearer"}"#;

    fn client(authentication: ClientAuthentication) -> Client {
        Client {
            client_id: "me:too".into(),
            client_secret: Some(Secret::new("p/w +")),
            key: None,
            authentication,
        }
    }

    fn ask(client: &Client, grant: TokenGrant<'_>) -> Received {
        let server = Server::json(200, GOOD);
        let http = Http::new();
        let request = TokenRequest {
            endpoint: &server.url("/token"),
            client,
            grant,
            scopes: &["read".into(), "write".into()],
            resource: Some("https://mcp.example.com/mcp"),
            parameters: &BTreeMap::from([("audience".to_owned(), "x".to_owned())]),
            dpop: None,
        };
        http.block_on(request_tokens(&http, &request)).unwrap();
        server.received().remove(0)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_grant_sends_its_own_form_and_the_resource() {
        let public = client(ClientAuthentication::None);
        let code = Secret::new("c1");
        let tail = [
            ("resource", "https://mcp.example.com/mcp"),
            ("audience", "x"),
            ("client_id", "me:too"),
        ];
        let grant = TokenGrant::AuthorizationCode {
            code: &code,
            redirect_uri: "http://127.0.0.1:9/callback",
            code_verifier: &Secret::new("v1"),
        };
        let received = ask(&public, grant);
        assert_eq!(received.line, "POST /token");
        assert_eq!(received.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(received.header("accept"), Some("application/json"));
        assert_eq!(received.header("authorization"), None);
        let head = [
            ("grant_type", "authorization_code"),
            ("code", "c1"),
            ("redirect_uri", "http://127.0.0.1:9/callback"),
            ("code_verifier", "v1"),
        ];
        assert_eq!(received.form(), pairs(&[&head[..], &tail].concat()));

        let received = ask(&public, TokenGrant::DeviceCode { device_code: &code });
        let kind = "urn:ietf:params:oauth:grant-type:device_code";
        let head = [("grant_type", kind), ("device_code", "c1")];
        assert_eq!(received.form(), pairs(&[&head[..], &tail].concat()));

        let received = ask(&public, TokenGrant::RefreshToken { refresh_token: &code });
        let head = [("grant_type", "refresh_token"), ("refresh_token", "c1")];
        assert_eq!(received.form(), pairs(&[&head[..], &tail].concat()));

        let received = ask(&public, TokenGrant::ClientCredentials);
        let head = [("grant_type", "client_credentials"), ("scope", "read write")];
        assert_eq!(received.form(), pairs(&[&head[..], &tail].concat()));

        let received = ask(&public, TokenGrant::JwtBearer { assertion: &code });
        let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let head = [("grant_type", kind), ("assertion", "c1"), ("scope", "read write")];
        assert_eq!(received.form(), pairs(&[&head[..], &tail].concat()));
    }

    #[test]
    fn the_client_proves_itself_as_it_is_registered_to() {
        let received = ask(&client(ClientAuthentication::None), TokenGrant::ClientCredentials);
        assert_eq!(received.parameter("client_id").as_deref(), Some("me:too"));
        assert_eq!(received.parameter("client_secret"), None);

        let post = client(ClientAuthentication::ClientSecretPost);
        let received = ask(&post, TokenGrant::ClientCredentials);
        assert_eq!(received.parameter("client_id").as_deref(), Some("me:too"));
        assert_eq!(received.parameter("client_secret").as_deref(), Some("p/w +"));
        assert_eq!(received.header("authorization"), None);

        // RFC 6749 §2.3.1: form encoding first, then Base64 of `me%3Atoo:p%2Fw+%2B`.
        let basic = client(ClientAuthentication::ClientSecretBasic);
        let received = ask(&basic, TokenGrant::ClientCredentials);
        assert_eq!(received.header("authorization"), Some("Basic bWUlM0F0b286cCUyRncrJTJC"));
        assert_eq!(received.parameter("client_id"), None);
        assert_eq!(received.parameter("client_secret"), None);
    }

    #[test]
    fn a_request_may_go_without_a_client_or_with_an_assertion_of_one() {
        let method = ClientAuthentication::None;
        let nobody = Client { client_id: String::new(), ..client(method) };
        let received = ask(&nobody, TokenGrant::JwtBearer { assertion: &Secret::new("a.b.c") });
        assert_eq!(received.parameter("client_id"), None);

        let key = Some(ClientKey::of_assertion(Secret::new("x.y.z")));
        let method = ClientAuthentication::PrivateKeyJwt;
        let received = ask(&Client { key, ..client(method) }, TokenGrant::ClientCredentials);
        assert_eq!(received.parameter("client_id").as_deref(), Some("me:too"));
        assert_eq!(received.parameter("client_assertion").as_deref(), Some("x.y.z"));
        assert_eq!(received.parameter("client_secret"), None);
    }

    #[test]
    fn what_cannot_be_sent_rightly_is_not_sent() {
        let server = Server::json(200, GOOD);
        let http = Http::new();
        let endpoint = server.url("/token");
        let secretless =
            Client { client_secret: None, ..client(ClientAuthentication::ClientSecretPost) };
        let none = BTreeMap::new();
        let replacing = BTreeMap::from([("client_id".to_owned(), "other".to_owned())]);
        let public = client(ClientAuthentication::None);
        let keyless = client(ClientAuthentication::PrivateKeyJwt);
        for (client, parameters) in [(&secretless, &none), (&keyless, &none), (&public, &replacing)]
        {
            let request = TokenRequest {
                endpoint: &endpoint,
                client,
                grant: TokenGrant::ClientCredentials,
                scopes: &[],
                resource: None,
                parameters,
                dpop: None,
            };
            let refusal = http.block_on(request_tokens(&http, &request)).unwrap_err();
            assert!(matches!(refusal, Error::Unsupported { .. }), "{refusal:?}");
        }
        assert!(server.received().is_empty());
    }
}
