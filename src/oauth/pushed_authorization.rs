//! Pushed authorization requests (RFC 9126): the request goes to the server first, and the browser's
//! address has a reference to it instead of the request itself.

use std::time::Duration;

use super::document::Document;
use super::form::Form;
use super::{AuthorizationRequest, Client, DpopKey, Error};
use crate::http::{Http, parse_url};

/// Longest `request_uri` that is taken, in bytes: the browser's address must stay short.
const LONGEST: usize = 1024;

/// Pushes `request`. What comes back is the same for the browser, with `client_id` and `request_uri` alone
/// in its URL (§4). The client proves itself as at the token endpoint (§2.1).
pub async fn push(
    http: &Http,
    endpoint: &str,
    client: &Client,
    request: AuthorizationRequest,
    authorization_endpoint: &str,
    dpop: Option<&DpopKey>,
) -> Result<AuthorizationRequest, Error> {
    let mut url = parse_url(authorization_endpoint)?;
    // What stands in the endpoint's own query is the endpoint's, and stays with it.
    let own = url.query_pairs().count();
    let pushed: Vec<_> = request.url.query_pairs().skip(own).collect();
    let form = pushed.iter().fold(Form::new(), |form, (name, value)| form.add(name, value));
    let answer = form.post(http, endpoint, client, dpop).await?;
    let document = Document::of_success(&answer)?;
    let request_uri = document.required_text("request_uri")?;
    if request_uri.len() > LONGEST || !request_uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(document.malformed("its request_uri cannot stand in an address"));
    }
    url.query_pairs_mut()
        .append_pair("client_id", &client.client_id)
        .append_pair("request_uri", request_uri);
    let seconds = document.number("expires_in")?.filter(|seconds| *seconds > 0.0);
    let expires_in = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(AuthorizationRequest { url, expires_in, ..request })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::fake::Server;
    use crate::oauth::{ClientAuthentication, authorization_request};

    const AUTHORIZE: &str = "https://as.example/authorize?tenant=x&y";

    fn pushed(server: &Server) -> Result<AuthorizationRequest, Error> {
        let client = Client {
            client_id: "me:too".into(),
            client_secret: None,
            key: None,
            authentication: ClientAuthentication::None,
        };
        let none = BTreeMap::new();
        let redirect = "http://127.0.0.1:7/callback";
        let request =
            authorization_request(AUTHORIZE, "me:too", redirect, &[], None, &none, None).unwrap();
        let http = Http::new();
        http.block_on(push(&http, &server.url("/par"), &client, request, AUTHORIZE, None))
    }

    #[test]
    fn the_request_is_pushed_and_what_belongs_to_the_endpoint_stays_with_it() {
        let server = Server::json(201, r#"{"request_uri":"urn:r&=?","expires_in":"90"}"#);
        let pushed = pushed(&server).unwrap();
        let shown = format!("{AUTHORIZE}&client_id=me%3Atoo&request_uri=urn%3Ar%26%3D%3F");
        assert_eq!(pushed.url.as_str(), shown);
        assert_eq!(pushed.expires_in, Some(Duration::from_secs(90)));
        let form = server.received()[0].form();
        let mut names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let challenge = ["code_challenge", "code_challenge_method"];
        let rest = ["redirect_uri", "response_type", "state"];
        assert_eq!(names, [&["client_id"][..], &challenge, &rest].concat());
    }

    #[test]
    fn a_reference_that_cannot_stand_in_an_address_is_refused() {
        let long = "x".repeat(LONGEST + 1);
        for reference in ["", "a b", "a\u{1b}[31m", "ä", &long] {
            let body = serde_json::json!({ "request_uri": reference, "expires_in": 60 });
            let refusal = pushed(&Server::json(201, &body.to_string())).unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{reference}: {refusal:?}");
        }
        for end in ["null", "0", "-5", "1e300"] {
            let body = format!(r#"{{"request_uri":"urn:r","expires_in":{end}}}"#);
            assert_eq!(pushed(&Server::json(201, &body)).unwrap().expires_in, None, "{end}");
        }
    }
}
