//! Dynamic client registration (RFC 7591): asks for a client and checks what was made of the wish.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::Document;
use super::{Client, ClientAuthentication, Error};
use crate::http::{Http, Request, host_of, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// What the client is to be able to do.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationRequest<'a> {
    pub redirect_uris: &'a [String],
    /// Grant types by their RFC names, `refresh_token` among them where it is wanted.
    pub grant_types: &'a [&'a str],
    pub scopes: &'a [String],
    /// `token_endpoint_auth_methods_supported` of the metadata.
    pub auth_methods_supported: Option<&'a [String]>,
    /// It will ask for bound tokens alone (RFC 9449 §5.2).
    pub dpop_bound_access_tokens: bool,
}

/// A client as registered.
#[derive(Debug, Clone)]
pub struct Registration {
    pub client: Client,
    /// All that the server allows; those asked for are among them.
    pub redirect_uris: Vec<String>,
    pub secret_expires_at: Option<Timestamp>,
    /// RFC 9449 §5.2.
    pub dpop_bound_access_tokens: bool,
}

/// Registers a native client (RFC 7591 §3.1). The server may replace what was asked for (§3.2.1): a
/// client that cannot do its work is refused here rather than at the person's browser.
pub async fn register(
    http: &Http,
    endpoint: &str,
    request: &RegistrationRequest<'_>,
) -> Result<Registration, Error> {
    let method = authentication(endpoint, request.auth_methods_supported)?;
    let answer = http.send(Request::post_json(endpoint, &wish(request, method))?).await?;
    let document = Document::of_success(&answer)?;
    let client = read_client(&document, method)?;
    let redirect_uris = document.texts("redirect_uris")?;
    let redirect_uris = redirect_uris.unwrap_or_else(|| request.redirect_uris.to_vec());
    if !request.redirect_uris.iter().all(|uri| redirect_uris.contains(uri)) {
        return Err(document.malformed("it registered other redirect URIs than asked for"));
    }
    let granted = document.texts("grant_types")?;
    let missing = |wanted: &&&str| {
        **wanted != "refresh_token"
            && granted.as_ref().is_some_and(|g| !g.iter().any(|grant| grant == *wanted))
    };
    if let Some(grant) = request.grant_types.iter().find(missing) {
        return Err(
            document.malformed(&format!("it registered a client without the grant {grant}"))
        );
    }
    let secret_expires_at = secret_end(&document)?.filter(|_| client.client_secret.is_some());
    let now = answer.date().unwrap_or_else(Timestamp::now);
    if secret_expires_at.is_some_and(|end| end <= now) {
        return Err(document.malformed("the secret of the client that it registered has expired"));
    }
    let dpop_bound_access_tokens = document.flag("dpop_bound_access_tokens")?;
    Ok(Registration { client, redirect_uris, secret_expires_at, dpop_bound_access_tokens })
}

/// The authentication to ask for: none where that is offered or nothing is said, for a native client
/// keeps no secret that is one; else a secret.
fn authentication(
    endpoint: &str,
    supported: Option<&[String]>,
) -> Result<ClientAuthentication, Error> {
    use ClientAuthentication::{ClientSecretBasic, ClientSecretPost, None as Public};
    let Some(supported) = supported else { return Ok(Public) };
    let offered = |method: &ClientAuthentication| supported.iter().any(|s| s == method.as_str());
    [Public, ClientSecretBasic, ClientSecretPost].into_iter().find(offered).ok_or(
        Error::Unsupported {
            host: host_of(&parse_url(endpoint)?),
            what: format!(
                "clients must prove themselves by one of: {}",
                clean(&supported.join(", "))
            ),
        },
    )
}

fn wish(request: &RegistrationRequest<'_>, method: ClientAuthentication) -> Value {
    let mut wish = json!({
        "client_name": "authctl",
        "application_type": "native",
        "redirect_uris": request.redirect_uris,
        "grant_types": request.grant_types,
        "token_endpoint_auth_method": method.as_str(),
    });
    let with_code = request.grant_types.contains(&"authorization_code");
    wish["response_types"] = if with_code { json!(["code"]) } else { json!([]) };
    if !request.scopes.is_empty() {
        wish["scope"] = request.scopes.join(" ").into();
    }
    if request.dpop_bound_access_tokens {
        wish["dpop_bound_access_tokens"] = true.into();
    }
    wish
}

fn read_client(document: &Document, asked: ClientAuthentication) -> Result<Client, Error> {
    let client_id = visible(document, "client_id")?;
    let client_id = client_id.ok_or_else(|| document.malformed("it has no client_id"))?.to_owned();
    let client_secret = visible(document, "client_secret")?.map(Secret::new);
    let authentication = match document.text("token_endpoint_auth_method")? {
        Some(method) => ClientAuthentication::parse(method).ok_or_else(|| {
            document.malformed(&format!("it asks for the client authentication {}", clean(method)))
        })?,
        None if client_secret.is_none() => ClientAuthentication::None,
        None if asked == ClientAuthentication::None => ClientAuthentication::ClientSecretBasic,
        None => asked,
    };
    match (authentication, client_secret) {
        (ClientAuthentication::None, _) => {
            Ok(Client { client_id, client_secret: None, key: None, authentication })
        }
        (_, None) => Err(document.malformed("it has no client_secret")),
        (_, secret) => Ok(Client { client_id, client_secret: secret, key: None, authentication }),
    }
}

/// A text of printable ASCII (RFC 6749 appendix A), or nothing when it is empty.
fn visible<'a>(document: &'a Document, key: &str) -> Result<Option<&'a str>, Error> {
    let text = document.text(key)?.filter(|text| !text.is_empty());
    let fits = |text: &str| text.len() <= 8192 && text.bytes().all(|c| (0x20..0x7f).contains(&c));
    match text {
        Some(text) if !fits(text) => Err(document.malformed(&format!("its {key} is unfit"))),
        text => Ok(text),
    }
}

/// `client_secret_expires_at`: Unix seconds, 0 for never.
fn secret_end(document: &Document) -> Result<Option<Timestamp>, Error> {
    let seconds = document.number("client_secret_expires_at")?.filter(|seconds| *seconds > 0.0);
    let end = seconds.and_then(|seconds| jiff::SignedDuration::try_from_secs_f64(seconds).ok());
    Ok(end.and_then(|end| Timestamp::from_duration(end).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Received, Server};

    const REDIRECT: &str = "http://127.0.0.1:7/callback";

    fn registered(
        auth_methods: Option<&[String]>,
        status: u16,
        body: &str,
    ) -> (Result<Registration, Error>, Vec<Received>) {
        let server = Server::json(status, body);
        let http = Http::new();
        let request = RegistrationRequest {
            dpop_bound_access_tokens: false,
            redirect_uris: &[REDIRECT.to_owned()],
            grant_types: &["authorization_code", "refresh_token"],
            scopes: &["read".to_owned(), "write".to_owned()],
            auth_methods_supported: auth_methods,
        };
        let outcome = http.block_on(register(&http, &server.url("/register"), &request));
        (outcome, server.received())
    }

    fn of(body: &str) -> Result<Registration, Error> {
        registered(None, 201, body).0
    }

    #[test]
    fn a_native_public_client_is_asked_for() {
        let (outcome, received) = registered(None, 201, r#"{"client_id":"c1"}"#);
        let registration = outcome.unwrap();
        assert_eq!(registration.client.client_id, "c1");
        assert_eq!(registration.client.authentication, ClientAuthentication::None);
        assert_eq!(registration.redirect_uris, [REDIRECT]);
        assert_eq!(registration.secret_expires_at, None);
        assert_eq!(received[0].line, "POST /register");
        assert_eq!(received[0].header("content-type"), Some("application/json"));
        let wish: Value = serde_json::from_str(&received[0].body).unwrap();
        let expected = json!({
            "client_name": "authctl",
            "application_type": "native",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "read write",
        });
        assert_eq!(wish, expected);
    }

    #[test]
    fn a_secret_is_asked_for_only_where_it_must_be() {
        for (supported, asked) in [
            (&["client_secret_basic", "none"][..], "none"),
            (&["client_secret_post", "client_secret_basic"], "client_secret_basic"),
            (&["private_key_jwt", "client_secret_post"], "client_secret_post"),
        ] {
            let supported: Vec<String> = supported.iter().map(|s| (*s).to_owned()).collect();
            let body = r#"{"client_id":"c1","client_secret":"s1"}"#;
            let (outcome, received) = registered(Some(&supported), 201, body);
            assert!(outcome.is_ok());
            let wish: Value = serde_json::from_str(&received[0].body).unwrap();
            assert_eq!(wish["token_endpoint_auth_method"], asked);
        }
        let only = ["private_key_jwt".to_owned()];
        let (outcome, received) = registered(Some(&only), 201, "{}");
        assert!(matches!(outcome, Err(Error::Unsupported { .. })));
        assert!(received.is_empty());
    }

    #[test]
    fn the_client_is_the_one_that_the_server_made() {
        use ClientAuthentication::{ClientSecretBasic, ClientSecretPost, None as Public};
        for (fields, authentication, secret) in [
            (r#""token_endpoint_auth_method":"none","client_secret":"s""#, Public, None),
            (r#""client_secret":"""#, Public, None),
            (r#""client_secret":"s","client_secret_expires_at":0"#, ClientSecretBasic, Some("s")),
            (
                r#""client_secret":"s","token_endpoint_auth_method":"client_secret_post""#,
                ClientSecretPost,
                Some("s"),
            ),
        ] {
            let client = of(&format!(r#"{{"client_id":"c",{fields}}}"#)).unwrap().client;
            assert_eq!(client.authentication, authentication, "{fields}");
            assert_eq!(client.client_secret.as_ref().map(Secret::expose), secret, "{fields}");
        }
        let body = r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":1798761600}"#;
        let end = of(body).unwrap().secret_expires_at.unwrap();
        assert_eq!(end.to_string(), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn a_client_that_cannot_do_its_work_is_refused() {
        for fields in [
            r#""redirect_uris":["https://other.example/"]"#,
            r#""redirect_uris":["http://127.0.0.1:7/callback/"]"#,
            r#""redirect_uris":[]"#,
            r#""redirect_uris":"http://127.0.0.1:7/callback""#,
            r#""grant_types":["client_credentials"]"#,
            r#""token_endpoint_auth_method":"private_key_jwt""#,
            r#""token_endpoint_auth_method":"client_secret_basic""#,
            r#""client_secret":["hunter2"]"#,
            r#""client_secret":"hunter2\n""#,
            r#""client_secret":"hunter2","client_secret_expires_at":"soon""#,
            r#""client_id":"d""#,
        ] {
            let refusal = of(&format!(r#"{{"client_id":"c",{fields}}}"#)).unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{fields}: {refusal:?}");
            assert!(!format!("{refusal:?}").contains("hunter2"), "{fields}");
        }
        for body in
            ["{}", r#"{"client_id":""}"#, r#"{"client_id":7}"#, r#"{"client_id":"a\u0007"}"#]
        {
            assert!(matches!(of(body), Err(Error::Malformed { .. })), "{body}");
        }
        let kept = of(r#"{"client_id":"c","grant_types":["authorization_code"]}"#);
        assert!(kept.is_ok(), "a missing refresh grant is no reason");
    }

    #[test]
    fn a_refused_registration_says_why() {
        let body = r#"{"error":"invalid_redirect_uri","error_description":"loopback only"}"#;
        let (outcome, _) = registered(None, 400, body);
        let Err(Error::Refused { code, description, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(code, "invalid_redirect_uri");
        assert_eq!(description.as_deref(), Some("loopback only"));
        let (outcome, _) = registered(None, 403, "<html>");
        assert!(matches!(outcome, Err(Error::Malformed { .. })), "{outcome:?}");
        let (outcome, _) = registered(None, 503, "");
        assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{outcome:?}");
    }
}
