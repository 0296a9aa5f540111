//! The proxy and time: tokens that end, are refused or are replaced by another process while it runs.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A3, A4 | one refresh for everybody on the machine | `many_requests_of_two_proxies_…` |
//! | S1.10 | what was streamed is not sent twice | `a_body_that_was_streamed_…` |
//! | S1.20 | a refused key is tried once | `a_refused_key_is_tried_once` |

use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::authorization_server::AuthorizationServer;
use crate::support::eventually;
use crate::support::http::{Answer, Server};
use crate::support::lending::{KEY, Lending, acme};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;
use crate::support::signed_in::{self, SignedIn};

/// A server that takes the living tokens of the authorization server, and keeps what it is shown.
struct Guarded {
    server: Server,
    shown: Arc<Mutex<Vec<Option<String>>>>,
    /// Tokens that it does not take although they live.
    refused: Arc<Mutex<Vec<String>>>,
}

impl Guarded {
    fn of(issuer: &AuthorizationServer) -> Self {
        let lives = issuer.introspection();
        let shown: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let refused: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, barred) = (Arc::clone(&shown), Arc::clone(&refused));
        let server = Server::start(move |request| {
            let token = request.header("authorization").map(|value| value.replace("Bearer ", ""));
            seen.lock().unwrap().push(token.clone());
            let is_taken = |token: &String| lives(token) && !barred.lock().unwrap().contains(token);
            match token.filter(is_taken) {
                Some(_) => Answer::new(200, "application/octet-stream", request.body.clone()),
                None => Answer::new(401, "text/plain", "who are you?"),
            }
        });
        Self { server, shown, refused }
    }

    fn shown(&self) -> Vec<Option<String>> {
        self.shown.lock().unwrap().clone()
    }

    /// The last token is taken no more.
    fn refuse_last(&self) {
        let last = self.shown().pop().flatten().unwrap();
        self.refused.lock().unwrap().push(last);
    }
}

/// Somebody who has signed in, or is about to, and the server that their requests go to.
fn scene(is_signed_in: bool, prepare: impl FnOnce(&AuthorizationServer)) -> (SignedIn, Guarded) {
    let signed_in = SignedIn::not_yet("", prepare);
    let guarded = Guarded::of(&signed_in.server);
    let base = format!("[provider.demo]\nbase_url = \"{}\"\n", guarded.server.origin());
    signed_in.sandbox.write_config(&(base + &signed_in::config(&signed_in.server, "")));
    if is_signed_in {
        signed_in::login(&signed_in.sandbox, &[]).success();
    }
    (signed_in, guarded)
}

fn proxy(sandbox: &Sandbox) -> Lending {
    Lending::proxy(sandbox, &["--with", "demo"])
}

#[test]
fn many_requests_of_two_proxies_refresh_a_refused_token_once() {
    let (person, guarded) = scene(true, |_| {});
    let proxies = [proxy(&person.sandbox), proxy(&person.sandbox)];
    for proxy in &proxies {
        assert_eq!(proxy.get("/demo/x").status, 200);
    }
    guarded.refuse_last();
    thread::scope(|scope| {
        for at in 0..64 {
            let proxy = &proxies[at % 2];
            scope.spawn(move || {
                let body = format!("body {at}");
                let length = format!("Content-Length: {}\r\n{}", body.len(), proxy.bearer());
                let reply = proxy.ask("POST /demo/x", &length, body.as_bytes());
                assert_eq!((reply.status, reply.text()), (200, body));
            });
        }
    });
    assert_eq!(person.refreshes(), 1);
    assert_eq!(person.server.reuses(), 0);
    assert!(person.server.complaints().is_empty());
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let (person, guarded) = scene(true, |server| server.rules(|rules| rules.expires_in = Some(4)));
    let lending = proxy(&person.sandbox);
    let first = eventually("a second token", || {
        assert_eq!(lending.get("/demo/x").status, 200);
        let shown = guarded.shown();
        (shown.first() != shown.last()).then(|| shown[0].clone())
    });
    let shown = guarded.shown();
    assert!(shown.iter().all(Option::is_some), "a request without a token");
    let tokens: std::collections::BTreeSet<_> = shown.iter().collect();
    assert_eq!((tokens.len(), person.server.reuses()), (2, 0));
    assert_eq!(shown.iter().filter(|token| **token != first).count(), 1);
}

/// It says so in a 200, so that nothing can be sent again.
#[test]
fn a_server_that_refuses_every_token_inside_its_answers_costs_one_refresh() {
    let person = SignedIn::not_yet("", |_| {});
    let refused = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"isError": true, "content": [],
        "structuredContent": {"adcp_error": {"code": "AUTH_REQUIRED", "message": "log in"}}}});
    let shown: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let seen = Arc::clone(&shown);
    let server = Server::start(move |request| {
        seen.lock().unwrap().push(request.header("authorization").map(str::to_owned));
        Answer::json(200, &refused)
    });
    let base = format!("[provider.demo]\nbase_url = \"{}\"\n", server.origin());
    person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
    signed_in::login(&person.sandbox, &[]).success();
    let lending = proxy(&person.sandbox);
    let headers = "Accept: application/json, text/event-stream\r\nContent-Length: 2\r\n";
    let ask = || lending.ask("POST /demo/mcp", &(lending.bearer() + headers), b"{}").status;
    eventually("a request with a new token", || {
        assert_eq!(ask(), 200);
        let shown = shown.lock().unwrap();
        (shown.first() != shown.last()).then_some(())
    });
    for _ in 0..10 {
        assert_eq!(ask(), 200);
    }
    // What is under way comes to its end.
    lending.end();
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
}

#[test]
fn a_body_that_was_streamed_is_not_sent_twice() {
    let (person, guarded) = scene(true, |_| {});
    let lending = proxy(&person.sandbox);
    assert_eq!(lending.get("/demo/x").status, 200);
    guarded.refuse_last();
    let before = guarded.shown().len();
    let large = vec![b'x'; 100_000];
    let length = format!("Content-Length: {}\r\n{}", large.len(), lending.bearer());
    let reply = lending.ask("POST /demo/x", &length, &large);
    assert_eq!((reply.status, reply.text().as_str()), (401, "who are you?"));
    assert_eq!(guarded.shown().len(), before + 1);
    assert_eq!(reply.value("x-should-retry"), None, "that would help");
    // The next one has a new token.
    eventually("a refresh", || (person.refreshes() == 1).then_some(()));
    assert_eq!(lending.ask("POST /demo/x", &length, &large).status, 200);
    assert_eq!((guarded.shown().len(), person.refreshes()), (before + 2, 1));
}

#[test]
fn a_refused_key_is_tried_once() {
    let origin = Origin::start();
    origin.wants("authorization", "Bearer another");
    for is_stored in [false, true] {
        let mut sandbox = acme(&origin.url());
        if is_stored {
            sandbox.unset("AUTHCTL_ACME_TOKEN");
            let login = ["login", "acme", "--with-token"];
            sandbox.run_with_input(login, &format!("{KEY}\n")).success();
        }
        let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
        for size in [1, 1, 100_000] {
            let before = origin.seen().len();
            let length = format!("{}Content-Length: {size}\r\n", lending.bearer());
            let reply = lending.ask("POST /acme/x", &length, &vec![b'x'; size]);
            assert_eq!((reply.status, reply.text().as_str()), (401, "who are you?"));
            assert_eq!(reply.value("x-should-retry").as_deref(), Some("false"), "{size}");
            assert_eq!(origin.seen().len(), before + 1, "stored: {is_stored}");
        }
        let stranger = lending.ask("POST /acme/x", "", b"");
        stranger.refusal(401, "key_unknown");
        assert_eq!(stranger.value("x-should-retry").as_deref(), Some("false"));
        let said = lending.end().stderr;
        let mend =
            if is_stored { "authctl login acme" } else { "replace what AUTHCTL_ACME_TOKEN gives" };
        assert_eq!(said.matches(mend).count(), 1, "{said}");
    }
}

#[test]
fn a_missing_scope_is_handed_back_and_said() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let reply = lending.get("/acme/scope");
    assert_eq!((reply.status, reply.text().as_str()), (403, "not allowed"));
    assert_eq!((reply.value("www-authenticate"), origin.seen().len()), (None, 1));
    let said = lending.end().stderr;
    // A key gets its scopes where it is made.
    assert!(
        said.contains(
            "credential acme than it may do (write); replace what AUTHCTL_ACME_TOKEN gives\n"
        ),
        "{said}"
    );
}

#[test]
fn the_sign_in_that_brings_a_missing_scope_keeps_the_others() {
    let lacks = |scope: &'static str| {
        Server::start(move |_| {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            Answer::new(403, "text/plain", "no").header("www-authenticate", &challenge)
        })
    };
    for (scope, hint) in
        [("write admin:all", " --scope 'read write admin:all'\n"), ("it's", "\n"), ("", "\n")]
    {
        let (person, server) = (SignedIn::not_yet("", |_| {}), lacks(scope));
        let base = format!("[provider.demo]\nbase_url = \"{}\"\n", server.origin());
        person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
        signed_in::login(&person.sandbox, &[]).success();
        let lending = proxy(&person.sandbox);
        assert_eq!(lending.get("/demo/x").status, 403);
        let said = lending.end().stderr;
        let line = format!("; authctl login demo{hint}");
        assert!(
            said.contains("wants more of the credential demo") && said.contains(&line),
            "{said}"
        );
        assert_eq!(person.refreshes(), 0);
    }
}

#[test]
fn a_sign_in_that_was_revoked_says_how_to_sign_in_again_and_the_new_one_is_used() {
    let (person, guarded) = scene(true, |_| {});
    let lending = proxy(&person.sandbox);
    assert_eq!(lending.get("/demo/x").status, 200);
    person.server.revoke_everything();
    let reply = lending.get("/demo/x");
    assert_eq!(reply.status, 401, "{reply:?}");
    eventually("what to do", || lending.stderr().contains("authctl login demo").then_some(()));
    signed_in::login(&person.sandbox, &[]).success();
    assert_eq!(lending.get("/demo/x").status, 200);
    assert!(guarded.shown().last().unwrap().is_some());
}

#[test]
fn what_another_process_signs_out_or_in_counts_at_once() {
    let (person, guarded) = scene(true, |_| {});
    let lending = proxy(&person.sandbox);
    assert_eq!(lending.get("/demo/x").status, 200);
    person.sandbox.run(["logout", "demo"]).success();
    assert_eq!(lending.get("/demo/x").status, 401);
    assert_eq!(guarded.shown().last(), Some(&None), "a token after the sign-out");
    signed_in::login(&person.sandbox, &[]).success();
    assert_eq!(lending.get("/demo/x").status, 200);
}

#[test]
fn who_signs_in_later_is_found() {
    let (person, guarded) = scene(false, |_| {});
    let lending = proxy(&person.sandbox);
    eventually("what to do", || lending.stderr().contains("authctl login demo").then_some(()));
    assert_eq!(lending.get("/demo/x").status, 401);
    signed_in::login(&person.sandbox, &[]).success();
    let before = guarded.shown().len();
    assert_eq!(lending.get("/demo/x").status, 200);
    assert_eq!(guarded.shown().len(), before + 1, "it was known before the request");
}
