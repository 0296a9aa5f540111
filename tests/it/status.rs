//! What `status` and `provider check` say of a credential, and what they offer to mend it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

use crate::support::http::{Answer, Server};
use crate::support::sandbox::Sandbox;

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
