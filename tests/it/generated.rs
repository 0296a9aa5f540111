//! `completions/` and `man/` are what the binary generates. `AUTHCTL_WRITE_GENERATED=1` rewrites them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

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
    let target = if rewrite { committed.as_path() } else { fresh.path() };
    let status = Command::new(env!("CARGO_BIN_EXE_authctl"))
        .args(["generate", what])
        .arg(target)
        .status()
        .expect("authctl runs");
    assert!(status.success());
    if rewrite {
        return;
    }
    let (fresh, committed) = (files(fresh.path(), wanted), files(&committed, wanted));
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
