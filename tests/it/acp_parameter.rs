//! `authctl acp` and the words of drafts: what an agent wants on its command line (`startParam`), and sign-ins that
//! count from its next start on (`requiresRestart`). The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, log, starts, told};
use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;

const KEY: &str = "sk-acp-parameter-Qm4tZ81xYw0aLk9PvBn3Ts";

fn scene(script: &Value) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let program = install(&mut sandbox, "some-agent", script);
    (sandbox, program.to_string_lossy().into_owned())
}

fn editor(sandbox: &Sandbox, options: &[&str], program: &str, capabilities: &Value) -> Host {
    let mut command = sandbox.command(["acp"]);
    command.args(options).args(["--", program, "--acp"]);
    let mut editor = Host::start(sandbox, command);
    let hello = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
    editor.request("initialize", &hello);
    editor
}

fn open(editor: &mut Host) -> Value {
    editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}))
}

fn words(sandbox: &Sandbox) -> Vec<String> {
    let words = |start: &Value| start["started"]["words"].as_str().unwrap().to_owned();
    starts(sandbox).iter().map(words).collect()
}

fn wants(word: &str, mut method: Value) -> Value {
    method["id"] = json!("start");
    method["name"] = json!("Start");
    method["type"] = json!("startParam");
    json!({
        "wants": "parameter",
        "word": word,
        "capabilities": {"loadSession": true},
        "methods": [method],
    })
}

#[test]
fn a_parameter_that_is_no_key_is_on_the_command_line_of_the_next_start() {
    for (word, method) in [
        ("--key-env=OPENAI_API_KEY", json!({"paramName": "--key-env"})),
        ("--mode=api key", json!({"paramName": "mode", "value": "api key"})),
        ("--use-key", json!({"paramName": "--use-key", "secret": false})),
    ] {
        let (sandbox, program) = scene(&wants(word, method));
        let mut editor = editor(&sandbox, &["--with", "openai"], &program, &json!({}));
        let opened = open(&mut editor);
        assert!(opened["result"]["sessionId"].is_string(), "{word}: {opened}");
        editor.leave().success();
        assert_eq!(words(&sandbox), ["--acp".to_owned(), format!("--acp {word}")]);
        assert_eq!(told(&sandbox, "session/new").len(), 1);
    }
}

#[test]
fn a_key_is_never_on_a_command_line_and_the_editor_hears_why() {
    let script =
        wants("--OPEN_AI_KEY", json!({"paramName": "OPEN_AI_KEY", "requiresRestart": true}));
    let (sandbox, program) = scene(&script);
    let can = json!({"elicitation": {"url": {}}});
    let mut editor = editor(&sandbox, &["--with", "openai"], &program, &can);
    let said = open(&mut editor)["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("wants its key in the start parameter --OPEN_AI_KEY"), "{said}");
    let output = editor.leave();
    assert!(!output.stdout.contains("elicitation/create"), "nobody is asked in vain");
    assert_eq!(words(&sandbox), ["--acp", "--acp"], "as it was typed");
    assert!(!log(&sandbox).iter().any(|line| line["started"]["words"].to_string().contains(KEY)));
}

#[test]
fn a_file_has_what_opens_the_proxy_and_goes_with_the_run() {
    let script = wants("--key-file=", json!({"paramName": "--key-file"}));
    let (sandbox, program) = scene(&script);
    sandbox.write_config(
        "[acp_agent.own]\ncommands = [\"some-agent\"]\n[[acp_agent.own.providers]]\n\
         provider = \"openai\"\nbase_url = { variable = \"OPENAI_BASE_URL\" }\n",
    );
    let mut editor = editor(&sandbox, &[], &program, &json!({}));
    assert!(open(&mut editor)["result"]["sessionId"].is_string(), "{}", editor.running.stderr());
    let words = words(&sandbox).pop().unwrap();
    let path = words.split("--key-file=").nth(1).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("sk-") && text != KEY, "a stand-in");
    editor.leave().success();
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn a_sign_in_of_the_agents_own_that_wants_a_new_start_gets_one() {
    let own = json!({"id": "own", "name": "Own", "requiresRestart": true});
    let script = json!({
        "wants": "kept",
        "faults": ["keeps"],
        "capabilities": {"loadSession": true},
        "methods": [own],
    });
    let (sandbox, program) = scene(&script);
    let mut first = editor(&sandbox, &["--way", "own"], &program, &json!({}));
    assert_eq!(open(&mut first)["error"]["code"], -32000);
    assert_eq!(first.request("authenticate", &json!({"methodId": "own"}))["result"], json!({}));
    let session = open(&mut first)["result"]["sessionId"].clone();
    assert!(session.is_string());
    assert_eq!(starts(&sandbox).len(), 2);
    // Signed in once more, with a session open.
    assert_eq!(first.request("authenticate", &json!({"methodId": "own"}))["result"], json!({}));
    assert_eq!(starts(&sandbox).len(), 3);
    assert_eq!(told(&sandbox, "session/load")[0]["params"]["sessionId"], session);
    let output = first.leave().success();
    assert_eq!(output.matches("authMethods").count(), 1, "one greeting");
}

#[test]
fn a_key_that_counts_from_the_next_start_on_gets_that_start() {
    for (said, count) in [("true", 2), ("false", 1)] {
        let meta = json!({"api-key": {"provider": "openai", "restartRequired": said}});
        let script = json!({
            "wants": if count == 2 { "kept" } else { "in-band" },
            "faults": if count == 2 { json!(["keeps"]) } else { json!([]) },
            "capabilities": {},
            "methods": [{"id": "api-key", "name": "Key", "_meta": meta}],
        });
        let (sandbox, program) = scene(&script);
        sandbox.write_config(
            "[acp_agent.own]\ncommands = [\"some-agent\"]\n[[acp_agent.own.providers]]\n\
             provider = \"openai\"\nin_band = { method = \"api-key\", shape = \"text\" }\n",
        );
        let mut editor = editor(&sandbox, &[], &program, &json!({}));
        let opened = open(&mut editor);
        assert!(opened["result"]["sessionId"].is_string(), "{said}: {opened}");
        editor.leave().success();
        assert_eq!(starts(&sandbox).len(), count, "{said}");
        assert_eq!(told(&sandbox, "authenticate").len(), 1, "{said}");
    }
}
