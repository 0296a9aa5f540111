//! The OS keychain under fault, with a real gnome-keyring: it is locked, slow, absent or killed in the
//! middle, and nothing is lost. What it does on a good day is in real_keychain.rs.
//!
//! | guarantee | tests |
//! |---|---|
//! | P7 | `a_refresh_killed_at_any_moment_…` |
//! | P8 | `a_keychain_that_…_during_a_refresh_…` |
//! | P9 | `a_key_of_any_length_…` |
//! | P11 | `every_command_says_what_is_wrong_…` (a locked keychain keeps what it has) |
//! | A7 | `every_command_says_what_is_wrong_…`, `a_slow_keychain_…`, `a_given_credential_and_status_…` |
//! | A12 | `a_valid_token_costs_…`, `a_valid_token_in_a_file_…` |
//! | design §1, no keychain | `a_login_without_a_keychain_…` |
//! | design §5, signals | `a_signal_…` |

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::persistence::{interrupt_refreshes, keep_keys_of_any_length, kill_refreshes};
use crate::real_parts::{Keyring, present};
use crate::support::authorization_server::{Endpoint, Fault, Gate};
use crate::support::demo::Demo;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Running, Sandbox};

const ITEM: &str = "credential/demo:default";
const PARTS: [&str; 4] = ["gnome-keyring-daemon", "dbus-run-session", "dbus-send", "secret-tool"];

/// A demo that keeps its credentials in a keychain of its own.
struct Desk {
    keyring: Keyring,
    demo: Demo,
}

impl Desk {
    fn new() -> Self {
        let keyring = Keyring::start();
        let mut demo = Demo::with(
            "client = \"register\"\n[provider.demo.api_key]\nvariables = [\"DEMO_API_KEY\"]",
        );
        keyring.serve(&mut demo.sandbox);
        Self { keyring, demo }
    }

    fn signed_in() -> Self {
        let desk = Self::new();
        desk.demo.login(&["demo"]).success();
        desk
    }

    /// The record as another program finds it.
    fn stored(&self) -> Value {
        serde_json::from_str(&self.keyring.lookup(ITEM).expect("a record")).unwrap()
    }

    fn stored_refresh_token(&self) -> String {
        self.stored()["credential"]["tokens"]["refresh_token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn assert_current(&self) {
        assert_eq!(self.stored_refresh_token(), self.demo.server.refresh_token());
    }

    /// A refresh in whose middle, after the server has rotated, this happens to the keychain.
    fn refresh_while(&mut self, happens: impl FnOnce(&mut Keyring)) -> Output {
        let gate = Arc::new(Gate::default());
        self.demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
        let sandbox = &self.demo.sandbox;
        let running = sandbox.start(sandbox.command(["token", "demo", "--refresh"]));
        gate.arrival();
        happens(&mut self.keyring);
        gate.open();
        running.finish()
    }

    /// The new token was handed out, with the news that it could not be stored.
    #[track_caller]
    fn assert_handed_out_with_a_warning(&self, output: &Output, why: &str) {
        assert_eq!(output.code(), 0, "{output:?}");
        for words in ["could not be stored", why, "authctl login demo"] {
            assert!(output.stderr.contains(words), "no {words:?} in {output:?}");
        }
        assert!(self.demo.server.accepts(output.stdout.trim()));
    }
}

// ----------------------------------------------------------------------------------------------- P7

#[test]
fn a_refresh_killed_at_any_moment_leaves_the_old_item_or_the_new_one() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    kill_refreshes(&desk.demo, false, &|| desk.stored());
}

#[test]
fn a_refresh_killed_at_any_moment_is_made_good_by_a_server_with_a_grace_time() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    kill_refreshes(&desk.demo, true, &|| desk.stored());
}

// ------------------------------------------------------------------------------ P8, A7: mid-refresh

#[test]
fn a_keychain_that_freezes_during_a_refresh_does_not_cost_the_new_token() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.demo.server.rules(|rules| rules.grace = Some(Duration::from_mins(1)));
    let output = desk.refresh_while(|keyring| keyring.freeze());
    desk.assert_handed_out_with_a_warning(&output, "did not answer within 5 s");
    desk.keyring.thaw();
    desk.demo.token(&["--refresh"]).success();
    desk.assert_current();
}

#[test]
fn a_keychain_that_dies_during_a_refresh_does_not_cost_the_new_token() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.demo.server.rules(|rules| rules.grace = Some(Duration::from_mins(1)));
    let output = desk.refresh_while(|keyring| keyring.die());
    desk.assert_handed_out_with_a_warning(&output, "OS keychain is not available");
    desk.keyring.rise();
    // The journal says that a refresh was cut off, and the next run makes it good.
    assert_eq!(desk.stored()["refreshing"]["attempt"], 1);
    desk.demo.token(&["--refresh"]).success();
    desk.assert_current();
}

#[test]
fn a_keychain_that_is_locked_during_a_refresh_does_not_cost_the_new_token() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.demo.server.rules(|rules| rules.grace = Some(Duration::from_mins(1)));
    let output = desk.refresh_while(|keyring| keyring.lock());
    desk.assert_handed_out_with_a_warning(&output, "OS keychain is locked");
    desk.keyring.die();
    desk.keyring.rise();
    desk.demo.token(&["--refresh"]).success();
    desk.assert_current();
}

#[test]
fn a_keychain_that_is_replaced_during_a_refresh_gets_the_new_token() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    let output = desk.refresh_while(|keyring| {
        keyring.die();
        keyring.rise();
    });
    assert!(desk.demo.server.accepts(output.success().trim()));
    desk.assert_current();
}

// ----------------------------------------------------------------------------------------------- P9

#[test]
fn a_key_of_any_length_comes_back_from_the_keychain() {
    if !present(&PARTS) {
        return;
    }
    keep_keys_of_any_length(&Desk::new().demo.sandbox);
}

// ----------------------------------------------------------------------------------------------- A7

/// Runs every command that needs the keychain and asserts how each fails; all at once where each waits
/// for its deadline.
#[track_caller]
fn assert_every_command_fails(desk: &Desk, code: i32, words: &[&str]) {
    let commands: [(&[&str], i32); 5] = [
        (&["token", "demo"], code),
        (&["token", "demo", "--refresh"], code),
        (&["exec", "--with", "demo", "--", "true"], 125),
        (&["login", "demo", "--with-key"], code),
        (&["logout", "demo"], code),
    ];
    let sandbox = &desk.demo.sandbox;
    let start = |command: &[&str]| sandbox.start(sandbox.command(command));
    let mut waiting: VecDeque<Running> = VecDeque::new();
    if code == 75 {
        waiting.extend(commands.iter().map(|(command, _)| start(command)));
    }
    for (command, code) in commands {
        let output = waiting.pop_front().unwrap_or_else(|| start(command)).finish();
        assert_eq!(output.stdout, "", "{command:?}");
        let said = output.failure(code);
        for word in [&["OS keychain", "hint:"], words].concat() {
            assert!(said.contains(word), "{command:?}: no {word:?} in {said}");
        }
    }
    let status = sandbox.run(["status", "--json"]);
    assert_eq!(status.json()["credentials"][0]["name"], "demo");
    assert_eq!(desk.demo.server.grants("refresh_token"), 0);
    assert_eq!(desk.demo.server.requests(Endpoint::Revoke).len(), 0);
}

#[test]
fn every_command_says_what_is_wrong_with_the_keychain_and_nothing_is_lost() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    let before = desk.stored();
    let token = desk.demo.token(&[]).success();

    desk.keyring.freeze();
    assert_every_command_fails(&desk, 75, &["did not answer within 5 s", "unlock the keychain"]);
    desk.keyring.thaw();
    assert_eq!(desk.demo.token(&[]).success(), token);

    desk.keyring.lock();
    assert_every_command_fails(&desk, 1, &["is locked", "unlock the keychain"]);

    desk.keyring.die();
    assert_every_command_fails(&desk, 1, &["is not available", "AUTHCTL_STORE=file"]);

    desk.demo.sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert_every_command_fails(&desk, 1, &["is not available", "AUTHCTL_STORE=file"]);

    desk.keyring.serve(&mut desk.demo.sandbox);
    desk.keyring.rise();
    assert_eq!(desk.stored(), before);
    assert_eq!(desk.demo.token(&[]).success(), token);
}

#[test]
fn a_slow_keychain_is_waited_for() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    let token = desk.demo.token(&[]).success();
    desk.keyring.freeze();
    let sandbox = &desk.demo.sandbox;
    let running = sandbox.start(sandbox.command(["token", "demo"]));
    // How slow it is: far from the deadline on either side.
    std::thread::sleep(Duration::from_secs(1));
    desk.keyring.thaw();
    assert_eq!(running.finish().success(), token);
}

#[test]
fn a_person_is_told_that_the_keychain_is_waited_for() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    let token = desk.demo.token(&[]).success();
    desk.keyring.freeze();
    let mut terminal = Terminal::start(desk.demo.sandbox.command(["token", "demo"]));
    terminal.expect("waiting for the OS keychain; it may be asking to be unlocked");
    desk.keyring.thaw();
    assert!(terminal.rest().contains(token.trim()));
    assert_eq!(terminal.status(), 0);
}

/// What authctl connects to when it is run like this, and what it says there. The name service's cache
/// is not counted: it is asked where the home is.
fn trace(sandbox: &Sandbox, arguments: &[&str]) -> (Output, Vec<String>, String) {
    let file = sandbox.path("trace");
    let mut command = sandbox.program("strace");
    command.args(["-f", "-qq", "-s", "4096", "-e", "trace=connect,sendmsg,sendto", "-o"]);
    command.arg(&file).arg(AUTHCTL).args(arguments);
    let output = sandbox.start(command).finish();
    let trace = std::fs::read_to_string(file).unwrap();
    let is_connect = |line: &&str| line.contains("connect(") && !line.contains("/nscd/");
    let connects = trace.lines().filter(is_connect).map(str::to_owned).collect();
    (output, connects, trace)
}

#[test]
fn a_given_credential_and_status_never_touch_the_bus() {
    if !present(&[&PARTS[..], &["strace"]].concat()) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.keyring.freeze(); // whoever asks it would not come back in time
    let exec = ["exec", "-q", "--with", "demo", "--", "true"];
    let assert_no_connect = |sandbox: &Sandbox, arguments: &[&str]| {
        let (output, connects, _) = trace(sandbox, arguments);
        assert_eq!(connects, Vec::<String>::new(), "{arguments:?}");
        output.success()
    };
    assert_no_connect(&desk.demo.sandbox, &["status"]);
    for variables in [&["AUTHCTL_DEMO_TOKEN"][..], &["DEMO_API_KEY", "CI"]] {
        for variable in variables {
            desk.demo.sandbox.env(variable, "sk-given");
        }
        assert_eq!(assert_no_connect(&desk.demo.sandbox, &["token", "demo"]), "sk-given\n");
        assert_no_connect(&desk.demo.sandbox, &exec);
        assert_no_connect(&desk.demo.sandbox, &["status"]);
        for variable in variables {
            desk.demo.sandbox.unset(variable);
        }
    }
    desk.keyring.thaw();
}

// ---------------------------------------------------------------------------------------------- A12

#[test]
fn a_valid_token_costs_one_read_of_the_keychain_and_no_network() {
    if !present(&[&PARTS[..], &["strace"]].concat()) {
        return;
    }
    let desk = Desk::signed_in();
    let (output, connects, trace) = trace(&desk.demo.sandbox, &["token", "demo"]);
    output.success();
    assert!(connects.len() == 1 && connects[0].contains("AF_UNIX"), "{connects:?}");
    for (call, times) in [("SearchItems", 1), ("GetSecret", 1), ("Unlock", 0), ("CreateItem", 0)] {
        assert_eq!(trace.matches(call).count(), times, "{call}: {trace}");
    }
}

#[test]
fn a_valid_token_in_a_file_needs_no_network_at_all() {
    if !present(&["unshare"]) {
        return;
    }
    let demo = Demo::signed_in();
    let token = demo.token(&[]).success();
    let mut command = demo.sandbox.program("unshare");
    command.args(["-rn", AUTHCTL, "token", "demo"]);
    assert_eq!(demo.sandbox.start(command).finish().success(), token);
}

// -------------------------------------------------------------------------------------- no keychain

const COMMENTED: &str =
    "# what I use\n[provider.demo.api_key]  # at work\nvariables = [\"DEMO_API_KEY\"]\n";

/// A machine without a keychain, where nobody chose a store.
fn without_a_keychain() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.unset("AUTHCTL_STORE");
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    sandbox.write_config(COMMENTED);
    sandbox
}

fn config(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("home/.config/authctl/config.toml")).unwrap()
}

#[test]
fn a_login_without_a_keychain_offers_the_encrypted_file_and_goes_on() {
    let sandbox = without_a_keychain();
    let mut terminal = Terminal::start(sandbox.command(["login", "demo", "--with-key"]));
    terminal.expect("the OS keychain is not available");
    terminal.expect("encrypted file instead");
    terminal.send_line("y");
    terminal.expect("API key");
    terminal.send_line("sk-typed");
    terminal.expect("Signed in to demo");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    let written = config(&sandbox);
    assert!(written.contains("store = \"file\""), "{written}");
    assert!(written.contains("# what I use") && written.contains("# at work"), "{written}");
    assert_eq!(sandbox.run(["token", "demo"]).success(), "sk-typed\n");
}

#[test]
fn a_login_without_a_keychain_ends_when_the_encrypted_file_is_refused() {
    let sandbox = without_a_keychain();
    let mut terminal = Terminal::start(sandbox.command(["login", "demo", "--with-key"]));
    terminal.expect("encrypted file instead");
    terminal.send_line("n");
    let rest = terminal.rest();
    assert!(rest.contains("no place to keep") && rest.contains("AUTHCTL_STORE=file"), "{rest}");
    assert_eq!(terminal.status(), 1);
    assert_eq!(config(&sandbox), COMMENTED);
}

#[test]
fn a_login_without_a_keychain_and_without_a_terminal_says_what_to_do() {
    let sandbox = without_a_keychain();
    let said = sandbox.run_with_input(["login", "demo", "--with-key"], "sk-piped").failure(1);
    assert!(said.contains("the OS keychain is not available"), "{said}");
    assert!(said.contains("hint: AUTHCTL_STORE=file"), "{said}");
    assert_eq!(config(&sandbox), COMMENTED);
}

// ------------------------------------------------------------------------------------------ signals

#[test]
fn a_signal_during_a_refresh_waits_until_the_item_is_written() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    interrupt_refreshes(&desk.demo, &|| desk.stored());
}
