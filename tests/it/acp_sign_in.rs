//! `authctl acp` where the person has a part: a sign-in from inside the editor, what it shows of it, and what
//! becomes of sessions, servers and methods around it. The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, starts, told};
use crate::support::browser;
use crate::support::eventually;
use crate::support::launcher::{is_gone, pid};
use crate::support::pty::Terminal;
use crate::support::sandbox::Sandbox;
use crate::support::sealed::Sealed;
use crate::support::signed_in::SignedIn;
use crate::support::stdio_host::Host;

const KEY: &str = "sk-acp-Qm4tZ81xYw0aLk9PvBn3Ts";

/// Somebody who could sign in, and an agent that wants a token in a variable.
fn stranger() -> (SignedIn, String) {
    let mut scene = SignedIn::not_yet("", |_| {});
    let script =
        json!({"wants": "variable", "capabilities": {}, "methods": [{"id": "own", "name": "Own"}]});
    let program = install(&mut scene.sandbox, "some-agent", &script);
    (scene, program.to_string_lossy().into_owned())
}

fn editor(sandbox: &Sandbox, arguments: &[&str], program: &str) -> Host {
    let mut command = sandbox.command(["acp"]);
    command.args(arguments).args(["--", program]);
    Host::start(sandbox, command)
}

const DEMO: [&str; 2] = ["--with", "demo=OPENAI_API_KEY"];

fn greet(editor: &mut Host, version: u64, capabilities: &Value) -> Value {
    let name = if version == 2 { "capabilities" } else { "clientCapabilities" };
    editor.request("initialize", &json!({"protocolVersion": version, name: capabilities}))
}

fn links() -> Value {
    json!({"elicitation": {"url": {}}, "auth": {}})
}

fn new_session() -> Value {
    json!({"cwd": "/", "mcpServers": []})
}

/// Begins a session, and waits for the link that belongs to it.
fn asked(editor: &mut Host) -> (u64, Value) {
    let id = editor.ask("session/new", &new_session());
    let shown = editor.line("the link", |message| message["method"] == "elicitation/create");
    let link: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(link["params"]["requestId"], id);
    assert_eq!(link["params"]["mode"], "url");
    (id, link)
}

fn reply(editor: &mut Host, request: &Value, action: &str) {
    let result = json!({"action": action});
    editor.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
}

#[test]
fn a_link_in_the_editor_signs_in_while_its_request_waits() {
    let (scene, program) = stranger();
    let mut editor = editor(&scene.sandbox, &DEMO, &program);
    let greeting = greet(&mut editor, 1, &links());
    assert_eq!(greeting["result"]["authMethods"][0]["id"], "authctl");
    let (id, link) = asked(&mut editor);
    reply(&mut editor, &link, "accept");
    browser::open(link["params"]["url"].as_str().unwrap());
    assert!(editor.answer(id)["result"]["sessionId"].is_string());
    let name = link["params"]["elicitationId"].clone();
    editor.line("the end of it", |message| {
        message["method"] == "elicitation/complete" && message["params"]["elicitationId"] == name
    });
    editor.line("the new state", |message| {
        message["method"] == "auth/status_update" && message["params"]["state"] == "authenticated"
    });
    assert_eq!(scene.sandbox.opened_urls(), Vec::<String>::new(), "it is the editor that shows it");
    editor.leave().success();
    let log = scene.sandbox.run(["log", "--json"]).json();
    let entries = log["entries"].as_array().unwrap();
    let events = entries.iter().map(|entry| (entry["event"].as_str().unwrap(), &entry["outcome"]));
    let done = json!("done");
    assert_eq!(events.collect::<Vec<_>>(), [("login", &done), ("exec", &done)], "{log}");
    assert_eq!(starts(&scene.sandbox).len(), 2, "the variable comes with a start");
    assert_eq!(told(&scene.sandbox, "session/new").len(), 1);
    assert_eq!(told(&scene.sandbox, "initialize").len(), 2);
}

#[test]
fn a_key_is_asked_for_in_a_terminal_and_no_link_is_shown_or_ended() {
    let mut sandbox = Sandbox::new();
    let script = json!({"wants": "variable", "capabilities": {}, "methods": []});
    let program = install(&mut sandbox, "some-agent", &script);
    let mut editor = editor(&sandbox, &["--with", "openai"], program.to_str().unwrap());
    greet(&mut editor, 1, &links());
    let answer = editor.request("session/new", &new_session());
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("authctl login openai (then try again)"), "{said}");
    assert!(said.contains("OpenAI takes a key, made at https://"), "{said}");
    assert_eq!(said.matches("authctl login").count(), 1, "one next step: {said}");
    assert!(
        !editor.lines().iter().any(|line| line.contains("elicitation/")),
        "{:?}",
        editor.lines()
    );
}

#[test]
fn a_start_that_fails_is_said_to_the_editor() {
    let mut sandbox = Sandbox::new();
    let program = install(&mut sandbox, "some-agent", &json!({"wants": "nothing"}));
    let program = program.to_str().unwrap();
    for (arguments, program, code, said) in [
        (&["--with", "opanai"][..], program, 125, "did you mean openai?"),
        (&[], "no-such-agent", 127, "no-such-agent"),
    ] {
        let mut editor = editor(&sandbox, arguments, program);
        let answer = greet(&mut editor, 1, &links());
        let why = answer["error"]["message"].as_str().unwrap();
        assert!(why.contains(said) && !why.contains("?;"), "{why}");
        let output = editor.leave();
        assert_eq!(output.code(), code);
        assert!(output.stderr.contains(said), "{output:?}");
    }
    let silent = sandbox.run(["acp", "--", "no-such-agent"]);
    assert_eq!((silent.code(), silent.stdout.as_str()), (127, ""), "nobody asked");
    assert!(starts(&sandbox).is_empty());
}

#[test]
fn whoever_declines_or_cancels_gets_a_plain_answer_and_the_rest_goes_on() {
    let (scene, program) = stranger();
    let mut editor = editor(&scene.sandbox, &DEMO, &program);
    greet(&mut editor, 1, &links());
    let (id, link) = asked(&mut editor);
    reply(&mut editor, &link, "decline");
    let answer = editor.answer(id);
    assert_eq!(answer["error"]["code"], -32000);
    assert!(answer["error"]["message"].as_str().unwrap().contains("authctl login demo"));
    let id = editor.ask("session/new", &new_session());
    editor.line("the second link", |message| message["params"]["requestId"] == id);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": id}});
    editor.send(&cancel.to_string());
    assert_eq!(editor.answer(id)["error"]["code"], -32800);
    // An editor may use an id again.
    let again =
        json!({"jsonrpc": "2.0", "id": id, "method": "session/new", "params": new_session()});
    let shown = |editor: &Host| editor.running.stdout().matches("elicitation/create").count();
    assert_eq!(shown(&editor), 2);
    editor.send(&again.to_string());
    eventually("the third link", || (shown(&editor) == 3).then_some(()));
    editor.send(&cancel.to_string());
    let listed = editor.request("session/list", &json!({}));
    assert_eq!(listed["error"]["code"], -32601, "the agent answers as before");
    editor.leave().success();
}

#[test]
fn an_editor_that_leaves_in_the_middle_takes_the_agent_with_it() {
    let (scene, program) = stranger();
    let mut editor = editor(&scene.sandbox, &DEMO, &program);
    greet(&mut editor, 1, &links());
    asked(&mut editor);
    editor.leave().success();
    let started = starts(&scene.sandbox)[0]["started"]["pid"].to_string();
    assert!(is_gone(pid(&started)));
}

#[test]
fn a_sign_in_that_the_editor_asks_for_opens_a_browser() {
    let (scene, program) = stranger();
    let mut editor = editor(&scene.sandbox, &DEMO, &program);
    greet(&mut editor, 1, &json!({}));
    let id = editor.ask("authenticate", &json!({"methodId": "authctl"}));
    let url = editor.running.opened_url();
    browser::open(&url);
    assert_eq!(editor.answer(id)["result"], json!({}));
    assert!(editor.request("session/new", &new_session())["result"]["sessionId"].is_string());
    editor.leave().success();
}

/// An agent that opens sessions for anybody, and a key for OpenAI and for `acme`.
fn open_agent(name: &str, script: &Value) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new();
    sandbox.write_config("[provider.acme]\nbase_url = \"https://acme.example/api\"\nmcp_url = \"https://acme.example/mcp\"\n[provider.acme.bearer]\nvariables = [\"ACME_KEY\"]\n");
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    sandbox.env("AUTHCTL_ACME_TOKEN", "acme-token-1");
    let program = install(&mut sandbox, name, script);
    (sandbox, program.to_string_lossy().into_owned())
}

#[test]
fn the_state_is_told_and_a_sign_out_lets_the_provider_go() {
    let script = json!({
        "wants": "providers",
        "capabilities": {"auth": {"logout": {}}, "providers": {}},
        "methods": [],
    });
    let (sandbox, program) = open_agent("codex-acp", &script);
    let mut editor = editor(&sandbox, &["--with", "openai"], &program);
    let greeting = greet(&mut editor, 1, &json!({"auth": {}}));
    assert_eq!(
        greeting["result"]["agentCapabilities"]["auth"],
        json!({"logout": {}, "status": {}})
    );
    editor.line("the state", |message| message["method"] == "auth/status_update");
    let status = editor.request("auth/status", &json!({}));
    assert_eq!(status["result"]["state"], "authenticated");
    assert_eq!(status["result"]["accounts"][0]["label"], "OpenAI (openai)");
    assert_eq!(editor.request("logout", &json!({}))["result"], json!({}));
    assert_eq!(told(&sandbox, "providers/disable")[0]["params"]["providerId"], "openai");
    assert_eq!(told(&sandbox, "logout").len(), 1);
    let refused = editor.request("session/new", &new_session());
    assert_eq!(refused["error"]["code"], -32000);
    assert_eq!(editor.request("auth/status", &json!({}))["result"]["state"], "unauthenticated");
    assert_eq!(
        editor.request("authenticate", &json!({"methodId": "authctl"}))["result"],
        json!({})
    );
    assert!(editor.request("session/new", &new_session())["result"]["sessionId"].is_string());
    editor.leave().success();
}

#[test]
fn version_2_and_older_agents_are_spoken_to_in_their_words() {
    let gateway = json!({"methodId": "gateway", "type": "agent", "name": "Gateway", "_meta": {"gateway": {}}});
    let script = json!({"wants": "gateway", "capabilities": {}, "methods": [gateway]});
    let (sandbox, program) = open_agent("codex-acp", &script);
    let mut second = editor(&sandbox, &["--with", "openai"], &program);
    greet(&mut second, 2, &json!({}));
    assert!(second.request("session/new", &new_session())["result"]["sessionId"].is_string());
    second.leave().success();
    assert_eq!(told(&sandbox, "auth/login")[0]["params"]["methodId"], "gateway");
    assert_eq!(
        told(&sandbox, "initialize")[0]["params"]["capabilities"]["auth"]["_meta"]["gateway"],
        true
    );

    let variable = json!({"id": "openai-api-key", "type": "env_var", "name": "Key", "vars": [{"name": "OPENAI_API_KEY"}]});
    let script = json!({"wants": "authenticate", "capabilities": {}, "methods": [variable]});
    let (sandbox, program) = open_agent("old-agent", &script);
    let mut first = editor(&sandbox, &["--with", "openai=OPENAI_API_KEY"], &program);
    greet(&mut first, 1, &json!({}));
    assert!(first.request("session/new", &new_session())["result"]["sessionId"].is_string());
    first.leave().success();
    assert_eq!(told(&sandbox, "authenticate")[0]["params"], json!({"methodId": "openai-api-key"}));
    assert_eq!(starts(&sandbox).len(), 1);
}

#[test]
fn programs_of_the_agents_choice_become_authctl_or_are_left_out() {
    let run = |command: &str, args: &[&str]| json!({"terminal-auth": {"command": command, "args": args, "label": "x"}});
    let own = json!({"id": "own", "name": "Own", "_meta": run("/opt/some-agent.js", &["login"])});
    let wrong =
        json!({"id": "wrong", "name": "\u{1b}[2Jhostile", "_meta": run("other", &["login"])});
    let terminal = json!({"id": "terminal", "type": "terminal", "name": "T", "args": ["login"], "_meta": run("sh", &["-c", "x"])});
    let plain = json!({"id": "plain", "name": "Plain"});
    let script =
        json!({"wants": "nothing", "capabilities": {}, "methods": [own, wrong, terminal, plain]});
    let (sandbox, program) = open_agent("some-agent", &script);
    let mut editor = editor(&sandbox, &["--way", "own"], &program);
    let can = json!({"auth": {"terminal": true}, "_meta": {"terminal-auth": true}});
    let greeting = greet(&mut editor, 1, &can);
    let methods = greeting["result"]["authMethods"].as_array().unwrap();
    let ids: Vec<&Value> = methods.iter().map(|method| &method["id"]).collect();
    assert_eq!(ids, ["own", "terminal", "plain"]);
    let rewritten = &methods[0]["_meta"]["terminal-auth"];
    assert!(rewritten["command"].as_str().unwrap().ends_with("authctl"), "{rewritten}");
    assert_eq!(rewritten["args"], json!(["acp", "--way", "own", "--", program, "login"]));
    assert_eq!(methods[1]["_meta"], Value::Null);
    let refused = editor.request("authenticate", &json!({"methodId": "terminal"}));
    assert_eq!(refused["error"]["code"], -32602);
    assert_eq!(told(&sandbox, "authenticate").len(), 0, "never with the id of a terminal's");
    editor.leave().success();
}

#[test]
fn an_agent_that_never_answers_keeps_nobody_waiting_for_good() {
    let script = json!({
        "wants": "nothing",
        "capabilities": {},
        "faults": ["silent"],
        "methods": [{"id": "api-key", "name": "Key", "_meta": {"api-key": {}}}],
    });
    let (sandbox, program) = open_agent("codex-acp", &script);
    let mut editor = editor(&sandbox, &["--with", "openai", "--way", "in-band"], &program);
    greet(&mut editor, 1, &json!({}));
    assert!(editor.request("session/new", &new_session())["result"]["sessionId"].is_string());
    let output = editor.leave();
    assert!(output.stderr.contains("did not answer within"), "{}", output.stderr);
    assert_eq!(told(&sandbox, "$/cancel_request").len(), 1);
}

#[test]
fn at_a_terminal_the_agent_runs_there_or_the_person_signs_in() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let script = "test -n \"$MINE\" && echo has a key; echo \"$@\"; exit 6";
    let words = ["acp", "--with", "openai=MINE", "--", "sh", "-c", script, "sh", "login", "--now"];
    let mut terminal = Terminal::start(sandbox.command(words));
    terminal.expect("sh runs at this terminal; in an editor: authctl acp --print-config");
    terminal.expect("has a key");
    terminal.expect("login --now");
    terminal.rest();
    assert_eq!(terminal.status(), 6);

    sandbox.unset("AUTHCTL_OPENAI_TOKEN").env("AUTHCTL_ACP_LOGIN", "openai");
    let _store = Sealed::of(&sandbox);
    let mut terminal = Terminal::start(sandbox.command(words));
    terminal.expect("key");
    terminal.send_line("sk-proj-typed-by-a-person-0123456789");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    sandbox.unset("AUTHCTL_ACP_LOGIN");
    assert_eq!(
        sandbox.run(["token", "openai"]).success().trim(),
        "sk-proj-typed-by-a-person-0123456789"
    );
}
