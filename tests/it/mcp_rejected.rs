//! A credential that a server does not take, through the bridge: how often it is sent, renewed and asked for, and
//! what the host hears; with one bridge, and with four that share a credential.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::authorization_server::{Endpoint, Fault, Twist};
use crate::support::http::Answer;
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, Scene, call, is_done, text, tools};
use crate::support::mcp_server::{Gate, McpServer, Mode};
use crate::support::mcp_wire::WireServer;
use crate::support::sandbox::Sandbox;

// ------------------------------------------------------------------------------------------- four at once

/// Four bridges, which all have been greeted.
fn herd(scene: &Scene) -> Vec<Host> {
    let mut herd: Vec<Host> = (0..4).map(|_| scene.host(&[])).collect();
    let ids: Vec<Value> = herd.iter_mut().map(Host::hello).collect();
    for (host, id) in herd.iter_mut().zip(&ids) {
        assert!(host.answer(id)["result"].is_object());
        host.notify("notifications/initialized");
    }
    herd
}

fn ask_all(herd: &mut [Host]) -> Vec<Value> {
    herd.iter_mut().map(|host| host.ask("tools/call", &call("build_creative"))).collect()
}

/// Each of them gets its call done.
#[track_caller]
fn all_done(herd: &mut [Host], ids: &[Value]) {
    for (host, id) in herd.iter_mut().zip(ids) {
        let answer = host.answer(id);
        assert!(is_done(&answer), "{answer}");
    }
}

#[test]
fn four_cold_starts_are_one_tab_and_one_registration() {
    let scene = Scene::new(Gate::Http);
    let mut herd = herd(&scene);
    let ids = ask_all(&mut herd);
    scene.agree(0);
    all_done(&mut herd, &ids);
    assert_eq!((scene.tabs().len(), scene.registrations(), scene.refreshes()), (1, 1, 0));
    assert_eq!(scene.server.grants("authorization_code"), 1);
}

#[test]
fn four_with_an_expired_token_are_one_refresh() {
    let scene = Scene::signed_in(Gate::Http);
    scene.store().pass(NAME, SignedDuration::from_hours(2));
    let mut herd = herd(&scene);
    let ids = ask_all(&mut herd);
    all_done(&mut herd, &ids);
    assert_eq!((scene.tabs().len(), scene.refreshes(), scene.server.reuses()), (0, 1, 0));
}

/// The token is good by its date; only the server knows that it is not.
#[test]
fn four_that_hear_401_are_one_refresh() {
    let scene = Scene::signed_in(Gate::Http);
    let old = scene.sandbox.run(["token", NAME]).success().trim().to_owned();
    let is_good = scene.server.introspection();
    scene.mcp.trust(move |token| token != old && is_good(token));
    let mut herd = herd(&scene);
    let ids = ask_all(&mut herd);
    all_done(&mut herd, &ids);
    assert_eq!((scene.tabs().len(), scene.refreshes(), scene.server.reuses()), (0, 1, 0));
}

#[test]
fn four_whose_sign_in_is_ended_meanwhile_are_one_tab() {
    let scene = Scene::signed_in(Gate::Http);
    let mut herd = herd(&scene);
    let ids = ask_all(&mut herd);
    all_done(&mut herd, &ids);
    scene.server.revoke_everything();
    let ids = ask_all(&mut herd);
    scene.agree(0);
    all_done(&mut herd, &ids);
    let ids = ask_all(&mut herd);
    all_done(&mut herd, &ids);
    assert_eq!((scene.tabs().len(), scene.registrations()), (1, 1));
}

/// Tokens of a minute and less are sent for most of their life, with a refresh token and without.
#[test]
fn tokens_with_a_short_life_are_used() {
    for renewable in [true, false] {
        let scene = Scene::new(Gate::Http);
        scene.server.rules(|rules| rules.expires_in = Some(50));
        if !renewable {
            let twist = Twist::new(without_refresh_token);
            scene.server.always(Endpoint::Token, Some(Fault::Twist(twist)));
        }
        let mut host = scene.host(&[]);
        host.initialize();
        let waiting = host.ask("tools/call", &call("build_creative"));
        scene.agree(0);
        assert!(is_done(&host.answer(&waiting)));
        for _ in 0..5 {
            assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        }
        assert_eq!((scene.tabs().len(), scene.refreshes()), (1, 0));
        host.last_words();
    }
}

/// The server of tokens is away while one is about to end: it is good until then.
#[test]
fn a_token_that_ends_soon_is_sent_while_no_other_can_be_had() {
    let scene = Scene::signed_in(Gate::Http);
    scene.store().pass(NAME, SignedDuration::from_secs(3_600 - 40));
    scene.server.always(Endpoint::Token, Some(Fault::Status(503)));
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    scene.server.always(Endpoint::Token, None);
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    assert_eq!(scene.server.reuses(), 0);
}

// --------------------------------------------------------------------------------------------- refused

/// What stderr said that contains this.
fn count(said: &str, what: &str) -> usize {
    said.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn a_pasted_key_that_is_refused_is_sent_once_a_call() {
    let scene = Scene::new(Gate::Tool);
    scene.paste("a-key-that-is-old");
    let mut host = scene.host(&[]);
    host.initialize();
    for at in 1..=5 {
        let refused = host.call("tools/call", &call("build_creative"));
        assert_eq!(refused["result"]["structuredContent"]["adcp_error"]["code"], "AUTH_REQUIRED");
        assert_eq!(scene.calls(), at);
    }
    assert!(scene.tabs().is_empty());
    let said = host.last_words();
    assert_eq!(count(&said, "still refuses"), 1, "{said}");
    assert!(said.contains(&format!("authctl login {}", scene.mcp.url())), "{said}");
    assert!(!said.contains("a-key-that-is-old"));
}

#[test]
fn a_key_that_is_refused_over_http_is_told_in_words() {
    let scene = Scene::new(Gate::Handler);
    scene.paste("a-key-that-is-old");
    let mut host = scene.host(&["--name", NAME]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("list_formats"))));
    scene.mcp.close(Gate::HttpBare);
    let refused = host.call("tools/call", &call("build_creative"));
    let said = text(&refused);
    assert!(said.contains(&format!("authctl login {} --name {NAME}", scene.mcp.url())), "{said}");
    assert_eq!(scene.calls(), 2);
    assert!(scene.tabs().is_empty());
}

/// The client keeps a server that it was greeted by, and the person has time to find another key.
#[test]
fn a_host_is_greeted_although_its_key_is_refused() {
    let scene = Scene::new(Gate::Http);
    scene.paste("a-key-that-is-old");
    let good = scene.mcp.token();
    scene.mcp.trust(move |token| token == good);
    let mut host = scene.host(&[]);
    assert!(host.initialize()["result"].is_object());
    let refused = host.call("tools/call", &call("build_creative"));
    assert!(text(&refused).contains("authctl login"), "{refused}");
    scene.paste(&scene.mcp.token());
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");
    assert!(scene.tabs().is_empty());
}

#[test]
fn tokens_are_sent_twice_at_most_and_words_of_the_server_pass() {
    let scene = Scene::signed_in(Gate::Tool);
    scene.mcp.trust(|_| false);
    let mut host = scene.host(&[]);
    host.initialize();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["structuredContent"]["adcp_error"]["recovery"], "terminal");
    assert_eq!((scene.calls(), scene.refreshes()), (2, 1));
    // AdCP 3.1 says that a person has to look at it.
    scene.mcp.speak_adcp_3_1();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["structuredContent"]["adcp_error"]["code"], "AUTH_INVALID");
    assert_eq!((scene.calls(), scene.refreshes()), (3, 1));
    assert!(scene.tabs().is_empty());
}

/// A server that is never content: one sign-in, one retry, and an end to it.
#[test]
fn a_server_that_refuses_whatever_it_gets_is_not_signed_in_to_for_ever() {
    for rotates in [true, false] {
        let scene = Scene::new(Gate::Http);
        if !rotates {
            let twist = Twist::new(without_refresh_token);
            scene.server.always(Endpoint::Token, Some(Fault::Twist(twist)));
        }
        scene.mcp.trust(|_| false);
        let mut host = scene.host(&[]);
        host.initialize();
        let first = host.ask("tools/call", &call("build_creative"));
        scene.agree(0);
        let refused = host.answer(&first);
        assert!(text(&refused).contains("authctl login"), "{refused}");
        let before = scene.mcp.requests().len();
        for _ in 0..20 {
            let refused = host.call("tools/call", &call("build_creative"));
            assert_eq!(refused["result"]["isError"], true, "{refused}");
        }
        let attempts = scene.mcp.requests().split_off(before);
        assert!(attempts.len() <= 40, "{}: {attempts:?}", attempts.len());
        assert_eq!(scene.tabs().len(), 1);
        assert!(scene.refreshes() <= 1, "{}", scene.refreshes());
        let said = host.last_words();
        assert_eq!(count(&said, "still refuses"), 1, "{said}");
    }
}

fn without_refresh_token(answer: Answer) -> Answer {
    let Answer::Reply { status, body, .. } = answer else { return answer };
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body.as_object_mut().unwrap().remove("refresh_token");
    Answer::json(status, &body)
}

/// The person does what the message says, and the next call works.
#[test]
fn a_sign_in_by_hand_is_taken_up_at_once() {
    let scene = Scene::signed_in(Gate::Tool);
    let old = scene.sandbox.run(["token", NAME]).success().trim().to_owned();
    scene.mcp.trust(|_| false);
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(!is_done(&host.call("tools/call", &call("build_creative"))));
    let is_good = scene.server.introspection();
    scene.sign_in(&[]);
    scene.mcp.trust(move |token| token != old && is_good(token));
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    assert_eq!(scene.refreshes(), 1);
}

// ---------------------------------------------------------------------------------------------- scopes

#[test]
fn too_few_scopes_are_asked_for_once_beside_those_that_are_there() {
    let scene = Scene::signed_in(Gate::Scope);
    scene.mcp.demand_scope("files:write");
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = host.ask("tools/call", &call("build_creative"));
    let page = url::Url::parse(&scene.tab(0)).unwrap();
    let scope = page.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    let mut scopes: Vec<&str> = scope.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["creative", "files:write"]);
    // It is not content with that either.
    scene.agree(0);
    let refused = host.answer(&waiting);
    assert!(text(&refused).contains("authctl login"), "{refused}");
    for _ in 0..20 {
        let refused = host.call("tools/call", &call("build_creative"));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
    }
    assert_eq!(scene.tabs().len(), 1);
    assert!(!tools(&host.call("tools/list", &json!({}))).is_empty());
    scene.mcp.widen();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
}

// ---------------------------------------------------------------------------------------------- trouble

#[test]
fn what_is_open_goes_on_while_the_credential_cannot_be_renewed() {
    let scene = Scene::signed_in(Gate::Handler);
    scene.store().pass(NAME, SignedDuration::from_hours(2));
    scene.server.always(Endpoint::Token, Some(Fault::Status(503)));
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("list_formats"))));
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["isError"], true);
    assert!(text(&refused).contains("503"), "{refused}");
    scene.server.always(Endpoint::Token, None);
    assert!(scene.tabs().is_empty());
}

#[test]
fn a_host_is_greeted_although_the_store_cannot_be_read() {
    let scene = Scene::signed_in(Gate::Http);
    let key = scene.store().directory().join("key");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "no key").unwrap();
    let mut host = scene.host(&[]);
    host.initialize();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(scene.tabs().is_empty());
    std::fs::write(&key, good).unwrap();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");
    let said = host.last_words();
    assert_eq!(count(&said, "warning"), 1, "{said}");
}

/// Nobody is sent to a page for what could not be kept.
#[test]
fn where_nothing_can_be_stored_nobody_is_asked() {
    let scene = Scene::new(Gate::Handler);
    let data = scene.sandbox.path("home/.local/share");
    std::fs::create_dir_all(data.parent().unwrap()).unwrap();
    std::fs::write(&data, "in the way").unwrap();
    let mut host = scene.host(&[]);
    host.initialize();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(is_done(&host.call("tools/call", &call("list_formats"))));
    assert!(scene.tabs().is_empty());
    host.last_words();
}

#[test]
fn a_credential_that_is_removed_meanwhile_is_asked_for_again() {
    let scene = Scene::signed_in(Gate::Http);
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    scene.sandbox.run(["logout", NAME]).success();
    let waiting = host.ask("tools/call", &call("build_creative"));
    scene.agree(0);
    assert!(is_done(&host.answer(&waiting)));
    assert_eq!(scene.tabs().len(), 1);
}

/// A server that checks signatures alone goes on taking a token that was revoked.
#[test]
fn a_session_lets_go_of_a_token_that_was_signed_out_elsewhere() {
    for gate in [Gate::Http, Gate::Tool] {
        let scene = Scene::signed_in(gate);
        scene.mcp.trust(|_| true);
        let mut host = scene.host(&[]);
        host.initialize();
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        let old = scene.sandbox.run(["token", NAME]).success().trim().to_owned();
        scene.sandbox.run(["logout", NAME]).success();
        let before = scene.mcp.requests().len();
        let waiting = host.ask("tools/call", &call("build_creative"));
        scene.agree(0);
        assert!(is_done(&host.answer(&waiting)), "{gate:?}");
        let requests = scene.mcp.requests();
        let shown = requests[before..].iter().filter_map(|it| it.header("authorization"));
        let shown: Vec<&str> = shown.collect();
        assert!(!shown.is_empty() && shown.iter().all(|it| !it.contains(&old)), "{shown:?}");
        host.last_words();
    }
}

#[test]
fn a_session_takes_up_what_was_signed_in_to_elsewhere() {
    let scene = Scene::signed_in(Gate::Http);
    scene.mcp.trust(|_| true);
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    for _ in 0..2 {
        scene.sign_in(&["--name", NAME]);
        let token = scene.sandbox.run(["token", NAME]).success();
        let before = scene.mcp.requests().len();
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        let requests = scene.mcp.requests();
        let shown = requests[before..].iter().map(|it| it.header("authorization"));
        let shown: Vec<_> = shown.collect();
        assert_eq!(shown, [Some(format!("Bearer {}", token.trim()).as_str())]);
    }
    // What cannot be read is no sign-out.
    let key = scene.store().directory().join("key");
    let good = std::fs::read(&key).unwrap();
    scene.sign_in(&["--name", NAME]);
    std::fs::write(&key, "no key").unwrap();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    std::fs::write(&key, good).unwrap();
    assert_eq!((scene.refreshes(), scene.tabs().len()), (0, 3), "its own sign-ins alone");
    host.last_words();
}

// --------------------------------------------------------------------------------- refusals of another kind

/// 4xx with a JSON-RPC response in it: the host gets that, and no word of ours.
#[test]
fn a_refusal_in_json_rpc_passes_as_it_is() {
    for status in [403_u16, 400, 409, 500] {
        let server = WireServer::start(move |call| {
            if call.what() != "tools/call" {
                return call.normal();
            }
            let id = call.message()["id"].clone();
            let body = format!(
                r#"{{"error":{{"message":"not for you","code":-32003, "data":[1]}},"jsonrpc":"2.0","id":{id}}}"#
            );
            call.reply(status, &[("mcp-session-id", "s1")], "application/json", &body)
        });
        let sandbox = Sandbox::new();
        let mut host = Host::met(&sandbox, &[&server.url()]);
        let answer = host.call("tools/call", &call("t"));
        let error = json!({"message": "not for you", "code": -32003, "data": [1]});
        assert_eq!(answer["error"], error, "{status}");
        assert!(sandbox.opened_urls().is_empty());
    }
}

#[test]
fn what_is_no_matter_of_a_sign_in_passes() {
    let server = McpServer::start(Gate::None, Mode::Sse);
    let sandbox = Sandbox::new();
    let mut host = Host::met(&sandbox, &[&server.url()]);
    let answer = host.call("tools/call", &call("private_notes"));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(sandbox.opened_urls().is_empty());
}
