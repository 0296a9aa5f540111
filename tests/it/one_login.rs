//! One login at a time for a credential, with several real processes: one browser tab, whose outcome all
//! take over; a person at a terminal goes first.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::Value;

use crate::support::authorization_server::{Endpoint, Fault, Person};
use crate::support::demo::Demo;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Running};
use crate::support::sealed::age;
use crate::support::{browser, eventually};

/// A login that nobody sits at, with a browser that was chosen for it.
fn background(demo: &Demo) -> Running {
    demo.sandbox.start(demo.sandbox.command(["login", "demo"]))
}

/// One login in the browser, with its page, and seven more that wait for it.
fn herd(demo: &Demo) -> (String, Vec<Running>) {
    let mut herd = vec![background(demo)];
    let page = herd[0].opened_url();
    for _ in 1..8 {
        let mut waiting = background(demo);
        waiting.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
        herd.push(waiting);
    }
    (page, herd)
}

fn ends(herd: Vec<Running>) -> Vec<Output> {
    herd.into_iter().map(Running::finish).collect()
}

#[test]
fn eight_logins_open_one_tab_and_all_are_signed_in() {
    let demo = Demo::new();
    let (page, herd) = herd(&demo);
    browser::open(&page);
    for output in ends(herd) {
        output.success();
    }
    assert_eq!(demo.sandbox.opened_urls().len(), 1);
    assert_eq!(demo.server.grants("authorization_code"), 1);
}

#[test]
fn eight_logins_hear_one_no_and_nobody_in_the_background_asks_again_at_once() {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.person = Person::SaysNo);
    let (page, herd) = herd(&demo);
    browser::open(&page);
    for output in ends(herd) {
        let stderr = output.failure(1);
        assert!(stderr.contains("denied") || stderr.contains("was declined"), "{stderr}");
    }
    let stderr = background(&demo).finish().failure(1);
    assert!(stderr.contains("was declined"), "{stderr}");
    assert_eq!(demo.sandbox.opened_urls().len(), 1);

    // A person who changed their mind is asked at once.
    demo.server.rules(|rules| rules.person = Person::SaysYes);
    let mut terminal = at_terminal(&demo);
    let page = eventually("a second tab", || demo.sandbox.opened_urls().into_iter().nth(1));
    browser::open(&page);
    terminal.expect("Signed in to demo");
    terminal.rest();
}

#[test]
fn the_cool_down_ends() {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.person = Person::SaysNo);
    demo.login(&["demo"]).failure(1);
    background(&demo).finish().failure(1);
    let note = note(&demo);
    let mut turn: Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
    age(&mut turn["began_at"], SignedDuration::from_mins(2));
    age(&mut turn["ended"][0], SignedDuration::from_mins(2));
    std::fs::write(&note, turn.to_string()).unwrap();
    demo.server.rules(|rules| rules.person = Person::SaysYes);
    demo.login(&["demo"]).success();
}

/// The note beside the lock of the login.
fn note(demo: &Demo) -> PathBuf {
    let mut files = demo.sandbox.files().into_iter();
    files.find(|file| file.ends_with("login~demo~default.json")).unwrap()
}

#[test]
fn the_note_has_no_secret_and_a_damaged_or_newer_one_stops_nobody() {
    let demo = Demo::signed_in();
    let text = std::fs::read_to_string(note(&demo)).unwrap();
    assert!(demo.server.secrets().iter().all(|secret| !text.contains(secret)), "{text}");
    let newer = text.replace("\"format\":1", "\"format\":99").replace("signed_in", "denied");
    for contents in ["{", "", &newer] {
        std::fs::write(note(&demo), contents).unwrap();
        demo.login(&["demo"]).success();
    }
}

/// Whoever wants something of their own is not content with what another got.
#[test]
fn a_no_to_another_wish_is_no_answer() {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.person = Person::SaysNo);
    demo.login(&["demo"]).failure(1);
    demo.server.rules(|rules| rules.person = Person::SaysYes);
    demo.login(&["demo", "--scope", "admin"]).success();
    demo.login(&["demo:work"]).success();
}

#[test]
fn a_failure_of_the_server_is_nobody_elses() {
    let demo = Demo::new();
    demo.server.script(Endpoint::Token, Fault::Status(503));
    let mut first = background(&demo);
    let page = first.opened_url();
    let mut second = background(&demo);
    second.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
    browser::open(&page);
    first.finish().failure(75);
    browser::open(&second.opened_url_after(1));
    second.finish().success();
}

fn at_terminal(demo: &Demo) -> Terminal {
    let mut shell = demo.sandbox.program("sh");
    shell.args(["-c", &format!("stty echo; '{AUTHCTL}' login demo; echo \"code $?\"")]);
    Terminal::start(shell)
}

#[test]
fn a_login_in_the_background_steps_back_for_a_person_and_takes_over_what_they_did() {
    let demo = Demo::new();
    let mut first = background(&demo);
    let forsaken = first.opened_url();
    let mut second = background(&demo);
    second.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
    let mut terminal = at_terminal(&demo);
    first.wait_for("the yield", |line| line.contains("at a terminal goes first").then_some(()));
    let page = eventually("the person's tab", || demo.sandbox.opened_urls().into_iter().nth(1));
    assert_ne!(page, forsaken);
    browser::open(&page);
    terminal.expect("Signed in to demo");
    for output in [first.finish(), second.finish()] {
        assert!(output.stderr.contains("by another authctl login"), "{output:?}");
        output.success();
    }
    assert_eq!(demo.sandbox.opened_urls().len(), 2, "a tab each for whoever really asked");
    assert_eq!(demo.server.grants("authorization_code"), 1);
}

#[test]
fn a_device_login_in_the_background_steps_back_too() {
    let demo = Demo::with("client = \"register\"\ngrants = [\"device_code\"]");
    demo.server.rules(|rules| rules.person = Person::Waits);
    let mut first = background(&demo);
    first.wait_for("its code", |line| line.contains("WDJB-").then_some(()));
    let mut terminal = at_terminal(&demo);
    terminal.expect("enter this code:  ");
    demo.server.approve_devices();
    terminal.expect("Signed in to demo");
    let output = first.finish();
    assert!(output.stderr.contains("by another authctl login"), "{output:?}");
    output.success();
}

#[test]
fn a_person_waits_for_another_person() {
    let demo = Demo::new();
    let mut first = at_terminal(&demo);
    let page = eventually("the first tab", || demo.sandbox.opened_urls().into_iter().next());
    let mut second = at_terminal(&demo);
    second.expect("waiting for it");
    let third = {
        let mut third = background(&demo);
        third.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
        third
    };
    browser::open(&page);
    first.expect("Signed in to demo");
    second.expect("by another authctl login");
    third.finish().success();
    assert_eq!(demo.sandbox.opened_urls().len(), 1);
}
