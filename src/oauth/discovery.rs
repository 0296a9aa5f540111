//! Finding the metadata of an issuer: RFC 8414 §3 first, then OpenID Connect Discovery's places, for
//! every rung of the ladder is missing on some well-known server.

use super::document::{looks_like_json, redirected, unavailable};
use super::{Error, Metadata};
use crate::http::{Answer, Http, Request, host_of, parse_url};
use crate::text::clean;

/// Finds the metadata of `issuer` (an https URL without query and fragment). A document of another
/// issuer, or an ambiguous one, is never used; the first such fault is reported when nothing better
/// is found. A server that cannot be reached ends the search.
pub async fn discover(http: &Http, issuer: &str) -> Result<Metadata, Error> {
    discover_wanted(http, &Wanted { issuer, trusted: None, revision: None }).await
}

/// The same, where a person says that the document may name another issuer.
pub async fn discover_trusting(
    http: &Http,
    issuer: &str,
    trusted: Option<&str>,
) -> Result<Metadata, Error> {
    discover_wanted(http, &Wanted { issuer, trusted, revision: None }).await
}

/// Whose metadata is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its well-known places are asked, and the document must name it.
    pub issuer: &'a str,
    /// Another one that the document may name.
    pub trusted: Option<&'a str>,
    /// The revision of MCP in which the question is put, where it depends on that.
    pub revision: Option<&'a str>,
}

pub(super) async fn discover_wanted(http: &Http, wanted: &Wanted<'_>) -> Result<Metadata, Error> {
    let places = places(wanted.issuer)?;
    let mut found: Option<Metadata> = None;
    let mut fault = None;
    for place in &places {
        match (look(http, wanted, place).await, &mut found) {
            (Ok(Some(metadata)), None) => found = Some(metadata),
            (Ok(Some(metadata)), Some(found)) => found.complete_from(metadata),
            (Ok(None), _) => {}
            // What is found stays good, whatever the next place answers.
            (Err(_), Some(_)) => break,
            (Err(error @ Error::Http(_)), None) => return Err(error),
            (Err(error), None) => fault = fault.or(Some(error)),
        }
        if found.as_ref().is_some_and(|metadata| !metadata.is_partial()) {
            break;
        }
    }
    let nothing = || Error::NoMetadata { issuer: clean(wanted.issuer), tried: places };
    found.ok_or_else(|| fault.unwrap_or_else(nothing))
}

/// Looks in one place. `Ok(None)`: there is nothing that was meant as metadata.
async fn look(http: &Http, wanted: &Wanted<'_>, place: &str) -> Result<Option<Metadata>, Error> {
    let mut request = Request::get(place)?;
    if let Some(revision) = wanted.revision {
        request = request.header("mcp-protocol-version", revision);
    }
    let answer = http.send(request).await?;
    match answer.status {
        200 if is_document(&answer) => read(http, wanted, &answer).map(Some),
        // Said, unless a later place has the document: the issuer may only be misspelt.
        300..400 => Err(redirected(&answer)),
        429 | 500.. => Err(unavailable(&answer)),
        _ => Ok(None),
    }
}

fn read(http: &Http, wanted: &Wanted<'_>, answer: &Answer) -> Result<Metadata, Error> {
    match (Metadata::read(http, wanted.issuer, answer), wanted.trusted) {
        (Err(Error::IssuerMismatch { .. }), Some(trusted)) => Metadata::read(http, trusted, answer),
        (found, _) => found,
    }
}

/// A server that answers every path with its web page has no metadata there.
fn is_document(answer: &Answer) -> bool {
    answer.is_json() || looks_like_json(answer)
}

/// The places where the metadata of `issuer` may be, in order.
fn places(issuer: &str) -> Result<Vec<String>, Error> {
    let url = parse_url(issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        let what = "an issuer has no query and no fragment".to_owned();
        return Err(Error::Unsupported { host: host_of(&url), what });
    }
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::http::fake::{Server, response};

    const JSON: &str = "content-type: application/json\r\n";
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OIDC: &str = "/.well-known/openid-configuration";

    /// A server with documents at some paths; `{o}` in them is its origin. Other paths are 404.
    fn serving(documents: &[(&str, u16, &str)]) -> Server {
        let origin = Arc::new(Mutex::new(String::new()));
        let documents: Vec<_> = documents
            .iter()
            .map(|(path, status, body)| (format!("GET {path}"), *status, (*body).to_owned()))
            .collect();
        let mine = Arc::clone(&origin);
        let server = Server::new(move |request| {
            let origin = mine.lock().unwrap();
            match documents.iter().find(|(line, ..)| *line == request.line) {
                Some((_, status, body)) if body.starts_with('<') => {
                    response(*status, "content-type: text/html\r\n", body)
                }
                Some((_, status, body)) => response(*status, JSON, &body.replace("{o}", &origin)),
                None => response(404, "", "no"),
            }
        });
        *origin.lock().unwrap() = server.url("");
        server
    }

    fn found(server: &Server, path: &str) -> Result<Metadata, Error> {
        let http = Http::new();
        http.block_on(discover(&http, &server.url(path)))
    }

    fn asked(server: &Server) -> Vec<String> {
        server.received().into_iter().map(|request| request.line).collect()
    }

    #[test]
    fn the_document_is_read_field_by_field() {
        let server = serving(&[(
            OAUTH,
            200,
            r#"{"issuer":"{o}","authorization_endpoint":"{o}/a","token_endpoint":"{o}/t?x=1",
                "device_authorization_endpoint":"{o}/d","revocation_endpoint":"{o}/v",
                "registration_endpoint":"{o}/r","scopes_supported":["s"],
                "pushed_authorization_request_endpoint":"{o}/p",
                "require_pushed_authorization_requests":true,"jwks_uri":null,
                "code_challenge_methods_supported":["plain","S256"],
                "grant_types_supported":["authorization_code"],
                "token_endpoint_auth_methods_supported":["none"],
                "token_endpoint_auth_signing_alg_values_supported":["ES256"],
                "dpop_signing_alg_values_supported":["RS256","ES256"],
                "client_id_metadata_document_supported":true,
                "authorization_response_iss_parameter_supported":true}"#,
        )]);
        let metadata = found(&server, "").unwrap();
        let list = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(
            metadata,
            Metadata {
                issuer: server.url(""),
                authorization_endpoint: Some(server.url("/a")),
                token_endpoint: Some(server.url("/t?x=1")),
                device_authorization_endpoint: Some(server.url("/d")),
                revocation_endpoint: Some(server.url("/v")),
                registration_endpoint: Some(server.url("/r")),
                pushed_authorization_request_endpoint: Some(server.url("/p")),
                require_pushed_authorization_requests: true,
                code_challenge_methods_supported: Some(vec!["plain".into(), "S256".into()]),
                token_endpoint_auth_methods_supported: list("none"),
                token_endpoint_auth_signing_alg_values_supported: list("ES256"),
                grant_types_supported: list("authorization_code"),
                dpop_signing_alg_values_supported: Some(vec!["RS256".into(), "ES256".into()]),
                authorization_response_iss_parameter_supported: true,
                scopes_supported: list("s"),
                client_id_metadata_document_supported: true,
            }
        );
        assert!(metadata.checks_pkce() && metadata.takes_dpop());
        assert_eq!(asked(&server).len(), 1);
    }

    #[test]
    fn every_rung_of_the_ladder_is_tried_in_order() {
        let document = r#"{"issuer":"{o}/t/","token_endpoint":"{o}/x"}"#;
        let rungs = [
            "/.well-known/oauth-authorization-server/t",
            "/.well-known/openid-configuration/t",
            "/t/.well-known/openid-configuration",
        ];
        for rung in rungs {
            let server = serving(&[(rung, 200, document)]);
            let metadata = found(&server, "/t/").unwrap();
            assert_eq!(metadata.token_endpoint, Some(server.url("/x")));
            assert_eq!(asked(&server), rungs.map(|rung| format!("GET {rung}")), "{rung}");
        }
        let server = serving(&[]);
        let Error::NoMetadata { issuer, tried } = found(&server, "/t").unwrap_err() else {
            panic!("found")
        };
        assert_eq!((issuer, tried), (server.url("/t"), rungs.map(|r| server.url(r)).to_vec()));
    }

    #[test]
    fn places_without_a_document_are_passed_over() {
        let good = r#"{"issuer":"{o}","token_endpoint":"{o}/t"}"#;
        for (status, body) in [
            (200, "<!doctype html><title>Sign in</title>"),
            (401, "{}"),
            (405, "{}"),
            (302, "{}"),
            (500, "{}"),
            (503, "<p>"),
            (200, r#"{"issuer":"https://other.example"}"#),
            (200, "{"),
        ] {
            let server = serving(&[(OAUTH, status, body), (OIDC, 200, good)]);
            let metadata = found(&server, "").unwrap();
            assert_eq!(metadata.token_endpoint, Some(server.url("/t")), "{status} {body}");
        }
    }

    #[test]
    fn a_second_document_of_the_same_issuer_fills_gaps_and_changes_nothing() {
        let first = r#"{"issuer":"{o}","token_endpoint":"{o}/t1"}"#;
        let second =
            r#"{"issuer":"{o}","token_endpoint":"{o}/t2","registration_endpoint":"{o}/r"}"#;
        let server = serving(&[(OAUTH, 200, first), (OIDC, 200, second)]);
        let metadata = found(&server, "").unwrap();
        assert_eq!(metadata.token_endpoint, Some(server.url("/t1")));
        assert_eq!(metadata.registration_endpoint, Some(server.url("/r")));

        let foreign = r#"{"issuer":"{o}/x","registration_endpoint":"{o}/r"}"#;
        let server = serving(&[(OAUTH, 200, first), (OIDC, 200, foreign)]);
        assert_eq!(found(&server, "").unwrap().registration_endpoint, None);
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        for issuer in
            ["{o}/", "{o}/%74", "{o}/T", "HTTP://127.0.0.1", "{o}/t?", "{o}/t#", "{o}/t ", ""]
        {
            let body = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{{o}}/x"}}"#);
            let rung = "/.well-known/oauth-authorization-server/t";
            let server = serving(&[(rung, 200, &body)]);
            let refusal = found(&server, "/t").unwrap_err();
            match refusal {
                Error::IssuerMismatch { expected, .. } => assert_eq!(expected, server.url("/t")),
                Error::Malformed { .. } if issuer.is_empty() => {}
                other => panic!("{issuer:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn ambiguous_documents_are_not_used() {
        for body in [
            r#"{"issuer":"{o}","issuer":"{o}","token_endpoint":"{o}/t"}"#,
            r#"{"issuer":"{o}","token_endpoint":"{o}/t","token_endpoint":"{o}/u"}"#,
            r#"{"issuer":"{o}","token_endpoint":"{o}/t"}{}"#,
            r#"{"issuer":"{o}","token_endpoint":"{o}/t""#,
            r#"{"issuer":"{o}","token_endpoint":["{o}/t"]}"#,
            r#"{"issuer":["{o}"],"token_endpoint":"{o}/t"}"#,
            r#"{"token_endpoint":"{o}/t"}"#,
            r#"{"issuer":"{o}","code_challenge_methods_supported":"S256"}"#,
            r#"{"issuer":"{o}","require_pushed_authorization_requests":"true"}"#,
            r#"{"issuer":"{o}","token_endpoint":"{o}/t#fragment"}"#,
            r#"[{"issuer":"{o}"}]"#,
        ] {
            let server = serving(&[(OAUTH, 200, body)]);
            let refusal = found(&server, "").unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn endpoints_that_no_secret_may_go_to_are_refused() {
        for (endpoint, key, words) in [
            ("http://192.168.1.1/t", "token_endpoint", "is not https"),
            ("http://example.com/t", "authorization_endpoint", "is not https"),
            ("javascript:alert(1)", "authorization_endpoint", "is not a usable web address"),
            ("https://user:pw@example.com/", "revocation_endpoint", "user name or password"),
            ("/t", "token_endpoint", "is not a usable web address"),
            ("https://169.254.169.254/", "authorization_endpoint", "no request may go to"),
        ] {
            let body = format!(r#"{{"issuer":"{{o}}","{key}":"{endpoint}"}}"#);
            let server = serving(&[(OAUTH, 200, &body)]);
            let refusal = found(&server, "").unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{endpoint}: {refusal:?}");
            let said = refusal.to_string();
            assert!(said.contains(key) && said.contains(words), "{endpoint}: {said}");
        }
    }

    #[test]
    fn a_server_that_is_down_is_told_from_one_without_metadata() {
        let server = serving(&[(OAUTH, 503, "{}")]);
        assert!(matches!(found(&server, ""), Err(Error::Unavailable { status: 503, .. })));
        let http = Http::new();
        let refusal = http.block_on(discover(&http, "http://127.0.0.1:1/")).unwrap_err();
        assert!(matches!(refusal, Error::Http(_)), "{refusal:?}");
    }

    #[test]
    fn an_issuer_with_a_query_or_fragment_is_none() {
        for issuer in ["https://example.com/?a=b", "https://example.com/#a"] {
            assert!(matches!(places(issuer), Err(Error::Unsupported { .. })), "{issuer}");
        }
        assert!(matches!(places("http://example.com"), Err(Error::Http(_))));
    }

    #[test]
    fn without_a_word_on_s256_pkce_is_not_believed() {
        for methods in [None, Some(vec![]), Some(vec!["plain".into()]), Some(vec!["s256".into()])] {
            let metadata =
                Metadata { code_challenge_methods_supported: methods, ..Metadata::default() };
            assert!(!metadata.checks_pkce());
        }
    }
}
