//! The catalogue of misbehaving servers that the project builds for itself and keeps extending: what a
//! server does, in which flow, and what authctl must do. In every case (see `support/hostile`): a stable
//! exit code, an error that names the provider and the host, no secret and no control character in it,
//! nothing stored, no refresh token lost.
//!
//! | id | tests |
//! |---|---|
//! | I2 | `plain_http_…`, `certificates_…` |
//! | I3 | `an_issuer_…`, `a_redirect_of_another_issuer_…` |
//! | I4, I5 | `authorization_requests_…`, `pkce_…` |
//! | I6 | `ambiguous_documents_…` |
//! | I7 | `registrations_…`, `twenty_logins_…` |
//! | I8 | `forged_callbacks_…`, `redirects_that_…`, `a_code_…` |
//! | I9 | `token_answers_…` |
//! | S4 | `redirects_are_never_followed` |
//! | A1, A2 | `answers_that_break_off_…`, `answers_without_end_…`, `answers_that_never_come_…` |
//! | A6 | `device_…` |
//! | L1 | `the_listener_…` |
//! | L3 | `strangers_…` |

use std::collections::{HashMap, HashSet};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use url::Url;

use crate::real_parts::present;
use crate::support::authorization_server::Endpoint;
use crate::support::authorization_server::Endpoint::{
    Authorize, Device, Metadata, Register, Revoke, Token,
};
use crate::support::authorization_server::{Fault, Person, Twist};
use crate::support::hostile::deeds::{self, Deed, added, field, fields, parameter, without};
use crate::support::hostile::tls::{self, Authority, Leaf, Manner};
use crate::support::hostile::{Case, Expect, Flow, Sink, Stage, config, run, strangers};
use crate::support::http::{Answer, Server};
use crate::support::sandbox::Running;
use crate::support::{browser, eventually, is_long};

/// A place where a document comes from, and the field that matters most in it.
#[derive(Clone, Copy)]
struct Place {
    flow: Flow,
    endpoint: Endpoint,
    key: &'static str,
}

const fn place(flow: Flow, endpoint: Endpoint, key: &'static str) -> Place {
    Place { flow, endpoint, key }
}

/// Every place where a document is read.
const PLACES: [Place; 8] = [
    place(Flow::Browser, Metadata, "issuer"),
    place(Flow::Browser, Register, "client_id"),
    place(Flow::Browser, Token, "access_token"),
    place(Flow::Device, Device, "device_code"),
    place(Flow::Device, Token, "access_token"),
    place(Flow::Machine, Metadata, "issuer"),
    place(Flow::Machine, Token, "access_token"),
    place(Flow::Refresh, Token, "access_token"),
];

/// The deeds at the places. A short run does each deed at one place and visits every place; the long
/// one does all of them everywhere.
fn crossed(
    places: &[Place],
    deeds: impl Fn(Place) -> Vec<Deed>,
    expect: impl Fn(Place, &str) -> Expect,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, place) in places.iter().enumerate() {
        for (turn, (name, deed)) in deeds(*place).into_iter().enumerate() {
            if is_long() || turn % places.len() == number {
                cases.push(case(*place, name, deed, expect(*place, name)));
            }
        }
    }
    cases
}

fn case(place: Place, name: &str, deed: Fault, expect: Expect) -> Case {
    let Place { flow, endpoint, .. } = place;
    let id = format!("{flow:?} {endpoint:?}: {name}");
    Case { id, flow, endpoint, deed, expect }
}

/// The same flow and endpoint for a table.
fn cases<const N: usize>(
    flow: Flow,
    endpoint: Endpoint,
    table: [(&'static str, Fault, Expect); N],
) -> Vec<Case> {
    let place = place(flow, endpoint, "");
    table.into_iter().map(|(name, deed, expect)| case(place, name, deed, expect)).collect()
}

/// What cannot be used ends a login; in a refresh the access token may already have been replaced, so
/// that is something to try again.
fn unusable(place: Place, words: &'static str) -> Expect {
    Expect::Fails(if place.flow == Flow::Refresh { 75 } else { 1 }, words)
}

// ------------------------------------------------------------------------------------- documents (I6)

#[test]
fn ambiguous_documents_are_refused() {
    run(crossed(
        &PLACES,
        |place| deeds::unreadable(place.key),
        |place, _| unusable(place, "gave an unusable answer: "),
    ));
}

#[test]
fn what_is_no_document_is_refused() {
    run(crossed(
        &PLACES,
        |_| deeds::not_a_document(),
        |place, _| match place.endpoint {
            Metadata => Expect::Fails(1, "publishes no authorization server metadata"),
            _ => unusable(place, "gave an unusable answer: "),
        },
    ));
}

#[test]
fn redirects_are_never_followed() {
    let sink = Sink::start();
    let places = [&PLACES[..], &[place(Flow::Revoke, Revoke, "")]].concat();
    let every = |place: &Place| {
        let expect = match place.flow {
            Flow::Revoke => Expect::Warns("could not be told"),
            _ => unusable(*place, "a redirect"),
        };
        deeds::redirects(&sink.url())
            .into_iter()
            .map(move |(name, deed)| case(*place, name, deed, expect.clone()))
            .collect::<Vec<_>>()
    };
    run(places.iter().flat_map(every).collect());
    assert_eq!(sink.visits(), 0);
}

// --------------------------------------------------------------------------------- the wire (A1, A2)

#[test]
fn answers_that_break_off_can_be_tried_again() {
    run(crossed(
        &PLACES,
        |_| deeds::broken(),
        |place, name| {
            let broke = ["no answer", "shorter", "half", "a chunk"];
            if broke.iter().any(|start| name.starts_with(start)) {
                Expect::Fails(75, "broke before its answer was complete")
            } else {
                unusable(place, "is not HTTP")
            }
        },
    ));
}

#[test]
fn answers_without_end_are_cut_off() {
    run(crossed(&PLACES, |_| deeds::endless(), |place, _| unusable(place, "is longer than")));
}

#[test]
fn a_server_that_is_busy_can_be_tried_again() {
    run(crossed(
        &PLACES,
        |_| deeds::unavailable(),
        |place, name| match (place.endpoint, name) {
            (Metadata, "temporarily_unavailable" | "server_error") => {
                Expect::Fails(1, "publishes no authorization server metadata")
            }
            _ => Expect::Fails(75, "cannot answer now"),
        },
    ));
}

#[test]
fn answers_that_never_come_end_at_the_deadline() {
    let places = if is_long() { &PLACES[..] } else { &PLACES[2..3] };
    let mut cases =
        crossed(places, |_| deeds::stalls(), |_, _| Expect::Fails(75, "did not answer in time"));
    // Thirty seconds each: the short run looks at one that sends nothing and one that never stops.
    if !is_long() {
        cases.retain(|case| {
            case.id.contains("silence") && !case.id.contains("head") || case.id.contains("a body")
        });
    }
    run(cases);
}

// ------------------------------------------------------------------------------------ issuers (I2, I3)

#[test]
fn an_issuer_is_compared_byte_for_byte() {
    fn issuer(change: impl Fn(&str) -> String + Send + Sync + 'static) -> Fault {
        fields(move |document| {
            document["issuer"] = change(document["issuer"].as_str().unwrap()).into();
        })
    }
    let refused = || Expect::Fails(1, "but the server says that it is");
    run(cases(
        Flow::Browser,
        Metadata,
        [
            ("another", issuer(|_| "https://evil.example".into()), refused()),
            ("a slash behind", issuer(|own| format!("{own}/")), refused()),
            ("a blank behind", issuer(|own| format!("{own} ")), refused()),
            ("a path", issuer(|own| format!("{own}/tenant")), refused()),
            ("a query", issuer(|own| format!("{own}?")), refused()),
            ("a fragment", issuer(|own| format!("{own}#")), refused()),
            ("https", issuer(|own| own.replace("http:", "https:")), refused()),
            ("capitals", issuer(str::to_uppercase), refused()),
            ("localhost", issuer(|own| own.replace("127.0.0.1", "localhost")), refused()),
            (
                "another spelling of the address",
                issuer(|own| own.replace("127.0.0.1", "127.1")),
                refused(),
            ),
            ("escapes", issuer(|own| own.replace("127", "%3127")), refused()),
            ("a user name", issuer(|own| own.replace("//", "//x@")), refused()),
            ("a zero before the port", issuer(|own| own.replace("1:", "1:0")), refused()),
            (
                "escape sequences",
                issuer(|_| "https://\u{1b}[2J\u{202e}evil\u{9b}1m\r\nhint: x".into()),
                refused(),
            ),
            ("a megabyte", issuer(|_| "x".repeat(1_000_000)), refused()),
        ],
    ));
}

#[test]
fn endpoints_that_are_not_safe_are_refused_before_a_browser_opens() {
    let endpoint = |url: &str| field("authorization_endpoint", json!(url));
    let own_endpoint = |query: &'static str| {
        fields(move |document| {
            let own = document["authorization_endpoint"].as_str().unwrap();
            document["authorization_endpoint"] = format!("{own}{query}").into();
        })
    };
    let token = |url: &str| field("token_endpoint", json!(url));
    let at = |words| Expect::Fails(1, words);
    run(cases(
        Flow::Browser,
        Metadata,
        [
            ("plain http", endpoint("http://login.example/authorize"), at("is not https")),
            ("plain http for the token", token("http://login.example/token"), at("is not https")),
            (
                "plain http for registration",
                field("registration_endpoint", json!("http://a.example/")),
                at("is not https"),
            ),
            (
                "plain http for revocation",
                field("revocation_endpoint", json!("http://a.example/")),
                at("is not https"),
            ),
            ("javascript", endpoint("javascript:alert(1)"), at("not a usable web address")),
            ("file", endpoint("file:///etc/passwd"), at("not a usable web address")),
            ("data", endpoint("data:text/html,x"), at("not a usable web address")),
            ("ftp", endpoint("ftp://a.example/x"), at("is not https")),
            ("a scheme of an application", endpoint("ms-msdt:/id"), at("not a usable web address")),
            ("relative", endpoint("/authorize"), at("not a usable web address")),
            ("without a scheme", endpoint("//a.example/x"), at("not a usable web address")),
            ("a user name", endpoint("https://me@a.example/"), at("user name or password")),
            ("a password", endpoint("https://me:hunter2@a.example/"), at("user name or password")),
            ("a fragment", endpoint("https://a.example/#x"), at("has a fragment")),
            (
                "a blank",
                endpoint("https://a.example/ --new-window"),
                at("not a usable web address"),
            ),
            ("a line break", endpoint("https://a.example/\nx"), at("not a usable web address")),
            (
                "a shell's words",
                endpoint("https://a.example/$(touch x)"),
                at("not a usable web address"),
            ),
            (
                "escape sequences",
                endpoint("\u{1b}]8;;https://a.example\u{7}"),
                at("not a usable web address"),
            ),
            ("own parameters", own_endpoint("?state=x"), at("parameters of a request")),
            (
                "own redirect URI",
                own_endpoint("?redirect_uri=https://b.example"),
                at("parameters of a request"),
            ),
            (
                "a list",
                field("authorization_endpoint", json!(["https://a.example"])),
                at("not a text"),
            ),
            (
                "the metadata service",
                token("https://169.254.169.254/token"),
                at("no request may go to"),
            ),
            (
                "the metadata service in digits",
                token("https://2852039166/token"),
                at("no request may go to"),
            ),
            (
                "the metadata service in IPv6",
                token("https://[::ffff:169.254.169.254]/"),
                at("no request may go to"),
            ),
            (
                "a link-local browser address",
                endpoint("https://169.254.169.254/"),
                at("no request may go to"),
            ),
            (
                "no authorization endpoint",
                without("authorization_endpoint"),
                Expect::Fails(1, "names no authorization endpoint"),
            ),
            (
                "no token endpoint",
                without("token_endpoint"),
                Expect::Fails(1, "names no token endpoint"),
            ),
            (
                "no registration endpoint",
                without("registration_endpoint"),
                Expect::Fails(1, "names no registration endpoint"),
            ),
        ],
    ));
}

#[test]
fn a_redirect_of_another_issuer_ends_the_login() {
    let iss = |change: fn(String) -> String| parameter("iss", move |own| Some(change(own)));
    let refused = || Expect::Fails(1, "the redirect came from");
    run(cases(
        Flow::Browser,
        Authorize,
        [
            ("none, though promised", parameter("iss", |_| None), refused()),
            ("empty", iss(|_| String::new()), refused()),
            ("another", iss(|_| "https://evil.example".into()), refused()),
            ("a slash behind", iss(|own| format!("{own}/")), refused()),
            ("capitals", iss(|own| own.replace("http", "HTTP")), refused()),
            ("https", iss(|own| own.replace("http:", "https:")), refused()),
            ("localhost", iss(|own| own.replace("127.0.0.1", "localhost")), refused()),
            ("escapes", iss(|own| own.replace("127", "%3127")), refused()),
            ("a blank behind", iss(|own| format!("{own} ")), refused()),
            ("a NUL behind", iss(|own| format!("{own}\0")), refused()),
            ("cut", iss(|own| own[..own.len() - 1].into()), refused()),
            ("escape sequences", iss(|_| "\u{1b}[2Jx\u{202e}".into()), refused()),
            (
                "another, with an error that is not to be shown",
                deeds::location(|pairs| {
                    pairs.retain(|(name, _)| name == "state");
                    pairs.push(("iss".into(), "https://evil.example".into()));
                    pairs.push(("error".into(), "call-0900-evil".into()));
                }),
                refused(),
            ),
        ],
    ));
}

#[test]
fn redirects_that_bring_no_clear_code_end_the_login() {
    let at = |words| Expect::Fails(1, words);
    let error = |code: &'static str, description: &'static str| {
        deeds::location(move |pairs| {
            pairs.retain(|(name, _)| name != "code");
            pairs.push(("error".into(), code.into()));
            pairs.push(("error_description".into(), description.into()));
        })
    };
    run(cases(
        Flow::Browser,
        Authorize,
        [
            ("no code", parameter("code", |_| None), at("has no code")),
            ("an empty code", parameter("code", |_| Some(String::new())), at("has no code")),
            ("two codes", added("code", "another"), at("more than once")),
            ("a second state", added("state", "another"), at("more than once")),
            ("two issuers", added("iss", "https://evil.example"), at("more than once")),
            ("code and error", added("error", "access_denied"), at("access was denied")),
            (
                "denied",
                error("access_denied", "Ask your administrator"),
                at("Ask your administrator"),
            ),
            ("login_required", error("login_required", ""), at("login_required")),
            ("invalid_scope", error("invalid_scope", "no such scope"), at("no such scope")),
            (
                "escape sequences",
                error("x\u{1b}[2J", "\u{202e}y\u{9b}1m\r\nhint: rm -rf"),
                at("refused"),
            ),
            (
                "a long description",
                error("server_error", Box::leak("x".repeat(9000).into_boxed_str())),
                at("server_error"),
            ),
        ],
    ));
}

// -------------------------------------------------------------------------------------- PKCE (I4, I5)

#[test]
fn pkce_that_the_server_does_not_promise_is_refused() {
    let methods = |methods| field("code_challenge_methods_supported", methods);
    let refused = || Expect::Fails(1, "does not promise to check PKCE");
    run(cases(
        Flow::Browser,
        Metadata,
        [
            ("not mentioned", without("code_challenge_methods_supported"), refused()),
            ("null", methods(json!(null)), refused()),
            ("none", methods(json!([])), refused()),
            ("plain", methods(json!(["plain"])), refused()),
            ("in small letters", methods(json!(["s256"])), refused()),
            ("a text", methods(json!("S256")), Expect::Fails(1, "is not a list of texts")),
            ("numbers", methods(json!([256])), Expect::Fails(1, "is not a list of texts")),
            (
                "a promise of iss that is no truth value",
                field("authorization_response_iss_parameter_supported", json!("true")),
                Expect::Fails(1, "neither true nor false"),
            ),
        ],
    ));
}

// ---------------------------------------------------------------------------------- registration (I7)

#[test]
fn registrations_are_checked() {
    let at = |words| Expect::Fails(1, words);
    let with_method = |method: &'static str| field("token_endpoint_auth_method", json!(method));
    let refusal = |status, code: &str| {
        Fault::Answer(Answer::json(
            status,
            &json!({ "error": code, "error_description": "no, \u{1b}[2J" }),
        ))
    };
    run(cases(
        Flow::Browser,
        Register,
        [
            (
                "an id with a line break",
                field("client_id", json!("a\nb")),
                at("its client_id is unfit"),
            ),
            (
                "an id that is not ASCII",
                field("client_id", json!("ä")),
                at("its client_id is unfit"),
            ),
            (
                "an id of 9000 characters",
                field("client_id", json!("x".repeat(9000))),
                at("its client_id is unfit"),
            ),
            (
                "another redirect URI",
                field("redirect_uris", json!(["https://evil.example/"])),
                at("other redirect URIs"),
            ),
            (
                "another port",
                field("redirect_uris", json!(["http://127.0.0.1:1/callback"])),
                at("other redirect URIs"),
            ),
            ("no redirect URI", field("redirect_uris", json!([])), at("other redirect URIs")),
            (
                "redirect URIs as text",
                field("redirect_uris", json!("http://127.0.0.1/")),
                at("not a list of texts"),
            ),
            ("another grant", field("grant_types", json!(["implicit"])), at("without the grant")),
            ("no grant", field("grant_types", json!([])), at("without the grant")),
            ("a method we lack", with_method("private_key_jwt"), at("private_key_jwt")),
            ("a method with escapes", with_method("\u{1b}[2J"), at("client authentication")),
            (
                "a secret that is not there",
                with_method("client_secret_basic"),
                at("no client_secret"),
            ),
            (
                "a secret with a line break",
                fields(|d| {
                    d["token_endpoint_auth_method"] = "client_secret_post".into();
                    d["client_secret"] = "a\r\nb".into();
                }),
                at("its client_secret is unfit"),
            ),
            (
                "an end that is no time",
                field("client_secret_expires_at", json!("soon")),
                at("not a number"),
            ),
            (
                "a secret that is good for nothing any more",
                fields(|d| {
                    d["token_endpoint_auth_method"] = "client_secret_post".into();
                    d["client_secret"] = "s".into();
                    d["client_secret_expires_at"] = json!(1);
                }),
                at("has expired"),
            ),
            ("refused", refusal(400, "invalid_redirect_uri"), at("invalid_redirect_uri")),
            (
                "refused with 200",
                refusal(200, "invalid_client_metadata"),
                at("invalid_client_metadata"),
            ),
            ("refused with 201", refusal(201, "access_denied"), at("access_denied")),
            ("forbidden", refusal(403, "access_denied"), at("access_denied")),
            ("fields nobody knows", field("x", json!({ "y": [1] })), Expect::Works),
            ("a number as the end", field("client_secret_expires_at", json!(0)), Expect::Works),
        ],
    ));
}

// --------------------------------------------------------------------------------- token answers (I9)

#[test]
fn token_answers_are_validated_whole() {
    let mut all = Vec::new();
    let flows = if is_long() {
        &[Flow::Browser, Flow::Device, Flow::Machine, Flow::Refresh][..]
    } else {
        &[Flow::Machine, Flow::Refresh][..]
    };
    for flow in flows {
        let at = |words| unusable(place(*flow, Token, ""), words);
        all.extend(cases(
            *flow,
            Token,
            [
                ("a MAC token", field("token_type", json!("mac")), at("not Bearer")),
                ("a DPoP token", field("token_type", json!("DPoP")), at("not Bearer")),
                ("N_A", field("token_type", json!("N_A")), at("not Bearer")),
                (
                    "a type that is no text",
                    field("token_type", json!(1)),
                    at("token_type is not a text"),
                ),
                (
                    "a token with a line break",
                    field("access_token", json!("a\r\nx: y")),
                    at("access_token: "),
                ),
                ("a token with a blank", field("access_token", json!("a b")), at("access_token: ")),
                (
                    "a token that is not ASCII",
                    field("access_token", json!("tökén")),
                    at("access_token: "),
                ),
                ("a token with a NUL", field("access_token", json!("a\0")), at("access_token: ")),
                (
                    "a token of 900 kB",
                    field("access_token", json!("x".repeat(900_000))),
                    at("access_token: "),
                ),
                (
                    "a refresh token with a blank",
                    field("refresh_token", json!("a b")),
                    at("refresh_token: "),
                ),
                (
                    "a refresh token that is a number",
                    field("refresh_token", json!(5)),
                    at("refresh_token is not a text"),
                ),
                (
                    "a refresh token that is a list",
                    field("refresh_token", json!(["x"])),
                    at("refresh_token is not a text"),
                ),
                (
                    "an end in words",
                    field("expires_in", json!("soon")),
                    at("expires_in is not a number"),
                ),
                (
                    "an end that is a list",
                    field("expires_in", json!([3600])),
                    at("expires_in is not a number"),
                ),
                (
                    "an end that is true",
                    field("expires_in", json!(true)),
                    at("expires_in is not a number"),
                ),
                (
                    "an end beyond numbers",
                    field("expires_in", json!("1e999")),
                    at("expires_in is not a number"),
                ),
                (
                    "an end that is not a number",
                    field("expires_in", json!("NaN")),
                    at("expires_in is not a number"),
                ),
                ("a scope that is a number", field("scope", json!(1)), at("scope is not a text")),
                (
                    "a scope with escapes",
                    field("scope", json!("read \u{1b}[2J")),
                    at("scope has characters"),
                ),
                (
                    "scopes with a number",
                    field("scope", json!(["read", 1])),
                    at("not a list of texts"),
                ),
                (
                    "only an id token",
                    fields(|d| *d = json!({ "id_token": "e30.e30." })),
                    at("it has no access_token"),
                ),
                (
                    "a list of tokens",
                    field("access_token", json!(["a", "b"])),
                    at("access_token is not a text"),
                ),
                // What is odd and clear all the same.
                (
                    "an end of 1e18 seconds",
                    field("expires_in", json!(1_000_000_000_000_000_000_u64)),
                    Expect::Works,
                ),
                ("an end of 2^64 seconds", field("expires_in", json!(u64::MAX)), Expect::Works),
                ("an end of 1e300 seconds", field("expires_in", json!(1e300)), Expect::Works),
                ("an end below zero", field("expires_in", json!(-1)), Expect::Works),
                ("an end of zero", field("expires_in", json!(0)), Expect::Works),
                ("an end as text", field("expires_in", json!("3600")), Expect::Works),
                ("an end with a fraction", field("expires_in", json!(3600.5)), Expect::Works),
                ("no refresh token", without("refresh_token"), Expect::Works),
                ("an empty refresh token", field("refresh_token", json!("")), Expect::Works),
                ("no scope", without("scope"), Expect::Works),
                ("fields nobody knows", field("x", json!([[{ "a": null }]])), Expect::Works),
            ],
        ));
    }
    run(all);
}

#[test]
fn token_refusals_are_told_with_their_reason() {
    let refusal = |status, body: serde_json::Value| Fault::Answer(Answer::json(status, &body));
    let coded = |code: &str| refusal(400, json!({ "error": code, "error_description": "because" }));
    let mut all = Vec::new();
    for flow in [Flow::Browser, Flow::Machine] {
        let at = |words| Expect::Fails(1, words);
        all.extend(cases(
            flow,
            Token,
            [
                ("invalid_grant", coded("invalid_grant"), at("invalid_grant (because)")),
                ("invalid_client", coded("invalid_client"), at("invalid_client (because)")),
                ("invalid_client with 401", refusal(401, json!({ "error": "invalid_client" })), at("invalid_client")),
                ("unauthorized_client", coded("unauthorized_client"), at("unauthorized_client")),
                ("invalid_target", coded("invalid_target"), at("invalid_target")),
                ("a code of its own", coded("quota"), at("quota (because)")),
                ("with 200", refusal(200, json!({ "error": "invalid_grant" })), at("invalid_grant")),
                ("with a token", refusal(200, json!({ "error": "x", "access_token": "t", "token_type": "Bearer" })), at("refused: x")),
                ("an object", refusal(400, json!({ "error": { "code": "E1", "message": "no" } })), at("E1")),
                ("a number", refusal(400, json!({ "error": 7 })), at("refused")),
                ("empty", refusal(400, json!({ "error": "" })), at("HTTP 400")),
                (
                    "escape sequences",
                    refusal(400, json!({ "error": "x\u{1b}]0;y\u{7}", "error_description": "\u{202e}\u{9b}2J\u{8}\r\nhint: x" })),
                    at("refused"),
                ),
                ("a megabyte", refusal(400, json!({ "error": "x".repeat(400_000), "error_description": "y".repeat(400_000) })), at("refused")),
            ],
        ));
    }
    let kept = |code, words| Expect::Fails(code, words);
    all.extend(cases(
        Flow::Refresh,
        Token,
        [
            ("invalid_client", coded("invalid_client"), kept(2, "does not accept the client")),
            ("invalid_scope", coded("invalid_scope"), kept(2, "invalid_scope")),
            ("slow_down", coded("slow_down"), kept(75, "slow_down")),
        ],
    ));
    run(all);
}

#[test]
fn a_sign_out_forgets_and_says_whether_the_server_was_told() {
    let warns = |words| Expect::Warns(words);
    let refusal =
        |status, code: &str| Fault::Answer(Answer::json(status, &json!({ "error": code })));
    let mut all = cases(
        Flow::Revoke,
        Revoke,
        [
            ("refused", refusal(400, "unsupported_token_type"), warns("unsupported_token_type")),
            ("refused with 200", refusal(200, "invalid_client"), warns("invalid_client")),
            ("401", refusal(401, "invalid_client"), warns("invalid_client")),
            ("503", Fault::Status(503), warns("cannot answer now (HTTP 503)")),
            ("404", Fault::Status(404), warns("HTTP 404")),
            ("a web page with 403", Fault::Html(403), warns("HTTP 403")),
        ],
    );
    let deeds = deeds::broken().into_iter().chain(deeds::endless());
    let turn = |index: usize| is_long() || index.is_multiple_of(5);
    all.extend(deeds.enumerate().filter(|(index, _)| turn(*index)).map(|(_, (name, deed))| {
        case(place(Flow::Revoke, Revoke, ""), name, deed, warns("could not be told"))
    }));
    run(all);
}

#[test]
fn a_check_reports_what_the_token_endpoint_did() {
    let deeds =
        [deeds::broken(), deeds::not_a_document(), deeds::unreadable("access_token")].concat();
    let turn = |index: usize| is_long() || index.is_multiple_of(9);
    let chosen = deeds.into_iter().enumerate().filter(|(index, _)| turn(*index));
    run(chosen
        .map(|(_, (name, deed))| {
            case(
                place(Flow::Check, Token, ""),
                name,
                deed,
                Expect::Reports("cannot refresh acme now"),
            )
        })
        .collect());
}

#[test]
fn a_check_reports_what_the_api_did_and_sends_the_token_nowhere_else() {
    let sink = Sink::start();
    let answer = Arc::new(Mutex::new(Answer::empty(200)));
    let answers = Arc::clone(&answer);
    let api = Server::start(move |_| answers.lock().unwrap().clone());
    let stage = Stage::new();
    stage.configure(&format!("client = \"register\"\nverify = \"{}/me\"", api.origin()));
    stage.sign_in();
    let redirects = [301, 302, 303, 307, 308]
        .map(|status| (Answer::empty(status).header("location", &sink.url()), 1, "a redirect"));
    let others = [
        (Answer::empty(200), 0, "token ends"),
        (Answer::empty(401), 1, "answers 401"),
        (Answer::empty(403), 1, "answers 403"),
        (Answer::empty(429), 1, "answers 429"),
        (Answer::empty(500), 1, "answers 500"),
        (Answer::HangUp, 1, "broke before"),
        (Answer::Raw(b"SSH-2.0-x\r\n".to_vec()), 1, "is not HTTP"),
        (
            Answer::Raw([b"HTTP/1.1 200 OK\r\n\r\n", &*vec![b' '; 2 << 20]].concat()),
            1,
            "longer than",
        ),
    ];
    for (reply, code, words) in redirects.into_iter().chain(others) {
        *answer.lock().unwrap() = reply;
        let output = stage.play(Flow::Check);
        let named = code == 0 || output.stdout.contains(&api.origin()["http://".len()..]);
        assert!(output.code() == code && named && output.stdout.contains(words), "{output:?}");
        assert!(stage.holds_one());
    }
    assert_eq!(sink.visits(), 0);
}

// ------------------------------------------------------------------------------------ requests (I4, I5)

#[test]
fn authorization_requests_are_fresh_and_twenty_logins_make_one_registration() {
    let stage = Stage::new();
    let mut seen = HashSet::new();
    let mut fresh = |value: String| assert!(seen.insert(value.clone()), "{value} twice");
    for _ in 0..20 {
        let mut running = stage.start(Flow::Browser);
        let url = Url::parse(&running.opened_url()).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked.len(), url.query_pairs().count(), "{url}");
        assert_eq!((&*asked["response_type"], &*asked["code_challenge_method"]), ("code", "S256"));
        // 128 and 256 bits in base64url.
        assert!(asked["state"].len() >= 22 && asked["code_challenge"].len() == 43, "{url}");
        fresh(asked["state"].clone());
        fresh(asked["code_challenge"].clone());
        browser::open(url.as_str());
        running.finish().success();
    }
    for request in stage.server.requests(Token) {
        let form: HashMap<String, String> = request.form().into_iter().collect();
        // 256 bits, as RFC 7636 §4.1 spells them.
        assert!(form["code_verifier"].len() >= 43, "{form:?}");
        fresh(form["code_verifier"].clone());
    }
    assert_eq!(stage.server.requests(Register).len(), 1);
    assert_eq!(stage.server.requests(Token).len(), 20);
}

#[test]
fn pkce_that_nobody_verifies_is_announced() {
    let stage = Stage::new();
    let silent = || without("code_challenge_methods_supported");
    stage.server.always(Metadata, Some(silent()));
    stage.configure("client = \"register\"\npkce = \"unverified\"");
    let output = stage.play(Flow::Browser);
    assert!(
        output.stderr.contains("warning: acme does not say whether it checks PKCE"),
        "{output:?}"
    );
    output.success();
    let asked = &stage.server.requests(Authorize)[0];
    assert!(
        asked.query.iter().any(|(name, value)| name == "code_challenge_method" && value == "S256")
    );
    // What the server does say still counts, and the word is for this provider only.
    stage.configure("client = \"register\"");
    assert!(stage.play(Flow::Browser).failure(1).contains("does not promise to check PKCE"));
}

#[test]
fn the_resource_is_the_one_that_was_named_in_every_request() {
    let stage = Stage::new();
    // A spelling that a URL parser would change.
    let resource = "https://API.example:443/a/../b%2f?x=%7e";
    stage.configure(&format!("client = \"register\"\nresource = \"{resource}\""));
    stage.server.rules(|rules| rules.resource = Some(resource.into()));
    for flow in [Flow::Browser, Flow::Refresh, Flow::Device, Flow::Refresh, Flow::Machine] {
        stage.play(flow).success();
    }
    // The server complains of any request without that very resource.
    assert_eq!(stage.server.complaints(), Vec::<String>::new());
    assert_eq!(stage.server.requests(Token).len(), 5);
}

// ------------------------------------------------------------------------------------------- TLS (I2)

#[test]
fn plain_http_to_the_network_is_refused_without_a_connection() {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // A datagram socket sends nothing by being connected; it only learns its address.
    let address = probe.connect("198.51.100.1:9").and_then(|()| probe.local_addr());
    let Some(address) = address.ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
    else {
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let lan = format!("http://{}", listener.local_addr().unwrap());
    let stage = Stage::new();
    stage.sandbox.write_config(&config(&lan, "client = \"register\""));
    let refusal = stage.play(Flow::Browser).failure(2);
    assert!(refusal.contains("does not begin with https://"), "{refusal}");
    stage.configure("client = \"register\"");
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
    ] {
        stage.server.always(Metadata, Some(field(endpoint, json!(lan))));
        let refusal = stage.play(Flow::Browser).failure(1);
        assert!(refusal.contains(&format!("{endpoint}: {lan} is not https")), "{refusal}");
        assert!(stage.sandbox.opened_urls().is_empty());
    }
    stage.server.always(Metadata, None);
    stage.server.always(Device, Some(field("verification_uri", json!(lan))));
    let refusal = stage.play(Flow::Device).failure(1);
    assert!(refusal.contains("is not https") && !refusal.contains("enter this code"), "{refusal}");
    let visitor = listener.accept();
    assert_eq!(visitor.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(!stage.holds_one());
}

#[test]
fn certificates_that_prove_nothing_end_it_before_a_browser_opens() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let stranger = Authority::new();
    let wrong = |words: &'static str, leaf| (words, leaf, Manner::Honest, &authority);
    let cases = [
        wrong("expired", Leaf { life: ["20200101000000Z", "20200102000000Z"], ..tls::GOOD }),
        wrong("not valid yet", Leaf { life: ["20480101000000Z", "20491231235959Z"], ..tls::GOOD }),
        wrong("for another name", Leaf { name: "DNS:login.example", ..tls::GOOD }),
        wrong("for another name", Leaf { name: "DNS:127.0.0.1", ..tls::GOOD }),
        wrong("for another name", Leaf { name: "IP:127.0.0.2", ..tls::GOOD }),
        wrong("does not trust", Leaf { self_signed: true, ..tls::GOOD }),
        wrong("not one for servers", Leaf { usage: "clientAuth", ..tls::GOOD }),
        ("does not trust", tls::GOOD, Manner::Honest, &stranger),
        ("no longer safe", tls::GOOD, Manner::OldProtocol, &authority),
    ];
    for (words, leaf, manner, authority_of_server) in cases {
        let (mut stage, origin) = behind_tls(authority_of_server, leaf, manner);
        stage.sandbox.env("SSL_CERT_FILE", authority.file());
        let refusal = stage.play(Flow::Browser).failure(1);
        println!("{leaf:?} {manner:?}\n    {refusal}");
        assert!(refusal.contains("no secure connection to"), "{refusal}");
        assert!(
            refusal.contains(&origin["https://".len()..]) && refusal.contains(words),
            "{refusal}"
        );
        assert!(stage.sandbox.opened_urls().is_empty());
        assert!(stage.server.requests(Metadata).is_empty());
    }
}

#[test]
fn an_answer_that_tls_may_have_cut_is_not_believed() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let (mut stage, _) = behind_tls(&authority, tls::GOOD, Manner::Truncates);
    stage.sandbox.env("SSL_CERT_FILE", authority.file());
    let refusal = stage.play(Flow::Machine).failure(75);
    assert!(refusal.contains("broke before its answer was complete"), "{refusal}");
}

#[test]
fn an_authority_named_by_the_environment_is_trusted() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::new();
    let (mut stage, _) = behind_tls(&authority, tls::GOOD, Manner::Honest);
    let refusal = stage.play(Flow::Machine).failure(1);
    assert!(refusal.contains("no secure connection to"), "{refusal}");
    stage.sandbox.env("SSL_CERT_FILE", authority.file());
    stage.play(Flow::Machine).success();
    assert!(stage.holds_one());
}

/// The stage with its server behind TLS, and the server's origin there.
fn behind_tls(authority: &Authority, leaf: Leaf, manner: Manner) -> (Stage, String) {
    let stage = Stage::new();
    let plain = stage.server.issuer();
    let origin = authority.serve(leaf, manner, &plain);
    stage.sandbox.write_config(&config(&origin, "client = \"register\""));
    let secure = origin.clone();
    let moved = deeds::text(move |text| text.replace(&plain, &secure).into_bytes());
    stage.server.always(Metadata, Some(moved));
    (stage, origin)
}

// ----------------------------------------------------------------------------------- the listener (I8, L)

/// A login that waits for its redirect: where to send the browser, the redirect URI's port, and `state`.
struct Waiting {
    running: Running,
    url: Url,
    port: u16,
    state: String,
}

impl Waiting {
    fn new(stage: &Stage) -> Self {
        let mut running = stage.start(Flow::Browser);
        let url = Url::parse(&running.opened_url()).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let port = Url::parse(&asked["redirect_uri"]).unwrap().port().unwrap();
        Self { running, port, state: asked["state"].clone(), url }
    }

    /// Sends a redirect to the listener.
    fn callback(&self, query: &str) -> browser::Page {
        let url = format!("http://127.0.0.1:{}/callback{query}", self.port);
        browser::get(&Url::parse(&url).unwrap())
    }

    fn memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.running.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn forged_callbacks_neither_end_nor_complete_the_login() {
    let stage = Stage::new();
    let waiting = Waiting::new(&stage);
    let right = waiting.state.clone();
    let forged = [
        String::new(),
        "?".into(),
        "?code=x".into(),
        "?code=x&state=".into(),
        "?code=x&state=forged".into(),
        "?error=access_denied".into(),
        "?error=access_denied&state=forged".into(),
        format!("?code=x&state={}", &right[..right.len() - 1]),
        format!("?code=x&state={right}x"),
        format!("?code=x&state={}", right.to_lowercase() + "-"),
        format!("?code=x&state=%00{right}"),
        format!("?code=x&state={right}%20"),
        format!("?code=x&State={right}"),
        format!("?code=x&state=forged&state={right}"),
        format!("?code=x;state={right}"),
        format!("#code=x&state={right}"),
    ];
    let rounds = if is_long() { 10_000 / forged.len() } else { 10 };
    for _ in 0..rounds {
        for query in &forged {
            let page = waiting.callback(query);
            assert!([400, 404].contains(&page.status), "{query}: {page:?}");
        }
    }
    let (url, port) = (waiting.url.clone(), waiting.port);
    assert_eq!(browser::open(url.as_str()).status, 200);
    waiting.running.finish().success();
    assert_eq!(stage.server.requests(Token).len(), 1);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_code_is_exchanged_once_however_often_the_redirect_comes() {
    let stage = Stage::new();
    // The exchange takes a while, in which the redirect comes again.
    stage.server.script(Token, Fault::Delay(Duration::from_millis(700)));
    let waiting = Waiting::new(&stage);
    let redirect = browser::get(&waiting.url).header("location").unwrap().to_owned();
    let redirect = Url::parse(&redirect).unwrap();
    assert_eq!(browser::get(&redirect).status, 303);
    for _ in 0..5 {
        assert_eq!(browser::get(&redirect).status, 303);
    }
    let forged = format!("?code=another&state={}", waiting.state);
    assert_eq!(waiting.callback(&forged).status, 303);
    let done = redirect.join("/done").unwrap();
    let page = browser::get(&done);
    assert!(page.status == 200 && !page.body.contains("code-"), "{page:?}");
    waiting.running.finish().success();
    assert_eq!(stage.server.requests(Token).len(), 1);
}

#[test]
fn the_listener_is_on_loopback_only_and_closes_after_use() {
    if !present(&["ss"]) {
        return;
    }
    let stage = Stage::new();
    let waiting = Waiting::new(&stage);
    let own = format!("pid={},", waiting.running.child.id());
    let output = Command::new("ss").args(["-Hltnp"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let listening: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&own))
        .map(|line| line.split_whitespace().nth(3).unwrap())
        .collect();
    let allowed = [format!("127.0.0.1:{}", waiting.port), format!("[::1]:{}", waiting.port)];
    assert!(!listening.is_empty(), "{text}");
    assert!(
        listening.iter().all(|address| allowed.contains(&(*address).to_owned())),
        "{listening:?}"
    );
    let (url, port) = (waiting.url.clone(), waiting.port);
    // The exchange goes on for as long as this test wants, and the port is free all the same.
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let held = move |answer| {
        let _ = gate.lock().unwrap().recv();
        answer
    };
    stage.server.script(Token, Fault::Twist(Twist::new(held)));
    let begun = Instant::now();
    browser::open(url.as_str());
    eventually("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok());
    println!("free after {:?}", begun.elapsed());
    eventually("the exchange", || (stage.server.requests(Token).len() == 1).then_some(()));
    assert!(!stage.holds_one());
    drop(release);
    waiting.running.finish().success();
}

#[test]
fn strangers_do_not_end_block_or_bloat_a_login() {
    let stage = Stage::new();
    let waiting = Waiting::new(&stage);
    let before = waiting.memory();
    let corpus = strangers::corpus();
    let count = corpus.len();
    assert!(count >= 200, "{count}");
    for request in &corpus {
        let answer = strangers::say(waiting.port, &strangers::at(request, waiting.port));
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
        assert!(
            !shown.starts_with("HTTP/1.1 200") && !shown.starts_with("HTTP/1.1 303"),
            "{shown}"
        );
    }
    for size in [1, 100, 10_000, if is_long() { 1_000_000 } else { 100_000 }] {
        strangers::say(waiting.port, &strangers::random(size));
    }
    let idle: Vec<_> = (0..if is_long() { 1_000 } else { 200 })
        .map(|turn| strangers::slow(waiting.port, if turn % 2 == 0 { b"" } else { b"GET / HT" }))
        .collect();
    let long = "GET /callback HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 9000000000000000000\r\n\r\n";
    strangers::say(waiting.port, &strangers::at(long.as_bytes(), waiting.port));
    let grown = waiting.memory().saturating_sub(before);
    println!("{count} requests, {} idle connections, {grown} KiB more", idle.len());
    assert!(grown <= 32 * 1024, "{grown} KiB");
    assert_eq!(browser::open(waiting.url.as_str()).status, 200);
    waiting.running.finish().success();
    assert_eq!(stage.server.requests(Token).len(), 1);
}

// ---------------------------------------------------------------------------------- device codes (A6)

#[test]
fn device_answers_are_checked_before_anything_is_shown() {
    let at = |words| Expect::Fails(1, words);
    run(cases(
        Flow::Device,
        Device,
        [
            (
                "a page without https",
                field("verification_uri", json!("http://a.example/")),
                at("is not https"),
            ),
            (
                "a page that is a script",
                field("verification_uri", json!("javascript:x")),
                at("not a usable web address"),
            ),
            (
                "a page at the metadata service",
                field("verification_uri", json!("https://169.254.169.254/")),
                at("no request may go to"),
            ),
            (
                "a page with a password",
                field("verification_uri", json!("https://a:b@c.example/")),
                at("user name or password"),
            ),
            ("no page", without("verification_uri"), at("no verification_uri")),
            (
                "a complete page that is a script",
                field("verification_uri_complete", json!("javascript:x")),
                at("not a usable web address"),
            ),
            (
                "a user code with escapes",
                field("user_code", json!("A\u{1b}[2J")),
                at("cannot be shown"),
            ),
            ("a user code in two lines", field("user_code", json!("A\nB")), at("cannot be shown")),
            (
                "a user code that turns around",
                field("user_code", json!("A\u{202e}B")),
                at("cannot be shown"),
            ),
            (
                "a user code of 1000 characters",
                field("user_code", json!("A".repeat(1000))),
                at("cannot be shown"),
            ),
            ("no user code", without("user_code"), at("no user_code")),
            (
                "a device code with a line break",
                field("device_code", json!("a\nb")),
                at("device_code: "),
            ),
            ("no end", without("expires_in"), at("expires_in")),
            ("an end of zero", field("expires_in", json!(0)), at("expires_in")),
            ("an end below zero", field("expires_in", json!(-5)), at("expires_in")),
            ("an end in words", field("expires_in", json!("soon")), at("expires_in")),
            ("an interval in words", field("interval", json!("often")), at("interval")),
            ("an interval that is a list", field("interval", json!([1])), at("interval")),
            ("an interval longer than the code lives", field("interval", json!(1e18)), at("")),
            ("an interval of zero", field("interval", json!(0)), Expect::Works),
            ("an interval below zero", field("interval", json!(-1)), at("")),
            ("an interval of a millisecond", field("interval", json!(0.001)), Expect::Works),
            ("an interval as text", field("interval", json!("1")), Expect::Works),
            ("an interval that is null", field("interval", json!(null)), at("")),
            ("an end of 1e300 seconds", field("expires_in", json!(1e300)), at("expires_in")),
            (
                "an unauthorized client",
                Fault::Error("unauthorized_client"),
                at("unauthorized_client"),
            ),
        ],
    ));
}

#[test]
fn device_polls_keep_to_what_the_server_says() {
    // The server complains when it is asked too early.
    let patient = |answers: &[&'static str], code, words: &str, polls: usize| {
        let stage = Stage::new();
        stage.server.rules(|rules| {
            rules.device_answers.extend(answers);
            rules.device_expires_in = 20;
        });
        let output = stage.play(Flow::Device);
        assert!(output.code() == code && output.stderr.contains(words), "{answers:?}: {output:?}");
        assert_eq!(stage.server.requests(Token).len(), polls, "{answers:?}");
        assert_eq!(stage.holds_one(), code == 0);
    };
    thread::scope(|scope| {
        scope.spawn(|| patient(&[], 0, "Signed in", 1));
        scope.spawn(|| patient(&["authorization_pending"; 3], 0, "Signed in", 4));
        scope.spawn(|| patient(&["slow_down"], 0, "Signed in", 2));
        scope.spawn(|| patient(&["access_denied"], 1, "access was denied", 1));
        scope.spawn(|| patient(&["authorization_pending", "expired_token"], 1, "ended before", 2));
        scope.spawn(|| patient(&["invalid_grant"], 1, "invalid_grant", 1));
        if is_long() {
            scope.spawn(|| {
                patient(&["slow_down", "authorization_pending", "slow_down"], 1, "ended before", 3);
            });
        }
    });
}

#[test]
fn device_polls_outlive_outages_and_end_with_the_code() {
    let after = |faults: Vec<Fault>, code, words: &str, most: usize| {
        let stage = Stage::new();
        stage.server.rules(|rules| {
            rules.device_expires_in = 15;
            if code != 0 {
                rules.person = Person::Waits;
                rules.device_expires_in = 4;
            }
        });
        for fault in faults {
            stage.server.script(Token, fault);
        }
        let output = stage.play(Flow::Device);
        assert!(output.code() == code && output.stderr.contains(words), "{output:?}");
        let polls = stage.server.requests(Token).len();
        assert!((1..=most).contains(&polls), "{polls} polls");
    };
    thread::scope(|scope| {
        scope.spawn(|| after(vec![Fault::Status(503), Fault::Status(500)], 0, "trying again", 3));
        scope.spawn(|| after(vec![Fault::HangUp, Fault::HangUp], 0, "trying again", 3));
        scope.spawn(|| after(vec![Fault::RetryAfter(3)], 0, "trying again", 2));
        // Pending for ever: as often as the interval allows, and not once more.
        scope.spawn(|| after(vec![], 1, "ended before it was confirmed", 4));
    });
    let stage = Stage::new();
    stage.server.always(Device, Some(without("interval")));
    let begun = Instant::now();
    stage.play(Flow::Device).success();
    // RFC 8628 §3.2: five seconds where the server says nothing.
    assert!(begun.elapsed() >= Duration::from_secs(5));
}
