//! What `status` and `provider check` say of a credential, and what they offer to mend it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

use crate::support::http::{Answer, Server};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::signed_in::SignedIn;

const KEY: &str = "sk-demo-0123456789";

/// A sandbox where `demo` has a key, at an API that answers with the status of the moment and quotes
/// the key.
fn with_api() -> (Sandbox, Server, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let api = Server::start(move |_| {
        let said = json!({ "error": { "message": format!("no\u{1b}[31m {KEY}") } });
        Answer::json(now.load(Ordering::SeqCst), &said)
    });
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.demo.api_key]\nvariables = [\"DEMO_KEY\"]\nverify = \"{}/me\"\n",
        api.origin()
    ));
    sandbox.run_with_input(["login", "demo", "--with-key"], KEY).success();
    (sandbox, api, status)
}

#[test]
fn both_checks_judge_an_answer_alike() {
    let (sandbox, _api, status) = with_api();
    for (code, state) in [
        (200, "active"),
        (204, "active"),
        (302, "failing"),
        (400, "failing"),
        (401, "ended"),
        (403, "failing"),
        (404, "failing"),
        (429, "failing"),
        (503, "failing"),
    ] {
        status.store(code, Ordering::SeqCst);
        let found = sandbox.run(["status", "--check", "--json"]);
        assert_eq!(found.json()["credentials"][0]["state"], state, "{code}: {found:?}");
        let checked = sandbox.run(["provider", "check", "demo"]);
        let failed = i32::from(state != "active");
        assert_eq!((found.code(), checked.code()), (failed, failed), "{code}: {checked:?}");
        assert_eq!(checked.stderr.contains("hint: authctl login demo"), code == 401, "{checked:?}");
        if code == 403 {
            for shown in [&found.stdout, &checked.stdout] {
                assert!(shown.contains("answers 403: no\u{fffd}[31m [secret]"), "{shown}");
            }
        }
    }
}

/// The failing run's text on stdout.
#[track_caller]
fn shown(output: &Output) -> &str {
    assert_eq!(output.code(), 1, "{output:?}");
    &output.stdout
}

#[test]
fn what_passes_by_itself_suggests_no_login() {
    let (sandbox, api, _) = with_api();
    drop(api);
    let output = sandbox.run(["status", "--check"]);
    let shown = shown(&output);
    assert!(shown.contains("demo  API key, cannot be checked now"), "{shown}");
    assert!(!shown.contains("authctl log"), "{shown}");

    let signed_in = SignedIn::new();
    signed_in.expire();
    let SignedIn { server, sandbox, .. } = signed_in;
    drop(server);
    let output = sandbox.run(["status", "--check", "--json"]);
    let hints = &output.json()["credentials"][0]["hints"];
    assert_eq!(*hints, json!(["authctl status demo --check  (tries again)"]), "{output:?}");
}

#[test]
fn a_dead_sign_in_says_how_to_sign_in_and_how_to_forget() {
    let (sandbox, _api, status) = with_api();
    status.store(401, Ordering::SeqCst);
    let output = sandbox.run(["status", "--check"]);
    let shown = shown(&output);
    assert!(shown.contains("hint: authctl login demo\n"), "{shown}");
    assert!(shown.contains("hint: authctl logout demo  (forgets it)\n"), "{shown}");
}

#[test]
fn a_provider_that_the_configuration_lost_belongs_back_there() {
    let (sandbox, _api, _) = with_api();
    sandbox.write_config("");
    for arguments in [&["status"][..], &["status", "--check"], &["status", "demo"]] {
        let output = sandbox.run(arguments);
        let shown = shown(&output);
        let path = sandbox.path("home/.config/authctl/config.toml");
        let hint = format!("hint: put [provider.demo] back into {}", path.display());
        assert!(shown.contains(&hint) && !shown.contains("authctl login"), "{shown}");
    }
    sandbox.run(["logout", "demo"]).success();
}

#[test]
fn a_damaged_index_entry_is_reported_for_its_own_name() {
    let (sandbox, _api, _) = with_api();
    sandbox.run_with_input(["login", "openai", "--with-key"], "sk-1").success();
    let is_entry = |path: &std::path::PathBuf| path.ends_with("credential~demo~default.json");
    let file = sandbox.files().into_iter().find(is_entry).unwrap();
    std::fs::write(file, "{").unwrap();
    assert!(sandbox.run(["status", "openai"]).success().contains("openai  API key"));
    for arguments in [&["status"][..], &["status", "demo"]] {
        let output = sandbox.run(arguments);
        assert!(shown(&output).contains("demo: its index entry"), "{output:?}");
        assert!(output.stdout.contains("hint: authctl token demo"), "{output:?}");
        assert!(!output.stderr.contains("Sign in with"), "{output:?}");
    }
    assert_eq!(sandbox.run(["token", "demo"]).success(), format!("{KEY}\n"));
    sandbox.run(["status"]).success();
}
