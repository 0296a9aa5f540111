//! HTTP answers that are a signal, and answers that are none.

#![expect(clippy::too_many_lines, reason = "a table of cases is long")]

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::fixtures::*;
use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static("www-authenticate");
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn answer(status: u16, challenges: &[&str], body: &str, presented: bool) -> Signal {
    of_answer(status, &headers(challenges), body.as_bytes(), &server(), presented)
}

#[test]
fn challenges_are_signals() {
    let adcp_gate = r#"Bearer realm="mcp", error="invalid_token", error_description="Missing or unrecognized credentials.", resource_metadata="http://127.0.0.1:3918/.well-known/oauth-protected-resource/mcp""#;
    let adcp_body =
        r#"{"error":"invalid_token","error_description":"Missing or unrecognized credentials."}"#;
    let solvapay =
        r#"Bearer resource_metadata="http://localhost:3004/.well-known/oauth-protected-resource""#;
    let at_adcp = "http://127.0.0.1:3918/.well-known/oauth-protected-resource/mcp";
    let figma = r#"Bearer resource_metadata="https://mcp.figma.com/.well-known/oauth-protected-resource",scope="mcp:connect",authorization_uri="https://api.figma.com/.well-known/oauth-authorization-server""#;
    let azure = r#"Bearer authorization_uri="https://login.example.com/common/oauth2/authorize", error="invalid_token""#;
    let url = r#"{"error":"unauthorized","authorization_url":"http://127.0.0.1:9191/oauth/authorize?mcp_session=s1"}"#;
    let is = |status, challenges: &[&str], body, presented| {
        summary(&answer(status, challenges, body, presented))
    };
    let dpop_nonce = r#"DPoP error="use_dpop_nonce", error_description="again""#;
    let too_little = r#"Bearer error="insufficient_scope", scope="files:read files:write", resource_metadata="https://a.example/prm""#;
    check(&[
        ("adcp gate", is(401, &[adcp_gate], adcp_body, false), &format!("missing at {at_adcp}")),
        (
            "adcp gate, bad token",
            is(401, &[adcp_gate], adcp_body, true),
            &format!("rejected once at {at_adcp}"),
        ),
        (
            "adcp gate without metadata",
            is(401, &[r#"Bearer realm="mcp", error="invalid_token""#], adcp_body, false),
            "missing",
        ),
        (
            "SolvaPay",
            is(401, &[solvapay], SOLVAPAY, false),
            "missing at http://localhost:3004/.well-known/oauth-protected-resource",
        ),
        (
            "SolvaPay, presented",
            is(401, &[solvapay], SOLVAPAY, true),
            "rejected once at http://localhost:3004/.well-known/oauth-protected-resource",
        ),
        (
            "scopes in the challenge",
            is(401, &[r#"Bearer scope="mcp:basic mcp:more""#], "", false),
            "missing +mcp:basic +mcp:more",
        ),
        ("gateway newest", is(401, &[], "Unauthorized", false), "missing"),
        ("gateway newest, presented", is(401, &[], "Unauthorized", true), "rejected once"),
        ("bare challenge", is(401, &["Bearer"], "", false), "missing"),
        (
            "body only, presented",
            is(401, &[], r#"{"error":"invalid_token","message":"Invalid or expired token"}"#, true),
            "rejected once",
        ),
        (
            "a link in the body",
            is(401, &[], url, false),
            "follow own http://127.0.0.1:9191/oauth/authorize?mcp_session=s1",
        ),
        (
            "a link in the body, presented",
            is(401, &[], url, true),
            "follow own http://127.0.0.1:9191/oauth/authorize?mcp_session=s1",
        ),
        (
            "a link beside a word that means nothing",
            is(401, &[r#"Bearer error="invalid_token""#], url, false),
            "follow own http://127.0.0.1:9191/oauth/authorize?mcp_session=s1",
        ),
        (
            "a refused token, and a link",
            is(401, &[r#"Bearer error="invalid_token""#], url, true),
            "rejected once own http://127.0.0.1:9191/oauth/authorize?mcp_session=s1",
        ),
        (
            "a link in the challenge",
            is(
                401,
                &[r#"Bearer authorization_uri="https://id.example/go?mcp_session=1""#],
                "",
                false,
            ),
            "follow foreign https://id.example/go?mcp_session=1",
        ),
        (
            "a link in the body that is none",
            is(401, &[], r#"{"authorization_url":"file:///etc/passwd"}"#, false),
            "missing dropped",
        ),
        (
            "metadata and a link: there is a login",
            is(401, &[r#"Bearer resource_metadata="https://a.example/prm""#], url, false),
            "missing at https://a.example/prm own http://127.0.0.1:9191/oauth/authorize?mcp_session=s1",
        ),
        (
            "Figma: its address is a document's",
            is(401, &[figma], "", false),
            "missing at https://mcp.figma.com/.well-known/oauth-protected-resource +mcp:connect",
        ),
        ("an endpoint is no link", is(401, &[azure], "", false), "missing"),
        ("the gateway's error with a 401", is(401, &[], GATEWAY_ERROR, false), GATEWAY_LINK),
        (
            "AdCP's error with a 401",
            is(401, &["Bearer"], r#"{"adcp_error":{"code":"AUTH_INVALID"}}"#, true),
            "rejected never",
        ),
        (
            "AdCP's result with a 401",
            is(401, &[r#"Bearer scope="a""#], ADCP_MISSING, false),
            "missing +a",
        ),
        (
            "several challenges",
            is(
                401,
                &[
                    r#"Basic realm="a, b", DPoP algs="ES256""#,
                    r#"Bearer resource_metadata="https://a.example/prm""#,
                ],
                "",
                false,
            ),
            "missing at https://a.example/prm",
        ),
        (
            "parameters of another scheme",
            is(
                401,
                &[r#"Basic realm="x", scope="a", resource_metadata="https://a.example/prm""#],
                "",
                false,
            ),
            "missing",
        ),
        (
            "metadata twice is no metadata",
            is(
                401,
                &[
                    r#"Bearer resource_metadata="https://a.example/", resource_metadata="https://b.example/""#,
                ],
                "",
                false,
            ),
            "missing",
        ),
        (
            "more scope",
            is(403, &[too_little], "", true),
            "scopes at https://a.example/prm +files:read +files:write",
        ),
        (
            "more scope, nothing presented",
            is(403, &[too_little], "", false),
            "missing at https://a.example/prm +files:read +files:write",
        ),
        (
            "more scope by 401",
            is(401, &[r#"Bearer error="insufficient_scope", scope="a""#], "", true),
            "scopes +a",
        ),
        (
            "more scope in the body",
            is(403, &[], r#"{"error":"insufficient_scope","scope":"a"}"#, true),
            "scopes +a",
        ),
        ("403 for want of a token", is(403, &["Bearer realm=\"x\""], "", false), "missing"),
        (
            "400 for a bad token",
            is(400, &[r#"Bearer error="invalid_token""#], "", true),
            "rejected once",
        ),
        ("DPoP wants a nonce", is(401, &[dpop_nonce], "", true), "nothing"),
        ("403", is(403, &[], "unable to authorize", true), "nothing"),
        ("403, a foreign origin", is(403, &[], "", false), "nothing"),
        ("403 with a challenge, presented", is(403, &["Bearer realm=\"x\""], "", true), "nothing"),
        (
            "400, no session",
            is(400, &[], &rpc_error(-32602, "Missing sessionId"), false),
            "nothing",
        ),
        ("400, words in the body", is(400, &[], r#"{"error":"invalid_token"}"#, true), "nothing"),
        ("404", is(404, &[], r#"{"error":"unauthorized"}"#, false), "nothing"),
        ("407 is the proxy's", is(407, &[], "", false), "nothing"),
        ("402, a paywall", is(402, &[], r#"{"error":"payment_required"}"#, true), "nothing"),
        ("500", is(500, &[], "not authorized", true), "nothing"),
        ("200", is(200, &[r#"Bearer error="invalid_token""#], ADCP_SUCCESS, true), "nothing"),
        ("200, refused", is(200, &[], ADCP_MISSING, true), "missing"),
    ]);
}

#[test]
fn what_a_challenge_describes_is_said() {
    let challenge = "Bearer error=\"invalid_token\", error_description=\"session_id=abc expired\"";
    let Signal::Missing(demand) = answer(401, &["Basic realm=x", challenge], "", false) else {
        panic!()
    };
    assert_eq!(demand.schemes, ["basic", "bearer"]);
    let said = demand.said.unwrap();
    assert!(said.starts_with("session_id=#") && said.ends_with(" expired"), "{said}");
}
