//! MCP hosts by the official SDKs for TypeScript (both lines), Python and Rust, which run `authctl mcp` as their
//! server: at servers of both eras by those SDKs, behind a certified OpenID provider, at an AdCP agent, and
//! around a local server.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::real_parts::{McpServer, OpenIdProvider, Person, missing, present, real};
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sdk {
    TypeScript1,
    TypeScript2,
    Python,
    Rust,
}

const SDKS: [Sdk; 4] = [Sdk::TypeScript1, Sdk::TypeScript2, Sdk::Python, Sdk::Rust];

/// What `tests/run` installs under `target/tools`.
fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(path)
}

fn python() -> PathBuf {
    tool("python/bin/python")
}

fn rust() -> PathBuf {
    tool("rmcp/debug/rmcp-parts")
}

fn all_present(programs: &[&str]) -> bool {
    let absent = [python(), rust()].into_iter().find(|path| !path.exists());
    if let Some(path) = &absent {
        missing(&path.display().to_string());
    }
    absent.is_none() && present(programs)
}

impl Sdk {
    /// What a host of this SDK sees of `authctl mcp` with these arguments. `options` are those of
    /// `tests/real/mcp-client.mjs`.
    fn sees(self, sandbox: &Sandbox, options: &Value, arguments: &[&str]) -> Value {
        let mut options = options.clone();
        let (program, first) = match self {
            Self::TypeScript1 | Self::TypeScript2 => ("node".into(), real("mcp-client.mjs")),
            Self::Python => (python(), real("mcp_client.py")),
            Self::Rust => (rust(), "client".into()),
        };
        if self == Self::TypeScript1 {
            options["sdk"] = json!(1);
        }
        let mut host = sandbox.program(program);
        host.arg(first).arg(options.to_string()).args([AUTHCTL, "mcp"]).args(arguments);
        host.stdin(Stdio::null());
        let said = sandbox.start(host).finish().success();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{self:?}: {error}: {said}"))
    }
}

/// The texts of the calls' results; none of them failed.
#[track_caller]
fn texts(seen: &Value) -> Vec<&str> {
    let results = seen["results"].as_array().unwrap().iter();
    results.map(|result| result["text"].as_str().unwrap_or_else(|| panic!("{result}"))).collect()
}

#[test]
fn hosts_of_all_sdks_reach_servers_of_both_eras() {
    if !all_present(&["node"]) {
        return;
    }
    for script in ["mcp-legacy.mjs", "mcp-modern.mjs"] {
        for sdk in SDKS {
            let server = McpServer::start(script, &json!({}));
            let calls = json!([["echo", { "text": "hello" }], ["elicit", {}], ["grow", {}]]);
            let options = json!({ "calls": calls, "changes": true });
            let seen = sdk.sees(&Sandbox::new(), &options, &[&server.url]);
            let elicited = match script {
                "mcp-legacy.mjs" => r#"{"action":"accept","content":{"name":"ada"}}"#,
                _ => "ada word",
            };
            assert_eq!(texts(&seen), ["hello", elicited, "grown"], "{sdk:?} at {script}");
            let mut grown = seen["tools"].as_array().unwrap().clone();
            grown.push(json!("grown-1"));
            assert_eq!(seen["tools_after"], Value::from(grown), "{sdk:?} at {script}");
        }
    }
}

#[test]
fn arguments_that_a_modern_server_wants_in_headers_stand_there_whatever_the_host_is() {
    if !all_present(&["node"]) {
        return;
    }
    let given =
        json!({ "region": "über", "priority": 3, "urgent": true, "where": { "zone": "a" } });
    for sdk in SDKS {
        let server = McpServer::start("mcp-modern.mjs", &json!({}));
        let options = json!({ "calls": [["mirror", given]] });
        let seen = sdk.sees(&Sandbox::new(), &options, &[&server.url]);
        assert_eq!(serde_json::from_str::<Value>(texts(&seen)[0]).unwrap(), given, "{sdk:?}");
    }
}

#[test]
fn a_cut_stream_is_taken_up_and_a_call_is_answered_after_it() {
    if !all_present(&["node"]) {
        return;
    }
    for sdk in SDKS {
        let server = McpServer::start("mcp-legacy.mjs", &json!({}));
        let options = json!({ "calls": [["cut", {}], ["echo", { "text": "on" }]] });
        let seen = sdk.sees(&Sandbox::new(), &options, &[&server.url]);
        assert_eq!(texts(&seen), ["after the cut", "on"], "{sdk:?}");
    }
}

#[test]
fn one_sign_in_serves_hosts_of_all_sdks() {
    if !all_present(&["node", "chromium"]) {
        return;
    }
    for script in ["mcp-legacy.mjs", "mcp-modern.mjs"] {
        let provider = OpenIdProvider::start(&json!({ "token_format": "jwt" }));
        let server = McpServer::start(script, &json!({ "issuer": provider.issuer }));
        let mut sandbox = Sandbox::new();
        Person::at(&mut sandbox, json!({}));
        for sdk in SDKS {
            let seen = sdk.sees(&sandbox, &json!({ "calls": [["whoami", {}]] }), &[&server.url]);
            assert_eq!(texts(&seen), ["alice"], "{sdk:?} at {script}");
        }
        let answers = provider.all_answers();
        let of = |endpoint: &str| answers.iter().filter(|one| one["endpoint"] == endpoint).count();
        assert_eq!((of("registration"), of("token")), (1, 1), "{script}");
    }
}

const KEY: &str = "key-of-the-provider";

/// An AdCP agent, and a sandbox in which its key is kept.
fn agent(options: &Value) -> (McpServer, Sandbox) {
    let server = McpServer::start("adcp-agent.mjs", options);
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.agent]\nmcp_url = \"{}\"\n[provider.agent.api_key]\n\
         header = \"Authorization: Bearer {{key}}\"\nvariables = [\"ADCP_AUTH_TOKEN\"]\n",
        server.url
    ));
    (server, sandbox)
}

fn creative() -> Value {
    let format = json!({ "agent_url": "https://agent.example", "id": "audio_30s" });
    json!({
        "idempotency_key": "0123456789abcdef",
        "target_format_id": format,
        "creative_manifest": { "format_id": format, "assets": {} },
    })
}

#[test]
fn an_adcp_agent_builds_with_the_key_that_is_kept_for_it() {
    if !all_present(&["node"]) {
        return;
    }
    for gate in ["tool", "handler", "http"] {
        let (server, sandbox) = agent(&json!({ "gate": gate, "key": KEY }));
        sandbox.run_with_input(["login", "agent", "--with-key"], KEY).success();
        let options = json!({ "calls": [["build_creative", creative()]] });
        let seen = Sdk::TypeScript2.sees(&sandbox, &options, &[&server.url]);
        assert_eq!(texts(&seen), ["Creative built: audio_30s"], "{gate}");
    }
}

#[test]
fn what_an_adcp_agent_gives_to_everybody_needs_no_key() {
    if !all_present(&["node"]) {
        return;
    }
    let (server, sandbox) = agent(&json!({ "gate": "handler" }));
    let options = json!({ "calls": [["list_creative_formats", {}]] });
    let seen = Sdk::TypeScript2.sees(&sandbox, &options, &[&server.url]);
    assert_eq!(texts(&seen), ["Found 1 creative formats"]);
}

#[test]
fn the_adcp_command_line_gets_the_key_by_exec() {
    if !all_present(&["node"]) {
        return;
    }
    let (server, sandbox) = agent(&json!({ "gate": "tool", "key": KEY }));
    sandbox.run_with_input(["login", "agent", "--with-key"], KEY).success();
    let script = real("node_modules/@adcp/sdk/bin/adcp.js");
    let adcp = ["node", script.to_str().unwrap(), &server.url, "list_creative_formats", "{}"];
    let given: Output = sandbox.run([&["exec", "--with", "agent", "--"], &adcp[..]].concat());
    assert!(given.success().contains("audio_30s"));
    let built = server.seen().into_iter().filter(|line| line["tool"] == "list_creative_formats");
    assert!(built.map(|line| line["token_sha256"].clone()).all(|hash| hash.is_string()));
}

#[test]
fn hosts_of_all_sdks_reach_local_servers_through_the_bridge() {
    if !all_present(&["node"]) {
        return;
    }
    let (python, rust) = (python(), rust());
    let (script, everything) = (
        real("mcp_server.py"),
        real("node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
    );
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    let servers = [
        (vec![of(&python), of(&script), "stdio".to_owned()], "text"),
        (vec![of(&rust), "server".to_owned()], "text"),
        (vec!["node".to_owned(), of(&everything), "stdio".to_owned()], "message"),
    ];
    for (server, parameter) in &servers {
        for sdk in SDKS {
            let options = json!({ "calls": [["echo", { *parameter: "hello" }]] });
            let command: Vec<&str> = server.iter().map(String::as_str).collect();
            let seen = sdk.sees(&Sandbox::new(), &options, &[&["--"], &command[..]].concat());
            assert!(texts(&seen)[0].contains("hello"), "{sdk:?} at {server:?}");
        }
    }
}
