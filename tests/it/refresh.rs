//! The refresh, through the real binary and against a server that rotates refresh tokens and ends
//! the sign-in when one is used twice.
//!
//! | guarantee | tests |
//! |---|---|
//! | P1 one refresh a credential, whoever asks | `processes_that_meet_an_expired_token_…`, `processes_share_a_new_token_…` |
//! | P2 a stale loser re-reads and goes on | `a_process_paused_…` (two), `a_process_waits_for_a_refresh_of_another_machine`, `a_token_that_lives_is_handed_out_while_…`, `a_refresh_left_behind_by_another_machine_…`, `a_machine_that_lost_the_race_…` |
//! | P3 no failure weakens a record | `no_failure_of_the_token_endpoint_…`, `a_refused_request_…`, `lost_answers_show_…` |
//! | P4 no new refresh token: the old one stays | `an_answer_without_a_refresh_token_…` |
//! | P5 a lost answer is journalled, retried once, explained | `a_lost_answer_…` (three) |
//! | P6 sign-out deletes here and says what the server was told | `signing_out_…` |
//! | A3 few retries, only where safe | `a_server_that_refuses_for_now_…`, `a_refusal_that_names_…` (two), `a_token_that_lives_…` |
//! | A5 no loop; clocks and lifetimes do no harm | `a_clock_that_is_wrong_…`, `odd_lifetimes_…`, `a_refused_sign_in_…` |
//! | the end of the sign-in is announced | `the_end_of_the_refresh_token_…` |

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::authorization_server::{Endpoint, Fault, Gate};
use crate::support::http::{Answer, Request};
use crate::support::protected_resource::ProtectedResource;
use crate::support::signed_in::{PROVIDER, SignedIn, config};

/// Rounds of the tests that race: few here, `full` under `tests/run --long`.
fn rounds(few: usize, full: usize) -> usize {
    let all = std::env::var_os("AUTHCTL_TEST_ROUNDS").is_some_and(|value| value == "full");
    if all { full } else { few }
}

// ------------------------------------------------------------------------------------------- P1

const PROCESSES: usize = 64;

/// The commands that need a credential, in turn; what they print on success.
fn command(signed_in: &SignedIn, number: usize) -> Command {
    let sandbox = &signed_in.sandbox;
    let mut command = match number % 3 {
        0 => sandbox.command(["token", PROVIDER]),
        1 => sandbox.command([
            "exec",
            "--with",
            PROVIDER,
            "--",
            "sh",
            "-c",
            "printf '%s' \"$DEMO_TOKEN\"",
        ]),
        _ => sandbox.command(["status", "--check"]),
    };
    // Every other one has a configuration and a state of its own; the store is the same.
    if number % 2 == 1 {
        command.env("XDG_CONFIG_HOME", sandbox.path("other/config"));
        command.env("XDG_STATE_HOME", sandbox.path("other/state"));
    }
    command
}

#[test]
fn processes_that_meet_an_expired_token_refresh_it_once_and_all_get_the_new_one() {
    let resource_of = |signed_in: &SignedIn| {
        ProtectedResource::start("Authorization", signed_in.server.introspection())
    };
    let signed_in = SignedIn::new();
    let resource = resource_of(&signed_in);
    let verify = config(&signed_in.server, &format!("verify = \"{}/me\"", resource.origin()));
    signed_in.sandbox.write_config(&verify);
    let other = signed_in.sandbox.path("other/config/authctl");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("config.toml"), &verify).unwrap();
    // Both index directories know the credential: it has been used from both.
    for number in [0, 3] {
        signed_in.sandbox.start(command(&signed_in, number)).finish().success();
    }

    for round in 0..rounds(2, 50) {
        signed_in.expire();
        signed_in.next(Fault::Delay(Duration::from_millis(200)));
        let before = signed_in.refreshes();
        let start = |number| signed_in.sandbox.start(command(&signed_in, number));
        let running: Vec<_> = (0..PROCESSES).map(start).collect();
        for (number, running) in running.into_iter().enumerate() {
            let output = running.finish();
            assert_eq!(output.code(), 0, "round {round}, process {number}: {output:?}");
            if number % 3 != 2 {
                assert!(signed_in.server.accepts(output.stdout.trim_end()), "{output:?}");
            }
        }
        assert_eq!(signed_in.refreshes() - before, 1, "refreshes of round {round}");
        assert_eq!(signed_in.server.reuses(), 0);
    }
    let checks = resource.requests().len();
    assert!(checks >= PROCESSES / 3, "{checks} calls with a credential");

    let next = signed_in.token(&["--refresh"]).success();
    assert!(signed_in.server.accepts(next.trim_end()));
}

/// A server whose tokens never live as long as is asked must not be asked by each process in turn.
#[test]
fn processes_share_a_new_token_that_lives_shorter_than_they_asked() {
    processes_share_a_token_that_lives(30, "ends in");
}

#[test]
fn processes_share_a_new_token_that_the_server_gives_no_time() {
    processes_share_a_token_that_lives(0, "");
}

fn processes_share_a_token_that_lives(seconds: u64, said: &str) {
    let signed_in =
        SignedIn::with("", |server| server.rules(|rules| rules.expires_in = Some(seconds)));
    signed_in.expire();
    let gate = Arc::new(Gate::default());
    signed_in.next(Fault::Wait(Arc::clone(&gate)));
    let start = || signed_in.sandbox.start(signed_in.sandbox.command(["token", PROVIDER]));
    let running: Vec<_> = (0..8).map(|_| start()).collect();
    gate.arrival();
    // All of them saw the old token: nothing is stored before the gate opens.
    for one in &running {
        wait_for_lock(one.child.id());
    }
    gate.open();
    let outputs: Vec<_> =
        running.into_iter().map(crate::support::sandbox::Running::finish).collect();
    for output in outputs {
        assert!(output.stderr.contains(said), "{output:?}");
        let stored = &signed_in.credential()["tokens"]["access_token"];
        assert_eq!(output.success().trim_end(), stored.as_str().unwrap());
    }
    assert_eq!(signed_in.refreshes(), 1);
}

/// Waits until a process has opened a lock file: it has read the record, and waits or works.
#[cfg(target_os = "linux")]
fn wait_for_lock(pid: u32) {
    crate::support::eventually("an open lock file", || {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let mut targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets.any(|target| target.extension().is_some_and(|end| end == "lock")).then_some(())
    });
}

#[cfg(not(target_os = "linux"))]
fn wait_for_lock(_: u32) {}

// ------------------------------------------------------------------------------------------- P2

/// Pauses at system calls: a stop signal from strace arrives exactly there.
#[cfg(target_os = "linux")]
mod paused {
    use rustix::process::{Pid, Signal, kill_process};

    use super::{PROVIDER, SignedIn, wait_for_lock};
    use crate::real_parts::present;
    use crate::support::eventually;
    use crate::support::sandbox::{Output, Running};

    /// `authctl token`, stopped at its first `call`.
    struct Paused {
        running: Running,
        pid: Pid,
    }

    impl Paused {
        /// The signal arrives when the call is over; with `error` the call does nothing and fails.
        fn at(signed_in: &SignedIn, call: &str, error: &str) -> Self {
            let log = signed_in.sandbox.path(&format!("strace-{call}"));
            let mut command = signed_in.sandbox.program("strace");
            command.args(["-f", "-qq", "-o"]).arg(&log);
            command.arg(format!("--trace={call}"));
            command.arg(format!("--inject={call}:{error}signal=SIGSTOP:when=1"));
            command.args([crate::support::sandbox::AUTHCTL, "token", PROVIDER]);
            let running = signed_in.sandbox.start(command);
            // A line begins with the number of the process.
            let pid = eventually("a stopped process", || {
                let log = std::fs::read_to_string(&log).ok()?;
                let line = log.lines().find(|line| line.contains("stopped by SIGSTOP"))?;
                line.split(' ').next()?.parse().ok()
            });
            Self { running, pid: Pid::from_raw(pid).unwrap() }
        }

        fn go_on(self) -> Output {
            kill_process(self.pid, Signal::CONT).unwrap();
            self.running.finish()
        }
    }

    #[test]
    fn a_process_paused_before_the_lock_takes_what_another_refreshed() {
        if !present(&["strace"]) {
            return;
        }
        let signed_in = SignedIn::new();
        signed_in.expire();
        // It has read the old record by now, and has not got the lock.
        let stale = Paused::at(&signed_in, "flock", "error=EAGAIN:");
        let winner = signed_in.token(&[]).success();
        let stale = stale.go_on().success();
        assert_eq!(stale, winner);
        assert!(signed_in.server.accepts(stale.trim_end()));
        assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0));
    }

    #[test]
    fn a_process_paused_before_its_request_is_waited_for() {
        if !present(&["strace"]) {
            return;
        }
        let signed_in = SignedIn::new();
        signed_in.expire();
        // It holds the lock and has written its journal.
        let holder = Paused::at(&signed_in, "connect", "");
        assert_eq!(signed_in.record()["refreshing"]["attempt"], 1);
        let waiter = signed_in.sandbox.start(signed_in.sandbox.command(["token", PROVIDER]));
        wait_for_lock(waiter.child.id());
        assert_eq!(signed_in.refreshes(), 0);
        let first = holder.go_on().success();
        assert_eq!(waiter.finish().success(), first);
        assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0));
        assert_eq!(signed_in.record()["refused"], serde_json::Value::Null);
    }

    /// Nobody steals the lock: whoever waits too long says so, and the holder still finishes.
    #[test]
    fn a_process_that_stays_paused_costs_the_others_time_and_nothing_else() {
        if super::rounds(0, 1) == 0 || !present(&["strace"]) {
            return;
        }
        let signed_in = SignedIn::new();
        signed_in.expire();
        let holder = Paused::at(&signed_in, "connect", "");
        let waiter = signed_in.sandbox.command(["token", PROVIDER]).output().unwrap();
        assert_eq!(waiter.status.code(), Some(75), "{waiter:?}");
        let held = holder.go_on();
        // Its connection may have timed out meanwhile; nothing was sent then.
        assert!([0, 75].contains(&held.code()), "{held:?}");
        signed_in.token(&[]).success();
        assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0));
    }
}

/// A mark as another machine would leave it, `age` seconds old.
fn foreign_mark(signed_in: &SignedIn, age: i64) {
    let started = Timestamp::now() - SignedDuration::from_secs(age);
    signed_in.store.change(PROVIDER, |record| {
        record["refreshing"] = json!({
            "generation": record["generation"],
            "started": started.to_string(),
            "lock_domain": "another-machine-000000",
            "attempt": 1,
        });
    });
}

/// It waits without the lock: whoever signs out or in meanwhile is not kept from it.
#[cfg(target_os = "linux")]
#[test]
fn a_process_waits_for_a_refresh_of_another_machine() {
    if !crate::real_parts::present(&["strace"]) {
        return;
    }
    let signed_in = SignedIn::new();
    signed_in.expire();
    foreign_mark(&signed_in, 0);
    let log = signed_in.sandbox.path("strace-waits");
    let mut command = signed_in.sandbox.program("strace");
    command.args(["-f", "-qq", "--trace=clock_nanosleep", "-o"]).arg(&log);
    command.args([crate::support::sandbox::AUTHCTL, "token", PROVIDER]);
    let running = signed_in.sandbox.start(command);
    crate::support::eventually("a process that waits", || {
        let log = std::fs::read_to_string(&log).ok()?;
        log.contains("clock_nanosleep").then_some(())
    });
    let lock =
        signed_in.store.directory().join(format!("locks/credential~{PROVIDER}~default.lock"));
    let lock = std::fs::OpenOptions::new().write(true).open(lock);
    let lock = lock.unwrap();
    lock.try_lock().unwrap();
    signed_in.store.change(PROVIDER, won_elsewhere);
    lock.unlock().unwrap();
    assert_eq!(running.finish().success(), "won-elsewhere\n");
    assert_eq!(signed_in.refreshes(), 0);
}

/// The harness has less patience than another machine gets.
#[test]
fn a_token_that_lives_is_handed_out_while_another_machine_refreshes() {
    let signed_in = SignedIn::new();
    let old = signed_in.token(&[]).success();
    foreign_mark(&signed_in, 0);
    assert_eq!(signed_in.token(&["--min-ttl", "2h"]).success(), old);
    assert_eq!(signed_in.refreshes(), 0);
}

/// The record after another machine's refresh.
fn won_elsewhere(record: &mut Value) {
    let now = Timestamp::now();
    record.as_object_mut().unwrap().remove("refreshing");
    record["generation"] = json!(record["generation"].as_u64().unwrap() + 1);
    record["credential"]["tokens"]["access_token"] = json!("won-elsewhere");
    record["credential"]["tokens"]["refresh_token"] = json!("refresh-won-elsewhere");
    record["credential"]["tokens"]["issued_at"] = json!(now.to_string());
    record["credential"]["tokens"]["expires_at"] =
        json!((now + SignedDuration::from_hours(1)).to_string());
}

#[test]
fn a_refresh_left_behind_by_another_machine_is_done_again_once() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    foreign_mark(&signed_in, 61);
    let token = signed_in.token(&[]).success();
    assert!(signed_in.server.accepts(token.trim_end()));
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0));
    assert_eq!(signed_in.record()["refreshing"], Value::Null);
}

#[test]
fn a_machine_that_lost_the_race_takes_the_winners_tokens() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    let gate = Arc::new(Gate::default());
    signed_in.next(Fault::Wait(Arc::clone(&gate)));
    let running = signed_in.sandbox.start(signed_in.sandbox.command(["token", PROVIDER]));
    gate.arrival();
    // Without our lock, as only another machine can.
    signed_in.store.change(PROVIDER, won_elsewhere);
    signed_in.server.revoke_everything();
    gate.open();
    assert_eq!(running.finish().success(), "won-elsewhere\n");
    assert_eq!(signed_in.refresh_token(), "refresh-won-elsewhere");
    assert_eq!(signed_in.record()["refused"], Value::Null);
}

// ------------------------------------------------------------------------------------------- P3

/// What a fault must come to while no token lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Certainly not carried out and said so: tried three times in all.
    Refused,
    /// Not carried out, or nobody knows: 75 after one request.
    Later,
    /// Our client or a parameter is wrong: 2.
    Client,
    /// Only a sign-in helps: 4, and marked.
    Over,
}

impl Class {
    fn code(self) -> i32 {
        match self {
            Class::Refused | Class::Later => 75,
            Class::Client => 2,
            Class::Over => 4,
        }
    }

    fn requests(self) -> usize {
        if self == Class::Refused { 3 } else { 1 }
    }
}

fn raw(text: &str) -> Fault {
    Fault::Answer(Answer::Raw(text.as_bytes().to_vec()))
}

fn json(text: &str) -> Fault {
    Fault::Json(text.to_owned())
}

fn error(status: u16, code: &str) -> Fault {
    Fault::Answer(Answer::json(status, &json!({ "error": code })))
}

fn page(status: u16) -> Answer {
    Answer::new(status, "text/html", "<!doctype html><title>Sign in to the wireless</title>")
}

/// Everything that a token endpoint, or something in its place, was seen to answer.
fn faults(sink: &str) -> Vec<(&'static str, Fault, Class)> {
    use Class::{Client, Later, Over, Refused};
    let redirect =
        |status| Fault::Answer(Answer::empty(status).header("location", &format!("{sink}/token")));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let mut non_utf8 =
        format!("{head}content-length: 22\r\n\r\n{{\"access_token\":\"a").into_bytes();
    non_utf8.extend([0xff, 0xfe, b'"', b'}']);
    let long = |bytes: usize| {
        Fault::Json(
            json!({ "access_token": "x".repeat(bytes), "token_type": "Bearer" }).to_string(),
        )
    };
    vec![
        ("hangs up", Fault::HangUp, Later),
        ("resets", Fault::Answer(Answer::Reset), Later),
        ("is cut after the headers", raw(&format!("{head}content-length: 99\r\n\r\n")), Later),
        ("is cut in the body", raw(&format!("{head}content-length: 99\r\n\r\n{{\"access_")), Later),
        ("never answers", Fault::Answer(Answer::Silence), Later),
        ("is no HTTP", raw("220 mail.example ESMTP\r\n"), Later),
        ("500", Fault::Status(500), Later),
        ("502 with a page", Fault::Answer(page(502)), Later),
        ("504", Fault::Status(504), Later),
        ("503", Fault::Status(503), Refused),
        ("503 with Retry-After", Fault::RetryAfter(1), Refused),
        ("429", Fault::Answer(Answer::empty(429).header("retry-after", "0")), Refused),
        ("temporarily_unavailable", error(400, "temporarily_unavailable"), Refused),
        ("temporarily_unavailable in 200", error(200, "temporarily_unavailable"), Refused),
        ("server_error", error(400, "server_error"), Later),
        ("a page with 200", Fault::Answer(page(200)), Later),
        ("a page with 404", Fault::Answer(page(404)), Later),
        ("an empty body", Fault::Answer(Answer::new(200, "application/json", "")), Later),
        ("204", Fault::Status(204), Later),
        ("truncated JSON", json(r#"{"access_token":"a","refresh_token":"r"#), Later),
        ("JSON with more behind it", json(r#"{"access_token":"a"} {}"#), Later),
        ("a list", json(r#"[{"access_token":"a"}]"#), Later),
        ("repeated keys", json(r#"{"access_token":"a","access_token":"b"}"#), Later),
        ("a number as token", json(r#"{"access_token":7}"#), Later),
        ("an object as refresh token", json(r#"{"access_token":"a","refresh_token":{}}"#), Later),
        ("a word as lifetime", json(r#"{"access_token":"a","expires_in":"soon"}"#), Later),
        ("a list as token_type", json(r#"{"access_token":"a","token_type":["Bearer"]}"#), Later),
        ("no access token", json(r#"{"token_type":"Bearer","refresh_token":"r"}"#), Later),
        ("an empty access token", json(r#"{"access_token":"","refresh_token":"r"}"#), Later),
        ("bytes that are not UTF-8", Fault::Answer(Answer::Raw(non_utf8)), Later),
        ("redirect 302", redirect(302), Later),
        ("redirect 307", redirect(307), Later),
        ("redirect 308", redirect(308), Later),
        ("a huge body", long(2 << 20), Later),
        ("a huge token", long(65 << 10), Later),
        ("a token with a line break", json(r#"{"access_token":"a\nb"}"#), Later),
        ("a token with a blank", json(r#"{"access_token":"a b"}"#), Later),
        ("a token outside ASCII", json(r#"{"access_token":"ä"}"#), Later),
        (
            "a refresh token with NUL",
            json(r#"{"access_token":"a","refresh_token":"r\u0000"}"#),
            Later,
        ),
        ("token_type mac", json(r#"{"access_token":"a","token_type":"mac"}"#), Later),
        ("token_type DPoP", json(r#"{"access_token":"a","token_type":"DPoP"}"#), Later),
        ("invalid_client", error(401, "invalid_client"), Client),
        ("invalid_scope", error(400, "invalid_scope"), Client),
        ("invalid_target", error(400, "invalid_target"), Client),
        ("unauthorized_client", error(400, "unauthorized_client"), Client),
        ("an error nobody knows", error(400, "out_of_cheese"), Later),
        ("invalid_grant", error(400, "invalid_grant"), Over),
        ("invalid_grant in 200", error(200, "invalid_grant"), Over),
        ("GitHub's word for it", error(200, "bad_refresh_token"), Over),
        ("unsupported_grant_type", error(400, "unsupported_grant_type"), Client),
        ("invalid_request", error(400, "invalid_request"), Client),
    ]
}

#[test]
fn no_failure_of_the_token_endpoint_changes_a_token_or_ends_a_sign_in() {
    let sink = ProtectedResource::start("Authorization", |_| false);
    let faults = faults(&sink.origin());
    let meetings: Vec<_> =
        faults.iter().flat_map(|fault| [(fault, true), (fault, false)]).collect();
    let next = AtomicUsize::new(0);
    // Most of the time is spent waiting for servers that do not answer.
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(((name, fault, class), lives)) =
                    meetings.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let meet = if *lives { meet_with_a_token_that_lives } else { meet };
                    meet(name, fault, *class);
                }
            });
        }
        scope.spawn(meet_a_closed_port);
    });
    assert_eq!(sink.requests().len(), 0, "a redirect was followed");
}

/// Runs without the patience of the harness: a server that never answers is given up after 30 s.
fn token(signed_in: &SignedIn, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["token", PROVIDER], arguments].concat();
    let output = signed_in.sandbox.command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The token lives, though not as long as is asked: it is handed out, with a word of warning.
fn meet_with_a_token_that_lives(name: &str, fault: &Fault, _: Class) {
    let signed_in = SignedIn::new();
    let credential = signed_in.credential();
    let old = credential["tokens"]["access_token"].as_str().unwrap().to_owned();
    signed_in.next(fault.clone());
    let (code, stdout, stderr) = token(&signed_in, &["--min-ttl", "2h"]);
    assert_eq!((code, stdout.trim_end()), (0, &*old), "{name}: {stderr}");
    assert!(stderr.contains("the token at hand still works"), "{name}: {stderr}");
    assert_eq!(signed_in.credential(), credential, "{name}");
    assert_eq!(signed_in.record()["generation"], 1, "{name}");
    assert_eq!(signed_in.refreshes(), 1, "{name}");
    // The server was wrong, or is well again: a person's word is enough.
    let (code, stdout, stderr) = token(&signed_in, &["--refresh"]);
    assert_eq!(code, 0, "{name}: {stderr}");
    assert!(signed_in.server.accepts(stdout.trim_end()), "{name}");
}

/// No token lives.
fn meet(name: &str, fault: &Fault, class: Class) {
    let signed_in = SignedIn::new();
    signed_in.expire();
    let credential = signed_in.credential();
    (0..class.requests()).for_each(|_| signed_in.next(fault.clone()));
    let (code, stdout, stderr) = token(&signed_in, &[]);
    assert_eq!((code, &*stdout), (class.code(), ""), "{name}: {stderr}");
    assert!(stderr.contains("127.0.0.1") || class == Class::Over, "{name}: {stderr}");
    assert_eq!(signed_in.credential(), credential, "{name}");
    assert_eq!(signed_in.record()["refused"].is_object(), class == Class::Over, "{name}");
    assert_eq!(signed_in.refreshes(), class.requests(), "{name}");

    assert_eq!(
        record_failures(&signed_in),
        if class == Class::Over { 0 } else { class.requests() }
    );

    // Nothing loops: a sign-in that is over is not asked about again. Everything else heals itself.
    if class == Class::Over {
        let (code, _, stderr) = token(&signed_in, &[]);
        assert_eq!(code, 4, "{name}: {stderr}");
        assert!(stderr.contains(&format!("authctl login {PROVIDER}")), "{name}: {stderr}");
        assert_eq!(signed_in.refreshes(), 1, "{name}");
        assert_eq!(token(&signed_in, &["--refresh"]).0, 0, "{name}");
    }
    let (code, stdout, stderr) = token(&signed_in, &[]);
    assert_eq!(code, 0, "{name}: {stderr}");
    assert!(signed_in.server.accepts(stdout.trim_end()), "{name}");
    assert_eq!(signed_in.server.reuses(), 0, "{name}");
    let record = signed_in.record();
    assert_eq!((&record["refused"], &record["refreshing"]), (&Value::Null, &Value::Null), "{name}");
}

fn record_failures(signed_in: &SignedIn) -> usize {
    let attempts = signed_in.record()["failing"]["attempts"].as_u64().unwrap_or(0);
    usize::try_from(attempts).unwrap()
}

/// What the server refused and the key that mends it are named, and the sign-in goes on.
#[test]
fn a_refused_request_names_what_is_wrong_and_does_not_storm() {
    for (code, exit, what, hint) in [
        ("invalid_scope", 2, "the scopes", "scopes in [provider.demo.oauth]"),
        ("invalid_target", 2, "the resource", "resource in [provider.demo.oauth]"),
        ("invalid_request", 2, "the request", "token_endpoint in [provider.demo.oauth]"),
        ("unsupported_grant_type", 2, "this grant", "token_endpoint in [provider.demo.oauth]"),
        ("invalid_client", 2, "the client", "--client-id ID"),
        ("out_of_cheese", 75, "out_of_cheese", "authctl status demo --check"),
    ] {
        let signed_in = SignedIn::new();
        signed_in.server.always(Endpoint::Token, Some(error(400, code)));
        let old = signed_in.token(&[]).success();
        // As long as the token lives there is nothing to see but a word of warning.
        assert_eq!(signed_in.token(&["--min-ttl", "2h"]).success(), old);
        assert_eq!(signed_in.sandbox.run(["status"]).code(), 0, "{code}");
        signed_in.expire();
        let said = signed_in.token(&[]).failure(exit);
        assert!(said.contains(what) && said.contains(hint), "{code}: {said}");
        let status = signed_in.sandbox.run(["status"]);
        assert_eq!(status.code(), 1, "{status:?}");
        let shown = format!("127.0.0.1:{}", signed_in.server.issuer().rsplit(':').next().unwrap());
        assert!(status.stdout.contains(&format!("{shown} refused: {code}")), "{status:?}");
        assert_eq!(signed_in.record()["refreshing"], Value::Null, "{code}");
        // From the second refusal on, the requests have pauses between them.
        for _ in 0..3 {
            let said = signed_in.token(&[]).failure(75);
            assert!(said.contains("failed 2 times") && said.contains("--refresh"), "{said}");
        }
        assert_eq!(signed_in.refreshes(), 2, "{code}");
        signed_in.server.always(Endpoint::Token, None);
        signed_in.pass(SignedDuration::from_mins(6));
        signed_in.token(&[]).success();
        assert_eq!(signed_in.record()["failing"], Value::Null, "{code}");
        assert_eq!(signed_in.sandbox.run(["status"]).code(), 0, "{code}");
    }
}

#[test]
fn lost_answers_show_in_the_status_once_the_token_has_ended() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    (0..2).for_each(|_| signed_in.next(Fault::HangUp));
    signed_in.token(&[]).failure(75);
    assert_eq!(signed_in.sandbox.run(["status"]).code(), 0, "one bad moment");
    signed_in.token(&[]).failure(75);
    let status = signed_in.sandbox.run(["status", "--json"]);
    assert_eq!((status.code(), &status.json()["credentials"][0]["state"]), (1, &json!("failing")));
    signed_in.token(&["--refresh"]).success();
    assert_eq!(signed_in.sandbox.run(["status"]).code(), 0);
}

fn meet_a_closed_port() {
    let signed_in = SignedIn::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let open = signed_in.credential()["binding"]["token_endpoint"].clone();
    signed_in.store.change(PROVIDER, |record| {
        record["credential"]["binding"]["token_endpoint"] =
            json!(format!("http://127.0.0.1:{port}/token"));
    });
    signed_in.expire();
    let credential = signed_in.credential();
    // Nothing was sent, so that there is no limit to trying.
    for _ in 0..3 {
        let (code, _, stderr) = token(&signed_in, &[]);
        assert_eq!(code, 75, "{stderr}");
        assert!(stderr.contains(&format!("127.0.0.1:{port}")), "{stderr}");
        assert_eq!(signed_in.credential(), credential);
        assert_eq!(signed_in.record()["refreshing"], Value::Null);
    }
    signed_in.store.change(PROVIDER, |record| {
        record["credential"]["binding"]["token_endpoint"] = open;
    });
    assert_eq!(token(&signed_in, &[]).0, 0);
}

// ------------------------------------------------------------------------------------------- P4

#[test]
fn an_answer_without_a_refresh_token_leaves_the_old_one() {
    for answer in [
        r#"{"access_token":"new","token_type":"Bearer","expires_in":60}"#,
        r#"{"access_token":"new","token_type":"Bearer","expires_in":60,"refresh_token":""}"#,
        r#"{"access_token":"new","token_type":"Bearer","expires_in":60,"refresh_token":null}"#,
    ] {
        let signed_in = SignedIn::new();
        let kept = signed_in.refresh_token();
        signed_in.expire();
        signed_in.next(json(answer));
        assert_eq!(signed_in.token(&["--min-ttl", "0s"]).success(), "new\n", "{answer}");
        assert_eq!(signed_in.refresh_token(), kept, "{answer}");
        assert_eq!(signed_in.credential()["tokens"]["scopes"], json!(["read"]), "{answer}");
        signed_in.expire();
        let token = signed_in.token(&[]).success();
        assert!(signed_in.server.accepts(token.trim_end()), "{answer}");
    }
}

#[test]
fn a_server_that_does_not_rotate_keeps_its_refresh_token() {
    let signed_in = SignedIn::with("", |server| server.rules(|rules| rules.rotates = false));
    let kept = signed_in.refresh_token();
    for _ in 0..3 {
        signed_in.expire();
        signed_in.token(&[]).success();
        assert_eq!(signed_in.refresh_token(), kept);
    }
    assert_eq!(signed_in.refreshes(), 3);
}

// ------------------------------------------------------------------------------------------- P5

#[test]
fn a_lost_answer_is_asked_for_once_more_and_costs_nothing_where_the_server_has_grace() {
    let signed_in =
        SignedIn::with("", |server| server.rules(|rules| rules.grace = Some(Duration::MAX)));
    signed_in.expire();
    signed_in.next(Fault::LoseAnswer);
    signed_in.token(&[]).failure(75);
    assert_eq!(signed_in.record()["refreshing"]["attempt"], 1);
    let token = signed_in.token(&[]).success();
    assert!(signed_in.server.accepts(token.trim_end()));
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (2, 0));
    assert_eq!(signed_in.record()["refreshing"], Value::Null);
    signed_in.token(&["--refresh"]).success();
}

#[test]
fn a_lost_answer_of_a_server_without_grace_is_asked_for_once_more_and_explained() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.next(Fault::LoseAnswer);
    signed_in.token(&[]).failure(75);
    for _ in 0..3 {
        let said = signed_in.token(&[]).failure(4);
        assert!(said.contains("the answer to an earlier refresh was lost"), "{said}");
        assert!(said.contains(&format!("authctl login {PROVIDER}")), "{said}");
    }
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (2, 1));
}

#[test]
fn answers_that_are_lost_again_and_again_are_asked_for_at_growing_intervals() {
    let signed_in =
        SignedIn::with("", |server| server.rules(|rules| rules.grace = Some(Duration::MAX)));
    signed_in.expire();
    (0..4).for_each(|_| signed_in.next(Fault::HangUp));
    signed_in.token(&[]).failure(75);
    signed_in.token(&[]).failure(75);
    for _ in 0..3 {
        let said = signed_in.token(&[]).failure(75);
        assert!(said.contains("cut off 2 times"), "{said}");
        assert!(said.contains("--refresh"), "{said}");
    }
    assert_eq!(signed_in.refreshes(), 2);
    signed_in.pass(SignedDuration::from_mins(6));
    signed_in.token(&[]).failure(75);
    signed_in.pass(SignedDuration::from_mins(6));
    signed_in.token(&[]).failure(75);
    assert_eq!(signed_in.refreshes(), 3, "the second pause is ten minutes");
    signed_in.pass(SignedDuration::from_mins(6));
    signed_in.token(&[]).failure(75);
    assert_eq!(signed_in.refreshes(), 4);
    // A person who knows better need not wait.
    signed_in.token(&["--refresh"]).success();
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (5, 0));
}

#[test]
fn a_lost_answer_takes_nothing_from_a_token_that_lives() {
    let signed_in = SignedIn::new();
    let old = signed_in.token(&[]).success();
    signed_in.next(Fault::LoseAnswer);
    for _ in 0..3 {
        assert_eq!(signed_in.token(&["--min-ttl", "2h"]).success(), old);
    }
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0));
}

// ------------------------------------------------------------------------------------------- P6

#[test]
fn signing_out_forgets_here_and_says_what_the_server_was_told() {
    let told: [(&str, Option<Fault>, Value, &str); 9] = [
        ("ok", None, json!(true), "the server revoked the tokens"),
        ("503", Some(Fault::RetryAfter(1)), json!(false), "could not be told"),
        ("500", Some(Fault::Status(500)), json!(false), "could not be told"),
        ("404", Some(Fault::Status(404)), json!(false), "could not be told"),
        ("hang-up", Some(Fault::HangUp), json!(false), "could not be told"),
        ("page", Some(Fault::Html(200)), json!(false), "could not be told"),
        ("page 404", Some(Fault::Html(404)), json!(false), "could not be told"),
        ("error", Some(Fault::Error("unsupported_token_type")), json!(false), "could not be told"),
        (
            "redirect",
            Some(Fault::Answer(Answer::empty(302).header("location", "http://127.0.0.1:1/"))),
            json!(false),
            "could not be told",
        ),
    ];
    for (name, fault, revoked, said) in told {
        for as_json in [false, true] {
            let signed_in = SignedIn::new();
            let access = signed_in.token(&[]).success();
            for _ in 0..2 {
                if let Some(fault) = &fault {
                    signed_in.server.script(Endpoint::Revoke, fault.clone());
                }
            }
            let output = signed_in
                .sandbox
                .run(["logout", PROVIDER].into_iter().chain(as_json.then_some("--json")));
            assert_eq!(output.code(), 0, "{name}: {output:?}");
            if as_json {
                assert_eq!(output.json()["signed_out"][0]["revoked"], revoked, "{name}");
            } else {
                assert!(output.stderr.contains(said), "{name}: {output:?}");
            }
            assert_eq!(signed_in.server.accepts(access.trim_end()), revoked == json!(false));
            forgotten(&signed_in);
        }
    }
}

/// Refuses to revoke one of the two tokens.
fn refuse(hint: &str, request: &Request, refusal: Answer) -> Answer {
    let is_that = request.form().contains(&("token_type_hint".into(), hint.into()));
    if is_that { refusal } else { Answer::empty(200) }
}

#[test]
fn signing_out_says_which_token_the_server_left_alive() {
    type Reply = fn(&Request) -> Answer;
    let cases: [(Reply, &str, Value); 3] = [
        (
            |request| refuse("access_token", request, Answer::empty(503)),
            "the refresh token was revoked; the access token works until it ends in",
            json!([false, true, false]),
        ),
        (
            |request| refuse("refresh_token", request, Answer::empty(503)),
            "the access token was revoked; the refresh token works until it expires",
            json!([false, false, true]),
        ),
        (
            |request| {
                let unsupported = json!({ "error": "unsupported_token_type" });
                refuse("access_token", request, Answer::json(400, &unsupported))
            },
            "the server revoked the tokens",
            json!([true, true, true]),
        ),
    ];
    for (reply, said, revoked) in cases {
        for as_json in [false, true] {
            let signed_in = SignedIn::new();
            signed_in.server.always(Endpoint::Revoke, Some(Fault::Reply(reply)));
            let arguments = ["logout", PROVIDER].into_iter().chain(as_json.then_some("--json"));
            let output = signed_in.sandbox.run(arguments);
            assert_eq!(output.code(), 0, "{output:?}");
            if as_json {
                let told = &output.json()["signed_out"][0];
                let told = ["revoked", "refresh_token_revoked", "access_token_revoked"]
                    .map(|key| told[key].clone());
                assert_eq!(json!(told), revoked, "{said}");
            } else {
                assert!(output.stderr.contains(said), "{output:?}");
            }
            forgotten(&signed_in);
        }
    }
}

/// A server that does not answer keeps nobody waiting: the lock is free, and Ctrl-C ends it.
#[cfg(unix)]
#[test]
fn signing_out_is_done_here_before_the_server_is_told() {
    use rustix::process::{Pid, Signal, kill_process};
    let signed_in = SignedIn::new();
    signed_in.server.always(Endpoint::Revoke, Some(Fault::Answer(Answer::Silence)));
    let mut command = signed_in.sandbox.command(["logout", "--all", "--json"]);
    command.stdin(std::process::Stdio::null());
    let running = signed_in.sandbox.start(command);
    crate::support::eventually("both requests", || {
        (signed_in.server.requests(Endpoint::Revoke).len() == 2).then_some(())
    });
    let said = signed_in.sandbox.run(["logout", PROVIDER]).failure(1);
    assert!(said.contains("not signed in"), "{said}");
    forgotten(&signed_in);
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let output = running.finish();
    assert_eq!(output.code(), 130, "{output:?}");
    assert!(output.stderr.contains("the server was not told"), "{output:?}");
    assert_eq!(output.json()["signed_out"][0]["revoked"], json!(false), "{output:?}");
}

/// The index says what the store no longer holds: another program deleted it.
#[test]
fn signing_out_of_what_only_the_index_knows_removes_the_entry() {
    for arguments in [["logout", PROVIDER], ["logout", "--all"]] {
        let signed_in = SignedIn::new();
        std::fs::remove_file(signed_in.store.file(PROVIDER)).unwrap();
        let status = || signed_in.sandbox.run(["status", "--json"]).json();
        assert_eq!(status()["credentials"].as_array().unwrap().len(), 1);
        let output = signed_in.sandbox.run(arguments);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(output.stderr.contains("held nothing of it any more"), "{output:?}");
        assert_eq!(status()["credentials"], json!([]));
        assert!(signed_in.server.requests(Endpoint::Revoke).is_empty());
        signed_in.sandbox.run(["logout", PROVIDER]).failure(1);
    }
}

#[test]
fn signing_out_of_everything_goes_on_after_a_failure() {
    let signed_in = SignedIn::new();
    let key = ["login", "audiostack", "--with-key"];
    signed_in.sandbox.run_with_input(key, "sk-1").success();
    // Sorted before demo, and of a newer format: it must not be touched.
    let newer = signed_in.store.record("audiostack");
    signed_in.store.change("audiostack", |record| record["format"] = json!(99));
    let said = signed_in.sandbox.run(["logout", "--all"]).failure(1);
    assert!(said.contains("newer authctl") && said.contains("Signed out of demo"), "{said}");
    assert_eq!(signed_in.store.find(PROVIDER), None);
    signed_in.store.write("audiostack", &newer);
    signed_in.sandbox.run(["logout", "--all"]).success();
}

fn forgotten(signed_in: &SignedIn) {
    assert_eq!(signed_in.store.find(PROVIDER), None);
    let status = signed_in.sandbox.run(["status", "--json"]).json();
    assert_eq!(status["credentials"], json!([]));
    signed_in.token(&[]).failure(4);
}

#[test]
fn signing_out_of_a_server_without_revocation_says_that() {
    let without = |metadata: &mut Value| {
        metadata.as_object_mut().unwrap().remove("revocation_endpoint");
    };
    let signed_in =
        SignedIn::with("", |server| server.rules(|rules| rules.edit_metadata = without));
    let said = signed_in.sandbox.run(["logout", PROVIDER]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("offers no revocation"), "{said:?}");
    assert_eq!(signed_in.server.requests(Endpoint::Revoke).len(), 0);
    forgotten(&signed_in);
}

#[test]
fn signing_out_of_a_server_that_is_gone_forgets_all_the_same() {
    let SignedIn { server, sandbox, store } = SignedIn::new();
    drop(server);
    let said = sandbox.run(["logout", PROVIDER]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("could not be told: cannot reach 127.0.0.1"), "{said:?}");
    assert_eq!(store.find(PROVIDER), None);
}

// ------------------------------------------------------------------------------------------- A3

#[test]
fn a_server_that_refuses_for_now_is_asked_again_and_then_serves() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.next(Fault::Answer(Answer::empty(429)));
    signed_in.next(error(503, "temporarily_unavailable"));
    let token = signed_in.token(&[]).success();
    assert!(signed_in.server.accepts(token.trim_end()));
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (3, 0));
}

#[test]
fn a_refusal_that_names_a_time_is_waited_for_without_the_lock() {
    let signed_in = SignedIn::new();
    signed_in.expire();
    signed_in.next(Fault::RetryAfter(3));
    let began = Instant::now();
    let waits = signed_in.sandbox.start(signed_in.sandbox.command(["token", PROVIDER]));
    crate::support::eventually("the refusal", || (signed_in.refreshes() == 1).then_some(()));
    // Somebody else, whom the server serves meanwhile, is not kept waiting.
    let other = signed_in.token(&[]).success();
    assert_eq!(waits.finish().success(), other);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (2, 0));
}

#[test]
fn a_refusal_that_names_more_than_a_minute_is_not_waited_for() {
    for asked in [61, 3600, u64::MAX] {
        let signed_in = SignedIn::new();
        signed_in.expire();
        signed_in.next(Fault::RetryAfter(asked));
        signed_in.token(&[]).failure(75);
        assert_eq!(signed_in.refreshes(), 1);
        signed_in.token(&[]).success();
    }
}

#[test]
fn a_token_that_lives_is_handed_out_rather_than_waiting_for_a_better_one() {
    let signed_in = SignedIn::new();
    let old = signed_in.token(&[]).success();
    signed_in.next(Fault::RetryAfter(60));
    assert_eq!(signed_in.token(&["--min-ttl", "2h"]).success(), old);
    assert_eq!(signed_in.refreshes(), 1);
}

// ------------------------------------------------------------------------------------------- A5

#[test]
fn a_clock_that_is_wrong_by_a_day_costs_one_refresh_and_no_more() {
    for hours in [-24, 24, -24 * 3650, 24 * 3650] {
        let signed_in = SignedIn::new();
        signed_in.pass(SignedDuration::from_hours(hours));
        for _ in 0..4 {
            let token = signed_in.token(&[]).success();
            assert!(signed_in.server.accepts(token.trim_end()), "{hours}");
            let status = signed_in.sandbox.run(["status", "--check"]);
            assert_eq!(status.code(), 0, "{hours}: {status:?}");
        }
        assert_eq!((signed_in.refreshes(), signed_in.server.reuses()), (1, 0), "{hours}");
    }
}

#[test]
fn a_clock_set_back_while_the_server_is_away_says_nothing_against_the_token() {
    let signed_in = SignedIn::new();
    let old = signed_in.token(&[]).success();
    signed_in.pass(SignedDuration::from_hours(-24));
    signed_in.next(Fault::RetryAfter(3600));
    assert_eq!(signed_in.token(&[]).success(), old);
    // The clock is right again.
    signed_in.pass(SignedDuration::from_hours(24));
    assert_eq!(signed_in.token(&[]).success(), old);
    assert_eq!(signed_in.refreshes(), 1);
}

#[test]
fn odd_lifetimes_lead_to_at_most_one_refresh_a_request() {
    // As the server writes it, and how many requests four commands make after that answer.
    for (written, requests) in [
        ("0", 4),
        ("-1", 4),
        ("-9223372036854775808", 4),
        ("1e300", 0),
        ("9223372036854775807", 0),
        ("18446744073709551616", 0),
        ("\"3600\"", 0),
        ("\"\"", 0),
        ("3600.9", 0),
        ("null", 0),
        ("1", 4),
        ("\"59\"", 4),
        ("0.5", 4),
    ] {
        let signed_in = SignedIn::new();
        let kept = signed_in.refresh_token();
        signed_in.expire();
        let answer = format!(
            "{{\"access_token\":\"odd\",\"token_type\":\"Bearer\",\"expires_in\":{written}}}"
        );
        (0..5).for_each(|_| signed_in.next(json(&answer)));
        for count in 0..5 {
            assert_eq!(signed_in.token(&[]).success(), "odd\n", "{written}");
            assert!(signed_in.refreshes() <= count + 1, "{written}");
        }
        assert_eq!(signed_in.refreshes() - 1, requests, "{written}");
        assert_eq!(signed_in.refresh_token(), kept, "{written}");
    }
}

#[test]
fn a_refused_sign_in_neither_asks_the_server_nor_opens_a_browser() {
    let signed_in = SignedIn::new();
    let opened = signed_in.sandbox.opened_urls().len();
    signed_in.expire();
    signed_in.server.revoke_everything();
    for _ in 0..4 {
        signed_in.token(&[]).failure(4);
        let exec = signed_in.sandbox.run(["exec", "--with", PROVIDER, "--", "echo", "ran"]);
        assert_eq!((exec.code(), &*exec.stdout), (125, ""), "{exec:?}");
        assert_eq!(signed_in.sandbox.run(["status", "--check"]).code(), 1);
    }
    assert_eq!(signed_in.refreshes(), 1);
    assert_eq!(signed_in.server.requests(Endpoint::Metadata).len(), 1);
    assert_eq!(signed_in.sandbox.opened_urls().len(), opened);
}

// ----------------------------------------------------------------------------- the end of the sign-in

#[test]
fn the_end_of_the_refresh_token_is_announced_in_time() {
    let day = SignedDuration::from_hours(24);
    let month = SignedDuration::from_hours(24 * 30);
    let signed_in = SignedIn::with("", |server| {
        server.rules(|rules| rules.refresh_expires_in = Some(month.as_secs().unsigned_abs()));
    });
    assert_eq!(signed_in.token(&[]).success().lines().count(), 1);
    let status = |signed_in: &SignedIn| signed_in.sandbox.run(["status", "--json"]).json();
    let end = &signed_in.credential()["tokens"]["refresh_expires_at"];
    assert_eq!(&status(&signed_in)["credentials"][0]["refresh_expires_at"], end);

    // The server rotates, and the new one has the end of the old.
    signed_in.pass(month - day * 2);
    signed_in.next(json(
        r#"{"access_token":"new","refresh_token":"r2","expires_in":3600,"refresh_token_expires_in":172000}"#,
    ));
    // A short life is not worth a word at every use: only the end of a long one is.
    let output = signed_in.token(&[]);
    assert_eq!(output.stderr, "", "{output:?}");

    signed_in.store.change(PROVIDER, |record| {
        let tokens = &mut record["credential"]["tokens"];
        let now: Timestamp = tokens["issued_at"].as_str().unwrap().parse().unwrap();
        tokens["issued_at"] = json!((now - day * 20).to_string());
        tokens["expires_at"] = json!((now + day).to_string());
        tokens["refresh_expires_at"] = json!((now + day * 2).to_string());
    });
    let output = signed_in.token(&[]);
    assert!(output.stderr.contains(&format!("the sign-in to {PROVIDER} ends in")), "{output:?}");
    assert!(output.stderr.contains(&format!("authctl login {PROVIDER}")), "{output:?}");
    assert_eq!(output.success(), "new\n");
}

// ------------------------------------------------------------------------------------ what is common

#[test]
fn a_token_that_lives_long_enough_is_handed_out_as_it_is() {
    let signed_in = SignedIn::new();
    let token = signed_in.token(&[]).success();
    assert_eq!(signed_in.token(&["--min-ttl", "59m"]).success(), token);
    assert_eq!(signed_in.refreshes(), 0);
    assert_ne!(signed_in.token(&["--min-ttl", "2h"]).success(), token);
    assert_eq!(signed_in.refreshes(), 1);
}
