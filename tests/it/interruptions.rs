//! What interrupts a working day: sleep, a network that goes and comes back, names that are not found, captive
//! portals. The next call works, and costs one refresh.
//!
//! | guarantee | tests |
//! |---|---|
//! | A8 asleep | `a_refresh_that_was_asleep_…`, `a_sign_in_that_was_asleep_…`, `after_ten_minutes_…` |
//! | A8 the network goes and comes back | `a_link_that_is_down_…`, `a_sign_in_outlives_…` |
//! | A8 names are not found, then are | `a_name_that_is_not_found_…` |
//! | A8 a captive portal answers | `a_portal_that_answers_…` |

#![cfg(unix)]

use std::path::Path;

use jiff::SignedDuration;
use rustix::process::{Signal, kill_process};

use crate::real_parts::present;
use crate::support::authorization_server::{AuthorizationServer, Fault, Gate, Person};
use crate::support::demo::Demo;
use crate::support::hostile::tls::{self, Authority, Manner};
use crate::support::http::Answer;
use crate::support::launcher::{pid_of, state};
use crate::support::own_network;
use crate::support::sandbox::{AUTHCTL, Output, Running, Sandbox};
use crate::support::signed_in::SignedIn;
use crate::support::{eventually, sealed::Sealed};

/// The next call works, and all there was cost so many requests for a refresh.
#[track_caller]
fn assert_goes_on(signed_in: &SignedIn, requests: usize) {
    let token = signed_in.token(&[]).success();
    assert!(signed_in.server.accepts(token.trim_end()));
    assert_eq!(signed_in.refresh_token(), signed_in.server.refresh_token());
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (requests, 0));
}

// ------------------------------------------------------------------------------------------- sleep

/// Stops the process, as a machine that goes to sleep stops all of them.
fn put_to_sleep(running: &Running) {
    let pid = pid_of(running);
    kill_process(pid, Signal::STOP).unwrap();
    eventually("the process sleeps", || (state(pid) == Some('T')).then_some(()));
}

fn wake(running: &Running) {
    kill_process(pid_of(running), Signal::CONT).unwrap();
}

#[test]
fn a_refresh_that_was_asleep_while_its_answer_came_uses_it() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    let gate = std::sync::Arc::new(Gate::default());
    signed_in.next(Fault::Keep(gate.clone()));
    let asleep = signed_in.sandbox.start(signed_in.sandbox.command(["token", "demo"]));
    gate.arrival();
    put_to_sleep(&asleep);
    gate.open();
    signed_in.server.settle();
    wake(&asleep);
    let token = asleep.finish().success();
    assert!(signed_in.server.accepts(token.trim_end()));
    assert_goes_on(&signed_in, 1);
}

#[test]
fn a_sign_in_that_was_asleep_while_the_person_said_yes_goes_on() {
    let demo = Demo::with("grants = [\"device_code\"]\nclient = \"register\"");
    demo.server.rules(|rules| (rules.person, rules.interval) = (Person::Waits, 1));
    let asleep = demo.sandbox.start(demo.sandbox.command(["login", "demo", "--device"]));
    let polls = || demo.server.grants("urn:ietf:params:oauth:grant-type:device_code");
    eventually("a poll", || (polls() > 0).then_some(()));
    put_to_sleep(&asleep);
    demo.server.approve_devices();
    let before = polls();
    wake(&asleep);
    asleep.finish().success();
    assert_eq!(polls(), before + 1);
    assert!(demo.server.accepts(demo.token(&[]).success().trim_end()));
}

#[test]
fn after_ten_minutes_of_sleep_the_next_call_refreshes_once() {
    let signed_in = SignedIn::with("", |server| server.rules(|rules| rules.expires_in = Some(300)));
    signed_in.pass(SignedDuration::from_mins(10));
    assert_goes_on(&signed_in, 1);
}

// ------------------------------------------------------------------------------------------- the link

/// The link is down as long as this lives; the server of a test that fails must be reached to be ended.
struct Down;

impl Down {
    fn begin() -> Self {
        own_network::link("down");
        Self
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        own_network::link("up");
    }
}

#[test]
fn a_link_that_is_down_costs_nothing_and_its_return_one_refresh() {
    if !own_network::is_inside() {
        return;
    }
    let signed_in = SignedIn::new();
    let before = signed_in.record();
    signed_in.expire();
    let down = Down::begin();
    for _ in 0..3 {
        let said = signed_in.token(&[]).failure(75);
        assert!(said.contains("127.0.0.1") && !said.contains("authctl login"), "{said}");
    }
    assert_eq!(signed_in.record()["id"], before["id"]);
    drop(down);
    assert_goes_on(&signed_in, 1);
}

#[test]
fn a_sign_in_outlives_a_link_that_goes_down_while_it_waits() {
    if !own_network::is_inside() {
        return;
    }
    let demo = Demo::with("grants = [\"device_code\"]\nclient = \"register\"");
    demo.server.rules(|rules| (rules.person, rules.interval) = (Person::Waits, 1));
    let mut waiting = demo.sandbox.start(demo.sandbox.command(["login", "demo", "--device"]));
    let polls = || demo.server.grants("urn:ietf:params:oauth:grant-type:device_code");
    eventually("a poll", || (polls() > 0).then_some(()));
    let down = Down::begin();
    waiting.wait_for("word of the outage", |said| said.contains("trying again").then_some(()));
    demo.server.approve_devices();
    drop(down);
    waiting.finish().success();
    assert!(demo.server.accepts(demo.token(&[]).success().trim_end()));
}

// ------------------------------------------------------------------------------------------- names

/// Runs authctl where only this is known of names.
fn with_hosts(sandbox: &Sandbox, hosts: &Path, arguments: &[&str]) -> Output {
    let mut command = sandbox.program("unshare");
    command.args(["-rm", "sh", "-c", "mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"", "sh"]);
    command.arg(AUTHCTL).args(arguments).env("HOSTS", hosts);
    sandbox.start(command).finish()
}

#[test]
fn a_name_that_is_not_found_at_first_is_found_later() {
    if !present(&["unshare", "openssl"]) || !own_network::has_namespaces() {
        return;
    }
    let server = AuthorizationServer::start();
    server.register("robot", Some("a secret of robots"));
    let authority = Authority::new();
    let leaf = tls::Leaf { name: "DNS:login.invalid", ..tls::GOOD };
    let origin = authority.serve(leaf, Manner::Honest, &server.issuer());
    let port = origin.rsplit_once(':').unwrap().1;
    let mut sandbox = Sandbox::new();
    sandbox.env("SSL_CERT_FILE", authority.file());
    sandbox.write_config(&format!(
        "[provider.demo.oauth]\ngrants = [\"client_credentials\"]\nclient_id = \"robot\"\n\
         authentication = \"client_secret_basic\"\nvariables = [\"DEMO_TOKEN\"]\n\
         token_endpoint = \"https://login.invalid:{port}/token\"\n"
    ));
    let secret = sandbox.path("tmp/secret");
    std::fs::write(&secret, "a secret of robots").unwrap();
    let (unknown, known) = (sandbox.path("tmp/unknown"), sandbox.path("tmp/known"));
    std::fs::write(&unknown, "127.0.0.1 localhost\n").unwrap();
    std::fs::write(&known, "127.0.0.1 localhost login.invalid\n").unwrap();

    let file = secret.to_str().unwrap();
    let login = ["login", "demo", "--client-credentials", "--client-secret-file", file];
    let said = with_hosts(&sandbox, &unknown, &login).failure(75);
    assert!(said.contains("login.invalid"), "{said}");
    with_hosts(&sandbox, &known, &login).success();
    Sealed::of(&sandbox).pass("demo", SignedDuration::from_hours(2));
    let said = with_hosts(&sandbox, &unknown, &["token", "demo"]).failure(75);
    assert!(said.contains("login.invalid"), "{said}");
    let token = with_hosts(&sandbox, &known, &["token", "demo"]).success();
    assert!(server.accepts(token.trim_end()));
    assert_eq!(server.grants("client_credentials"), 2);
}

// ------------------------------------------------------------------------------------------- portals

#[test]
fn a_portal_that_answers_instead_of_the_server_costs_nothing() {
    let login_page = || Answer::empty(302).header("location", "http://portal.example/welcome");
    for portal in [
        Fault::Html(200),
        Fault::Html(511),
        Fault::Html(403),
        Fault::Answer(login_page()),
        Fault::HangUp,
    ] {
        let signed_in = SignedIn::new();
        signed_in.expire();
        signed_in.next(portal.clone());
        let output = signed_in.token(&[]);
        assert!(matches!(output.code(), 1 | 75), "{portal:?}: {output:?}");
        // The portal had one of the two requests.
        assert_goes_on(&signed_in, 2);
    }
}
