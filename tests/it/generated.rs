//! `completions/` and `man/` are what the binary generates, and `--json` prints what the schema says. `AUTHCTL_WRITE_GENERATED=1` rewrites them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::sandbox::Sandbox;

fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("the directory can be read") {
        let entry = entry.expect("the entry can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if wanted(&name) {
            let text = std::fs::read_to_string(entry.path()).expect("the file is text");
            found.insert(name, text);
        }
    }
    found
}

fn compare(what: &str, wanted: fn(&str) -> bool) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(what);
    let fresh = tempfile::tempdir().expect("a temporary directory");
    let rewrite = std::env::var_os("AUTHCTL_WRITE_GENERATED").is_some();
    // Directories that are missing are made.
    let new = fresh.path().join("share/new");
    let target = if rewrite { committed.as_path() } else { new.as_path() };
    let status = Command::new(env!("CARGO_BIN_EXE_authctl"))
        .args(["generate", what])
        .arg(target)
        .status()
        .expect("authctl runs");
    assert!(status.success());
    if rewrite {
        return;
    }
    let (fresh, committed) = (files(&new, wanted), files(&committed, wanted));
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&committed), "{what}/: run with AUTHCTL_WRITE_GENERATED=1");
    for (name, text) in &fresh {
        assert!(*text == committed[name], "{what}/{name} is stale: AUTHCTL_WRITE_GENERATED=1");
    }
}

#[test]
fn committed_completions_are_current() {
    compare("completions", |_| true);
}

#[test]
fn committed_man_pages_are_current() {
    compare("man", |name| name.ends_with(".1")); // section 5 is written by hand
}

/// The members of an object, and those that a part of the schema knows.
fn assert_same_members(what: &Value, schema: &Value) {
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(what), names(&schema["properties"]));
    let mut required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    required.sort_unstable();
    assert_eq!(names(what), required);
}

#[test]
fn a_provider_is_shown_in_full_and_as_the_schema_says() {
    let sandbox = Sandbox::new();
    sandbox.write_config(
        "[provider.demo]\nnote = \"for tests\"\n[provider.demo.oauth]\n\
         issuer = \"https://as.example.com\"\nregister_at = \"https://as.example.com/apps\"\n\
         authentication = \"none\"\npkce = \"unverified\"\nscope_separator = \",\"\n\
         registration_endpoint = \"https://as.example.com/register\"\n\
         redirect = { port = 7777 }\nparameters = { prompt = \"consent\" }\n",
    );
    let schema = sandbox.run(["generate", "schema"]).json();
    let shown = sandbox.run(["provider", "show", "demo", "--json"]).json();
    let kind = &shown["provider"]["kinds"][0];
    let schema = &schema["$defs"];
    assert_same_members(&shown["provider"], &schema["provider"]);
    assert_same_members(kind, &schema["kind"]);
    assert_same_members(&kind["oauth"], &schema["kind"]["properties"]["oauth"]["oneOf"][1]);
    assert_eq!(shown["provider"]["note"], "for tests");
    for (member, expected) in [
        ("client", json!("own")),
        ("register_at", json!("https://as.example.com/apps")),
        ("authentication", json!("none")),
        ("pkce", json!("unverified")),
        ("scope_separator", json!(",")),
        ("registration_endpoint", json!("https://as.example.com/register")),
        ("redirect", json!({ "host": "127.0.0.1", "port": 7777, "path": "/callback" })),
        ("parameters", json!({ "prompt": "consent" })),
    ] {
        assert_eq!(kind["oauth"][member], expected, "{member}");
    }
}
