//! The OS keychain as it is met: a real gnome-keyring that is unlocked, locked, absent, frozen, dead
//! and replaced, and shared with other programs.

#![cfg(unix)]

use crate::real_parts::{KEYCHAIN, Keyring, present};
use crate::support::sandbox::{Output, Sandbox};

const CONFIG: &str = "[provider.demo.api_key]\nvariables = [\"DEMO_API_KEY\"]\n";
const KEY: &str = "sk-demo-0123456789";
const ITEM: &str = "credential/demo:default";

/// A sandbox that keeps its credentials in this keyring.
struct Desk {
    keyring: Keyring,
    sandbox: Sandbox,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { keyring: Keyring::start(), sandbox: Sandbox::new() };
        desk.keyring.serve(&mut desk.sandbox);
        desk.sandbox.write_config(CONFIG);
        desk
    }

    /// A desk where `demo` is signed in.
    fn signed_in() -> Self {
        let desk = Self::new();
        desk.login("demo", KEY).success();
        desk
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.sandbox.run(arguments)
    }

    fn login(&self, name: &str, key: &str) -> Output {
        self.sandbox.run_with_input(["login", name, "--with-key"], key)
    }

    fn token(&self) -> Output {
        self.run(&["token", "demo"])
    }

    #[track_caller]
    fn assert_token_is(&self, key: &str) {
        assert_eq!(self.token().success(), format!("{key}\n"));
    }

    /// `status` never opens the keychain, so it answers whatever the keychain does.
    #[track_caller]
    fn assert_status_answers(&self) {
        let shown = self.run(&["status", "--json"]).json();
        assert_eq!(shown["credentials"][0]["name"], "demo");
    }
}

/// The failure with this exit code has these words on stderr.
#[track_caller]
fn assert_says(failed: Output, code: i32, words: &[&str]) {
    let said = failed.failure(code);
    assert!(!said.contains(KEY), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn what_authctl_keeps_is_seen_by_another_program_and_gone_after_logout() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::new();
    assert_eq!(desk.keyring.lookup(ITEM), None);
    desk.login("demo", KEY).success();
    assert!(desk.keyring.lookup(ITEM).unwrap().contains(KEY));
    desk.assert_token_is(KEY);
    let exec = ["exec", "--with", "demo", "--", "sh", "-c", "echo $DEMO_API_KEY"];
    assert_eq!(desk.run(&exec).success(), format!("{KEY}\n"));
    desk.run(&["logout", "demo"]).success();
    assert_eq!(desk.keyring.lookup(ITEM), None);
    assert_says(desk.token(), 4, &["authctl login demo"]);
}

#[test]
fn accounts_are_items_of_their_own() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::signed_in();
    desk.login("demo:work", "sk-work").success();
    assert_eq!(desk.run(&["token", "demo:work"]).success(), "sk-work\n");
    desk.run(&["logout", "demo"]).success();
    assert!(desk.keyring.lookup("credential/demo:work").unwrap().contains("sk-work"));
    assert_eq!(desk.keyring.lookup(ITEM), None);
}

#[test]
fn nothing_secret_is_written_beside_the_keychain() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::signed_in();
    for file in desk.sandbox.files() {
        let contents = std::fs::read(&file).unwrap();
        let found = contents.windows(KEY.len()).any(|part| part == KEY.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn a_locked_keychain_is_said_and_nothing_is_lost() {
    if !present(&KEYCHAIN) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.keyring.lock();
    assert_says(desk.token(), 1, &["locked", "hint:"]);
    assert_says(desk.login("demo", "sk-other"), 1, &["locked"]);
    desk.assert_status_answers();
    desk.keyring.die();
    desk.keyring.rise();
    desk.assert_token_is(KEY);
}

#[test]
fn without_a_bus_authctl_names_the_encrypted_file() {
    if !present(&KEYCHAIN) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert_says(desk.token(), 1, &["AUTHCTL_STORE=file"]);
    assert_says(desk.login("demo", "sk-other"), 1, &["AUTHCTL_STORE=file"]);
    assert_says(desk.run(&["exec", "--with", "demo", "--", "true"]), 125, &["AUTHCTL_STORE=file"]);
    desk.assert_status_answers();
    desk.keyring.serve(&mut desk.sandbox);
    desk.assert_token_is(KEY);
}

#[test]
fn a_dead_keychain_is_said_and_its_successor_is_used() {
    if !present(&KEYCHAIN) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.keyring.die();
    assert_says(desk.token(), 1, &["AUTHCTL_STORE=file"]);
    desk.assert_status_answers();
    desk.keyring.rise();
    desk.assert_token_is(KEY);
}

#[test]
fn a_keychain_that_never_answers_is_given_up() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::signed_in();
    desk.keyring.freeze();
    // Without the deadline this would never return.
    assert_says(desk.token(), 75, &["5 s"]);
    desk.assert_status_answers();
    desk.keyring.thaw();
    desk.assert_token_is(KEY);
}

#[test]
fn an_item_of_another_program_that_fits_too_is_never_handed_out() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::signed_in();
    desk.keyring.add_rival(ITEM);
    let refused = desk.token();
    assert_eq!(refused.stdout, "");
    assert_says(refused, 1, &["demo"]);
}

#[test]
fn many_processes_read_one_keychain_at_once() {
    if !present(&KEYCHAIN) {
        return;
    }
    let desk = Desk::signed_in();
    let start = |_| desk.sandbox.start(desk.sandbox.command(["token", "demo"]));
    let readers: Vec<_> = (0..32).map(start).collect();
    for reader in readers {
        assert_eq!(reader.finish().success(), format!("{KEY}\n"));
    }
}
