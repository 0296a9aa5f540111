//! Tokens that are bound to a key (RFC 9449): asked for where the provider's entry says so, proved at every
//! request, kept with their key in one record, and never handed over alone.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::authorization_server::{Endpoint, Fault};
use crate::support::demo::Demo;
use crate::support::dpop::{BoundResource, verify};
use crate::support::flows::found;
use crate::support::http::{Answer, Request};
use crate::support::sandbox::Running;
use crate::support::signed_in::{PROVIDER, SignedIn, config, login};

const REQUIRED: &str = "dpop = \"required\"";

/// Signed in with a token that is bound to a key.
fn bound() -> SignedIn {
    SignedIn::with(REQUIRED, |_| {})
}

fn proofs(signed_in: &SignedIn, endpoint: Endpoint) -> Vec<String> {
    let url = |request: &Request| format!("{}{}", signed_in.server.issuer(), request.path);
    let requests = signed_in.server.requests(endpoint);
    let proofs = requests.iter().filter_map(|request| verify(request, &url(request)).ok());
    proofs.map(|proof| proof.jkt).collect()
}

/// An API for the bound tokens of this server, to which `status --check` goes.
fn api(signed_in: &SignedIn, nonce: Option<&'static str>) -> BoundResource {
    let api = BoundResource::start(nonce, signed_in.server.bindings());
    let verify = format!("{REQUIRED}\nverify = \"{}/me?x=1\"", api.origin());
    signed_in.sandbox.write_config(&config(&signed_in.server, &verify));
    api
}

fn status(signed_in: &SignedIn, flags: &[&str]) -> Value {
    let output = signed_in.sandbox.run([&["status", "--json"], flags].concat());
    output.json()["credentials"][0].clone()
}

// --------------------------------------------------------------------------------------- the key

#[test]
fn a_login_binds_its_tokens_to_a_new_key_and_a_refresh_keeps_it() {
    let signed_in = bound();
    let asked = signed_in.server.requests(Endpoint::Authorize)[0].query.clone();
    let jkt = asked.into_iter().find(|(name, _)| name == "dpop_jkt").unwrap().1;
    assert_eq!(proofs(&signed_in, Endpoint::Token), [&*jkt]);

    let record = signed_in.record();
    assert_eq!(record["format"], 2);
    assert_eq!(record["credential"]["tokens"]["token_type"], "DPoP");
    let key = record["credential"]["tokens"]["dpop_key"].clone();
    assert!(key.as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));

    signed_in.expire();
    assert_eq!(status(&signed_in, &["--check"])["state"], "active");
    assert_eq!(signed_in.refreshes(), 1);
    assert_eq!(proofs(&signed_in, Endpoint::Token), [&*jkt, &*jkt]);
    let refreshed = signed_in.record();
    assert_eq!((&refreshed["format"], &refreshed["generation"]), (&json!(2), &json!(2)));
    assert_eq!(refreshed["credential"]["tokens"]["dpop_key"], key);

    login(&signed_in.sandbox, &[]).success();
    assert_ne!(signed_in.credential()["tokens"]["dpop_key"], key, "a new sign-in, a new key");
}

#[test]
fn a_pushed_request_names_the_key_too() {
    let signed_in =
        SignedIn::with(REQUIRED, |server| server.rules(|rules| rules.requires_push = true));
    let form = signed_in.server.requests(Endpoint::Push)[0].form();
    let jkt = form.into_iter().find(|(name, _)| name == "dpop_jkt").unwrap().1;
    assert_eq!(proofs(&signed_in, Endpoint::Push), [&*jkt]);
    assert_eq!(proofs(&signed_in, Endpoint::Token), [&*jkt]);
}

#[test]
fn nobody_gets_bound_tokens_unasked() {
    for lines in ["", "dpop = false"] {
        let signed_in = SignedIn::with(lines, |_| {});
        assert_eq!(proofs(&signed_in, Endpoint::Token), Vec::<String>::new());
        let record = signed_in.record();
        assert_eq!(record["format"], 1);
        assert!(record["credential"]["tokens"].get("dpop_key").is_none());
        assert!(signed_in.server.accepts(signed_in.token(&[]).success().trim()));
    }
}

#[test]
fn devices_and_machines_prove_their_keys() {
    let device = Demo::with(&format!(
        "client_id = \"public\"\nauthentication = \"none\"\ngrants = [\"device_code\"]\n{REQUIRED}"
    ));
    device.server.register("public", None);
    device.server.rules(|rules| rules.nonce = Some("n1"));
    device.sandbox.run(["login", "demo"]).success();
    device.sandbox.run(["status", "--check"]).success();

    let machine = Demo::with(&format!("grants = [\"client_credentials\"]\n{REQUIRED}"));
    machine.server.register("robot", Some("s3cret"));
    let words = ["login", "demo", "--client-id", "robot", "--client-secret-file", "-"];
    machine.sandbox.run_with_input(words, "s3cret").success();
    // There is no refresh token: the next one is bound to the same key.
    let stderr = machine.token(&["--refresh"]).failure(2);
    assert!(stderr.contains("bound to a key"), "{stderr}");
    for demo in [&device, &machine] {
        let state = demo.sandbox.run(["status", "--json"]).json()["credentials"][0].clone();
        assert_eq!(state["dpop_bound"], true, "{state}");
    }
    let [first, second] = &machine.server.requests(Endpoint::Token)[..] else { panic!() };
    let url = format!("{}/token", machine.server.issuer());
    assert_eq!(verify(first, &url).unwrap().jkt, verify(second, &url).unwrap().jkt);
}

#[test]
fn a_client_that_is_registered_now_is_registered_for_bound_tokens() {
    let demo = Demo::with(&format!("client = \"register\"\n{REQUIRED}"));
    demo.login(&["demo"]).success();
    let asked = demo.server.requests(Endpoint::Register)[0].body.clone();
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!(asked["dpop_bound_access_tokens"], true);

    // One that the server will only give bound tokens gets them whatever the entry says.
    let demo = Demo::new();
    demo.server.script(
        Endpoint::Register,
        Fault::Reply(|request| {
            let mut client: Value = serde_json::from_slice(&request.body).unwrap();
            client["client_id"] = json!("given");
            client["dpop_bound_access_tokens"] = json!(true);
            Answer::json(201, &client)
        }),
    );
    demo.server.register("given", None);
    demo.login(&["demo"]).success();
    let stderr = demo.token(&[]).failure(2);
    assert!(stderr.contains("bound to a key"), "{stderr}");
}

// ------------------------------------------------------------------------------- handing over

#[test]
fn a_bound_token_is_not_handed_over_and_its_way_of_use_is_named() {
    let signed_in = bound();
    let token = signed_in.credential()["tokens"]["access_token"].clone();
    let exec = ["exec", "--with", PROVIDER, "--", "env"];
    let header = ["exec", "--env-header", "HEADER=demo", "--", "env"];
    for (command, code) in [
        (&["token", PROVIDER][..], 2),
        (&["token", PROVIDER, "--header"], 2),
        (&["--json", "token", PROVIDER], 2),
        (&exec, 125),
        (&header, 125),
    ] {
        let output = signed_in.sandbox.run(command);
        assert!(output.stdout.is_empty(), "{output:?}");
        let stderr = output.failure(code);
        assert!(!stderr.contains(token.as_str().unwrap()));
        for words in ["bound to a key (DPoP)", "authctl status demo --check", "dpop = false"] {
            assert!(stderr.contains(words), "{command:?}: {stderr}");
        }
    }
    let log = signed_in.sandbox.run(["log", "--json"]).json();
    let refusals = log["entries"].as_array().unwrap().iter();
    assert_eq!(refusals.filter(|entry| entry["outcome"] == "refused").count(), 5, "{log}");
    let shown = signed_in.sandbox.run(["status"]).success();
    assert!(shown.contains("bound to a key (DPoP)"), "{shown}");
    assert_eq!(status(&signed_in, &[])["dpop_bound"], true);
}

#[test]
fn authctls_own_requests_carry_token_and_proof() {
    for nonce in [None, Some("api-nonce-1")] {
        let signed_in = bound();
        let api = api(&signed_in, nonce);
        assert_eq!(status(&signed_in, &["--check"])["state"], "active");
        let check = signed_in.sandbox.run(["provider", "check", PROVIDER]).success();
        assert!(check.contains("a call to"), "{check}");
        // Each process learns the nonce once.
        assert_eq!(api.requests().len(), if nonce.is_some() { 4 } else { 2 });
    }
}

#[test]
fn a_server_that_asks_for_one_nonce_after_the_other_is_asked_twice_and_no_more() {
    let signed_in = bound();
    let resource = crate::support::http::Server::start(|_| {
        Answer::json(401, &json!({ "error": "use_dpop_nonce" }))
            .header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
            .header("dpop-nonce", "never-enough")
    });
    let verify = format!("{REQUIRED}\nverify = \"{}/me\"", resource.origin());
    signed_in.sandbox.write_config(&config(&signed_in.server, &verify));
    let state = status(&signed_in, &["--check"]);
    assert_eq!(state["state"], "ended", "{state}");
    assert!(state["reason"].as_str().unwrap().contains("use_dpop_nonce"), "{state}");
}

// ------------------------------------------------------------------------------------ nonces

#[test]
fn a_nonce_is_asked_for_once_and_the_newest_one_is_used() {
    let signed_in = SignedIn::with(REQUIRED, |server| {
        server.rules(|rules| {
            rules.requires_push = true;
            (rules.nonce, rules.next_nonce) = (Some("first"), Some("second"));
        });
    });
    // The push is asked for the first nonce, and its answer brings the second one.
    assert_eq!(signed_in.server.requests(Endpoint::Push).len(), 2);
    assert_eq!(signed_in.server.requests(Endpoint::Token).len(), 1);

    signed_in.expire();
    assert_eq!(status(&signed_in, &["--check"])["state"], "active");
    // Another process knows none: its refresh is refused first, which spends nothing.
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (2, 0));
}

const INSATIABLE: fn() -> Fault = || {
    Fault::Reply(|_| {
        Answer::json(400, &json!({ "error": "use_dpop_nonce" })).header("dpop-nonce", "another")
    })
};

#[test]
fn a_nonce_twice_or_none_at_all_ends_the_login_with_nothing_stored() {
    for (fault, requests) in [(INSATIABLE(), 2), (Fault::Error("use_dpop_nonce"), 1)] {
        let signed_in =
            SignedIn::not_yet(REQUIRED, |server| server.always(Endpoint::Token, Some(fault)));
        let stderr = login(&signed_in.sandbox, &[]).failure(1);
        assert!(stderr.contains("use_dpop_nonce"), "{stderr}");
        assert_eq!(signed_in.server.requests(Endpoint::Token).len(), requests);
        assert_eq!(signed_in.store.find(PROVIDER), None);
    }
}

#[test]
fn a_nonce_twice_or_none_at_all_leaves_the_refresh_token_unspent() {
    for fault in [INSATIABLE(), Fault::Error("use_dpop_nonce")] {
        let signed_in = bound();
        let before = signed_in.refresh_token();
        signed_in.expire();
        signed_in.server.always(Endpoint::Token, Some(fault));
        signed_in.token(&[]).failure(75);
        let record = signed_in.record();
        assert!(record.get("refreshing").is_none(), "known not to be carried out");
        assert_eq!(record["credential"]["tokens"]["refresh_token"], before);
        signed_in.server.always(Endpoint::Token, None);
        assert_eq!(status(&signed_in, &["--check"])["state"], "active");
        assert_eq!(signed_in.server.reuses(), 0);
    }
}

#[test]
fn an_answer_that_is_lost_after_the_nonce_is_journalled() {
    let signed_in = bound();
    signed_in.expire();
    signed_in.server.rules(|rules| rules.nonce = Some("n1"));
    signed_in.next(Fault::Reply(|_| {
        Answer::json(400, &json!({ "error": "use_dpop_nonce" })).header("dpop-nonce", "n1")
    }));
    signed_in.next(Fault::LoseAnswer);
    signed_in.token(&[]).failure(75);
    assert_eq!(signed_in.record()["refreshing"]["attempt"], 1);
}

#[test]
fn processes_refresh_a_bound_credential_once() {
    let signed_in = bound();
    let _api = api(&signed_in, Some("api"));
    signed_in.server.rules(|rules| rules.nonce = Some("as"));
    signed_in.expire();
    let start = |_| {
        let mut command: Command = signed_in.sandbox.command(["status", "--check"]);
        command.env("AUTHCTL_LOCK_DIR", signed_in.sandbox.path("locks"));
        signed_in.sandbox.start(command)
    };
    let running: Vec<Running> = (0..16).map(start).collect();
    for one in running {
        one.finish().success();
    }
    // One refusal for the nonce, one refresh.
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (2, 0));
    assert_eq!(signed_in.record()["generation"], 2);
}

// --------------------------------------------------------------------------- plain tokens instead

#[test]
fn a_plain_token_where_a_bound_one_is_required_is_refused() {
    let signed_in = SignedIn::not_yet(REQUIRED, |server| server.rules(|rules| rules.binds = false));
    let stderr = login(&signed_in.sandbox, &[]).failure(1);
    assert!(stderr.contains("not bound to a key") && stderr.contains("dpop = true"), "{stderr}");
    assert_eq!(signed_in.store.find(PROVIDER), None);

    // The same once it is signed in: what was bound stays bound.
    for lines in [REQUIRED, "dpop = true"] {
        let signed_in = SignedIn::with(lines, |_| {});
        signed_in.expire();
        signed_in.server.rules(|rules| rules.binds = false);
        let stderr = signed_in.token(&[]).failure(4);
        assert!(stderr.contains("not bound to a key"), "{stderr}");
        assert!(stderr.contains("authctl login demo"), "{stderr}");
        assert_eq!(signed_in.credential()["tokens"]["token_type"], "DPoP");
    }
}

#[test]
fn plain_tokens_will_do_where_bound_ones_are_only_preferred() {
    // A server that binds the refresh token alone (RFC 9449 §5).
    let signed_in =
        SignedIn::with("dpop = true", |server| server.rules(|rules| rules.binds = false));
    assert_eq!(signed_in.record()["format"], 2, "there is a key to keep");
    let exec = ["exec", "--with", PROVIDER, "--", "sh", "-c", "printf %s \"$DEMO_TOKEN\""];
    assert!(signed_in.server.accepts(&signed_in.sandbox.run(exec).success()));
    assert!(signed_in.server.accepts(signed_in.token(&["--refresh"]).success().trim()));
    assert_eq!(proofs(&signed_in, Endpoint::Token).len(), 2);
    assert_eq!(status(&signed_in, &[])["dpop_bound"], false);
}

#[test]
fn a_server_without_dpop_is_asked_for_plain_tokens_or_refused_before_a_browser_opens() {
    let without = |lines: &str| {
        SignedIn::not_yet(lines, |server| {
            server.rules(|rules| {
                rules.edit_metadata = |metadata| {
                    metadata["dpop_signing_alg_values_supported"] = json!(["RS256"]);
                };
            });
        })
    };
    let preferred = without("dpop = true");
    login(&preferred.sandbox, &[]).success();
    assert_eq!(preferred.record()["format"], 1);
    assert_eq!(proofs(&preferred, Endpoint::Token), Vec::<String>::new());

    let required = without(REQUIRED);
    let stderr = required.sandbox.run(["login", PROVIDER]).failure(1);
    assert!(stderr.contains("DPoP with ES256") && stderr.contains("dpop = true"), "{stderr}");
    assert!(required.sandbox.opened_urls().is_empty());
}

#[test]
fn a_bound_token_that_nobody_asked_for_is_of_no_use() {
    let signed_in = SignedIn::not_yet("", |_| {});
    signed_in.next(Fault::Json(r#"{"access_token":"t0ken-1","token_type":"DPoP"}"#.into()));
    let stderr = login(&signed_in.sandbox, &[]).failure(1);
    assert!(stderr.contains("not Bearer") && !stderr.contains("t0ken-1"), "{stderr}");
}

#[test]
fn a_proof_that_the_server_refuses_points_at_the_clock() {
    let signed_in = bound();
    signed_in.expire();
    signed_in.next(Fault::Error("invalid_dpop_proof"));
    let stderr = signed_in.token(&[]).failure(2);
    assert!(stderr.contains("clock") && stderr.contains("invalid_dpop_proof"), "{stderr}");
    assert!(signed_in.record().get("refreshing").is_none());
}

// ------------------------------------------------------------------------------ record and secrets

#[test]
fn a_record_of_the_format_after_this_one_is_refused_untouched_by_whatever_writes() {
    let signed_in = bound();
    signed_in.expire();
    signed_in.store.change(PROVIDER, |record| record["format"] = json!(3));
    let before = std::fs::read(signed_in.store.file(PROVIDER)).unwrap();
    for (command, code) in [
        (&["token", PROVIDER, "--refresh"][..], 1),
        (&["exec", "--with", PROVIDER, "--", "true"], 125),
        (&["login", PROVIDER], 1),
        (&["logout", PROVIDER], 1),
        (&["logout", "--all"], 1),
    ] {
        let stderr = signed_in.sandbox.run(command).failure(code);
        assert!(stderr.contains("format 3") && stderr.contains("hint: upgrade"), "{stderr}");
        assert_eq!(std::fs::read(signed_in.store.file(PROVIDER)).unwrap(), before, "{command:?}");
    }
    let state = status(&signed_in, &["--check"]);
    assert!(state["reason"].as_str().unwrap().contains("newer authctl"), "{state}");
    assert_eq!(std::fs::read(signed_in.store.file(PROVIDER)).unwrap(), before);
    assert_eq!(signed_in.server.requests(Endpoint::Token).len(), 1, "no request was sent");
}

#[test]
fn a_credential_without_its_key_asks_for_a_sign_in() {
    for key in
        [Value::Null, json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")]
    {
        let signed_in = bound();
        let _api = api(&signed_in, None);
        let put = key.clone();
        signed_in.store.change(PROVIDER, |record| {
            record["credential"]["tokens"]["dpop_key"] = put;
        });
        let output = signed_in.sandbox.run(["status", "--check"]);
        assert!(output.stdout.contains("key that the token is bound to"), "{output:?}");
        assert!(output.stdout.contains("hint: authctl login demo"), "{output:?}");
        signed_in.expire();
        let stderr = signed_in.token(&[]).failure(4);
        assert!(stderr.contains("the key of its tokens") && !stderr.contains("AAAA"), "{stderr}");
        assert_eq!(signed_in.refreshes(), 0);
    }
}

#[test]
fn signing_out_revokes_and_forgets_the_key() {
    let signed_in = bound();
    let requests = || signed_in.server.requests(Endpoint::Revoke);
    signed_in.sandbox.run(["logout", PROVIDER]).success();
    assert_eq!(requests().len(), 2);
    // RFC 7009 and RFC 9449 know no proof at that endpoint.
    assert!(requests().iter().all(|request| request.header("dpop").is_none()));
    assert_eq!(signed_in.store.find(PROVIDER), None);
}

#[test]
fn neither_key_nor_proof_nor_token_is_seen_anywhere() {
    let signed_in =
        SignedIn::not_yet(REQUIRED, |server| server.rules(|rules| rules.nonce = Some("n1")));
    let mut shown = String::new();
    let mut show = |output: crate::support::sandbox::Output| {
        shown.push_str(&output.stdout);
        shown.push_str(&output.stderr);
    };
    show(login(&signed_in.sandbox, &[]));
    let api = api(&signed_in, Some("api"));
    for command in [
        &["status", "--check"][..],
        &["provider", "check", PROVIDER],
        &["token", PROVIDER],
        &["exec", "--with", PROVIDER, "--", "true"],
        &["status", "--json"],
    ] {
        show(signed_in.sandbox.run(command));
    }
    let quotes = |request: &Request| {
        let said = request.header("dpop").unwrap_or_default().to_owned();
        Answer::json(400, &json!({ "error": "invalid_request", "error_description": said }))
    };
    signed_in.expire();
    signed_in.next(Fault::Reply(quotes));
    show(signed_in.token(&["--refresh"]));

    let key = signed_in.credential()["tokens"]["dpop_key"].as_str().unwrap().to_owned();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let mut secrets = vec![body];
    secrets.extend(signed_in.server.secrets());
    let token_requests = signed_in.server.requests(Endpoint::Token);
    let proof = |request: &Request| request.header("dpop").map(str::to_owned);
    secrets.extend(token_requests.iter().chain(&api.requests()).filter_map(proof));
    assert!(secrets.len() > 8, "{}", secrets.len());
    assert_eq!(found(&secrets, shown.as_bytes()), Vec::<String>::new());
    for file in signed_in.sandbox.files() {
        let held = found(&secrets, &std::fs::read(&file).unwrap());
        assert_eq!(held, Vec::<String>::new(), "{}", file.display());
    }
}
