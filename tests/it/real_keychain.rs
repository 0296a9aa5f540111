//! The OS keychain as it is met: a real gnome-keyring that is unlocked, locked, absent, frozen, dead
//! and replaced, and shared with other programs.

use std::process::Stdio;

use serde_json::Value;

use crate::real_parts::{Ended, Home, Keyring, ended, present};

const CONFIG: &str = "[provider.demo.api_key]\nvariables = [\"DEMO_API_KEY\"]\n";
const KEY: &str = "sk-demo-0123456789";
const ITEM: &str = "credential/demo:default";
const PARTS: [&str; 4] = ["gnome-keyring-daemon", "dbus-run-session", "dbus-send", "secret-tool"];

/// A home that keeps its credentials in this keyring.
struct Desk {
    keyring: Keyring,
    home: Home,
}

impl Desk {
    fn new() -> Self {
        Self { keyring: Keyring::start(), home: Home::new("keychain", CONFIG) }
    }

    /// A desk where `demo` is signed in.
    fn signed_in() -> Self {
        let desk = Self::new();
        desk.login("demo", KEY).good();
        desk
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.home.authctl(arguments);
        self.keyring.serves(&mut command);
        ended(&mut command)
    }

    fn login(&self, name: &str, key: &str) -> Ended {
        let file = self.home.path().join("key");
        std::fs::write(&file, key).unwrap();
        self.run(&["login", name, "--key-file", file.to_str().unwrap()])
    }

    fn token(&self) -> Ended {
        self.run(&["token", "demo"])
    }

    /// `status` never opens the keychain, so it answers whatever the keychain does.
    fn assert_status_answers(&self) {
        let shown: Value = serde_json::from_str(&self.run(&["status", "--json"]).good()).unwrap();
        assert_eq!(shown["credentials"][0]["name"], "demo");
    }
}

#[test]
fn what_authctl_keeps_is_seen_by_another_program_and_gone_after_logout() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::new();
    assert_eq!(desk.keyring.lookup(ITEM), None);
    desk.login("demo", KEY).good();
    assert!(desk.keyring.lookup(ITEM).unwrap().contains(KEY));
    assert_eq!(desk.token().good(), KEY);
    let exec = ["exec", "--with", "demo", "--", "sh", "-c", "echo $DEMO_API_KEY"];
    assert_eq!(desk.run(&exec).good(), KEY);
    desk.run(&["logout", "demo"]).good();
    assert_eq!(desk.keyring.lookup(ITEM), None);
    desk.token().bad(4, &["authctl login demo"]);
}

#[test]
fn accounts_are_items_of_their_own() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    desk.login("demo:work", "sk-work").good();
    assert_eq!(desk.run(&["token", "demo:work"]).good(), "sk-work");
    desk.run(&["logout", "demo"]).good();
    assert!(desk.keyring.lookup("credential/demo:work").unwrap().contains("sk-work"));
    assert_eq!(desk.keyring.lookup(ITEM), None);
}

#[test]
fn nothing_secret_is_written_beside_the_keychain() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    std::fs::remove_file(desk.home.path().join("key")).unwrap();
    let mut folders = vec![desk.home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let contents = std::fs::read(&path).unwrap();
                let found = contents.windows(KEY.len()).any(|part| part == KEY.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_locked_keychain_is_said_and_nothing_is_lost() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.keyring.lock();
    desk.token().bad(1, &["locked", "hint:"]);
    desk.login("demo", "sk-other").bad(1, &["locked"]);
    desk.assert_status_answers();
    desk.keyring.die();
    desk.keyring.rise();
    assert_eq!(desk.token().good(), KEY);
}

#[test]
fn without_a_bus_authctl_names_the_encrypted_file() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    let absent = |arguments: &[&str]| {
        let mut command = desk.home.authctl(arguments);
        ended(command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus"))
    };
    absent(&["token", "demo"]).bad(1, &["AUTHCTL_STORE=file"]);
    absent(&["exec", "--with", "demo", "--", "true"]).bad(125, &["AUTHCTL_STORE=file"]);
    absent(&["status"]).good();
    assert_eq!(desk.token().good(), KEY);
}

#[test]
fn a_dead_keychain_is_said_and_its_successor_is_used() {
    if !present(&PARTS) {
        return;
    }
    let mut desk = Desk::signed_in();
    desk.keyring.die();
    desk.token().bad(1, &["AUTHCTL_STORE=file"]);
    desk.assert_status_answers();
    desk.keyring.rise();
    assert_eq!(desk.token().good(), KEY);
}

#[test]
fn a_keychain_that_never_answers_is_given_up() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    desk.keyring.freeze();
    // Without the deadline this would never return.
    desk.token().bad(75, &["5 s"]);
    desk.assert_status_answers();
    desk.keyring.thaw();
    assert_eq!(desk.token().good(), KEY);
}

#[test]
fn an_item_of_another_program_that_fits_too_is_never_handed_out() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    desk.keyring.add_rival(ITEM);
    let ended = desk.token();
    ended.bad(1, &["demo"]);
    assert!(!ended.stderr.contains(KEY) && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn many_processes_read_one_keychain_at_once() {
    if !present(&PARTS) {
        return;
    }
    let desk = Desk::signed_in();
    let start = |_| {
        let mut command = desk.home.authctl(&["token", "demo"]);
        desk.keyring.serves(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let readers: Vec<_> = (0..32).map(start).collect();
    for reader in readers {
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, format!("{KEY}\n").into_bytes());
    }
}
