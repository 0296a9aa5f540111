//! What 13 real agents answered, played back behind `authctl acp` to editors of every kind, with and without a
//! stored credential. The agent's witness has digests of whatever reached it.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::real_parts::{ModelServer, present, real};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::stdio_host::Host;

const KEY: &str = "sk-acp-played-Wd83Ls0Qk5Tz7VbNm2Xr";

/// How an agent is given the key.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// To the proxy with a header of its own: method and member.
    InBand(&'static str, &'static str),
    /// To the proxy by this variable.
    BaseUrl(&'static str),
    /// The key itself in this variable.
    Variable(&'static str),
    /// It has a sign-in of its own alone.
    Own,
}

struct Agent {
    fixture: &'static str,
    command: &'static [&'static str],
    provider: &'static str,
    way: Way,
    /// What its user has set.
    variables: &'static [(&'static str, &'static str)],
    /// How often it is started to have the key.
    starts: usize,
    /// Its answer to a session with a key is not known.
    waits: bool,
}

const CODEX: Agent = Agent {
    fixture: "codex-acp",
    command: &["codex-acp"],
    provider: "openai",
    way: Way::InBand("providers/set", "headers.x-authctl-key"),
    variables: &[],
    starts: 1,
    waits: false,
};

/// One editor with the agent behind authctl.
struct Scene<'a> {
    agent: &'a Agent,
    sandbox: Sandbox,
    _models: ModelServer,
    editor: Host,
}

impl<'a> Scene<'a> {
    /// `is_named`: the command line says whose credential is to come.
    fn new(agent: &'a Agent, has_key: bool, is_named: bool) -> Self {
        let models = ModelServer::start(KEY);
        let mut sandbox = Sandbox::new();
        sandbox.write_config(&config(&models.url));
        let program = install(&sandbox, agent);
        for (name, value) in agent.variables {
            sandbox.env(name, value);
        }
        if has_key {
            sandbox.env(&format!("AUTHCTL_{}_TOKEN", agent.provider.to_uppercase()), KEY);
        }
        let mut command = sandbox.command(["acp"]);
        if is_named {
            command.args(["--with", agent.provider]);
        }
        command.arg("--").arg(program).args(&agent.command[1..]);
        let editor = Host::start(&sandbox, command);
        Self { agent, editor, sandbox, _models: models }
    }

    /// What reached the agent.
    fn witness(&self) -> Vec<Value> {
        witness(&self.sandbox)
    }

    fn told(&self, method: &str) -> Vec<Value> {
        self.witness().into_iter().filter(|line| line["method"] == method).collect()
    }

    fn greet(&mut self, capabilities: &Value) -> Value {
        let info = json!({"name": "editor", "version": "1", "later": [1.50]});
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": capabilities,
            "clientInfo": info,
            "_meta": {"trace": "t-1"},
        });
        self.editor.request("initialize", &params)["result"].clone()
    }

    fn open(&mut self) -> Value {
        let params = json!({"cwd": self.sandbox.path("work"), "mcpServers": []});
        self.editor.request("session/new", &params)
    }

    fn prompt(&mut self, opened: &Value) -> Value {
        let prompt = json!([{"type": "text", "text": "hi"}]);
        let session = &opened["result"]["sessionId"];
        self.editor.request("session/prompt", &json!({"sessionId": session, "prompt": prompt}))
    }

    /// The end of it; nothing of the agent is left, and the key was shown to nobody.
    fn leave(self) -> (Output, Vec<Value>) {
        let output = self.editor.leave();
        let all = witness(&self.sandbox);
        let count = |what: &str| all.iter().filter(|line| line[what].is_u64()).count();
        assert_eq!(count("start"), count("end"), "{}: {all:?}", self.agent.fixture);
        assert!(!output.stdout.contains(KEY) && !output.stderr.contains(KEY), "{output:?}");
        (output, all)
    }
}

fn config(url: &str) -> String {
    let keys = [
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("google", "GEMINI_API_KEY"),
        ("cline", "CLINE_API_KEY"),
    ];
    let tables = keys.map(|(name, variable)| {
        format!(
            "[provider.{name}]\nbase_url = \"{url}/v1\"\n[provider.{name}.api_key]\nvariables = [\"{variable}\"]\n"
        )
    });
    tables.concat()
}

/// The program, under the name of the real one.
fn install(sandbox: &Sandbox, agent: &Agent) -> std::path::PathBuf {
    let program = sandbox.path("bin").join(agent.command[0]);
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let [script, fixture] =
        ["acp-playback.mjs".to_owned(), format!("acp-fixtures/{}.json", agent.fixture)]
            .map(|name| real(&name).display().to_string());
    let witness = sandbox.path("witness").display().to_string();
    let text = format!("#!/bin/sh\nexec node '{script}' '{fixture}' '{witness}' \"$@\"\n");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn witness(sandbox: &Sandbox) -> Vec<Value> {
    let text = std::fs::read_to_string(sandbox.path("witness")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the agent said to an editor that can do nothing.
fn recorded(agent: &Agent, capabilities: &str) -> Value {
    let text =
        std::fs::read_to_string(real(&format!("acp-fixtures/{}.json", agent.fixture))).unwrap();
    let fixture: Value = serde_json::from_str(&text).unwrap();
    fixture["runs"][format!("caps-{capabilities}")]["steps"][0]["response"]["result"].clone()
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let halves = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| char::from(b"0123456789abcdef"[usize::from(half)])).collect()
}

/// Editors: without a word about signing in, as the protocol has it, and with every convention.
fn editors() -> [Value; 3] {
    let files = json!({"readTextFile": true, "writeTextFile": true});
    [
        json!({"later": {"x": 1}}),
        json!({"fs": files, "auth": {"terminal": true}, "later": {"x": 1}}),
        json!({
            "fs": files,
            "terminal": true,
            "auth": {"terminal": true, "_meta": {"gateway": true}},
            "elicitation": {"form": {}, "url": {}},
            "_meta": {"terminal-auth": true},
            "later": {"x": 1},
        }),
    ]
}

/// The words of `initialize` pass, but for those on signing in.
fn assert_passed(scene: &Scene<'_>, greeting: &Value) {
    let strip = |value: &Value| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove("authMethods");
        if let Some(auth) = value.pointer_mut("/agentCapabilities/auth") {
            auth.as_object_mut().unwrap().remove("status");
        }
        if value.pointer("/agentCapabilities/auth") == Some(&json!({})) {
            value["agentCapabilities"].as_object_mut().unwrap().remove("auth");
        }
        value
    };
    let name = scene.agent.fixture;
    let said = ["none", "auth", "legacy"].map(|kind| strip(&recorded(scene.agent, kind)));
    assert!(said.contains(&strip(greeting)), "{name}: {greeting}");
    let told = scene.told("initialize");
    assert_eq!(told.last().unwrap()["capabilities"]["later"], json!({"x": 1}), "{name}");
    assert_eq!(told.last().unwrap()["values"]["_meta.trace"], sha256("t-1"), "{name}");
}

/// No terminal method goes to `authenticate`, and nothing of the key into the command line.
fn assert_decent(agent: &Agent, witness: &[Value]) {
    let methods = recorded(agent, "legacy")["authMethods"].as_array().cloned().unwrap_or_default();
    for line in witness.iter().filter(|line| line["method"] == "authenticate") {
        let method = methods.iter().find(|it| it["id"] == line["id"]);
        let is_terminal = method.is_some_and(|it| it["type"] == "terminal");
        assert!(!is_terminal, "{}: {line}", agent.fixture);
    }
    let digest = sha256(KEY);
    for start in witness.iter().filter(|line| line["start"].is_u64()) {
        assert!(!start["argv"].as_array().unwrap().contains(&json!(digest)), "{}", agent.fixture);
    }
}

/// The key came by that way, and by no other.
fn assert_delivered(agent: &Agent, witness: &[Value]) {
    let (name, digest) = (agent.fixture, sha256(KEY));
    let starts: Vec<_> = witness.iter().filter(|line| line["start"].is_u64()).collect();
    assert_eq!(starts.len(), agent.starts, "{name}: {witness:?}");
    let env = starts.last().unwrap()["env"].as_object().unwrap();
    let holders: Vec<_> = env.iter().filter(|(_, it)| **it == digest).map(|(it, _)| it).collect();
    let is_told = witness.iter().any(|line| line["values"].to_string().contains(&digest));
    assert!(!is_told, "{name}: the key itself was told: {witness:?}");
    match agent.way {
        Way::InBand(method, member) => {
            let mut told = witness.iter().filter(|line| line["method"] == method);
            assert!(told.any(|it| it["values"][member].is_string()), "{name}: {witness:?}");
            assert_eq!(holders, Vec::<&String>::new(), "{name}");
        }
        Way::BaseUrl(variable) => {
            assert!(env.contains_key(variable), "{name}: {env:?}");
            assert_eq!(holders, Vec::<&String>::new(), "{name}");
        }
        Way::Variable(variable) => assert_eq!(holders, vec![variable], "{name}"),
        Way::Own => assert_eq!(holders, Vec::<&String>::new(), "{name}"),
    }
}

fn with_key(agent: &Agent, capabilities: &Value) {
    let mut scene = Scene::new(agent, true, false);
    let name = agent.fixture;
    let greeting = scene.greet(capabilities);
    assert_passed(&scene, &greeting);
    assert_eq!(greeting["authMethods"], json!([]), "{name}: nobody has to sign in");
    if agent.waits {
        let params = json!({"cwd": scene.sandbox.path("work"), "mcpServers": []});
        let id = scene.editor.ask("session/new", &params);
        let cancel =
            json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": id}});
        scene.editor.send(&cancel.to_string());
        assert_eq!(scene.editor.answer(id)["error"]["code"], -32800, "{name}");
    } else {
        let opened = scene.open();
        assert!(opened["result"]["sessionId"].is_string(), "{name}: {opened}");
        let answer = scene.prompt(&opened);
        assert_eq!(answer["result"]["stopReason"], "end_turn", "{name}: {answer}");
    }
    let (output, witness) = scene.leave();
    assert!(output.stderr.matches(" itself (").count() <= 1, "{name}: said once: {output:?}");
    assert_decent(agent, &witness);
    assert_delivered(agent, &witness);
}

/// The editor sees one method at most, and an error with the command that helps.
fn without_key(agent: &Agent, capabilities: &Value) {
    let mut scene = Scene::new(agent, false, agent.way != Way::Own);
    let name = agent.fixture;
    let greeting = scene.greet(capabilities);
    assert_passed(&scene, &greeting);
    let methods = greeting["authMethods"].as_array().unwrap().clone();
    if agent.way != Way::Own {
        assert!(methods.len() <= 1, "{name}: {methods:?}");
        assert!(
            methods.iter().all(|it| it["id"].as_str().unwrap().starts_with("authctl")),
            "{name}: {methods:?}"
        );
    }
    let opened = scene.open();
    assert_eq!(opened["error"]["code"], -32000, "{name}: {opened}");
    let said = opened["error"]["message"].as_str().unwrap();
    let step = match agent.way {
        Way::Own => "has a sign-in of its own: ".to_owned(),
        _ => format!("authctl login {}", agent.provider),
    };
    assert!(said.contains(&step), "{name}: {said}");
    let (_, witness) = scene.leave();
    assert_decent(agent, &witness);
}

/// Nobody has said anything: the editor sees authctl's method for what the agent takes first, and an agent that has
/// a sign-in of its own is not held back.
fn unnamed(agent: &Agent, capabilities: &Value) {
    let mut scene = Scene::new(agent, false, false);
    let name = agent.fixture;
    let greeting = scene.greet(capabilities);
    let methods = greeting["authMethods"].as_array().unwrap().clone();
    assert_eq!(methods.len(), 1, "{name}: {methods:?}");
    assert!(methods[0]["id"].as_str().unwrap().starts_with("authctl"), "{name}: {methods:?}");
    let opened = scene.open();
    assert_eq!(scene.told("session/new").len(), 1, "{name}: the agent was asked");
    if let Some(said) = opened["error"]["message"].as_str() {
        assert!(said.contains("authctl login "), "{name}: {said}");
    }
    let (_, witness) = scene.leave();
    assert_decent(agent, &witness);
}

fn plays(agent: &Agent) {
    if !present(&["node"]) {
        return;
    }
    for capabilities in editors() {
        if agent.way != Way::Own {
            with_key(agent, &capabilities);
            unnamed(agent, &capabilities);
        }
        without_key(agent, &capabilities);
    }
}

#[test]
fn auggie() {
    let command = &["auggie", "--acp"];
    let way = Way::Variable("AUGMENT_SESSION_AUTH");
    plays(&Agent { fixture: "auggie", command, provider: "augment", way, ..CODEX });
}

#[test]
fn claude() {
    let command = &["claude-agent-acp"];
    plays(&Agent { fixture: "claude-agent-acp", command, provider: "anthropic", ..CODEX });
}

#[test]
fn cline() {
    let command = &["cline", "--acp"];
    let way = Way::BaseUrl("CLINE_API_BASE_URL");
    plays(&Agent { fixture: "cline", command, provider: "cline", way, ..CODEX });
}

#[test]
fn code_puppy() {
    let command = &["code-puppy", "--acp"];
    let way = Way::Variable("OPENAI_API_KEY");
    plays(&Agent { fixture: "code-puppy", command, way, ..CODEX });
}

#[test]
fn codex() {
    plays(&CODEX);
}

#[test]
fn codex_before_its_release() {
    let way = Way::Variable("OPENAI_API_KEY");
    // It could have been the newer one, which needs no variable.
    plays(&Agent { fixture: "codex-acp-legacy", way, starts: 2, ..CODEX });
}

#[test]
fn copilot_with_a_provider_of_ones_own() {
    let variables = &[("COPILOT_MODEL", "gpt-5"), ("COPILOT_OFFLINE", "true")];
    let way = Way::BaseUrl("COPILOT_PROVIDER_BASE_URL");
    let command = &["copilot", "--acp"];
    plays(&Agent { fixture: "github-copilot", command, way, variables, ..CODEX });
}

#[test]
fn fast_agent() {
    let command = &["fast-agent-acp", "--model", "haiku"];
    let way = Way::Variable("ANTHROPIC_API_KEY");
    plays(&Agent { fixture: "fast-agent", command, provider: "anthropic", way, ..CODEX });
}

#[test]
fn gemini() {
    let command = &["gemini", "--acp"];
    let way = Way::InBand("authenticate", "_meta.gateway.headers.x-authctl-key");
    plays(&Agent { fixture: "gemini-cli", command, provider: "google", way, ..CODEX });
}

#[test]
fn kimi() {
    plays(&Agent { fixture: "kimi-cli", command: &["kimi", "acp"], way: Way::Own, ..CODEX });
}

#[test]
fn opencode() {
    let command = &["opencode", "acp"];
    let way = Way::BaseUrl("OPENCODE_CONFIG_CONTENT");
    plays(&Agent { fixture: "opencode", command, provider: "anthropic", way, ..CODEX });
}

#[test]
fn openhands() {
    plays(&Agent { fixture: "openhands", command: &["openhands", "acp"], way: Way::Own, ..CODEX });
}

#[test]
fn pi() {
    let way = Way::Variable("ANTHROPIC_API_KEY");
    plays(&Agent {
        fixture: "pi-acp",
        command: &["pi-acp"],
        provider: "anthropic",
        way,
        waits: true,
        ..CODEX
    });
}
