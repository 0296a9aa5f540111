//! What a session does not do twice: refreshes, sign-ins and tabs for a server that refuses whatever it is shown;
//! and what no such server gets anybody to see.

use serde_json::{Value, json};

use crate::support::authorization_server::{Endpoint, Fault, Twist};
use crate::support::browser;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, Scene, call, is_done, link, text};
use crate::support::mcp_server::Gate;
use crate::support::mcp_wire::{Latch, WireServer};
use crate::support::sandbox::Sandbox;

fn calls(host: &mut Host, count: usize) -> Vec<Value> {
    (0..count).map(|_| host.ask("tools/call", &call("build_creative"))).collect()
}

/// The words of an error, or of a call that has failed.
#[track_caller]
fn error(answer: &Value) -> String {
    if answer["result"]["isError"] == true {
        return text(answer);
    }
    let said = answer["error"]["message"].as_str();
    said.unwrap_or_else(|| panic!("no error: {answer}")).to_owned()
}

#[test]
fn a_server_that_wants_a_new_scope_each_time_gets_three_sign_ins() {
    let scene = Scene::signed_in(Gate::Scope);
    scene.mcp.be_greedy();
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = calls(&mut host, 4);
    for at in 0..3 {
        scene.agree(at);
    }
    let advice = format!("authctl login {} --scope 'more-", scene.mcp.url());
    for id in waiting {
        let said = error(&host.answer(&id));
        assert!(said.contains(&advice), "{said}");
    }
    for _ in 0..3 {
        let said = error(&host.call("tools/call", &call("build_creative")));
        assert!(said.contains(&advice), "{said}");
    }
    assert_eq!(scene.tabs().len(), 3);
    // Once it is content, so is the session.
    scene.mcp.widen();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    host.last_words();
}

#[test]
fn a_sign_in_that_was_revoked_is_refreshed_once_for_all_calls() {
    let scene = Scene::signed_in(Gate::Http);
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    scene.server.revoke_everything();
    let waiting = calls(&mut host, 12);
    scene.agree(0);
    for id in waiting {
        assert!(is_done(&host.answer(&id)));
    }
    assert_eq!((scene.refreshes(), scene.tabs().len()), (1, 1));
    host.last_words();
}

#[test]
fn a_new_token_that_is_refused_leads_to_no_second_tab() {
    let scene = Scene::new(Gate::Http);
    scene.mcp.trust(|_| false);
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = host.ask("tools/list", &json!({}));
    scene.agree(0);
    let advice = format!("authctl login {}", scene.mcp.url());
    let said = error(&host.answer(&waiting));
    assert!(said.contains(&advice), "{said}");
    for _ in 0..4 {
        for id in calls(&mut host, 3) {
            let said = error(&host.answer(&id));
            assert!(said.contains(&advice), "{said}");
        }
    }
    assert_eq!(scene.tabs().len(), 1);
    host.last_words();
}

/// Its refresh token is refused for good, and it lives a little longer.
#[test]
fn a_token_that_cannot_be_renewed_is_sent_to_its_end() {
    let scene = Scene::signed_in(Gate::Http);
    scene.store().pass(NAME, jiff::SignedDuration::from_secs(3_600 - 40));
    scene.server.always(Endpoint::Renew, Some(Fault::Error("invalid_grant")));
    let mut host = scene.host(&[]);
    host.initialize();
    for _ in 0..3 {
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    }
    assert!(scene.tabs().is_empty());
    host.last_words();
}

#[test]
fn what_says_nothing_of_the_server_does_not_wait_for_a_sign_in() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&["--call-wait", "1h", "--no-browser"]);
    host.initialize();
    assert_eq!(host.call("ping", &json!({}))["result"], json!({}));
    let level = json!({"level": "warning"});
    assert_eq!(host.call("logging/setLevel", &level)["result"], json!({}));
    let told = host.call("tools/call", &call("authorize"));
    let page = link(&text(&told));
    browser::open(&page);
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    let told = scene.mcp.calls("logging/setLevel");
    assert!(told.iter().any(|it| it["params"] == level), "{told:?}");
    // Nobody is at a terminal, and no browser was opened.
    let said = host.last_words();
    assert!(!said.contains("Ctrl-C") && !said.contains("Your browser"), "{said}");
}

const KEY: &str = "a-key-that-nobody-may-see";
const EXTRA: &str = "another-that-nobody-may-see";

#[test]
fn a_server_that_repeats_what_it_was_shown_is_not_repeated() {
    let server = WireServer::start(|call| {
        let shown = format!("{} {}", call.header("authorization"), call.header("x-team"));
        let (plain, structured) = ("text/plain", "application/json");
        match call.message()["params"]["name"].as_str() {
            Some("plain") => call.reply(500, &[], plain, &format!("Oops: {shown}")),
            Some("refused") => {
                let said = json!({"error": "invalid_token", "error_description": shown});
                call.reply(401, &[], structured, &said.to_string())
            }
            Some("error") => {
                let error = json!({"code": -32000, "message": shown});
                let id = call.message()["id"].clone();
                let said = json!({"jsonrpc": "2.0", "id": id, "error": error});
                call.reply(400, &[], structured, &said.to_string())
            }
            Some("prose") => {
                let said = format!("Unable to query with {shown}: not authorized");
                let content = json!([{"type": "text", "text": said}]);
                call.result(&json!({"content": content, "isError": true}))
            }
            Some("page") => {
                let page = json!({
                    "mode": "url",
                    "elicitationId": "e1",
                    "url": "https://pages.example/sign",
                    "message": format!("You are {shown}."),
                });
                let data = json!({"elicitations": [page]});
                let error = json!({"code": -32042, "message": "a page", "data": data});
                let id = call.message()["id"].clone();
                let said = json!({"jsonrpc": "2.0", "id": id, "error": error});
                call.reply(200, &[], structured, &said.to_string())
            }
            _ => call.normal(),
        }
    });
    let sandbox = Sandbox::new();
    let login = ["login", &server.url(), "--name", NAME, "--with-token"];
    sandbox.run_with_input(login, &format!("{KEY}\n")).success();
    let header = format!("X-Team: {EXTRA}");
    let mut host = Host::met(&sandbox, &[&server.url(), "--header", &header]);
    for (tool, masked) in [("plain", true), ("refused", true), ("error", true)] {
        let answer = host.call("tools/call", &call(tool)).to_string();
        assert!(!answer.contains(KEY) && !answer.contains(EXTRA), "{answer}");
        assert_eq!(answer.contains("[secret]"), masked, "{answer}");
    }
    // What is no error passes as it is, and stderr repeats nothing of it.
    host.call("tools/call", &call("prose"));
    host.call("tools/call", &call("page"));
    let said = host.last_words();
    assert!(!said.contains(KEY) && !said.contains(EXTRA), "{said}");
    assert!(said.contains("not authorized") && said.contains("pages.example"), "{said}");
}

/// Those that wait for a refresh share what it comes to, also where that is nothing.
#[test]
fn a_refresh_that_fails_is_asked_for_once_by_all_calls() {
    let scene = Scene::signed_in(Gate::Handler);
    let mut host = scene.host(&[]);
    host.initialize();
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    let latch = Latch::default();
    let held = latch.clone();
    let fails = Twist::new(move |_| {
        held.wait();
        Answer::empty(500)
    });
    scene.server.always(Endpoint::Token, Some(Fault::Twist(fails)));
    scene.mcp.trust(|_| false);
    let before = scene.calls();
    let waiting = calls(&mut host, 12);
    eventually("all calls", || (scene.calls() >= before + 12).then_some(()));
    // Their refusals came before these answers.
    for _ in 0..5 {
        assert!(is_done(&host.call("tools/call", &call("list_formats"))));
    }
    latch.open();
    for id in waiting {
        error(&host.answer(&id));
    }
    assert_eq!(scene.refreshes(), 1);
    host.last_words();
}

#[test]
fn a_link_that_nobody_should_open_is_called_that() {
    let scene = Scene::new(Gate::ElicitationError);
    scene.mcp.hand_out("javascript:alert(1)");
    let mut host = scene.host(&[]);
    host.initialize();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["error"]["code"], -32042, "{refused}");
    let said = host.last_words();
    assert!(said.contains("should not be opened") && !said.contains("left out"), "{said}");
}
