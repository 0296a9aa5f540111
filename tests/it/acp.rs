//! `authctl acp`: an agent gets its credential from the store by each of the ways, and the editor sees nothing of
//! it. The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{self, install, log, starts, told};
use crate::support::browser;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;

/// The process that the scripted agent is.
#[test]
fn plays_the_agent() {
    acp_agent::play();
}

/// What the store has for OpenAI.
const KEY: &str = "sk-acp-Qm4tZ81xYw0aLk9PvBn3Ts";

struct Scene {
    sandbox: Sandbox,
    program: String,
}

impl Scene {
    fn new(name: &str, script: &Value) -> Self {
        let mut sandbox = Sandbox::new();
        let program = install(&mut sandbox, name, script).to_string_lossy().into_owned();
        // Of a person who has Codex keep no keys: it is given one also while it runs.
        let profile = sandbox.path("home/.codex");
        std::fs::create_dir_all(&profile).unwrap();
        let setting = "cli_auth_credentials_store = \"ephemeral\"\n";
        std::fs::write(profile.join("config.toml"), setting).unwrap();
        Self { sandbox, program }
    }

    /// An agent that takes everything that Codex does, and writes nothing down.
    fn with_own(script: &Value) -> Self {
        let scene = Self::with_key("own-agent", script);
        scene.sandbox.write_config(
            "[acp_agent.own]\ntitle = \"Own\"\ncommands = [\"own-agent\"]\n\
             [[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"OPENAI_API_KEY\"]\n\
             authenticate = [\"api-key\"]\nin_band = { method = \"api-key\", shape = \"api_key\" }\n\
             providers_set = { id = \"openai\", api_type = \"openai\" }\n\
             gateway = { method = \"gateway\", protocol = \"openai\" }\n",
        );
        scene
    }

    fn with_key(name: &str, script: &Value) -> Self {
        let mut scene = Self::new(name, script);
        scene.sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        scene
    }

    fn editor(&self, arguments: &[&str]) -> Host {
        let mut command = self.sandbox.command(["acp", "--with", "openai"]);
        command.args(arguments).args(["--", &self.program, "--acp"]);
        Host::start(&self.sandbox, command)
    }
}

/// Greets with these capabilities.
fn greet(editor: &mut Host, capabilities: &Value) -> Value {
    let info = json!({"name": "test-editor", "version": "1"});
    let params =
        json!({"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": info});
    editor.request("initialize", &params)
}

fn open(editor: &mut Host) -> Value {
    editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}))
}

fn prompt(editor: &mut Host, session: &Value, text: &str) -> Value {
    let prompt = json!([{"type": "text", "text": text}]);
    editor.request("session/prompt", &json!({"sessionId": session, "prompt": prompt}))
}

/// Codex as it is now.
fn codex(wants: &str) -> Value {
    json!({
        "wants": wants,
        "capabilities": {"auth": {"logout": {}}, "providers": {}, "loadSession": true},
        "methods": [
            {"id": "api-key", "name": "API Key", "_meta": {"api-key": {"provider": "openai"}}},
            {"id": "chat-gpt", "name": "ChatGPT"},
            {"id": "gateway", "name": "Gateway", "_meta": {"gateway": {"protocol": "openai"}}},
        ],
    })
}

/// The same without what `names` say.
fn without(mut script: Value, names: &[&str]) -> Value {
    if names.contains(&"providers") {
        script["capabilities"].as_object_mut().unwrap().remove("providers");
    }
    let methods = script["methods"].as_array_mut().unwrap();
    methods.retain(|method| !names.iter().any(|name| method["id"] == *name));
    script
}

#[test]
fn lines_pass_as_they_are_and_the_agents_status_is_authctls() {
    let mut script = codex("nothing");
    script["exit"] = json!(5);
    script["faults"] = json!(["noise"]);
    let scene = Scene::with_key("codex-acp", &script);
    let mut editor = scene.editor(&[]);
    let greeting = greet(&mut editor, &json!({"fs": {"readTextFile": true}}));
    assert_eq!(greeting["result"]["zzz"], json!({"n": 1.50, "unknown": [null]}));
    assert_eq!(greeting["result"]["authMethods"], json!([]), "all of them are satisfied");
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let line = format!(
        r#"{{"params":{{"sessionId":{session},"prompt":[{{"text":"echo"}}],"x":1.50}},"id":"p\u0031","method":"session/prompt","jsonrpc":"2.0"}}"#
    );
    editor.send(&line);
    let answer =
        editor.line("the echo", |message| message["id"] == "p1" && message["result"].is_object());
    assert!(
        answer.starts_with(r#"{"jsonrpc":"2.0",  "result":{"b":1.50,"a":"\u0061","line":"#),
        "{answer}"
    );
    let echoed: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(echoed["result"]["line"], json!(line));
    let output = editor.leave();
    assert_eq!(output.code(), 5, "{output:?}");
    assert!(
        output.stderr.contains("Loading") && output.stderr.contains("a log"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains('\u{1b}'), "{}", output.stderr);
    assert!(!output.stdout.contains(KEY) && !output.stderr.contains(KEY));
}

#[test]
fn the_best_way_that_the_agent_has_is_taken() {
    let providers = codex("providers");
    let gateway = without(codex("gateway"), &["providers"]);
    let in_band = without(codex("in-band"), &["providers", "gateway"]);
    let variable = without(codex("authenticate"), &["providers", "gateway"]);
    let bare = |method: &Value| json!({"id": method["id"], "name": "API Key"});
    let mut variable = variable;
    variable["methods"] = variable["methods"].as_array().unwrap().iter().map(bare).collect();
    for (script, way, has_secret, count) in [
        (providers, "providers-set", false, 1),
        (gateway, "gateway", false, 1),
        (in_band, "in-band", true, 1),
        (variable, "variable", true, 2),
    ] {
        let scene = Scene::with_own(&script);
        let mut editor = scene.editor(&[]);
        greet(&mut editor, &json!({}));
        let opened = open(&mut editor);
        assert!(opened["result"]["sessionId"].is_string(), "{way}: {opened}");
        let output = editor.leave();
        assert!(output.stderr.contains(&format!("({way})")), "{way}: {}", output.stderr);
        let seen = log(&scene.sandbox).iter().any(|line| line.to_string().contains(KEY));
        assert_eq!(seen, has_secret, "{way}");
        let itself = output.stderr.contains("gets openai itself");
        assert_eq!(itself, has_secret, "{way}: possession is announced");
        assert_eq!(starts(&scene.sandbox).len(), count, "{way}");
        for start in starts(&scene.sandbox) {
            assert!(!start["started"]["words"].as_str().unwrap().contains(KEY));
        }
        assert!(!output.stdout.contains(KEY) && !output.stderr.contains(KEY));
    }
}

#[test]
fn a_base_url_and_a_stand_in_are_there_from_the_start() {
    let origin = Origin::start();
    let script = json!({"wants": "argument", "capabilities": {}, "methods": [{"id": "openai", "name": "Key"}]});
    let scene = Scene::with_key("qwen", &script);
    scene.sandbox.write_config(&format!("[provider.openai]\nbase_url = \"{}/v1\"\n[provider.openai.api_key]\nvariables = [\"OPENAI_API_KEY\"]\n", origin.url()));
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let answer = prompt(&mut editor, &session, "model");
    assert_eq!(answer["result"]["said"], "HTTP/1.1 200 Status", "{answer}");
    let seen = origin.seen();
    assert_eq!(seen.last().unwrap().line(), "GET /v1/models HTTP/1.1");
    // Some agents ask for more at the address's root: that is nothing for a person.
    let variables = &starts(&scene.sandbox)[0]["started"]["variables"];
    let root = variables["OPENAI_BASE_URL"].as_str().unwrap().split("/openai").next().unwrap();
    let stand_in = variables["OPENAI_API_KEY"].as_str().unwrap();
    let url: url::Url = format!("{root}/api/v1/users/me").parse().unwrap();
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let text = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {stand_in}\r\nConnection: close\r\n\r\n",
        url.path()
    );
    let stray = browser::request(&url, &text);
    assert_eq!(stray.status, 404);
    // Claude looks whether somebody is there, without any key.
    let url: url::Url = format!("{root}/openai/api/hello").parse().unwrap();
    let text = format!("HEAD {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", url.path());
    assert_eq!(browser::request(&url, &text).status, 401);
    let output = editor.leave();
    assert!(!output.stderr.contains("no key of this proxy"), "{}", output.stderr);
    assert!(!output.stderr.contains("no credential is served"), "{}", output.stderr);
    let started = &starts(&scene.sandbox)[0]["started"];
    assert!(
        started["variables"]["OPENAI_BASE_URL"].as_str().unwrap().starts_with("http://127.0.0.1:")
    );
    assert_ne!(started["variables"]["OPENAI_API_KEY"], KEY);
    assert_eq!(started["words"], "--acp --auth-type=openai");
    assert_eq!(starts(&scene.sandbox).len(), 1);
}

#[test]
fn a_way_that_fails_leads_to_the_next() {
    let mut script = codex("gateway");
    script["faults"] = json!(["no-providers"]);
    let scene = Scene::with_key("codex-acp", &script);
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    assert!(open(&mut editor)["result"]["sessionId"].is_string());
    let output = editor.leave();
    assert!(output.stderr.contains("the way providers-set did not work"), "{}", output.stderr);
}

#[test]
fn a_session_comes_back_in_an_agent_that_was_started_anew() {
    // It opens sessions with a gateway that it then does not use, and wants the key when it is asked something.
    let script = without(codex("nothing"), &["providers", "gateway"]);
    let scene = Scene::with_own(&script);
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let answer = prompt(&mut editor, &session, "refuse");
    // The new agent refuses it once as well; then nothing is left to try, and the person is told.
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("authctl login openai"),
        "{answer}"
    );
    assert_eq!(starts(&scene.sandbox).len(), 2);
    let loaded = told(&scene.sandbox, "session/load");
    assert_eq!(loaded[0]["params"]["sessionId"], session);
    assert_eq!(loaded[0]["params"]["cwd"], "/");
    let again = prompt(&mut editor, &session, "well");
    assert_eq!(again["result"]["stopReason"], "end_turn");
    let output = editor.leave();
    assert!(
        !output.stdout.contains("session/update"),
        "what is told again stays here: {}",
        output.stdout
    );
    assert_eq!(output.stdout.matches(r#""id":1,"#).count(), 1, "one greeting");
}

#[test]
fn without_a_credential_there_is_one_way_and_a_plain_next_step() {
    let terminal = json!({"auth": {"terminal": true}});
    for (capabilities, kind) in [(json!({}), Value::Null), (terminal, json!("terminal"))] {
        let scene = Scene::new("codex-acp", &codex("providers"));
        let mut editor = scene.editor(&[]);
        let greeting = greet(&mut editor, &capabilities);
        let methods = greeting["result"]["authMethods"].as_array().unwrap();
        assert_eq!(methods.len(), 1, "{greeting}");
        assert_eq!(methods[0]["type"], kind);
        if kind == "terminal" {
            assert_eq!(methods[0]["env"], json!({"AUTHCTL_ACP_LOGIN": "openai"}));
            assert_eq!(methods[0]["args"], Value::Null);
        }
        let opened = open(&mut editor);
        assert_eq!(opened["error"]["code"], -32000, "{opened}");
        assert!(opened["error"]["message"].as_str().unwrap().contains("authctl login openai"));
        assert_eq!(told(&scene.sandbox, "session/new").len(), 0);
        let refused = editor.request("authenticate", &json!({"methodId": methods[0]["id"]}));
        assert!(refused["error"]["message"].as_str().unwrap().contains("authctl login openai"));
        assert_eq!(told(&scene.sandbox, "authenticate").len(), 0);
        editor.leave();
    }
}

#[test]
fn an_agent_that_dies_in_its_greeting_answers_it_with_an_error() {
    let mut script = codex("nothing");
    script["faults"] = json!(["dies"]);
    let scene = Scene::with_key("codex-acp", &script);
    let mut editor = scene.editor(&[]);
    let greeting = greet(&mut editor, &json!({}));
    let said = greeting["error"]["message"].as_str().unwrap();
    assert_eq!(said, "Codex ended with exit status 3 before it answered");
    let output = editor.leave();
    assert_eq!(output.code(), 3, "{output:?}");
}

#[test]
fn garbage_and_a_second_answer_reach_no_editor() {
    let scene = Scene::with_key("codex-acp", &codex("nothing"));
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let garbage = prompt(&mut editor, &session, "garbage");
    assert_eq!(garbage["error"]["message"], "the answer of Codex is not JSON");
    let twice = prompt(&mut editor, &session, "twice");
    assert_eq!(twice["result"]["stopReason"], "end_turn");
    prompt(&mut editor, &session, "well");
    let output = editor.leave();
    assert_eq!(output.stdout.matches(&format!("\"id\":{}", twice["id"])).count(), 1);
    assert!(output.stderr.contains("answered a request twice"), "{}", output.stderr);
    assert!(output.stderr.contains("not json at all"), "{}", output.stderr);
}

#[test]
fn requests_of_the_agent_reach_the_editor_and_its_end_is_the_end() {
    let mut script = codex("nothing");
    script["exit"] = json!(0);
    let scene = Scene::with_key("codex-acp", &script);
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let text = json!([{"type": "text", "text": "ask"}]);
    editor.ask("session/prompt", &json!({"sessionId": session, "prompt": text}));
    editor.line("the question", |message| message["method"] == "session/request_permission");
    editor.send(r#"{"jsonrpc":"2.0","id":0,"result":{"outcome":"x"}}"#);
    eventually("the answer", || {
        log(&scene.sandbox).iter().any(|line| line["result"]["outcome"] == "x").then_some(())
    });
    let ended = prompt(&mut editor, &session, "exit");
    assert!(ended["error"]["message"].as_str().unwrap().contains("exit status 7"), "{ended}");
    assert_eq!(editor.leave().code(), 7);
}

#[test]
fn what_the_provider_refuses_is_not_given_away_for_that() {
    let scene = Scene::with_key("codex-acp", &codex("providers"));
    let mut editor = scene.editor(&[]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor)["result"]["sessionId"].clone();
    let answer = prompt(&mut editor, &session, "refuse");
    assert!(answer["error"]["message"].as_str().unwrap().contains("authctl login openai"));
    let output = editor.leave();
    assert!(!output.stderr.contains("gets openai itself"), "{}", output.stderr);
    assert_eq!(starts(&scene.sandbox).len(), 1);
    assert!(!log(&scene.sandbox).iter().any(|line| line.to_string().contains(KEY)));
}

#[test]
fn where_nothing_is_stored_the_agent_may_have_its_own_and_a_refusal_has_a_next_step() {
    for (wants, opens) in [("providers", false), ("nothing", true)] {
        let scene = Scene::new("codex-acp", &codex(wants));
        let command = scene.sandbox.command(["acp", "--", &scene.program]);
        let mut editor = Host::start(&scene.sandbox, command);
        let greeting = greet(&mut editor, &json!({}));
        let methods = &greeting["result"]["authMethods"];
        assert_eq!((methods.as_array().unwrap().len(), &methods[0]["id"]), (1, &json!("authctl")));
        let opened = open(&mut editor);
        assert_eq!(told(&scene.sandbox, "session/new").len(), 1, "the agent was asked");
        assert_eq!(opened["result"]["sessionId"].is_string(), opens, "{opened}");
        if !opens {
            let said = opened["error"]["message"].as_str().unwrap();
            assert!(
                said.contains("Authentication required; sign in with: authctl login openai"),
                "{said}"
            );
        }
        editor.leave();
    }
}

#[test]
fn a_profile_of_its_own_keeps_accounts_apart() {
    let scene = Scene::new("codex-acp", &codex("nothing"));
    let folder = |account: &str| {
        let words = ["acp", "--way", "profile", "--account", account, "--", &scene.program];
        let mut editor = Host::start(&scene.sandbox, scene.sandbox.command(words));
        let greeting = greet(&mut editor, &json!({}));
        assert_eq!(greeting["result"]["authMethods"].as_array().unwrap().len(), 3, "its own");
        editor.leave().success();
        let start = starts(&scene.sandbox).pop().unwrap();
        start["started"]["variables"]["CODEX_HOME"].as_str().unwrap().to_owned()
    };
    let (work, home) = (folder("work"), folder("home"));
    assert_ne!(work, home);
    assert!(std::path::Path::new(&work).is_dir() && work.ends_with("acp/codex/work"), "{work}");
    assert_eq!(work, folder("work"));
}
