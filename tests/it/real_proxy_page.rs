//! Pages of strangers in a real browser, which know the address of the proxy and even its key: they neither use it nor
//! read anything from it.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L2 | no page gets in, not by a rebound name either | all |

#![cfg(target_os = "linux")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::real_parts::{present, real};
use crate::support::lending::{KEY, Lending, acme};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// Browsers start slowly on a busy machine.
const LONGEST: Duration = Duration::from_mins(2);

/// What came of everything that a page can try, by the kind of page.
fn visit(sandbox: &Sandbox, lending: &Lending) -> Value {
    let options = json!({ "port": lending.port, "key": lending.key });
    let mut node = sandbox.program("node");
    node.arg(real("strange-page.mjs")).arg(options.to_string());
    let mut browser = sandbox.start(node);
    crate::support::eventually_within(LONGEST, "the end of the visit", || {
        browser.child.try_wait().unwrap()
    });
    let output = browser.finish();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn no_page_uses_the_proxy_or_reads_from_it() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme", "--secret-in-path"]);
    let seen = visit(&sandbox, &lending);
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    let rebound = seen["rebound"].as_object().unwrap();
    let read = |outcome: &Value| outcome["text"].as_str().map(str::to_owned);
    // It reaches the proxy, as the page of its own name, and is told so and no more.
    assert_eq!(rebound["bearer"]["status"], 421, "{seen}");
    for (way, text) in rebound.iter().filter_map(|(way, it)| Some((way, read(it)?))) {
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(said["error"]["code"], "host_foreign", "{way}: {text}");
        assert!(!["acme", &origin.url(), KEY].iter().any(|it| text.contains(it)), "{way}: {text}");
    }
    for page in ["elsewhere", "secure"] {
        let outcomes = seen[page].as_object().unwrap();
        assert_eq!(outcomes["no-cors"], json!({ "opaque": true }), "{page}: {seen}");
        assert!(outcomes.values().all(|outcome| read(outcome).is_none()), "{page}: {seen}");
    }
    for page in ["rebound", "elsewhere", "secure"] {
        assert!(seen[page]["events"]["failed"].is_string(), "{page}: {seen}");
        assert!(seen[page]["socket"]["failed"].is_string(), "{page}: {seen}");
    }
    // Its program goes on.
    assert_eq!(lending.get("/acme/x").status, 200);
}
