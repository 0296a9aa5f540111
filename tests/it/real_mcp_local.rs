//! A real MCP server on stdio (`@modelcontextprotocol/server-everything`) behind `authctl mcp -- …` and behind
//! `authctl mcp --listen -- …`, for hosts by both lines of the official TypeScript SDK, and the official suite's
//! check of servers on loopback.

#![cfg(unix)]

use std::path::PathBuf;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::real_parts::{present, real};
use crate::support::eventually;
use crate::support::launcher::pid_of;
use crate::support::sandbox::{AUTHCTL, Running, Sandbox};
use crate::support::stdio_host::{prepare, server};

const CONFORMANCE: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

fn everything() -> PathBuf {
    real("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", "sk-real-local/0123456789");
    sandbox
}

/// What a host of the SDK sees: tools, and the answers to two calls.
fn host(sandbox: &Sandbox, options: &Value, words: &[&str]) -> Value {
    let mut options = options.clone();
    options["calls"] = json!([["echo", {"message": "hello"}], ["get-sum", {"a": 2, "b": 3}]]);
    let mut host = sandbox.program("node");
    host.arg(real("mcp-client.mjs")).arg(options.to_string()).args(words);
    let output = sandbox.start(host).finish();
    assert_eq!(output.code(), 0, "{output:?}");
    output.json()
}

fn is_right(seen: &Value) {
    let results = seen["results"].as_array().unwrap();
    let texts: Vec<&str> = results.iter().filter_map(|result| result["text"].as_str()).collect();
    assert_eq!(texts.len(), 2, "{seen}");
    assert!(texts[0].contains("hello") && texts[1].contains('5'), "{texts:?}");
    assert!(seen["tools"].as_array().unwrap().len() > 5, "{seen}");
}

fn hosts() -> [Value; 3] {
    [json!({"sdk": 1}), json!({"sdk": 2, "era": "legacy"}), json!({"sdk": 2, "era": "auto"})]
}

#[test]
fn sdk_hosts_use_a_local_server_with_its_credential() {
    if !present(&["node"]) {
        return;
    }
    let sandbox = sandbox();
    let everything = everything();
    for options in hosts() {
        let words =
            [AUTHCTL, "mcp", "--with", "openai", "--", "node", everything.to_str().unwrap()];
        is_right(&host(&sandbox, &options, &words));
    }
}

struct Listening {
    running: Running,
    url: String,
    secret: Option<String>,
}

impl Listening {
    fn start(sandbox: &Sandbox, arguments: &[&str], program: &str, script: PathBuf) -> Self {
        let mut command = sandbox.command(["mcp", "--json", "--listen", "--with", "openai"]);
        command.args(arguments).args(["--", program]).arg(script);
        let running = sandbox.start(command);
        let said = eventually("the address", || {
            let said = running.stdout();
            said.contains('\n').then(|| serde_json::from_str::<Value>(&said).unwrap())
        });
        let (url, secret) = (said["url"].as_str().unwrap().to_owned(), said["secret"].as_str());
        Self { url, secret: secret.map(str::to_owned), running }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = kill_process(pid_of(&self.running), Signal::TERM);
        let _ = self.running.child.wait();
    }
}

#[test]
fn sdk_hosts_use_it_over_http() {
    if !present(&["node"]) {
        return;
    }
    let sandbox = sandbox();
    let listening = Listening::start(&sandbox, &[], "node", everything());
    let secret = format!("Bearer {}", listening.secret.as_ref().unwrap());
    for mut options in hosts() {
        options["headers"] = json!({"Authorization": secret});
        is_right(&host(&sandbox, &options, &[&listening.url]));
    }
}

/// The suite needs a Node that has `fs.globSync`.
fn has_new_node(sandbox: &Sandbox) -> bool {
    let mut node = sandbox.program("node");
    let output = node.args(["-p", "process.versions.node"]).output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major >= 22)
}

#[test]
fn the_official_suite_finds_no_way_in_by_dns_rebinding() {
    let mut sandbox = sandbox();
    prepare(&mut sandbox);
    sandbox.env("MODERN", "yes");
    if !present(&["node"]) {
        return;
    }
    if !has_new_node(&sandbox) {
        return crate::real_parts::missing("node 22");
    }
    let servers = [("2025-11-25", "node", everything()), ("2026-07-28", "sh", server())];
    for (version, program, script) in servers {
        let listening = Listening::start(&sandbox, &["--no-secret"], program, script);
        let mut suite = sandbox.program("node");
        suite.arg(real(CONFORMANCE)).args(["server", "--url", &listening.url]);
        suite.args(["--scenario", "dns-rebinding-protection", "--spec-version", version]);
        let output = sandbox.start(suite).finish();
        assert_eq!(output.code(), 0, "{version}: {output:?}");
    }
}
