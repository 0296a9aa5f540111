//! The client scenarios of the official MCP conformance suite, with the strict verdict: all that 2025-11-25 and
//! 2026-07-28 require, the extensions for authorization, and what servers of 2025-03-26 need.

#![cfg(unix)]

use std::process::Command;

use crate::real_parts::{missing, present, real, skipped};
use crate::support::is_long;
use crate::support::sandbox::AUTHCTL;

#[test]
fn every_scenario_passes_behind_a_host_of_both_eras() {
    assert_conformant("dual");
}

#[test]
fn every_scenario_passes_behind_a_legacy_host() {
    if is_long() {
        assert_conformant("legacy");
    } else {
        skipped("tests/run --long goes through the suite behind a legacy host as well");
    }
}

/// `host` is a manner of `tests/real/host.mjs`.
fn assert_conformant(host: &str) {
    if !present(&["node"]) || !is_node_new_enough() {
        return;
    }
    let mut suite = Command::new("node");
    suite.arg(real("conformance.mjs")).args(["--host", host]).env("AUTHCTL_TEST_BINARY", AUTHCTL);
    let output = suite.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
}

/// The suite needs `fs.globSync`.
fn is_node_new_enough() -> bool {
    let script = "process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)";
    let is_new = Command::new("node").args(["-e", script]).status().unwrap().success();
    if !is_new {
        missing("node 22");
    }
    is_new
}
