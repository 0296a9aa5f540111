//! The proxy with tokens that are bound to a key (RFC 9449): each request is proved anew, and programs that know
//! nothing of proofs use them all the same.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S9 | a bound token works without its program having it | `each_request_is_proved_…` |

use std::collections::BTreeSet;

use crate::support::dpop::{BoundResource, verify};
use crate::support::lending::Lending;
use crate::support::signed_in::{self, PROVIDER, SignedIn};

/// Somebody with a bound token, a server that takes nothing else, and a command beside a proxy to it.
fn scene(nonce: Option<&'static str>) -> (SignedIn, BoundResource, Lending) {
    let person = SignedIn::not_yet("", |_| {});
    let api = BoundResource::start(nonce, person.server.bindings());
    let base = format!("[provider.{PROVIDER}]\nbase_url = \"{}\"\n", api.origin());
    let config = signed_in::config(&person.server, "dpop = \"required\"");
    person.sandbox.write_config(&(base + &config));
    signed_in::login(&person.sandbox, &[]).success();
    let lending = Lending::exec(&person.sandbox, &["--with", PROVIDER]);
    (person, api, lending)
}

#[test]
fn each_request_is_proved_with_the_key_of_the_token() {
    let (person, api, lending) = scene(None);
    // What the program makes up of its own goes no further.
    let key =
        format!("Authorization: Bearer {}\r\nDPoP: made-up\r\n", lending.variables["DEMO_TOKEN"]);
    for (line, body) in [("GET /demo/a?x=y", ""), ("POST /demo/b", "abc"), ("GET /demo/a?x=y", "")]
    {
        let headers = format!("Content-Length: {}\r\n{key}", body.len());
        let reply = lending.ask(line, &headers, body.as_bytes());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let requests = api.requests();
    assert_eq!(requests.len(), 3);
    let proof = |request| verify(request, &format!("{}{}", api.origin(), request.path)).unwrap();
    let ids: BTreeSet<_> = requests.iter().map(|request| proof(request).jti).collect();
    let keys: BTreeSet<_> = requests.iter().map(|request| proof(request).jkt).collect();
    assert_eq!((ids.len(), keys.len()), (3, 1));
    for request in &requests {
        assert!(request.header("authorization").unwrap().starts_with("DPoP "));
    }
    let secrets = person.server.secrets();
    assert!(secrets.iter().all(|secret| !lending.variables.values().any(|it| it.contains(secret))));
}

#[test]
fn a_nonce_that_a_server_wants_is_in_every_proof_from_then_on() {
    let (person, api, lending) = scene(Some("n1"));
    let key = format!("Authorization: Bearer {}\r\n", lending.variables["DEMO_TOKEN"]);
    for _ in 0..2 {
        let headers = format!("Content-Length: 3\r\n{key}");
        assert_eq!(lending.ask("POST /demo/b", &headers, b"abc").status, 200);
    }
    let nonces: Vec<_> = api
        .requests()
        .iter()
        .map(|request| verify(request, &format!("{}/b", api.origin())).unwrap().nonce)
        .collect();
    assert_eq!(nonces, [None, Some("n1".to_owned()), Some("n1".to_owned())]);
    assert_eq!(person.refreshes(), 0, "a nonce is no reason for a new token");
}
