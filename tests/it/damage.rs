//! P11: what cannot be read is refused, kept as it is, and set aside before anything takes its place; here
//! for the encrypted file. A locked keychain is in keychain.rs.
//!
//! | what is damaged | tests |
//! |---|---|
//! | a record | `a_damaged_record_…`, `a_login_over_…`, `a_logout_over_…`, `a_damaged_registration_…` |
//! | its format | `a_record_of_a_newer_format_…` |
//! | the index | `a_damaged_index_entry_…` |
//! | the key | `a_store_without_its_key_…`, `another_key_…`, `a_wrong_passphrase_…` |

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::support::authorization_server::Endpoint;
use crate::support::demo::Demo;
use crate::support::sandbox::Sandbox;
use crate::support::sealed::Sealed;
use crate::support::{random_below, rounds};

const CONFIG: &str = "[provider.demo.api_key]\nvariables = [\"DEMO_API_KEY\"]\n";
const KEY: &str = "sk-demo-0123456789";

/// A sandbox where `demo` is signed in.
fn signed_in() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(CONFIG);
    login(&sandbox, KEY);
    sandbox
}

#[track_caller]
fn login(sandbox: &Sandbox, key: &str) -> String {
    let output = sandbox.run_with_input(["login", "demo", "--with-key"], key);
    assert_eq!(output.code(), 0, "{output:?}");
    output.stderr
}

#[track_caller]
fn assert_token_is(sandbox: &Sandbox, key: &str) {
    assert_eq!(sandbox.run(["token", "demo"]).success(), format!("{key}\n"));
}

/// The command fails, and says all of this.
#[track_caller]
fn assert_fails(sandbox: &Sandbox, arguments: &[&str], code: i32, words: &[&str]) {
    let output = sandbox.run_with_input(arguments, "sk-other");
    assert_eq!(output.stdout, "", "{arguments:?}");
    let said = output.failure(code);
    assert!(!said.contains(KEY), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

/// `bytes` with one bit flipped, or cut off somewhere.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_owned();
    if random_below(2) == 0 {
        damaged[random_below(bytes.len())] ^= 1 << random_below(8);
    } else {
        damaged.truncate(random_below(bytes.len()));
    }
    damaged
}

/// Everything in the store but its locks.
fn contents(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = Sealed::of(sandbox).directory();
    let files = sandbox.files().into_iter().filter(|path| path.parent() == Some(&*store));
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_damaged_record_is_refused_and_stays_as_it_is() {
    let sandbox = signed_in();
    let whole = std::fs::read(Sealed::of(&sandbox).file("demo")).unwrap();
    for _ in 0..rounds(40, 500) {
        std::fs::write(Sealed::of(&sandbox).file("demo"), damaged(&whole)).unwrap();
        let before = contents(&sandbox);
        let words = ["credential/demo:default", "cannot be read", "hint: authctl login demo"];
        assert_fails(&sandbox, &["token", "demo"], 1, &words);
        assert_eq!(contents(&sandbox), before);
    }
    assert_fails(&sandbox, &["exec", "--with", "demo", "--", "true"], 125, &["cannot be read"]);
    assert!(sandbox.run(["status"]).success().contains("demo"), "status reads the index alone");
    std::fs::write(Sealed::of(&sandbox).file("demo"), whole).unwrap();
    assert_token_is(&sandbox, KEY);
}

#[test]
fn a_login_over_a_damaged_record_sets_it_aside() {
    let sandbox = signed_in();
    for round in 0..rounds(15, 500) {
        let damaged = damaged(&std::fs::read(Sealed::of(&sandbox).file("demo")).unwrap());
        std::fs::write(Sealed::of(&sandbox).file("demo"), &damaged).unwrap();
        let said = login(&sandbox, KEY);
        assert!(said.contains("is kept as") && said.contains(".sealed.corrupt-"), "{said}");
        assert!(Sealed::of(&sandbox).set_aside().contains(&damaged), "round {round}");
        assert_token_is(&sandbox, KEY);
        if round % 5 == 4 {
            // A long list of copies makes the next one slow, and proves nothing more.
            for path in contents(&sandbox)
                .into_keys()
                .filter(|path| path != &Sealed::of(&sandbox).file("demo"))
            {
                let is_copy = path.to_string_lossy().contains(".corrupt-");
                if is_copy {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_logout_over_a_damaged_record_says_so_and_sets_it_aside() {
    let sandbox = signed_in();
    let damaged = damaged(&std::fs::read(Sealed::of(&sandbox).file("demo")).unwrap());
    std::fs::write(Sealed::of(&sandbox).file("demo"), &damaged).unwrap();
    let output = sandbox.run(["logout", "demo"]);
    assert_eq!(output.code(), 0, "{output:?}");
    for words in ["signed out of demo here", "cannot be read", "corrupt-1"] {
        assert!(output.stderr.contains(words), "{output:?}");
    }
    assert_eq!(Sealed::of(&sandbox).set_aside(), [damaged]);
    assert_fails(&sandbox, &["token", "demo"], 4, &["authctl login demo"]);
}

#[test]
fn a_damaged_registration_is_set_aside_and_made_anew() {
    let demo = Demo::signed_in();
    let is_registration = |path: &PathBuf| path.to_string_lossy().contains("registration~");
    let file = contents(&demo.sandbox).into_keys().find(is_registration).unwrap();
    let damaged = damaged(&std::fs::read(&file).unwrap());
    std::fs::write(&file, &damaged).unwrap();
    demo.login(&["demo"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 2);
    assert_eq!(Sealed::of(&demo.sandbox).set_aside(), [damaged]);
    demo.login(&["demo"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 2);
}

#[test]
fn a_record_of_a_newer_format_is_refused_untouched_with_the_advice_to_upgrade() {
    let sandbox = signed_in();
    let mut record = Sealed::of(&sandbox).record("demo");
    record["format"] = json!(99);
    record["credential"] = json!({ "kind": "something new" });
    Sealed::of(&sandbox).write("demo", &record);
    let before = contents(&sandbox);
    for (command, code) in [
        (&["token", "demo"][..], 1),
        (&["exec", "--with", "demo", "--", "true"], 125),
        (&["login", "demo", "--with-key"], 1),
        (&["logout", "demo"], 1),
    ] {
        assert_fails(&sandbox, command, code, &["format 99", "newer authctl", "hint: upgrade"]);
        assert_eq!(contents(&sandbox), before, "{command:?}");
    }
}

#[test]
fn a_damaged_index_entry_stops_nothing_and_is_mended_by_use() {
    let sandbox = signed_in();
    let is_entry = |path: &PathBuf| path.to_string_lossy().contains("index/file/credential~demo");
    let file = sandbox.files().into_iter().find(is_entry).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for _ in 0..rounds(15, 500) {
        let damaged = damaged(&whole);
        std::fs::write(&file, &damaged).unwrap();
        // A flipped bit may leave another readable entry; then there is nothing to report.
        let status = sandbox.run(["status", "--json"]);
        let listed = status.json()["credentials"].as_array().unwrap().len();
        assert_eq!(status.code(), i32::from(listed == 0), "{status:?}");
        assert_token_is(&sandbox, KEY);
        assert_eq!(sandbox.run(["status", "--json"]).json()["credentials"][0]["name"], "demo");
    }
    std::fs::remove_file(&file).unwrap();
    assert_token_is(&sandbox, KEY);
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}

#[test]
fn a_store_without_its_key_is_refused_and_opens_when_the_key_is_back() {
    let sandbox = signed_in();
    let file = Sealed::of(&sandbox).directory().join("key");
    let key = std::fs::read(&file).unwrap();
    let flipped = [b"!", &key[1..]].concat();
    for present in [None, Some(&b""[..]), Some(&key[..20]), Some(&flipped), Some(b"\xff\n")] {
        match present {
            None => std::fs::rename(&file, sandbox.path("backup")).unwrap(),
            Some(contents) => std::fs::write(&file, contents).unwrap(),
        }
        let before = contents(&sandbox);
        let words = if present.is_none() { "is missing" } else { "is damaged" };
        let words = [words, "store/key", "hint:", "backup"];
        for command in
            [&["token", "demo"][..], &["login", "demo", "--with-key"], &["logout", "demo"]]
        {
            assert_fails(&sandbox, command, 1, &words);
            assert_eq!(contents(&sandbox), before, "{command:?}");
        }
        let _ = std::fs::rename(sandbox.path("backup"), &file);
        std::fs::write(&file, &key).unwrap();
        assert_token_is(&sandbox, KEY);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_and_a_record_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = signed_in();
    let key = Sealed::of(&sandbox).directory().join("key");
    let chmod = |file: &PathBuf, mode| {
        std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
    };
    chmod(&key, 0o644);
    let words = ["store/key can be read or written by other users", "hint: chmod 600 /"];
    assert_fails(&sandbox, &["token", "demo"], 1, &words);
    chmod(&key, 0o600);
    let record = Sealed::of(&sandbox).file("demo");
    chmod(&record, 0o666);
    assert_token_is(&sandbox, KEY);
    assert_eq!(std::fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn another_key_opens_nothing_and_a_login_keeps_what_it_cannot_read() {
    let sandbox = signed_in();
    let other = signed_in();
    let (file, others) =
        (Sealed::of(&sandbox).directory().join("key"), Sealed::of(&other).directory());
    let old_key = std::fs::read(&file).unwrap();
    let sealed_with_it = std::fs::read(Sealed::of(&sandbox).file("demo")).unwrap();
    std::fs::copy(others.join("key"), &file).unwrap();
    assert_fails(&sandbox, &["token", "demo"], 1, &["made with another key"]);
    login(&sandbox, "sk-new");
    assert_token_is(&sandbox, "sk-new");
    assert_eq!(Sealed::of(&sandbox).set_aside(), [&*sealed_with_it]);
    // Both are still whole: with the old key the old record opens.
    std::fs::write(&file, old_key).unwrap();
    std::fs::write(Sealed::of(&sandbox).file("demo"), sealed_with_it).unwrap();
    assert_token_is(&sandbox, KEY);
}

#[test]
fn a_wrong_passphrase_changes_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.write_config(&format!("passphrase = true\n{CONFIG}"));
    let (right, wrong) = (sandbox.path("right"), sandbox.path("wrong"));
    std::fs::write(&right, "correct horse").unwrap();
    std::fs::write(&wrong, "battery staple").unwrap();
    sandbox.env("AUTHCTL_PASSPHRASE_FILE", &right);
    login(&sandbox, KEY);
    assert_token_is(&sandbox, KEY);
    let before = contents(&sandbox);

    sandbox.env("AUTHCTL_PASSPHRASE_FILE", &wrong);
    for command in [&["token", "demo"][..], &["login", "demo", "--with-key"], &["logout", "demo"]] {
        let words = ["passphrase does not open", "key.wrapped", "AUTHCTL_PASSPHRASE_FILE"];
        assert_fails(&sandbox, command, 1, &words);
    }
    // Nobody to ask.
    sandbox.unset("AUTHCTL_PASSPHRASE_FILE");
    let words = ["passphrase of", "is needed", "hint: AUTHCTL_PASSPHRASE_FILE=FILE"];
    assert_fails(&sandbox, &["token", "demo"], 1, &words);
    assert_eq!(contents(&sandbox), before);

    sandbox.env("AUTHCTL_PASSPHRASE_FILE", &right);
    assert_token_is(&sandbox, KEY);
}
