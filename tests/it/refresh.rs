//! Refreshing: once for all processes of the machine, and never so that a login is lost. The server rotates
//! refresh tokens and ends everything when an old one comes back.

use std::time::Duration;

use crate::support::authorization_server::{Endpoint, Fault};
use crate::support::demo::Demo;
use crate::support::sandbox::Running;

/// Signed in, with a token that has ended.
fn with_an_ended_token() -> Demo {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.expires_in = Some(1));
    demo.login(&["demo"]).success();
    demo.server.rules(|rules| rules.expires_in = Some(3600));
    // It ends by seconds of the clock, which the run that reads it must see pass.
    std::thread::sleep(Duration::from_millis(1_500));
    demo
}

#[test]
fn a_token_that_lives_long_enough_is_handed_out_as_it_is() {
    let demo = Demo::signed_in();
    assert_eq!(demo.token(&[]).success(), demo.token(&[]).success());
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
    demo.token(&["--min-ttl", "2h"]);
    assert_eq!(demo.server.grants("refresh_token"), 1);
}

#[test]
fn sixteen_processes_that_meet_an_ended_token_refresh_it_once() {
    let demo = with_an_ended_token();
    demo.server.script(Endpoint::Token, Fault::Delay(Duration::from_millis(300)));
    let exec = ["exec", "-q", "--with", "demo", "--", "sh", "-c", "echo $DEMO_TOKEN"];
    let running: Vec<Running> = (0..16)
        .map(|n| match n % 2 {
            0 => demo.sandbox.start(demo.sandbox.command(["token", "demo"])),
            _ => demo.sandbox.start(demo.sandbox.command(exec)),
        })
        .collect();
    let mut tokens: Vec<String> =
        running.into_iter().map(|running| running.finish().success()).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all have the same token");
    assert!(demo.server.accepts(tokens[0].trim()));
    assert_eq!((demo.server.grants("refresh_token"), demo.server.reuses()), (1, 0));
    demo.token(&["--refresh"]).success();
}

#[test]
fn a_new_refresh_token_replaces_the_old_one() {
    let demo = Demo::signed_in();
    for _ in 0..3 {
        demo.token(&["--refresh"]).success();
    }
    assert_eq!((demo.server.grants("refresh_token"), demo.server.reuses()), (3, 0));
}

#[test]
fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let demo = Demo::signed_in();
    demo.server.rules(|rules| rules.rotates = false);
    for _ in 0..3 {
        let token = demo.token(&["--refresh"]).success();
        assert!(demo.server.accepts(token.trim()));
    }
}

#[test]
fn a_server_that_fails_for_a_while_signs_nobody_out() {
    for fault in [Fault::Status(500), Fault::RetryAfter(1), Fault::Html(200), Fault::Html(502)] {
        let demo = with_an_ended_token();
        for _ in 0..3 {
            demo.server.script(Endpoint::Token, fault.clone());
        }
        let output = demo.token(&[]);
        assert!([1, 75].contains(&output.code()), "{fault:?} {output:?}");
        assert!(demo.server.grants("refresh_token") <= 3, "{fault:?}");
        // What is scripted is used up here, so that the server is well again.
        while demo.server.grants("refresh_token") < 3 {
            demo.token(&["--refresh"]);
        }
        let token = demo.token(&["--refresh"]).success();
        assert!(demo.server.accepts(token.trim()), "{fault:?}");
        assert_eq!(demo.server.reuses(), 0, "{fault:?}");
    }
}

#[test]
fn a_token_that_still_lives_is_handed_out_while_the_server_fails() {
    let demo = Demo::signed_in();
    demo.server.script(Endpoint::Token, Fault::Status(400));
    let before = demo.token(&[]).success();
    demo.server.script(Endpoint::Token, Fault::Status(503));
    demo.server.script(Endpoint::Token, Fault::Status(503));
    demo.server.script(Endpoint::Token, Fault::Status(503));
    let output = demo.token(&["--min-ttl", "2h"]);
    assert_eq!(output.stdout, before, "{output:?}");
}

#[test]
fn a_refresh_that_the_server_refuses_asks_for_a_login_and_forgets_nothing() {
    let demo = with_an_ended_token();
    demo.server.revoke_everything();
    let stderr = demo.token(&[]).failure(4);
    assert!(stderr.contains("hint: authctl login demo"), "{stderr}");
    let status = demo.sandbox.run(["status", "--json"]);
    assert_eq!(status.json()["credentials"][0]["state"], "ended");
    // Asked again, it does not bother the server with what is dead.
    let before = demo.server.grants("refresh_token");
    demo.token(&[]).failure(4);
    assert_eq!(demo.server.grants("refresh_token"), before);
    demo.login(&["demo"]).success();
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
}

#[test]
fn a_lost_answer_is_not_followed_by_a_storm() {
    let demo = with_an_ended_token();
    demo.server.script(Endpoint::Token, Fault::LoseAnswer);
    let outputs: Vec<i32> = (0..4).map(|_| demo.token(&[]).code()).collect();
    // The server has rotated and the new token is lost. At most one more try, then a person is told.
    assert!(demo.server.grants("refresh_token") <= 2, "{outputs:?}");
    assert_eq!(outputs.iter().filter(|code| **code == 0).count(), 0, "{outputs:?}");
}

#[cfg(unix)]
#[test]
fn a_process_killed_in_a_refresh_leaves_a_store_that_can_be_read() {
    let demo = with_an_ended_token();
    demo.server.script(Endpoint::Token, Fault::Delay(Duration::from_secs(2)));
    let mut running = demo.sandbox.start(demo.sandbox.command(["token", "demo"]));
    crate::support::eventually("the refresh", || {
        (demo.server.grants("refresh_token") == 1).then_some(())
    });
    running.child.kill().unwrap();
    running.finish();
    let status = demo.sandbox.run(["status", "--json"]);
    assert_eq!(status.json()["credentials"][0]["state"], "refreshing", "{status:?}");
    assert!(demo.server.grants("refresh_token") <= 2);
}
