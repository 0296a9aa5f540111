//! Pushed authorization requests (RFC 9126): when they are sent, what the browser sees of them, and what is
//! said when the server does not take one.

use crate::support::authorization_server::{Endpoint, Fault};
use crate::support::browser;
use crate::support::demo::Demo;
use crate::support::flows::callback;
use crate::support::http::Answer;
use crate::support::sandbox::Output;
use url::Url;

/// A demo whose server takes pushed requests alone.
fn demanding() -> Demo {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.requires_push = true);
    demo
}

/// What the browser was asked to open.
fn opened(demo: &Demo) -> Url {
    Url::parse(demo.sandbox.opened_urls().last().unwrap()).unwrap()
}

fn names(url: &Url) -> Vec<String> {
    url.query_pairs().map(|(name, _)| name.into_owned()).collect()
}

fn pushes(demo: &Demo) -> usize {
    demo.server.requests(Endpoint::Push).len()
}

#[test]
fn a_server_that_demands_it_gets_the_request_first_and_the_browser_a_reference() {
    let demo = demanding();
    let output = demo.login(&["demo"]);
    assert!(output.stderr.contains("good for 60 s"), "{output:?}");
    output.success();
    assert_eq!(names(&opened(&demo)), ["client_id", "request_uri"]);
    let form = demo.server.requests(Endpoint::Push)[0].form();
    let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["response_type", "redirect_uri", "state", "code_challenge", "client_id"] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name}: {names:?}");
    }
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
}

#[test]
fn a_provider_can_ask_for_it_where_the_server_does_not() {
    let demo = Demo::with("client = \"register\"\npushed_authorization = true");
    demo.login(&["demo"]).success();
    assert_eq!(names(&opened(&demo)), ["client_id", "request_uri"]);
    let shown = demo.sandbox.run(["provider", "show", "demo"]).success();
    assert!(shown.contains("pushed (RFC 9126)"), "{shown}");
}

#[test]
fn a_request_too_long_for_an_address_is_pushed_where_that_is_possible() {
    let scopes: Vec<String> = (0..200).map(|number| format!("\"scope-number-{number}\"")).collect();
    let keys = format!("client = \"register\"\nscopes = [{}]", scopes.join(", "));
    let demo = Demo::with(&keys);
    demo.login(&["demo"]).success();
    assert!(opened(&demo).as_str().len() < 500);
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            let members = metadata.as_object_mut().unwrap();
            members.remove("pushed_authorization_request_endpoint");
        };
    });
    demo.login(&["demo"]).success();
    assert!(opened(&demo).as_str().len() > 2000);
    assert_eq!(pushes(&demo), 1);
}

#[test]
fn a_client_proves_itself_to_both_endpoints_alike() {
    for authentication in ["client_secret_basic", "client_secret_post"] {
        let keys = format!(
            "client_id = \"mine\"\nauthentication = \"{authentication}\"\npushed_authorization = true"
        );
        let demo = Demo::with(&keys);
        demo.server.register("mine", Some("s3cret:/+"));
        std::fs::write(demo.sandbox.path("work/secret"), "s3cret:/+").unwrap();
        demo.login(&["demo", "--client-secret-file", "secret"]).success();
        assert_eq!(names(&opened(&demo)), ["client_id", "request_uri"], "{authentication}");
    }
}

/// A login that ends before a browser is opened, with nothing stored.
#[track_caller]
fn refused(demo: &Demo, code: i32) -> String {
    let stderr = demo.sandbox.run(["login", "demo"]).failure(code);
    assert!(demo.sandbox.opened_urls().is_empty());
    assert!(demo.sandbox.run(["status"]).success().contains("Nothing is stored"));
    stderr
}

#[test]
fn a_demand_without_an_endpoint_is_named() {
    let demo = Demo::new();
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata["require_pushed_authorization_requests"] = true.into();
            metadata["pushed_authorization_request_endpoint"] = serde_json::Value::Null;
        };
    });
    let stderr = refused(&demo, 1);
    assert!(stderr.contains("no pushed authorization request endpoint"), "{stderr}");
}

#[test]
fn what_the_server_has_against_a_request_is_told_apart_before_a_browser_opens() {
    let json = |text: &str| Fault::Json(text.into());
    for (fault, code, words) in [
        (Fault::Html(200), 1, "a web page instead of JSON"),
        (Fault::Status(404), 1, "HTTP 404"),
        (Fault::Error("invalid_request"), 1, "refused: invalid_request"),
        (Fault::Error("invalid_scope"), 1, "refused: invalid_scope"),
        (Fault::RetryAfter(7), 75, "cannot answer now"),
        (Fault::HangUp, 75, "broke before its answer"),
        (json(r#"{"expires_in":60}"#), 1, "it has no request_uri"),
        (json(r#"{"request_uri":"urn:x y","expires_in":60}"#), 1, "request_uri cannot stand"),
        (json(r#"{"request_uri":"urn:x","expires_in":"soon"}"#), 1, "expires_in"),
        (Fault::Answer(Answer::empty(302)), 1, "never followed"),
    ] {
        let demo = demanding();
        demo.server.script(Endpoint::Push, fault);
        let stderr = refused(&demo, code);
        let said = stderr.contains("the authorization request was not taken");
        assert!(said && stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn a_registration_that_the_server_forgot_is_seen_at_the_push() {
    let demo = demanding();
    demo.login(&["demo"]).success();
    demo.server.script(Endpoint::Push, Fault::Error("invalid_client"));
    let stderr = demo.sandbox.run(["login", "demo"]).failure(1);
    assert!(stderr.contains("registers a new one"), "{stderr}");
    demo.login(&["demo"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 2);
}

/// The browser comes back with `error`, to a login whose request was pushed.
fn come_back(demo: &Demo, error: &str) -> Output {
    let mut running = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    running.opened_url();
    let form = demo.server.requests(Endpoint::Push)[0].form();
    let asked = Url::parse_with_params("http://localhost/", form).unwrap();
    let issuer = demo.server.issuer();
    browser::open(callback(asked.as_str(), &[("error", error)], &issuer).as_str());
    running.finish()
}

#[test]
fn an_expired_reference_is_an_answer_and_leads_to_a_new_login() {
    let demo = demanding();
    demo.server.rules(|rules| rules.request_expires_in = 0);
    let output = come_back(&demo, "invalid_request_uri");
    let stderr = output.failure(1);
    assert!(stderr.contains("invalid_request_uri"), "{stderr}");
    assert!(stderr.contains("hint: authctl login demo"), "{stderr}");
    demo.server.rules(|rules| rules.request_expires_in = 60);
    demo.login(&["demo"]).success();
}
