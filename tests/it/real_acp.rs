//! Real agents behind `authctl acp`, as an editor starts them: each opens a session and prompts a model with the
//! stored key, which it never has; and goes on with the next key in the same session.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S3, S9 | no real value in the agent, nor in what it wrote | every agent here |
//! | A4 | a credential that was exchanged is used at once | every agent here, its second prompt |

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::real_parts::{ModelServer, missing, present, real};
use crate::support::eventually_within;
use crate::support::inside::{Needle, descendants};
use crate::support::mcp_server::{Gate, McpServer, Mode};
use crate::support::sandbox::{AUTHCTL, Sandbox};
use crate::support::stdio_host::Host;

pub const FIRST: &str = "sk-acp-real-Rk29Vd7yTq0LmXw4Zb8NcHf";
pub const SECOND: &str = "sk-acp-real-Pu61Jg3eAs5WnKo2Yt7CxDv";

/// Agents and their model programs start slowly on a busy machine.
pub const LONGEST: Duration = Duration::from_mins(4);

struct Agent {
    command: &'static [&'static str],
    /// Whose key it takes, and that provider's table.
    provider: &'static str,
    config: &'static str,
    /// How it is to get it.
    way: &'static str,
    /// That way alone.
    is_forced: bool,
    /// What its user has set up: variables, and files below home.
    variables: &'static [(&'static str, &'static str)],
    file: Option<(&'static str, &'static str)>,
}

pub const ANTHROPIC: &str = "base_url = \"URL\"\n[provider.anthropic.api_key]\nheader = \"x-api-key: {key}\"\nvariables = [\"ANTHROPIC_API_KEY\"]\n";
const GOOGLE: &str = "base_url = \"URL\"\n[provider.google.api_key]\nheader = \"x-goog-api-key: {key}\"\nvariables = [\"GEMINI_API_KEY\"]\n";
pub const OPENAI: &str =
    "base_url = \"URL/v1\"\n[provider.openai.api_key]\nvariables = [\"OPENAI_API_KEY\"]\n";
const CLINE: &str =
    "base_url = \"URL\"\n[provider.cline.api_key]\nvariables = [\"CLINE_API_KEY\"]\n";

/// An agent of OpenAI's API that needs no more than its command.
const PLAIN: Agent = Agent {
    command: &["codex-acp"],
    provider: "openai",
    config: OPENAI,
    way: "providers-set",
    is_forced: false,
    variables: &[],
    file: None,
};

pub fn agents() -> PathBuf {
    real("acp-agents/node_modules/.bin")
}

fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/acp-agents/bin")
}

/// Where the program of this agent is, if it is.
fn program(name: &str) -> Option<PathBuf> {
    [agents(), python()].map(|place| place.join(name)).into_iter().find(|path| path.exists())
}

struct Scene {
    models: ModelServer,
    sandbox: Sandbox,
    editor: Host,
}

impl Scene {
    fn new(agent: &Agent) -> Self {
        let models = ModelServer::start(FIRST);
        let mut sandbox = Sandbox::new();
        let table = agent.config.replace("URL", &models.url);
        sandbox.write_config(&format!("[provider.{}]\n{table}", agent.provider));
        let path = std::env::var("PATH").unwrap();
        sandbox.env("PATH", format!("{}:{}:{path}", agents().display(), python().display()));
        for (name, value) in agent.variables {
            sandbox.env(name, value);
        }
        if let Some((name, text)) = agent.file {
            let file = sandbox.path("home").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        sign_in(&sandbox, agent.provider, FIRST);
        let options: &[&str] = if agent.is_forced { &["--way", agent.way] } else { &[] };
        let command = sandbox.command([&["acp"], options, &["--"], agent.command].concat());
        Self { models, editor: Host::start(&sandbox, command), sandbox }
    }

    /// The answer to a request, however long it takes.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.editor.ask(method, params);
        let answer = self.answer_to(id, method);
        assert!(answer["error"].is_null(), "{method}: {answer}\n{}", self.editor.running.stderr());
        answer["result"].clone()
    }

    fn answer_to(&self, id: u64, method: &str) -> Value {
        eventually_within(LONGEST, method, || {
            let lines = self.editor.lines();
            let mut messages =
                lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            messages.find(|it| it["id"] == id && it["method"].is_null())
        })
    }

    fn open(&mut self, capabilities: &Value) -> Value {
        let greeting = self.ask("initialize", &hello(capabilities));
        assert_eq!(greeting["authMethods"], json!([]), "nobody has to sign in: {greeting}");
        let params = json!({"cwd": self.sandbox.path("work"), "mcpServers": []});
        self.ask("session/new", &params)["sessionId"].clone()
    }

    /// A prompt that the model answers, to nobody but who has `key`.
    fn prompt(&mut self, session: &Value, key: &str) {
        let before = self.said();
        let prompt = json!([{"type": "text", "text": "say pong"}]);
        let result = self.ask("session/prompt", &json!({"sessionId": session, "prompt": prompt}));
        assert_eq!(result["stopReason"], "end_turn", "{}", self.editor.running.stderr());
        assert!(self.said() > before, "{}", self.editor.running.stdout());
        let came = self.models.seen();
        let digest = sha256(key);
        let let_in: Vec<_> = came.iter().filter(|it| it["status"] == 200).collect();
        let has_key =
            |it: &&&Value| it["keys"].as_object().unwrap().values().any(|it| *it == *digest);
        assert!(let_in.iter().any(|it| has_key(&it)), "{came:?}");
    }

    /// How often the model's word came to the editor.
    fn said(&self) -> usize {
        self.editor.running.stdout().matches("pong\"").count()
    }

    /// The keys are in none of the agent's processes, and in none of the files here.
    fn search(&self) {
        let children = descendants(self.editor.running.child.id());
        assert!(!children.is_empty(), "no agent");
        for key in [FIRST, SECOND] {
            let needle = Needle::new(key);
            for (pid, name) in children.iter().flat_map(|pid| [(pid, "environ"), (pid, "cmdline")])
            {
                let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                assert!(!needle.is_in(&bytes), "{name} of {pid}");
            }
            assert_eq!(needle.files_of(&self.sandbox), Vec::<String>::new());
            assert!(!needle.is_in(self.editor.running.stderr().as_bytes()));
        }
    }
}

fn hello(capabilities: &Value) -> Value {
    let info = json!({"name": "editor", "version": "1"});
    json!({"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": info})
}

pub fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let halves = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| char::from(b"0123456789abcdef"[usize::from(half)])).collect()
}

pub fn sign_in(sandbox: &Sandbox, provider: &str, key: &str) {
    sandbox.run_with_input(["login", provider, "--with-key"], key).success();
}

/// A session with two prompts, between which the key is exchanged.
fn works(agent: &Agent, capabilities: &Value) {
    if !present(&["node"]) {
        return;
    }
    if program(agent.command[0]).is_none() {
        return missing(agent.command[0]);
    }
    let mut scene = Scene::new(agent);
    let session = scene.open(capabilities);
    scene.prompt(&session, FIRST);
    scene.models.wants(SECOND);
    sign_in(&scene.sandbox, agent.provider, SECOND);
    scene.prompt(&session, SECOND);
    scene.search();
    let stderr = scene.editor.running.stderr();
    assert!(stderr.contains(&format!("uses {} ({})", agent.provider, agent.way)), "{stderr}");
    assert_eq!(stderr.matches(" uses ").count(), 1, "never started again: {stderr}");
    scene.editor.leave();
}

/// What Zed says of itself.
fn zed() -> Value {
    json!({
        "fs": {"readTextFile": true, "writeTextFile": true},
        "terminal": true,
        "auth": {"terminal": true},
        "elicitation": {"form": {}, "url": {}},
        "_meta": {"terminal-auth": true, "terminal_output": true},
    })
}

/// Codex with a key of its own in this folder, from before authctl.
fn codex_signs_in_itself(sandbox: &Sandbox, folder: &str, models: &ModelServer) {
    let folder = sandbox.path(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("auth.json"), json!({"OPENAI_API_KEY": FIRST}).to_string()).unwrap();
    let settings = format!("openai_base_url = \"{}/v1\"\n", models.url);
    std::fs::write(folder.join("config.toml"), settings).unwrap();
}

/// An agent's own sign-in, with `options` of authctl's; `is_in`: it has one.
fn own_sign_in(models: ModelServer, sandbox: Sandbox, options: &[&str], is_in: bool) {
    let command = sandbox.command([&["acp"], options, &["--", "codex-acp"]].concat());
    let mut scene = Scene { models, editor: Host::start(&sandbox, command), sandbox };
    let greeting = scene.ask("initialize", &hello(&json!({})));
    let methods = greeting["authMethods"].as_array().unwrap();
    assert!(methods.iter().any(|method| method["id"] == "chat-gpt"), "its own: {greeting}");
    let params = json!({"cwd": scene.sandbox.path("work"), "mcpServers": []});
    if is_in {
        let session = scene.ask("session/new", &params)["sessionId"].clone();
        scene.prompt(&session, FIRST);
    } else {
        let id = scene.editor.ask("session/new", &params);
        let refused = scene.answer_to(id, "session/new");
        assert_eq!(refused["error"]["code"], -32000, "{refused}");
    }
    assert!(!scene.editor.running.stderr().contains(" uses "));
    scene.editor.leave();
}

/// A sandbox with the agents on its path, and somebody signed in to OpenAI with another key than the agent's own.
fn with_agents() -> Option<(ModelServer, Sandbox)> {
    if !present(&["node"]) {
        return None;
    }
    if program("codex-acp").is_none() {
        missing("codex-acp");
        return None;
    }
    let (models, mut sandbox) = (ModelServer::start(FIRST), Sandbox::new());
    let path = std::env::var("PATH").unwrap();
    sandbox.env("PATH", format!("{}:{path}", agents().display()));
    sign_in(&sandbox, "openai", SECOND);
    Some((models, sandbox))
}

#[test]
fn codex_with_its_own_sign_in() {
    let Some((models, sandbox)) = with_agents() else { return };
    codex_signs_in_itself(&sandbox, "home/.codex", &models);
    own_sign_in(models, sandbox, &["--way", "own"], true);
}

#[test]
fn codex_with_a_profile_for_each_account() {
    for (account, is_in) in [("work", true), ("other", false)] {
        let Some((models, sandbox)) = with_agents() else { return };
        codex_signs_in_itself(&sandbox, "home/.local/state/authctl/acp/codex/work", &models);
        own_sign_in(models, sandbox, &["--way", "profile", "--account", account], is_in);
    }
}

#[test]
fn codex() {
    works(&PLAIN, &json!({}));
}

#[test]
fn codex_in_zed() {
    works(&PLAIN, &zed());
}

const CLAUDE: Agent =
    Agent { command: &["claude-agent-acp"], provider: "anthropic", config: ANTHROPIC, ..PLAIN };

#[test]
fn claude() {
    works(&CLAUDE, &json!({}));
}

#[test]
fn claude_in_zed() {
    works(&CLAUDE, &zed());
}

/// Its model program repeats what got 401 for minutes, unless it is told that this is of no use.
#[test]
fn claude_with_a_refused_key() {
    if !present(&["node"]) {
        return;
    }
    if program(CLAUDE.command[0]).is_none() {
        return missing(CLAUDE.command[0]);
    }
    let mut scene = Scene::new(&CLAUDE);
    let session = scene.open(&json!({}));
    scene.models.wants(SECOND);
    let prompt = json!([{"type": "text", "text": "say pong"}]);
    let params = json!({"sessionId": session, "prompt": prompt});
    let id = scene.editor.ask("session/prompt", &params);
    let refused = scene.answer_to(id, "session/prompt");
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("authctl login anthropic"), "{refused}");
    let came = scene.models.seen();
    let tries = came.iter().filter(|it| it["path"] == "/v1/messages" && it["status"] == 401);
    assert_eq!(tries.count(), 1, "{came:?}");
    sign_in(&scene.sandbox, "anthropic", SECOND);
    scene.prompt(&session, SECOND);
    scene.editor.leave();
}

/// Its model program asks the command again when a key is refused.
#[test]
fn claude_by_a_helper() {
    works(&Agent { way: "helper", is_forced: true, ..CLAUDE }, &json!({}));
}

#[test]
fn gemini() {
    let command = &["gemini", "--acp"];
    works(
        &Agent { command, provider: "google", config: GOOGLE, way: "gateway", ..PLAIN },
        &json!({}),
    );
}

#[test]
fn qwen() {
    works(&Agent { command: &["qwen", "--acp"], way: "base-url", ..PLAIN }, &json!({}));
}

#[test]
fn opencode() {
    let file = Some((".config/opencode/opencode.json", r#"{"model":"openai/gpt-5"}"#));
    works(
        &Agent { command: &["opencode", "acp"], way: "base-url", file, ..PLAIN },
        &json!({"fs": {}}),
    );
}

#[test]
fn cline() {
    let command = &["cline", "--acp"];
    works(
        &Agent { command, provider: "cline", config: CLINE, way: "base-url", ..PLAIN },
        &json!({}),
    );
}

#[test]
fn gptme() {
    let variables = &[("MODEL", "openai/gpt-5")];
    works(&Agent { command: &["gptme-acp"], way: "base-url", variables, ..PLAIN }, &zed());
}

/// Its own client of MCP reaches a gated server with a token that the agent never has.
#[test]
fn claude_with_an_mcp_server() {
    if !present(&["node"]) {
        return;
    }
    if program(CLAUDE.command[0]).is_none() {
        return missing(CLAUDE.command[0]);
    }
    let server = McpServer::start(Gate::Http, Mode::Sse);
    let mut scene = Scene::new(&CLAUDE);
    let (token, url) = (server.token(), server.url());
    let login = ["login", &url, "--name", "acme", "--with-token"];
    scene.sandbox.run_with_input(login, &token).success();
    scene.open(&json!({}));
    let headers = json!([{"name": "Authorization", "value": "Bearer authctl:acme"}]);
    let acme = json!({"type": "http", "name": "acme", "url": url, "headers": headers});
    let params = json!({"cwd": scene.sandbox.path("work"), "mcpServers": [acme]});
    let session = scene.ask("session/new", &params)["sessionId"].clone();
    scene.prompt(&session, FIRST);
    eventually_within(LONGEST, "its tools", || {
        (!server.calls("tools/list").is_empty()).then_some(())
    });
    assert!(server.requests().iter().all(|it| it.header("authorization").is_some()));
    let needle = Needle::new(&token);
    for pid in descendants(scene.editor.running.child.id()) {
        for name in ["environ", "cmdline"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            assert!(!needle.is_in(&bytes), "{name} of {pid}");
        }
    }
    assert_eq!(needle.files_of(&scene.sandbox), Vec::<String>::new());
    scene.editor.leave();
}

/// The user's own entry for an agent that nobody knows.
pub const OWN_AGENT: &str = r#"
[acp_agent.sdk]
commands = ["sdk-agent"]
[[acp_agent.sdk.providers]]
provider = "openai"
base_url = { variable = "OPENAI_BASE_URL" }
"#;

/// The agent of the official TypeScript SDK, as a program.
pub fn sdk_agent(sandbox: &Sandbox) -> PathBuf {
    let (script, agent) = (real("acp-sdk.mjs"), sandbox.path("bin/sdk-agent"));
    std::fs::create_dir_all(agent.parent().unwrap()).unwrap();
    std::fs::write(&agent, format!("#!/bin/sh\nexec node '{}' agent\n", script.display())).unwrap();
    std::fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    agent
}

/// One prompt of its editor to it, with authctl between them.
fn sdks_talk(sandbox: &Sandbox) -> Value {
    let (script, agent) = (real("acp-sdk.mjs"), sdk_agent(sandbox));
    let mut command = sandbox.program("node");
    command.arg(script).args(["editor", AUTHCTL, "acp", "--with", "openai", "--"]).arg(agent);
    let said = sandbox.start(command).finish_within(LONGEST).success();
    serde_json::from_str(&said).unwrap()
}

#[test]
fn the_editor_and_the_agent_of_the_sdk() {
    if !present(&["node"]) {
        return;
    }
    if !real("acp-agents/node_modules/@agentclientprotocol/sdk").exists() {
        return missing("@agentclientprotocol/sdk");
    }
    let models = ModelServer::start(FIRST);
    let sandbox = Sandbox::new();
    let table = OPENAI.replace("URL", &models.url);
    sandbox.write_config(&format!("[provider.openai]\n{table}{OWN_AGENT}"));
    let refused = sdks_talk(&sandbox);
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("authctl login openai"), "{said}");
    sign_in(&sandbox, "openai", FIRST);
    let answered = sdks_talk(&sandbox);
    assert_eq!(answered, json!({"methods": [], "stop": "end_turn", "text": "pong"}));
    assert!(models.seen().iter().any(|it| it["keys"]["authorization"] == *sha256(FIRST)));
}
