//! Files of other programs in a sandbox, with secrets in the open: planted, read again, and the backups of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::sandbox::{Output, Sandbox};

pub const GITHUB: &str = "ghp_0123456789abcdefghij0123456789abcdef";
pub const STRIPE: &str = "sk_live_0123456789abcdefghij";
/// Another one of the same provider.
pub const OTHER: &str = "ghp_another0000000000000000000000000000";
/// What nobody knows to be a secret, and is one.
pub const HIDDEN: &str = "hunter2-in-the-neighbourhood";

pub fn write(sandbox: &Sandbox, path: &str, text: &str) -> PathBuf {
    let path = sandbox.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// What stands in the backups, which nobody else can read.
#[track_caller]
pub fn backups(sandbox: &Sandbox) -> Vec<String> {
    let mut files = sandbox.files();
    files.retain(|path| path.to_string_lossy().contains("/backups/"));
    for path in &files {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    files.iter().map(|path| text(path)).collect()
}

/// No secret is ever shown.
#[track_caller]
pub fn assert_silent(output: &Output) {
    for secret in [GITHUB, STRIPE, OTHER, HIDDEN] {
        assert!(!output.stdout.contains(secret), "{output:?}");
        assert!(!output.stderr.contains(secret), "{output:?}");
    }
}

/// `authctl mcp`, which is told to write where it would ask.
#[track_caller]
pub fn mcp(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let (what, rest) = arguments.split_at(1);
    let asks = ["install", "remove"].contains(&what[0]) && !rest.contains(&"--dry-run");
    let yes = if asks { &["--yes"][..] } else { &[] };
    let output = sandbox.run([&["mcp"], what, yes, rest].concat());
    assert_silent(&output);
    output
}

/// The servers of `mcp list`.
#[track_caller]
pub fn listed(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let output = mcp(sandbox, &["list", "--json"]);
    assert_eq!(output.code(), 0, "{output:?}");
    output.json()["servers"].as_array().unwrap().clone()
}
