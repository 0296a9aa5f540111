//! The fakes themselves: a server that lets everything pass would make every other test worthless.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault};
use crate::support::browser::{self, Page};
use crate::support::protected_resource::ProtectedResource;
use crate::support::sandbox::Sandbox;

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-length";
const REDIRECT_URI: &str = "http://127.0.0.1:1/callback";

/// A server with a public client and a client with a secret.
fn server() -> AuthorizationServer {
    let server = AuthorizationServer::start();
    server.register("public", None);
    server.register("secretive", Some("s3cret"));
    server
}

fn endpoint(server: &AuthorizationServer, path: &str) -> Url {
    Url::parse(&format!("{}{path}", server.issuer())).unwrap()
}

/// Goes to the authorization endpoint and comes back with the redirect's parameters.
fn authorize(server: &AuthorizationServer) -> Vec<(String, String)> {
    let hash = ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes());
    let mut url = endpoint(server, "/authorize");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "public")
        .append_pair("redirect_uri", REDIRECT_URI)
        .append_pair("state", "a-state-of-enough-length")
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(hash))
        .append_pair("code_challenge_method", "S256");
    let page = browser::get(&url);
    let back = Url::parse(page.header("location").unwrap_or_else(|| panic!("{page:?}"))).unwrap();
    back.query_pairs().into_owned().collect()
}

fn redeem(server: &AuthorizationServer, verifier: &str) -> Page {
    let code = authorize(server).remove(0).1;
    token(
        server,
        &[
            ("grant_type", "authorization_code"),
            ("client_id", "public"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier),
        ],
    )
}

fn refresh(server: &AuthorizationServer, token_of: &Page) -> Page {
    let refresh_token = json(token_of)["refresh_token"].as_str().unwrap().to_owned();
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "public"),
        ("refresh_token", &*refresh_token),
    ];
    token(server, &form)
}

fn token(server: &AuthorizationServer, form: &[(&str, &str)]) -> Page {
    browser::post_form(&endpoint(server, "/token"), form)
}

fn json(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap_or_else(|_| panic!("{page:?}"))
}

#[test]
fn a_code_is_given_for_the_right_verifier_only() {
    let server = server();
    let answer = redeem(&server, VERIFIER);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(server.accepts(json(&answer)["access_token"].as_str().unwrap()));
    assert_eq!(server.complaints(), Vec::<String>::new());

    let answer = redeem(&server, "another-verifier-of-at-least-forty-three-characters");
    assert_eq!(json(&answer)["error"], "invalid_grant");
    assert_eq!(server.complaints().len(), 1);
}

#[test]
fn the_redirect_brings_state_and_issuer() {
    let server = server();
    let back = authorize(&server);
    assert_eq!(back[1], ("state".into(), "a-state-of-enough-length".into()));
    assert_eq!(back[2], ("iss".into(), server.issuer()));
}

#[test]
fn the_use_of_an_old_refresh_token_ends_the_family() {
    let server = server();
    let first = redeem(&server, VERIFIER);
    let second = refresh(&server, &first);
    let access = json(&second)["access_token"].as_str().unwrap().to_owned();
    assert!(server.accepts(&access));
    assert_eq!(json(&refresh(&server, &first))["error"], "invalid_grant");
    assert_eq!(server.reuses(), 1);
    assert!(!server.accepts(&access));
    assert_eq!(json(&refresh(&server, &second))["error"], "invalid_grant");
    assert_eq!(server.grants("refresh_token"), 3);
}

#[test]
fn a_client_must_show_its_secret() {
    let server = server();
    let form = |secret| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", "secretive"),
            ("client_secret", secret),
        ]
    };
    assert_eq!(token(&server, &form("wrong")).status, 401);
    let answer = token(&server, &form("s3cret"));
    assert_eq!((answer.status, &json(&answer)["refresh_token"]), (200, &Value::Null));
}

#[test]
fn faults_come_in_their_order_and_then_no_more() {
    let server = server();
    server.script(Endpoint::Token, Fault::Status(502));
    server.script(Endpoint::Token, Fault::Error("temporarily_unavailable"));
    let form = [("grant_type", "client_credentials"), ("client_id", "public")];
    assert_eq!(token(&server, &form).status, 502);
    assert_eq!(json(&token(&server, &form))["error"], "temporarily_unavailable");
    assert_eq!(json(&token(&server, &form))["error"], "unauthorized_client");
}

#[test]
fn a_parameter_sent_twice_is_a_complaint() {
    let server = server();
    token(&server, &[("grant_type", "x"), ("client_id", "public"), ("client_id", "public")]);
    let complaints = server.complaints();
    assert_eq!(complaints[0], "token: client_id more than once", "{complaints:?}");
}

#[test]
fn a_resource_challenges_whoever_has_no_live_token() {
    let server = server();
    let access = json(&redeem(&server, VERIFIER))["access_token"].as_str().unwrap().to_owned();
    let resource = ProtectedResource::start("Authorization", server.introspection());
    let url = Url::parse(&format!("{}/me", resource.origin())).unwrap();
    let ask = |header: &str| browser::request(&url, &format!("GET /me HTTP/1.1\r\n{header}\r\n"));
    assert_eq!(ask("").header("www-authenticate"), Some("Bearer"));
    assert_eq!(ask(&format!("Authorization: Bearer {access}\r\n")).status, 200);
    server.revoke_everything();
    assert_eq!(ask(&format!("Authorization: Bearer {access}\r\n")).status, 401);
    assert_eq!(resource.requests().len(), 3);
}

#[test]
fn a_sandbox_inherits_nothing_but_the_way_to_programs() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", "sk-given");
    let environment = sandbox.start(sandbox.program("env")).finish().success();
    let names: Vec<&str> =
        environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains(&"AUTHCTL_OPENAI_TOKEN"));
    for name in names.iter().filter(|name| std::env::var_os(name).is_some()) {
        let is_own = ["PATH", "LLVM_PROFILE_FILE", "LANG", "TERM", "BROWSER"].contains(name)
            || environment.contains(&format!("{name}={}", sandbox.path("").display()));
        assert!(is_own, "{name} was inherited");
    }
}

#[test]
fn what_differs_from_run_to_run_is_redacted() {
    let sandbox = Sandbox::new();
    let text = format!(
        "{}/x http://127.0.0.1:4711/ 2026-11-21T10:00:00.5Z cred_AAAAAAAAAAAAAAAAAAAAAA in 59 min",
        sandbox.path("home").display()
    );
    assert_eq!(
        sandbox.redact(&text),
        "[SANDBOX]/home/x http://127.0.0.1:[PORT]/ [TIME] [CREDENTIAL_ID] [SPAN]"
    );
}
