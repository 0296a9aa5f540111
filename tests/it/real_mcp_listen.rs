//! `authctl mcp --listen` in front of real servers on stdio, of either era: clients by the official SDKs for
//! TypeScript (both lines) and Python, and the server scenarios of the official conformance suite.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::real_parts::{missing, present, real};
use crate::support::eventually;
use crate::support::launcher::pid_of;
use crate::support::sandbox::{Running, Sandbox};

const SUITE: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
/// How long clients, and all scenarios of the suite, may take.
const PARTS_WAIT: Duration = Duration::from_mins(5);

/// What no older server can bring, whatever stands in front of it: its questions have no names of its own, come
/// one at a time and with a state that is authctl's, and it knows no error for a capability that is missing.
const NEEDS_A_MODERN_SERVER: [&str; 13] = [
    "server-stateless",
    "input-required-result-basic-elicitation",
    "input-required-result-basic-sampling",
    "input-required-result-basic-list-roots",
    "input-required-result-request-state",
    "input-required-result-multiple-input-requests",
    "input-required-result-missing-input-response",
    "input-required-result-ignore-extra-params",
    "input-required-result-multi-round",
    "input-required-result-non-tool-request",
    "input-required-result-result-type",
    "input-required-result-tampered-state",
    "input-required-result-capability-check",
];

struct Listening {
    sandbox: Sandbox,
    running: Running,
    url: String,
    secret: Option<String>,
}

impl Listening {
    fn start(arguments: &[&str], command: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let mut authctl = sandbox.command(["mcp", "--json", "--listen"]);
        authctl.args(arguments).arg("--").args(command);
        let running = sandbox.start(authctl);
        let said = eventually("the address", || {
            let said = running.stdout();
            said.contains('\n').then(|| serde_json::from_str::<Value>(&said).unwrap())
        });
        let secret = said["secret"].as_str().map(str::to_owned);
        Self { sandbox, running, url: said["url"].as_str().unwrap().to_owned(), secret }
    }

    /// In front of the suite's own server, by the SDK of that era.
    fn conformance(arguments: &[&str], era: &str) -> Self {
        let server = real("conformance-server.mjs");
        Self::start(arguments, &["node", server.to_str().unwrap(), era])
    }

    /// What a client of an SDK sees.
    fn seen_by(&self, client: &Client, calls: &Value) -> Value {
        let secret = format!("Bearer {}", self.secret.as_ref().unwrap());
        let mut options = client.options.clone();
        options["calls"] = calls.clone();
        options["headers"] = json!({ "Authorization": secret });
        let mut program = self.sandbox.program(&client.program);
        program.arg(&client.script).arg(options.to_string()).arg(&self.url);
        let output = self.sandbox.start(program).finish_within(PARTS_WAIT);
        assert_eq!(output.code(), 0, "{options}: {output:?}");
        output.json()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = kill_process(pid_of(&self.running), Signal::TERM);
        let _ = self.running.child.wait();
    }
}

struct Client {
    program: PathBuf,
    script: PathBuf,
    options: Value,
}

/// Each SDK, in each era that it has.
fn clients() -> Vec<Client> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin/python");
    let of = |program: &Path, script, options| Client {
        program: program.to_owned(),
        script: real(script),
        options,
    };
    let node = Path::new("node");
    let mut clients = vec![
        of(node, "mcp-client.mjs", json!({ "sdk": 1 })),
        of(node, "mcp-client.mjs", json!({ "sdk": 2, "era": "legacy" })),
        of(node, "mcp-client.mjs", json!({ "sdk": 2, "era": "auto" })),
    ];
    if python.exists() {
        clients.push(of(&python, "mcp_client.py", json!({ "era": "legacy" })));
        clients.push(of(&python, "mcp_client.py", json!({ "era": "auto" })));
    } else {
        missing(&python.display().to_string());
    }
    clients
}

#[test]
fn clients_of_all_sdks_use_a_server_of_either_era_and_answer_its_questions() {
    if !present(&["node"]) {
        return;
    }
    let calls = json!([
        ["test_simple_text", {}],
        ["test_x_mcp_header", { "region": "über" }],
        ["test_sampling", { "prompt": "say something" }],
        ["test_elicitation_sep1034_defaults", {}],
    ]);
    for era in ["legacy", "modern"] {
        let listening = Listening::conformance(&[], era);
        for client in clients() {
            let seen = listening.seen_by(&client, &calls);
            let results = seen["results"].as_array().unwrap();
            let texts: Vec<_> = results.iter().map(|one| one["text"].as_str()).collect();
            let [Some(simple), Some(region), Some(sampled), Some(elicited)] = texts[..] else {
                panic!("{} at {era}: {seen}", client.options);
            };
            assert!(simple.contains("simple text") && region == "über", "{seen}");
            assert!(sampled == "LLM response: word" && elicited.contains("ada"), "{seen}");
            let is_auto = client.options["era"] == "auto";
            assert_eq!(seen["version"], if is_auto { "2026-07-28" } else { "2025-11-25" });
        }
    }
}

#[test]
fn clients_of_all_sdks_use_server_everything() {
    if !present(&["node"]) {
        return;
    }
    let server = real("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let listening = Listening::start(&[], &["node", server.to_str().unwrap(), "stdio"]);
    for client in clients() {
        let calls = json!([["echo", { "message": "hello" }], ["get-sum", { "a": 2, "b": 3 }]]);
        let seen = listening.seen_by(&client, &calls);
        let results = seen["results"].as_array().unwrap();
        let texts: Vec<_> = results.iter().filter_map(|one| one["text"].as_str()).collect();
        assert!(texts.len() == 2 && texts[0].contains("hello") && texts[1].contains('5'), "{seen}");
        assert!(seen["tools"].as_array().unwrap().len() > 5, "{seen}");
    }
}

/// The scenarios that fail, of those that a revision requires, and how many these are. A warning is a failure.
fn failures(listening: &Listening, revision: &str) -> (BTreeSet<String>, usize) {
    let results = listening.sandbox.path("results");
    let mut suite = listening.sandbox.program("node");
    suite.arg(real(SUITE)).args(["server", "--url", &listening.url, "--requirements", revision]);
    suite.arg("-o").arg(&results);
    let said = listening.sandbox.start(suite).finish_within(PARTS_WAIT).stdout;
    let (_, summary) = said.split_once("=== SUMMARY ===").unwrap_or_else(|| panic!("{said}"));
    let (scored, _) = summary.split_once("Total:").unwrap();
    let (_, others) = summary.split_once("Not scored for").unwrap();
    let mut all = BTreeSet::new();
    let mut failed = BTreeSet::new();
    for line in scored.lines().filter_map(|line| line.split_once(':')) {
        let Some((mark, name)) = line.0.split_once(' ') else { continue };
        if !others.contains(&format!(" {name} (")) {
            all.insert(name.to_owned());
            if mark != "✓" || has_warning(&results, name) {
                failed.insert(name.to_owned());
            }
        }
    }
    (failed, all.len())
}

fn has_warning(results: &Path, scenario: &str) -> bool {
    let begin = format!("server-{scenario}-20");
    let entries = std::fs::read_dir(results).unwrap().map(Result::unwrap);
    let mut of = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin));
    of.any(|entry| {
        let checks = std::fs::read_to_string(entry.path().join("checks.json")).unwrap();
        let checks: Value = serde_json::from_str(&checks).unwrap();
        checks.as_array().unwrap().iter().any(|check| check["status"] == "WARNING")
    })
}

/// The suite needs `fs.globSync`.
fn has_new_node() -> bool {
    if !present(&["node"]) {
        return false;
    }
    let script = "process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)";
    let is_new = std::process::Command::new("node").args(["-e", script]).status().unwrap();
    if !is_new.success() {
        missing("node 22");
    }
    is_new.success()
}

fn assert_conformant(era: &str, revision: &str, count: usize, impossible: &[&str]) {
    if !has_new_node() {
        return;
    }
    let listening = Listening::conformance(&["--no-secret"], era);
    let (failed, all) = failures(&listening, revision);
    let impossible: BTreeSet<String> = impossible.iter().map(|&name| name.to_owned()).collect();
    assert_eq!((failed, all), (impossible, count), "a server of the {era} era");
}

#[test]
fn every_server_scenario_of_2025_11_25_passes_before_a_server_of_that_era() {
    assert_conformant("legacy", "2025-11-25", 30, &[]);
}

#[test]
fn every_server_scenario_of_2025_11_25_passes_before_a_server_without_sessions() {
    assert_conformant("modern", "2025-11-25", 30, &[]);
}

#[test]
fn every_server_scenario_of_2026_07_28_passes_before_a_server_of_that_revision() {
    assert_conformant("modern", "2026-07-28", 37, &[]);
}

#[test]
fn server_scenarios_of_2026_07_28_pass_before_an_older_server_as_far_as_it_goes() {
    assert_conformant("legacy", "2026-07-28", 37, &NEEDS_A_MODERN_SERVER);
}

/// These are in no revision's list yet.
#[test]
fn headers_of_2026_07_28_are_checked_before_servers_of_both_eras() {
    if !has_new_node() {
        return;
    }
    for era in ["legacy", "modern"] {
        let listening = Listening::conformance(&["--no-secret"], era);
        for scenario in ["http-header-validation", "http-custom-header-server-validation"] {
            let mut suite = listening.sandbox.program("node");
            suite.arg(real(SUITE)).args(["server", "--url", &listening.url]);
            suite.args(["--scenario", scenario, "--spec-version", "2026-07-28"]);
            let output = listening.sandbox.start(suite).finish_within(PARTS_WAIT);
            assert_eq!(output.code(), 0, "{era} {scenario}: {output:?}");
        }
    }
}
