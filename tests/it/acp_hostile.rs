//! `authctl acp` between an agent and an editor that do what they should not: each request has one answer, nothing
//! hangs, nothing is left behind, and nothing secret is said.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S2 | no secret is printed or logged, nor in errors | `what_an_agent_repeats_…` |
//! | S3, S9 | where the proxy serves, the agent has the key nowhere, and argv never | `an_agent_of_the_proxy_…` |
//! | S7 | the agent cannot look into authctl | `the_agent_cannot_look_…` |
//! | A2 | every failure says what and what next, nothing panics | `an_agent_that_dies_…`, `what_is_no_message_…` |
//! | A4 | what is stuck stops nobody, and not the end | `a_request_that_waits_…`, `an_editor_that_is_gone_…`, `a_turn_that_…` |
//! | A10 | signals end the agent, and leave no orphan | `signals_end_…` |
//! | L7 | no file of a directory, and nothing that an agent chooses, decides for authctl | `files_of_a_directory_…`, `variables_of_the_agents_choice_…`, `links_of_the_agents_choice_…` |

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::real_parts::present;
use crate::support::acp_agent::{install, log, starts, told};
use crate::support::inside::{Needle, descendants};
use crate::support::launcher::{is_gone, is_ignored, pid, pid_of};
use crate::support::sandbox::Sandbox;
use crate::support::signed_in::SignedIn;
use crate::support::stdio_host::Host;
use crate::support::{PATIENCE, eventually, hand_to_nobody};

const KEY: &str = "sk-acp-Hv5rT92kWq7bXc1Zm8LpDy";

/// What opens a session in band, and the same in a variable.
const IN_BAND: &str = "in_band = { method = \"api-key\", shape = \"api_key\" }\n";
const PROVIDERS: &str = "providers_set = { id = \"openai\", api_type = \"openai\" }\n";

struct Scene {
    sandbox: Sandbox,
    program: String,
}

impl Scene {
    /// An agent that takes OpenAI's key in a variable, or by what `ways` say.
    fn new(ways: &str, script: &Value) -> Self {
        let mut sandbox = Sandbox::new();
        let program = install(&mut sandbox, "own-agent", script).to_string_lossy().into_owned();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        sandbox.write_config(&format!(
            "[acp_agent.own]\ntitle = \"Own\"\ncommands = [\"own-agent\"]\n\
             [[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"OPENAI_API_KEY\"]\n\
             authenticate = [\"api-key\"]\n{ways}"
        ));
        Self { sandbox, program }
    }

    fn editor(&self) -> Host {
        self.editor_with(&["--with", "openai"])
    }

    fn editor_with(&self, words: &[&str]) -> Host {
        let mut command = self.sandbox.command(["acp"]);
        command.args(words).args(["--", &self.program]);
        Host::start(&self.sandbox, command)
    }
}

fn script(capabilities: &Value, rules: &Value) -> Value {
    let key = json!({"id": "api-key", "name": "Key", "_meta": {"api-key": {}}});
    json!({"wants": "nothing", "capabilities": capabilities, "methods": [key], "rules": rules})
}

fn greet(editor: &mut Host, capabilities: &Value) -> Value {
    let hello = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
    editor.request("initialize", &hello)
}

fn open(editor: &mut Host) -> String {
    let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    answer["result"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn prompt(session: &str, text: &str) -> Value {
    json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]})
}

fn notify(editor: &mut Host, method: &str, params: &Value) {
    editor.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
}

const REFUSED: &str =
    r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32000,"message":"Authentication required"}}"#;

#[test]
fn ids_like_authctls_own_are_the_editors() {
    let scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &json!([])));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    for id in ["authctl-1", "authctl-2", "authctl-to-editor-1", "authctl-successor-1"] {
        let asked = json!({"jsonrpc": "2.0", "id": id, "method": "session/list", "params": {}});
        editor.send(&asked.to_string());
        editor.line(id, |message| message["id"] == id && message["error"]["code"] == -32601);
    }
    editor.leave().success();
}

#[test]
fn authctl_around_authctl_hands_over_in_band() {
    let scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &json!([])));
    let own = crate::support::sandbox::AUTHCTL;
    scene.sandbox.write_config(&format!(
        "[acp_agent.own]\ncommands = [\"own-agent\", {own:?}, \"authctl\"]\n\
         [[acp_agent.own.providers]]\nprovider = \"openai\"\n{PROVIDERS}"
    ));
    let words = ["acp", "--with", "openai", "--", own, "acp", "--way", "own", "--", &scene.program];
    let mut editor = Host::start(&scene.sandbox, scene.sandbox.command(words));
    greet(&mut editor, &json!({}));
    open(&mut editor);
    editor.leave().success();
    assert_eq!(told(&scene.sandbox, "providers/set").len(), 1);
}

#[test]
fn what_is_no_message_is_answered_or_left_out_and_the_rest_goes_on() {
    let scene = Scene::new("", &script(&json!({}), &json!([])));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    for line in [
        "garbage",
        "\0\0",
        "[]",
        "[7,{\"jsonrpc\":\"2.0\",\"id\":\"of-a-batch\",\"method\":\"x\"}]",
        "{\"jsonrpc\":\"2.0\",\"id\":1e400,\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"id\":6,\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"$/cancel_request\",\"params\":{\"requestId\":{}}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\",\"params\":7}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"nobody asked\",\"result\":{}}",
    ] {
        editor.send(line);
    }
    for (method, params) in [
        ("session/new", json!([])),
        ("session/new", json!({"mcpServers": "x"})),
        (
            "session/new",
            json!({"mcpServers": [1, {"url": 5}, {"url": "http://[::", "headers": 7}]}),
        ),
        ("authenticate", json!({"methodId": 5})),
        ("initialize", json!(null)),
    ] {
        let answer = editor.request(method, &params);
        assert!(answer["result"].is_object() || answer["error"].is_object(), "{answer}");
    }
    for id in [u64::MAX.to_string(), "1.5".to_owned(), "\"\\u0000\"".to_owned(), "\"\"".to_owned()]
    {
        editor.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#));
        let number = format!("\"id\":{id},");
        eventually(&id, || {
            let mut lines = editor.lines().into_iter();
            lines.any(|line| line.contains(&number) && line.contains("-32601")).then_some(())
        });
    }
    let output = editor.leave();
    assert!(output.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert_eq!(output.stdout.matches("of-a-batch").count(), 1);
    assert_eq!(output.stdout.matches("-32700").count(), 2, "{}", output.stdout);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn a_request_that_waits_can_be_cancelled_and_never_reaches_the_agent() {
    let ask = r#"say {"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{}}"#;
    let done = r#"say {"jsonrpc":"2.0","id":$kept,"result":{}}"#;
    let rules =
        json!([{"on": "providers/set", "do": ["keep", ask]}, {"on": "response", "do": [done]}]);
    let scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    editor.line("the agent at work", |message| message["id"] == "q");
    let unwanted = editor.ask("session/new", &json!({"cwd": "/unwanted", "mcpServers": []}));
    let turn = editor.ask("session/prompt", &prompt("s", "unwanted"));
    let wanted = editor.ask("session/new", &json!({"cwd": "/wanted", "mcpServers": []}));
    notify(&mut editor, "$/cancel_request", &json!({"requestId": unwanted}));
    notify(&mut editor, "session/cancel", &json!({"sessionId": "s"}));
    assert_eq!(editor.answer(unwanted)["error"]["code"], -32800);
    assert_eq!(editor.answer(turn)["result"]["stopReason"], "cancelled");
    editor.send(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    assert!(editor.answer(wanted)["result"]["sessionId"].is_string());
    editor.leave().success();
    assert_eq!(told(&scene.sandbox, "session/new").len(), 1);
    assert_eq!(told(&scene.sandbox, "session/prompt").len(), 0);
}

#[test]
fn a_turn_that_holds_up_a_new_start_can_be_ended() {
    let stopped = r#"say {"jsonrpc":"2.0","id":$kept,"result":{"stopReason":"cancelled"}}"#;
    let rules = json!([
        {"on": "session/prompt", "if": "long", "start": 1, "do": ["keep"]},
        {"on": "session/prompt", "start": 1, "do": [REFUSED]},
        {"on": "session/cancel", "do": [stopped]},
    ]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let (one, other) = (open(&mut editor), open(&mut editor));
    let long = editor.ask("session/prompt", &prompt(&one, "long"));
    let refused = editor.ask("session/prompt", &prompt(&other, "x"));
    eventually("the new start", || {
        editor.running.stderr().contains("is started anew").then_some(())
    });
    notify(&mut editor, "session/cancel", &json!({"sessionId": one}));
    assert_eq!(editor.answer(long)["result"]["stopReason"], "cancelled");
    assert_eq!(editor.answer(refused)["result"]["stopReason"], "end_turn");
    editor.leave().success();
    assert_eq!(told(&scene.sandbox, "session/load").len(), 2, "both sessions are back");
}

#[test]
fn a_turn_that_waits_for_a_sign_in_can_be_ended_and_others_go_on() {
    let mut signed_in = SignedIn::not_yet("", |_| {});
    let rules = json!([{"on": "session/prompt", "if": "wants it", "do": [REFUSED]}]);
    let program = install(&mut signed_in.sandbox, "some-agent", &script(&json!({}), &rules));
    let mut command = signed_in.sandbox.command(["acp", "--way", "variable", "--"]);
    command.arg(&program);
    signed_in.sandbox.write_config(&format!(
        "{}[acp_agent.some]\ncommands = [\"some-agent\"]\n[[acp_agent.some.providers]]\nprovider = \"demo\"\nvariables = [\"OPENAI_API_KEY\"]\n",
        std::fs::read_to_string(signed_in.sandbox.path("home/.config/authctl/config.toml")).unwrap()
    ));
    let mut editor = Host::start(&signed_in.sandbox, command);
    greet(&mut editor, &json!({"elicitation": {"url": {}}, "auth": {}}));
    let (one, other) = (open(&mut editor), open(&mut editor));
    let waits = editor.ask("session/prompt", &prompt(&one, "wants it"));
    editor.line("the link", |message| message["params"]["requestId"] == waits);
    let goes_on = editor.request("session/prompt", &prompt(&other, "x"));
    assert_eq!(goes_on["result"]["stopReason"], "end_turn");
    notify(&mut editor, "session/cancel", &json!({"sessionId": one}));
    assert_eq!(editor.answer(waits)["result"]["stopReason"], "cancelled");
    editor.leave().success();
}

#[test]
fn an_editor_that_says_no_more_gets_the_answers_to_what_it_asked() {
    let scene = Scene::new(
        PROVIDERS,
        &json!({"wants": "providers", "capabilities": {"providers": {}}, "methods": []}),
    );
    let mut editor = scene.editor();
    editor.ask("initialize", &json!({"protocolVersion": 1}));
    let opened = editor.ask("session/new", &json!({"cwd": "/", "mcpServers": []}));
    let output = editor.leave();
    let answers = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let answers: Vec<Value> = answers.filter(|answer| answer["id"] == opened).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0]["result"]["sessionId"].is_string(), "{answers:?}");
    assert_eq!(starts(&scene.sandbox).len(), 1);
}

#[test]
fn an_editor_that_is_gone_takes_an_agent_with_it_that_reads_nothing() {
    let rules = json!([{"on": "session/list", "do": ["stuck"]}]);
    let scene = Scene::new("", &script(&json!({}), &rules));
    let mut command = scene.sandbox.command(["acp", "--with", "openai", "--", &scene.program]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut authctl = command.spawn().unwrap();
    let (mut stdin, stdout) = (authctl.stdin.take().unwrap(), authctl.stdout.take().unwrap());
    let mut stdout = BufReader::new(stdout);
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1}}\n").unwrap();
    stdout.read_line(&mut String::new()).unwrap();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/list\"}\n").unwrap();
    let pumping = std::thread::spawn(move || {
        let filler = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[\"{}\"]}}\n",
            "z".repeat(64 << 10)
        );
        // Ends with the pipe, which authctl reads no further.
        (0..1_000).try_for_each(|_| stdin.write_all(filler.as_bytes())).is_err()
    });
    eventually("the agent", || (told(&scene.sandbox, "session/list").len() == 1).then_some(()));
    drop(stdout);
    eventually("the end", || authctl.try_wait().unwrap());
    assert!(pumping.join().unwrap(), "it was never too much");
    assert!(is_gone(pid(&starts(&scene.sandbox)[0]["started"]["pid"].to_string())));
}

#[test]
fn a_new_start_for_one_credential_takes_nothing_from_another() {
    let rules = json!([{"on": "session/prompt", "start": 1, "do": [REFUSED]}]);
    let capabilities = json!({"providers": {}, "loadSession": true});
    let mut scene = Scene::new(IN_BAND, &script(&capabilities, &rules));
    scene.sandbox.env("AUTHCTL_ANTHROPIC_TOKEN", "sk-ant-Qw81nBv5Tz0Lk4");
    scene.sandbox.write_config(&format!(
        "[acp_agent.own]\ncommands = [\"own-agent\"]\n\
         [[acp_agent.own.providers]]\nprovider = \"openai\"\n{IN_BAND}\
         [[acp_agent.own.providers]]\nprovider = \"anthropic\"\n\
         providers_set = {{ id = \"main\", api_type = \"anthropic\" }}\n"
    ));
    let mut editor = scene.editor_with(&["--with", "openai,anthropic"]);
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    let answer = editor.request("session/prompt", &prompt(&session, "x"));
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    editor.leave().success();
    assert_eq!(starts(&scene.sandbox).len(), 2);
    assert_eq!(told(&scene.sandbox, "providers/set").len(), 2, "once to each run of the agent");
}

#[test]
fn sessions_come_back_also_where_the_key_is_refused() {
    for what in ["session/resume", "session/load"] {
        let refused =
            r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32603,"message":"bad $key"}}"#;
        let rules = json!([
            {"on": "session/prompt", "start": 1, "do": [REFUSED]},
            {"on": "authenticate", "start": 2, "do": [refused]},
        ]);
        let resume = json!({"loadSession": true, "sessionCapabilities": {"resume": {}}});
        let load = json!({"loadSession": true});
        let capabilities = if what == "session/load" { load } else { resume };
        let scene = Scene::new(IN_BAND, &script(&capabilities, &rules));
        let mut editor = scene.editor();
        greet(&mut editor, &json!({}));
        let session = open(&mut editor);
        let answer = editor.request("session/prompt", &prompt(&session, "x"));
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("authctl login openai"), "{answer}");
        let output = editor.leave();
        let back = told(&scene.sandbox, what);
        assert_eq!(back.len(), 1, "{what}");
        assert_eq!(back[0]["params"]["sessionId"], session);
        assert!(!output.stderr.contains(KEY) && !output.stdout.contains(KEY));
    }
}

#[test]
fn a_key_that_was_exchanged_meanwhile_comes_with_a_new_start() {
    let next = "sk-acp-Jn27Xs5Rb9Ue3Wt8Cy1QfMa";
    let rules = json!([{"on": "session/prompt", "start": 1, "do": [REFUSED]}]);
    let mut scene = Scene::new("", &script(&json!({"loadSession": true}), &rules));
    scene.sandbox.unset("AUTHCTL_OPENAI_TOKEN");
    let sign_in = |key: &str| {
        scene.sandbox.run_with_input(["login", "openai", "--with-key"], key).success();
    };
    sign_in(KEY);
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    sign_in(next);
    let answer = editor.request("session/prompt", &prompt(&session, "x"));
    assert_eq!(answer["result"]["stopReason"], "end_turn", "{answer}");
    editor.leave().success();
    let keys = starts(&scene.sandbox).into_iter();
    let keys: Vec<Value> =
        keys.map(|start| start["started"]["variables"]["OPENAI_API_KEY"].clone()).collect();
    assert_eq!(keys, [KEY, next]);
}

#[test]
fn whoever_signs_out_has_an_agent_that_has_forgotten_and_may_sign_in_again() {
    let mut script = script(&json!({"loadSession": true}), &json!([]));
    script["wants"] = json!("variable");
    let scene = Scene::new("", &script);
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    open(&mut editor);
    let has_key =
        || starts(&scene.sandbox).last().unwrap()["started"]["variables"]["OPENAI_API_KEY"] == KEY;
    assert!(has_key());
    assert_eq!(editor.request("logout", &json!({}))["result"], json!({}));
    assert!(!has_key());
    let refused = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    let greeting = greet(&mut editor, &json!({}));
    assert_eq!(greeting["result"]["authMethods"][0]["id"], "authctl");
    let again = editor.request("authenticate", &json!({"methodId": "authctl"}));
    assert_eq!(again["result"], json!({}));
    assert!(has_key());
    open(&mut editor);
    editor.leave().success();
    assert_eq!(starts(&scene.sandbox).len(), 3);
}

#[test]
fn an_agent_of_another_command_is_known_by_what_it_calls_itself() {
    let scene = Scene::new("", &script(&json!({"providers": {}}), &json!([])));
    scene.sandbox.write_config(&format!(
        "[acp_agent.fake]\ncommands = [\"fake-acp\"]\nnames = [\"fake\"]\n\
         [[acp_agent.fake.providers]]\nprovider = \"openai\"\n{PROVIDERS}"
    ));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    open(&mut editor);
    let output = editor.leave();
    assert!(output.stderr.contains("uses openai (providers-set)"), "{}", output.stderr);
    assert_eq!(starts(&scene.sandbox).len(), 1);
    let has_key = |line: &Value| line.to_string().contains(KEY);
    assert!(!log(&scene.sandbox).iter().any(has_key), "it was not given the key before it spoke");
}

#[test]
fn an_agent_that_nobody_knows_gets_a_variable_when_it_has_spoken() {
    for (with, count) in [("openai,anthropic", 2), ("openai=OPENAI_API_KEY", 1)] {
        let mut script = script(&json!({}), &json!([]));
        script["wants"] = json!("variable");
        let mut scene = Scene::new("", &script);
        scene.sandbox.env("AUTHCTL_ANTHROPIC_TOKEN", KEY);
        scene.sandbox.write_config("");
        let mut editor = scene.editor_with(&["--with", with]);
        greet(&mut editor, &json!({}));
        open(&mut editor);
        let output = editor.leave();
        let starts = starts(&scene.sandbox);
        assert_eq!(starts.len(), count, "{}", output.stderr);
        let keys = starts.iter().map(|start| &start["started"]["variables"]["OPENAI_API_KEY"]);
        let keys: Vec<Option<&str>> = keys.map(Value::as_str).collect();
        assert_eq!(keys, [None, Some(KEY)][2 - count..]);
        assert_eq!(output.stderr.matches("gets openai itself (variable)").count(), 1);
    }
}

#[test]
fn an_agent_that_refuses_for_ever_is_started_anew_once_and_given_the_key_once() {
    let mut script = script(&json!({}), &json!([]));
    script["wants"] = json!("no such thing");
    script["methods"] = json!([]);
    let scene = Scene::new(PROVIDERS, &script);
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    for _ in 0..3 {
        let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
        assert_eq!(answer["error"]["code"], -32000);
        assert!(answer["error"]["message"].as_str().unwrap().contains("authctl login openai"));
    }
    let output = editor.leave();
    assert_eq!(starts(&scene.sandbox).len(), 2);
    assert_eq!(output.stderr.matches("gets openai itself").count(), 1, "{}", output.stderr);
}

#[test]
fn an_agent_that_dies_in_its_new_start_is_the_end_with_one_answer() {
    for (on, code) in [("initialize", 9), ("authenticate", 8), ("session/load", 7)] {
        let rules = json!([
            {"on": "session/prompt", "start": 1, "do": [REFUSED]},
            {"on": on, "start": 2, "do": [format!("exit {code}")]},
        ]);
        let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
        let mut editor = scene.editor();
        greet(&mut editor, &json!({}));
        let session = open(&mut editor);
        let id = editor.ask("session/prompt", &prompt(&session, "x"));
        let said = editor.answer(id)["error"]["message"].clone();
        assert_eq!(said, format!("Own ended with exit status {code} before it answered"));
        let output = editor.leave();
        assert_eq!(output.code(), code, "{on}");
        assert_eq!(output.stdout.matches(&format!("\"id\":{id},")).count(), 1, "{on}");
        assert_eq!(starts(&scene.sandbox).len(), 2, "{on}");
    }
}

#[test]
fn what_waited_for_a_new_start_that_fails_is_answered_as_well() {
    let ask = r#"say {"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{}}"#;
    let rules = json!([
        {"on": "session/prompt", "start": 1, "do": [REFUSED]},
        {"on": "initialize", "start": 2, "do": [ask]},
        {"on": "response", "do": ["exit 9"]},
    ]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    let refused = editor.ask("session/prompt", &prompt(&session, "x"));
    editor.line("the new start", |message| message["id"] == "q");
    let waits = editor.ask("session/list", &json!({}));
    editor.send(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    for id in [refused, waits] {
        let said = editor.answer(id)["error"]["message"].clone();
        assert_eq!(said, "Own ended with exit status 9 before it answered");
    }
    let output = editor.leave();
    for id in [refused, waits] {
        assert_eq!(output.stdout.matches(&format!("\"id\":{id},")).count(), 1, "{id}");
    }
}

#[test]
fn an_agent_that_cannot_be_started_anew_is_the_end_with_one_answer() {
    let rules = json!([{"on": "session/prompt", "do": [REFUSED]}]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    std::fs::remove_file(&scene.program).unwrap();
    let id = editor.ask("session/prompt", &prompt(&session, "x"));
    assert!(editor.answer(id)["error"].is_object());
    let output = editor.running.finish_within(PATIENCE);
    assert_eq!(output.stdout.matches(&format!("\"id\":{id},")).count(), 1, "{}", output.stdout);
    assert!(output.stderr.contains("own-agent"), "{}", output.stderr);
}

#[test]
fn what_an_agent_repeats_is_not_said_again_by_authctl() {
    let refused =
        r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32603,"message":"no $params"}}"#;
    let required = r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32000,"message":"no $key"}}"#;
    let status = r#"say {"jsonrpc":"2.0","method":"_auth/status_update","params":{"authStatus":{"kind":"x","label":"$key"}}}"#;
    let rules = json!([
        {"on": "providers/set", "do": ["say not JSON: $params", refused]},
        {"on": "session/new", "do": ["say not JSON: $key", status, required]},
    ]);
    let scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({"auth": {}}));
    let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    assert!(answer["error"]["message"].as_str().unwrap().starts_with("no [secret]; "), "{answer}");
    let output = editor.leave();
    let header = told(&scene.sandbox, "providers/set")[0]["params"]["headers"].clone();
    let header = header["x-authctl-key"].as_str().unwrap().to_owned();
    for secret in [KEY, &header] {
        assert!(!output.stderr.contains(secret), "{}", output.stderr);
        let said = output.stdout.lines().filter(|line| !line.contains("\"_auth/status_update\""));
        assert!(!said.collect::<String>().contains(secret), "{}", output.stdout);
    }
    assert_eq!(output.stderr.matches("not JSON: ").count(), 2, "{}", output.stderr);
}

#[test]
fn variables_of_the_agents_choice_change_nothing_of_authctls() {
    let evil = json!({
        "LD_PRELOAD": "/evil.so", "AUTHCTL_CONFIG_DIR": "/evil", "AUTHCTL_ACP_LOGIN": "github",
        "PATH": "/evil", "HOME": "/evil", "XDG_CONFIG_HOME": "/evil", "https_proxy": "http://evil",
        "SSL_CERT_FILE": "/evil", "OWN_AGENT_FAST": "1",
    });
    let run = json!({"command": "own-agent", "args": ["login"], "label": "x", "env": evil});
    let methods = json!([
        {"id": "t", "type": "terminal", "name": "T", "args": ["login"], "env": evil},
        {"id": "m", "name": "M", "_meta": {"terminal-auth": run}},
    ]);
    let script = json!({"wants": "nothing", "capabilities": {}, "methods": methods});
    let scene = Scene::new("", &script);
    let mut editor = scene.editor_with(&["--way", "own"]);
    let can = json!({"auth": {"terminal": true}, "_meta": {"terminal-auth": true}});
    let greeting = greet(&mut editor, &can);
    let seen = &greeting["result"]["authMethods"];
    assert_eq!(seen[0]["env"], json!({"OWN_AGENT_FAST": "1"}));
    assert_eq!(seen[1]["_meta"]["terminal-auth"]["env"], json!({"OWN_AGENT_FAST": "1"}));
    editor.leave().success();
}

#[test]
fn links_of_the_agents_choice_are_web_pages() {
    let show = |id: u32, params: &str| {
        format!(
            r#"say {{"jsonrpc":"2.0",  "id":{id},"method":"elicitation/create","params":{params}}}"#
        )
    };
    let page = r#"{"mode":"url","url":"https://a.example/x","elicitationId":"e"}"#;
    let form = r#"{"mode":"form","requestedSchema":{"x":1.50},"message":"javascript:x"}"#;
    let rules = json!([
        {"on": "session/prompt", "do": [
            "keep",
            show(1, r#"{"mode":"url","url":"javascript:alert(1)","elicitationId":"e"}"#),
            show(2, r#"{"mode":"url","url":"file:///etc/passwd","elicitationId":"e"}"#),
            show(3, form),
            show(4, page),
        ]},
        {"on": "response", "if": "accept", "do": [r#"say {"jsonrpc":"2.0","id":$kept,"result":{}}"#]},
    ]);
    let scene = Scene::new("", &script(&json!({}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({"elicitation": {"url": {}, "form": {}}}));
    let turn = editor.ask("session/prompt", &prompt("s", "x"));
    editor.line("the link", |message| message["params"]["url"] == "https://a.example/x");
    editor.send(r#"{"jsonrpc":"2.0","id":4,"result":{"action":"accept"}}"#);
    editor.answer(turn);
    let output = editor.leave();
    let shown = |line: &&str| line.contains("elicitation/create");
    let shown: Vec<&str> = output.stdout.lines().filter(shown).collect();
    let as_said = |line: String| line.strip_prefix("say ").unwrap().to_owned();
    assert_eq!(shown, [as_said(show(3, form)), as_said(show(4, page))], "as they came");
    let refused = log(&scene.sandbox).into_iter().filter(|line| line["error"]["code"] == -32602);
    let refused: Vec<Value> = refused.map(|it| it["id"].clone()).collect();
    assert_eq!(refused, [1, 2]);
    assert!(output.stderr.contains("no web page (javascript)"), "{}", output.stderr);
    assert!(output.stderr.contains("no web page (file)"), "{}", output.stderr);
}

#[test]
fn variables_that_an_agent_names_are_not_given_for_that() {
    let names = ["AWS_SECRET_ACCESS_KEY", "GH_TOKEN"];
    let method = |name: &&str| json!({"id": name, "type": "env_var", "name": "x", "vars": [{"name": name}, {"name": "OPENAI_API_KEY"}]});
    let methods: Vec<Value> = names.iter().map(method).collect();
    let refusal = json!({"code": -32603, "message": "x", "data": {"envVars": names}});
    let mut scene = Scene::new(
        "",
        &json!({"wants": "no such thing", "capabilities": {}, "methods": methods, "refusal": refusal}),
    );
    scene
        .sandbox
        .env("AUTHCTL_GITHUB_TOKEN", "ghp_Rk29Vd7yTq0LmXw4Zb8NcHf")
        .env("GH_TOKEN", "inherited");
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("authctl login openai"));
    editor.leave().success();
    assert_eq!(told(&scene.sandbox, "authenticate").len(), 0);
    for line in log(&scene.sandbox) {
        assert!(!line.to_string().contains("ghp_"), "{line}");
    }
}

#[test]
fn signals_end_the_agent_and_what_it_has_started() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().filter(|it| !is_ignored(*it))
    {
        let greeting = r#"say {"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":1}}"#;
        let rules = json!([{"on": "initialize", "do": ["spawn 4711", greeting]}, {"on": "session/prompt", "do": ["stuck"]}]);
        let scene = Scene::new("", &script(&json!({}), &rules));
        let mut editor = scene.editor();
        greet(&mut editor, &json!({}));
        editor.ask("session/prompt", &prompt("s", "x"));
        eventually("the agent at work", || {
            (told(&scene.sandbox, "session/prompt").len() == 1).then_some(())
        });
        let authctl = pid_of(&editor.running);
        let all = descendants(editor.running.child.id());
        assert!(all.len() >= 2, "{all:?}");
        kill_process(authctl, signal).unwrap();
        let output = editor.running.finish_within(PATIENCE);
        assert!(output.stdout.contains("was ended by signal 15 before it answered"));
        for process in all {
            assert!(is_gone(pid(&process.to_string())), "{signal:?}: {process}");
        }
    }
}

#[test]
fn thousands_of_requests_of_an_editor_that_reads_late_are_all_answered() {
    let scene = Scene::new("", &script(&json!({}), &json!([])));
    let mut command = scene.sandbox.command(["acp", "--with", "openai", "--", &scene.program]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut authctl = command.spawn().unwrap();
    let (mut stdin, stdout) = (authctl.stdin.take().unwrap(), authctl.stdout.take().unwrap());
    let all = 5_000;
    let filler = "z".repeat(1_000);
    let pumping = std::thread::spawn(move || {
        for id in 0..all {
            writeln!(stdin, r#"{{"jsonrpc":"2.0","id":{id},"method":"x","params":["{filler}"]}}"#)
                .unwrap();
        }
        stdin
    });
    // Only from when it can write no more, or has written all.
    eventually("the first requests", || (log(&scene.sandbox).len() > 100).then_some(()));
    let answers = BufReader::new(stdout).lines().take(all).map(Result::unwrap).count();
    assert_eq!(answers, all);
    drop(pumping.join().unwrap());
    authctl.wait().unwrap();
}

#[test]
fn an_agent_of_the_proxy_has_the_key_nowhere() {
    let mut scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &json!([])));
    // The agent is this program, which has all others written in it.
    let key = format!("sk-acp-{}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond());
    scene.sandbox.env("AUTHCTL_OPENAI_TOKEN", &key);
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    editor.request("session/prompt", &prompt(&session, "x"));
    let needle = Needle::new(&key);
    let children = descendants(editor.running.child.id());
    assert!(!children.is_empty());
    for child in children {
        assert_eq!(needle.places_in(child), Vec::<String>::new());
    }
    assert_eq!(needle.files_of(&scene.sandbox), Vec::<String>::new());
    editor.leave().success();
}

#[test]
fn the_agent_cannot_look_into_authctl() {
    if !present(&["setpriv"]) {
        return;
    }
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    // Itself it sees, and none of those that it descends from up to authctl.
    let look = r#"
        test -n "$(cat /proc/self/environ | tr -d '\0')" || echo "no way"
        pid=$$
        while pid=$(cut -d' ' -f4 /proc/$pid/stat); do
            for file in environ maps auxv; do cat /proc/$pid/$file 2>/dev/null | tr '\0' '\n'; done
            dd if=/proc/$pid/mem of=/dev/null bs=1 count=0 2>/dev/null && echo "open: mem"
            ls /proc/$pid/fd 2>/dev/null && echo "open: fd"
            test "$(cat /proc/$pid/comm)" = authctl && test "$(cut -d' ' -f4 /proc/$pid/stat)" = "$ABOVE" && break
        done
        echo looked
    "#;
    sandbox.env("ABOVE", std::process::id().to_string());
    let mut words = hand_to_nobody(&sandbox);
    let own = crate::support::sandbox::AUTHCTL;
    words.extend([own, "acp", "--with", "openai=MINE", "--", "sh", "-c"].map(Into::into));
    words.push(format!("({look}) >&2; exec cat").into());
    let mut command = sandbox.program(&words[0]);
    command.args(&words[1..]);
    let mut editor = Host::start(&sandbox, command);
    eventually("the look", || editor.running.stderr().contains("looked").then_some(()));
    editor.send(r#"{"jsonrpc":"2.0","method":"x"}"#);
    let said = editor.running.stderr();
    let after = said.lines().skip_while(|line| line.contains("gets openai itself"));
    assert_eq!(after.collect::<Vec<_>>(), ["looked"], "{said}");
    editor.leave();
}

#[test]
fn files_of_a_directory_decide_nothing_about_agents() {
    let scene = Scene::new(PROVIDERS, &script(&json!({"providers": {}}), &json!([])));
    let evil = scene.sandbox.path("work/own-agent");
    std::fs::write(&evil, "#!/bin/sh\ntouch was-run\n").unwrap();
    std::fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for text in [
        "with = [\"github\"]\n",
        "[acp_agent.own]\ncommands = [\"own-agent\"]\n[[acp_agent.own.providers]]\nprovider = \"github\"\n",
        "[provider.openai]\nbase_url = \"https://evil.example\"\n",
        "[acp]\nagent = \"./own-agent\"\n",
    ] {
        for name in [".authctl.toml", "authctl.toml", "config.toml", ".config/authctl/config.toml"]
        {
            let file = scene.sandbox.path("work").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let before = told(&scene.sandbox, "providers/set").len();
        let mut editor = scene.editor();
        greet(&mut editor, &json!({}));
        open(&mut editor);
        let output = editor.leave();
        assert_eq!(output.code(), 0, "{output:?}");
        let set = &told(&scene.sandbox, "providers/set")[before]["params"];
        assert_eq!(set["providerId"], "openai");
        assert!(set["baseUrl"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{set}");
    }
    assert!(!scene.sandbox.path("work/was-run").exists());
}

#[test]
fn questions_of_an_agent_that_is_gone_are_not_those_of_the_next() {
    let ask = r#"say {"jsonrpc":"2.0","id":0,"method":"session/request_permission","params":{}}"#;
    let done = r#"say {"jsonrpc":"2.0","id":$kept,"result":{"stopReason":"end_turn"}}"#;
    let rules = json!([
        {"on": "session/prompt", "start": 1, "do": [ask, REFUSED]},
        {"on": "session/prompt", "start": 2, "do": ["keep", ask]},
        {"on": "response", "if": "new", "do": [done]},
    ]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    let turn = editor.ask("session/prompt", &prompt(&session, "x"));
    let question = editor.line("the second question", |message| {
        message["method"] == "session/request_permission" && message["id"] != 0
    });
    let question: Value = serde_json::from_str(&question).unwrap();
    editor.send(r#"{"jsonrpc":"2.0","id":0,"result":{"outcome":"old"}}"#);
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"outcome": "new"}});
    editor.send(&answer.to_string());
    assert_eq!(editor.answer(turn)["result"]["stopReason"], "end_turn");
    editor.leave().success();
    let outcomes: Vec<Value> = log(&scene.sandbox)
        .into_iter()
        .filter(|line| line["result"].is_object())
        .map(|line| json!([line["id"], line["result"]["outcome"]]))
        .collect();
    assert_eq!(outcomes, [json!([0, "new"])]);
}

#[test]
fn a_greeting_that_is_refused_is_passed_on() {
    let scene =
        Scene::new("", &script(&json!({}), &json!([{"on": "initialize", "do": [REFUSED]}])));
    let mut editor = scene.editor();
    let answer = greet(&mut editor, &json!({}));
    assert_eq!(answer["error"], json!({"code": -32000, "message": "Authentication required"}));
    editor.leave().success();
    assert_eq!(starts(&scene.sandbox).len(), 1);
}

#[test]
fn a_request_is_sent_three_times_at_most() {
    let gateway = "gateway = { method = \"gateway\", protocol = \"openai\" }\n";
    let mut script = script(&json!({"providers": {}}), &json!([]));
    script["wants"] = json!("no such thing");
    let methods = script["methods"].as_array_mut().unwrap();
    methods.push(json!({"id": "gateway", "name": "G", "_meta": {"gateway": {}}}));
    let scene = Scene::new(&format!("{PROVIDERS}{gateway}{IN_BAND}"), &script);
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let answer = editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}));
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    editor.leave().success();
    assert_eq!(told(&scene.sandbox, "session/new").len(), 3);
    assert_eq!(starts(&scene.sandbox).len(), 1, "the variable is left for another try");
}

#[test]
fn sessions_that_were_closed_stay_closed_and_others_come_back_as_they_were_opened() {
    let closed = r#"say {"jsonrpc":"2.0","id":$id,"result":{}}"#;
    let rules = json!([
        {"on": "session/close", "do": [closed]},
        {"on": "session/prompt", "start": 1, "do": [REFUSED]},
    ]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let gone = open(&mut editor);
    let wish = json!({"cwd": "/here", "mcpServers": [], "_meta": {"for": "session/new"}});
    let session = editor.request("session/new", &wish)["result"]["sessionId"].clone();
    editor.request("session/close", &json!({"sessionId": gone}));
    editor.request("session/prompt", &prompt(session.as_str().unwrap(), "x"));
    editor.leave().success();
    let back: Vec<Value> =
        told(&scene.sandbox, "session/load").iter().map(|it| it["params"].clone()).collect();
    assert_eq!(back, [json!({"cwd": "/here", "mcpServers": [], "sessionId": session})]);
}

#[test]
fn a_session_comes_back_as_it_was_set() {
    let done = r#"say {"jsonrpc":"2.0","id":$id,"result":{}}"#;
    let no = r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32602,"message":"no"}}"#;
    let told_again = r#"say {"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{"sessionUpdate":"current_mode_update","currentModeId":"again"}}}"#;
    let rules = json!([
        {"on": "session/new", "do": [r#"say {"jsonrpc":"2.0","id":$id,"result":{"sessionId":"s"}}"#]},
        {"on": "session/set_mode", "if": "bad", "do": [no]},
        {"on": "session/set_mode", "start": 1, "do": [done, told_again.replace("again", "code")]},
        {"on": "session/set_mode", "start": 2, "do": [told_again, done]},
        {"on": "session/set_model", "start": 2, "do": [no]},
        {"on": "session/set_model", "do": [done]},
        {"on": "session/set_config_option", "do": [done]},
        {"on": "session/prompt", "start": 1, "do": [REFUSED]},
    ]);
    let scene = Scene::new(IN_BAND, &script(&json!({"loadSession": true}), &rules));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    let session = open(&mut editor);
    let mut set = |method: &str, params: Value| {
        let mut params = params;
        params["sessionId"] = json!(session);
        editor.request(method, &params);
    };
    let option = |id: &str, value: Value| json!({"configId": id, "value": value});
    set("session/set_config_option", option("effort", json!("low")));
    set("session/set_mode", json!({"modeId": "plan"}));
    set("session/set_config_option", option("web", json!(true)));
    set("session/set_model", json!({"modelId": "m"}));
    set("session/set_config_option", option("effort", json!("high")));
    set("session/set_mode", json!({"modeId": "bad"}));
    editor.request("session/prompt", &prompt(&session, "x"));
    let output = editor.leave();
    let messages = log(&scene.sandbox);
    let start = messages.iter().rposition(|line| line["started"].is_object()).unwrap();
    let again = messages[start..].iter().filter(|line| line["params"]["sessionId"] == "s");
    let again: Vec<Value> = again
        .map(|line| {
            let params = &line["params"];
            let value = [&params["modeId"], &params["modelId"], &params["value"], &params["cwd"]];
            json!([line["method"], value.iter().find(|it| !it.is_null())])
        })
        .collect();
    let expected = [
        json!(["session/load", "/"]),
        json!(["session/set_mode", "code"]),
        json!(["session/set_config_option", true]),
        json!(["session/set_model", "m"]),
        json!(["session/set_config_option", "high"]),
        json!(["session/prompt", null]),
    ];
    assert_eq!(again, expected, "{}", output.stderr);
    assert!(!output.stdout.contains("again"), "{}", output.stdout);
    let lost = "session/set_model is not as it was in a session: the agent refuses it";
    assert_eq!(output.stderr.matches("is not as it was").count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains(lost), "{}", output.stderr);
    output.success();
}

#[test]
fn an_editor_sees_the_agents_methods_that_it_can_run() {
    let run = json!({"command": "node", "args": ["/opt/own-agent.js", "login"], "label": "x"});
    let methods = json!([
        {"id": "t", "type": "terminal", "name": "T", "args": ["login"]},
        {"id": "m", "name": "M", "_meta": {"terminal-auth": run}},
    ]);
    let script = json!({"wants": "nothing", "capabilities": {}, "methods": methods});
    for (can, ids) in [(json!({}), &["m"][..]), (json!({"auth": {"terminal": true}}), &["t", "m"])]
    {
        let scene = Scene::new("", &script);
        let mut editor = scene.editor_with(&["--way", "own"]);
        let greeting = greet(&mut editor, &can);
        let seen = greeting["result"]["authMethods"].as_array().unwrap();
        assert_eq!(seen.iter().map(|it| it["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
        let args = &seen.last().unwrap()["_meta"]["terminal-auth"]["args"];
        assert_eq!(args, &json!(["acp", "--way", "own", "--", scene.program, "login"]));
        editor.leave().success();
    }
}

#[test]
fn a_key_that_the_editor_gives_reaches_the_agent() {
    let scene = Scene::new(IN_BAND, &script(&json!({}), &json!([])));
    let mut editor = scene.editor();
    greet(&mut editor, &json!({}));
    open(&mut editor);
    let own = json!({"methodId": "api-key", "_meta": {"api-key": {"apiKey": "the editor's"}}});
    editor.request("authenticate", &own);
    let bare = editor.request("authenticate", &json!({"methodId": "api-key"}));
    assert_eq!(bare["result"], json!({}), "authctl has seen to that");
    editor.leave().success();
    let told = told(&scene.sandbox, "authenticate");
    assert_eq!((told.len(), &told[1]["params"]), (2, &own));
}
