//! The Rust crate of ACP beside `authctl acp`: its example client before it, its example agent behind it, and its
//! conductor, in whose chain authctl is a proxy.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S3, S9 | no real value in the agent of a chain | `a_conductor_…` |

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::real_acp::{
    ANTHROPIC, FIRST, LONGEST, OPENAI, OWN_AGENT, SECOND, agents, sha256, sign_in,
};
use crate::real_parts::{ModelServer, missing, present, real};
use crate::support::eventually_within;
use crate::support::inside::{Needle, descendants};
use crate::support::sandbox::{AUTHCTL, Sandbox};
use crate::support::stdio_host::Host;

/// A program of the crate, as tests/run installs it.
fn program(name: &str) -> Option<PathBuf> {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/acp-rust-5.0.0/bin");
    let program = programs.join(name);
    if program.exists() {
        return Some(program);
    }
    missing(name);
    None
}

/// The example client, which prompts an agent once: `agent` is a command line.
fn client(sandbox: &Sandbox, program: &Path, agent: &str) -> (bool, String) {
    let mut command: Command = sandbox.program(program);
    command.args(["--command", agent, "say pong"]);
    let output = sandbox.start(command).finish_within(LONGEST);
    (output.status.success(), output.stdout + &output.stderr)
}

#[test]
fn the_example_client_prompts_an_agent_with_the_stored_key() {
    let Some(program) = program("yolo_one_shot_client").filter(|_| present(&["node"])) else {
        return;
    };
    if !real("acp-agents/node_modules/@agentclientprotocol/sdk").exists() {
        return missing("@agentclientprotocol/sdk");
    }
    let models = ModelServer::start(FIRST);
    let sandbox = Sandbox::new();
    let table = OPENAI.replace("URL", &models.url);
    sandbox.write_config(&format!("[provider.openai]\n{table}{OWN_AGENT}"));
    let agent = crate::real_acp::sdk_agent(&sandbox);
    let line = format!("{AUTHCTL} acp --with openai -- {}", agent.display());
    let (is_answered, said) = client(&sandbox, &program, &line);
    assert!(!is_answered && said.contains("authctl login openai"), "{said}");
    sign_in(&sandbox, "openai", FIRST);
    let (is_answered, said) = client(&sandbox, &program, &line);
    assert!(is_answered && said.contains("EndTurn") && said.contains("pong"), "{said}");
    assert!(models.seen().iter().any(|it| it["keys"]["authorization"] == *sha256(FIRST)));
}

#[test]
fn the_example_agent_says_the_same_with_authctl_between() {
    let (Some(client_program), Some(agent)) =
        (program("yolo_one_shot_client"), program("simple_agent"))
    else {
        return;
    };
    let sandbox = Sandbox::new();
    let agent = agent.display();
    // It knows `initialize` alone, and refuses everything else.
    let (is_answered, direct) = client(&sandbox, &client_program, &agent.to_string());
    assert!(!is_answered);
    let (is_answered, between) =
        client(&sandbox, &client_program, &format!("{AUTHCTL} acp -- {agent}"));
    assert!(!is_answered);
    let refusal = |said: &str| said.lines().find(|line| line.contains("-32601")).map(str::to_owned);
    assert!(refusal(&direct).is_some(), "{direct}");
    assert_eq!(refusal(&between), refusal(&direct), "{between}");

    let command = sandbox.command(["acp", "--", &agent.to_string()]);
    let mut editor = Host::start(&sandbox, command);
    let hello = json!({"protocolVersion": 1, "clientCapabilities": {}});
    assert_eq!(editor.request("initialize", &hello)["result"]["protocolVersion"], 1);
    let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    editor.leave().success();
}

/// The answer to a request, however long it takes.
fn ask(editor: &mut Host, method: &str, params: &Value) -> Value {
    let id = editor.ask(method, params);
    eventually_within(LONGEST, method, || {
        let lines = editor.lines();
        let mut messages = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.find(|it| it["id"] == id && it["method"].is_null())
    })
}

#[test]
fn a_conductor_has_authctl_serve_the_agent_of_its_chain() {
    let conductor = program("agent-client-protocol-conductor");
    let Some(conductor) = conductor.filter(|_| present(&["node"])) else { return };
    let agent = agents().join("claude-agent-acp");
    if !agent.exists() {
        return missing("claude-agent-acp");
    }
    let mut models = ModelServer::start(FIRST);
    let sandbox = Sandbox::new();
    sandbox
        .write_config(&format!("[provider.anthropic]\n{}", ANTHROPIC.replace("URL", &models.url)));
    sign_in(&sandbox, "anthropic", FIRST);
    let mut command = sandbox.program(conductor);
    command.args(["agent", &format!("{AUTHCTL} acp --chain --with anthropic")]).arg(&agent);
    let mut editor = Host::start(&sandbox, command);
    let hello = json!({"protocolVersion": 1, "clientCapabilities": {}});
    let greeting = ask(&mut editor, "initialize", &hello);
    assert_eq!(greeting["result"]["authMethods"], json!([]), "{greeting}");
    let wish = json!({"cwd": sandbox.path("work"), "mcpServers": []});
    let session = ask(&mut editor, "session/new", &wish)["result"]["sessionId"].clone();
    let prompt = json!({"sessionId": session, "prompt": [{"type": "text", "text": "say pong"}]});
    for key in [FIRST, SECOND] {
        models.wants(key);
        sign_in(&sandbox, "anthropic", key);
        let answer = ask(&mut editor, "session/prompt", &prompt);
        assert_eq!(answer["result"]["stopReason"], "end_turn", "{answer}");
        let came = models.seen();
        let has_key = |it: &&Value| {
            it["status"] == 200
                && it["keys"].as_object().unwrap().values().any(|it| *it == *sha256(key))
        };
        assert!(came.iter().any(|it| has_key(&it)), "{came:?}");
        let needle = Needle::new(key);
        for pid in descendants(editor.running.child.id()) {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            assert!(!needle.is_in(&environment), "{pid}");
        }
    }
    editor.leave();
}
