//! `authctl acp` by way of a credential helper: the agent runs a command that prints what is stored then, and
//! nobody else gets anything by it. The agent is scripted.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::acp_agent::{install, log, starts, told};
use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;

const FIRST: &str = "sk-acp-helper-Qm4tZ81xYw0aLk9PvBn3Ts";
const SECOND: &str = "sk-acp-helper-Wd7RvJ2cHs5eUy8GxKi6Fo";

const BY_VARIABLE: &str = "helper = { variable = \"OWN_KEY_COMMAND\" }\n";
const BY_META: &str = "helper = { meta = \"own.settings.keyHelper\" }\n";
const ADDRESS: &str = "base_url = { variable = \"OPENAI_BASE_URL\" }\n";

struct Scene {
    sandbox: Sandbox,
    program: String,
}

impl Scene {
    /// An agent that opens sessions with a key of its helper, known by these keys of its provider.
    fn new(ways: &str) -> Self {
        let script =
            json!({"wants": "helper", "capabilities": {"loadSession": true}, "methods": []});
        let mut sandbox = Sandbox::new();
        let program = install(&mut sandbox, "own-agent", &script).to_string_lossy().into_owned();
        sandbox.write_config(&format!(
            "[acp_agent.own]\ntitle = \"Own\"\ncommands = [\"own-agent\"]\n\
             [[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"OPENAI_API_KEY\"]\n{ways}"
        ));
        let scene = Self { sandbox, program };
        scene.sign_in(FIRST);
        scene
    }

    fn sign_in(&self, key: &str) {
        self.sandbox.run_with_input(["login", "openai", "--with-key"], key).success();
    }

    fn editor(&self, options: &[&str]) -> Host {
        let mut command = self.sandbox.command(["acp"]);
        command.args(options).args(["--", &self.program]);
        let mut editor = Host::start(&self.sandbox, command);
        editor.request("initialize", &json!({"protocolVersion": 1, "clientCapabilities": {}}));
        editor
    }

    /// How its helper left, each time.
    fn helped(&self) -> Vec<Value> {
        log(&self.sandbox).into_iter().filter(|line| !line["helper"].is_null()).collect()
    }
}

fn open(editor: &mut Host, meta: &Value) -> Value {
    editor.request("session/new", &json!({"cwd": "/", "mcpServers": [], "_meta": meta}))
}

/// What the helper prints when the agent asks it in the middle.
fn key(editor: &mut Host, session: &Value) -> Value {
    let prompt = json!([{"type": "text", "text": "helper"}]);
    let answer = editor.request("session/prompt", &json!({"sessionId": session, "prompt": prompt}));
    answer["result"]["key"].clone()
}

#[test]
fn a_helper_prints_what_is_stored_when_it_is_asked() {
    for ways in [BY_VARIABLE, BY_META] {
        let scene = Scene::new(&format!("{ways}{ADDRESS}"));
        let mut editor = scene.editor(&["--way", "helper"]);
        let session = open(&mut editor, &json!({"x": 1}))["result"]["sessionId"].clone();
        assert!(session.is_string(), "{ways}: {}", editor.running.stderr());
        assert_eq!(key(&mut editor, &session), FIRST);
        scene.sign_in(SECOND);
        assert_eq!(key(&mut editor, &session), SECOND, "{ways}");
        let output = editor.leave();
        assert!(output.stderr.contains("Own uses openai (helper)"), "{}", output.stderr);
        assert_eq!(
            output.stderr.matches("own-agent gets openai itself (helper)").count(),
            1,
            "once"
        );
        assert!(!output.stderr.contains(FIRST) && !output.stderr.contains(SECOND));
        let log = log(&scene.sandbox);
        assert!(!log.iter().any(|line| line.to_string().contains(FIRST)), "no line has it");
        let start = &starts(&scene.sandbox)[0]["started"];
        assert_eq!(start["variables"]["OPENAI_API_KEY"], Value::Null);
        let own = start["variables"]["OPENAI_BASE_URL"].as_str().unwrap();
        assert_eq!(own, "https://api.openai.com/v1", "the key goes to its provider");
        assert_eq!(starts(&scene.sandbox).len(), 1);
        let meta = &told(&scene.sandbox, "session/new")[0]["params"]["_meta"];
        assert_eq!(meta["x"], 1, "what the editor says stays: {meta}");
        assert_eq!(meta["own"]["settings"]["keyHelper"].is_string(), ways == BY_META);
        let audited =
            std::fs::read_to_string(scene.sandbox.path("home/.local/state/authctl/audit.jsonl"));
        let audited = audited.unwrap();
        let handed = audited.lines().filter(|line| line.contains("\"exec\"")).count();
        assert_eq!(handed, scene.helped().len(), "each time is written down: {audited}");
    }
}

#[test]
fn nobody_else_gets_anything_by_the_command_and_it_ends_with_the_session() {
    let scene = Scene::new(BY_VARIABLE);
    let mut editor = scene.editor(&[]);
    let session = open(&mut editor, &json!({}))["result"]["sessionId"].clone();
    let variables = starts(&scene.sandbox)[0]["started"]["variables"].clone();
    let command = variables["OWN_KEY_COMMAND"].as_str().unwrap();
    assert!(!command.contains(FIRST));
    let run = || Command::new("sh").args(["-c", command]).output().unwrap();
    let stranger = run();
    if cfg!(target_os = "linux") {
        assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
        assert_eq!(stranger.stdout, b"", "another process of the same user");
    }
    assert_eq!(key(&mut editor, &session), FIRST, "whoever came in vain does no harm");
    assert_eq!(editor.request("logout", &json!({}))["result"], json!({}));
    assert_eq!(key(&mut editor, &session), Value::Null, "signed out");
    let starts = starts(&scene.sandbox);
    let anew = &starts.last().unwrap()["started"]["variables"];
    assert!(starts.len() > 1 && anew["OWN_KEY_COMMAND"].is_null(), "{starts:?}");
    editor.leave();
    let late = run();
    assert_eq!((late.status.code(), late.stdout), (Some(1), Vec::new()));
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(said.contains("no session hands out a credential here"), "{said}");
    let socket = command.rsplit('\'').nth(1).unwrap();
    assert!(!std::path::Path::new(socket).parent().unwrap().exists(), "{socket}");
}

#[test]
fn a_helper_that_gets_nothing_says_why() {
    let scene = Scene::new(BY_VARIABLE);
    let mut editor = scene.editor(&[]);
    let session = open(&mut editor, &json!({}))["result"]["sessionId"].clone();
    scene.sandbox.run(["logout", "openai"]).success();
    assert_eq!(key(&mut editor, &session), Value::Null);
    let helped = scene.helped().pop().unwrap();
    assert_eq!(helped["helper"], 4, "{helped}");
    let said = helped["stderr"].as_str().unwrap();
    assert!(said.contains("nobody is signed in to openai"), "{said}");
    editor.leave();
}

#[test]
fn it_comes_behind_the_address_and_before_the_key_itself() {
    let scene = Scene::new(&format!("{BY_META}{ADDRESS}"));
    let mut editor = scene.editor(&[]);
    // The editor's own words for the settings are a file, which stays.
    let own = json!({"own": {"settings": "mine.json"}});
    assert!(open(&mut editor, &own)["error"].is_object());
    let sent = told(&scene.sandbox, "session/new");
    assert!(sent.iter().all(|it| it["params"]["_meta"] == own), "{sent:?}");
    let output = editor.leave();
    let order = ["uses openai (base-url)", "uses openai (helper)", "uses openai (variable)"];
    let places: Vec<_> = order.iter().map(|it| output.stderr.find(it)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", output.stderr);

    let scene = Scene::new(&format!("{BY_META}{ADDRESS}"));
    let mut editor = scene.editor(&[]);
    let opened = open(&mut editor, &json!({}));
    assert!(opened["result"]["sessionId"].is_string(), "{opened}");
    let output = editor.leave();
    assert!(output.stderr.contains("uses openai (helper)"), "{}", output.stderr);
    assert!(!output.stderr.contains("(variable)"), "{}", output.stderr);
    assert_eq!(starts(&scene.sandbox).len(), 2);
}

#[test]
fn the_doctor_says_where_the_command_would_stand() {
    for (ways, place) in [
        (BY_VARIABLE, "by OWN_KEY_COMMAND"),
        (BY_META, "by _meta.own.settings.keyHelper of a session"),
    ] {
        let scene = Scene::new(ways);
        let text = scene.sandbox.run(["acp", "doctor", "--", &scene.program]).success();
        assert!(text.contains("way         helper: ") && text.contains(place), "{text}");
        assert!(text.contains("in the agent's memory"), "{text}");
        assert_eq!(scene.helped().len(), 0, "nothing is handed over");
    }
}

#[test]
fn a_helper_outside_of_any_session_says_so() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["acp", "helper", "/nowhere/key"]).failure(1);
    assert!(output.contains("no session hands out a credential here"), "{output}");
    assert!(
        !sandbox.run(["acp", "--help"]).success().contains("helper <"),
        "it is no command for people"
    );
}
