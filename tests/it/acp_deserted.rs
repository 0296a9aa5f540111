//! `authctl acp` when the editor closes its stdin and goes on reading, as a script does: what it asked is answered
//! as long as the agent is at work, and an agent that falls silent is ended.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, log, starts};
use crate::support::launcher::{is_gone, pid};
use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;
use crate::support::{PATIENCE, eventually};

const DONE: &str = r#"say {"jsonrpc":"2.0","id":$kept,"result":{"stopReason":"end_turn"}}"#;

/// An agent with these rules, and its editor, which has asked it something.
fn asked(rules: &Value) -> (Sandbox, Host, u64) {
    let mut sandbox = Sandbox::new();
    let script = json!({"wants": "nothing", "capabilities": {}, "methods": [], "rules": rules});
    let program = install(&mut sandbox, "own-agent", &script);
    let mut command = sandbox.command(["acp", "--way", "own", "--"]);
    command.arg(program);
    let mut editor = Host::start(&sandbox, command);
    editor.request("initialize", &json!({"protocolVersion": 1}));
    let prompt = editor.ask("session/prompt", &json!({"sessionId": "s", "prompt": []}));
    (sandbox, editor, prompt)
}

fn answers(output: &str, id: u64) -> Vec<Value> {
    let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["id"] == id && line.get("method").is_none()).collect()
}

#[test]
fn work_that_goes_on_is_waited_for() {
    let rules = json!([{"on": "session/prompt", "do": ["keep", "work 12", DONE]}]);
    let (_sandbox, editor, prompt) = asked(&rules);
    let output = editor.leave();
    let answers = answers(&output.stdout, prompt);
    assert_eq!(answers.len(), 1, "{output:?}");
    assert_eq!(answers[0]["result"]["stopReason"], "end_turn", "{output:?}");
    assert_eq!(output.stdout.matches("at work").count(), 12, "{output:?}");
}

#[test]
fn nobody_waits_for_what_such_an_editor_would_have_to_say() {
    let ask = |id: u32| {
        format!(
            r#"say {{"jsonrpc":"2.0","id":{id},"method":"session/request_permission","params":{{}}}}"#
        )
    };
    let rules = json!([
        {"on": "session/prompt", "do": ["keep", ask(7)]},
        {"on": "response", "if": "\"id\":7", "do": [ask(8)]},
        {"on": "response", "if": "\"id\":8", "do": [DONE]},
    ]);
    let (sandbox, editor, prompt) = asked(&rules);
    editor.line("the question", |message| message["method"] == "session/request_permission");
    let output = editor.leave();
    assert_eq!(answers(&output.stdout, prompt)[0]["result"]["stopReason"], "end_turn");
    let said: Vec<Value> = log(&sandbox).into_iter().filter(|it| it["error"].is_object()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[1]["error"]["message"], "the editor says no more");
}

#[test]
fn an_agent_that_falls_silent_is_ended_with_what_it_started() {
    let rules = json!([{"on": "session/prompt", "do": ["spawn 4711", "stuck"]}]);
    let (sandbox, mut editor, prompt) = asked(&rules);
    eventually("the prompt", || (log(&sandbox).len() == 3).then_some(()));
    editor.say_no_more();
    let output = editor.running.finish_within(PATIENCE * 3);
    assert!(output.stderr.contains("own-agent has said nothing for 20 s, and is ended"));
    let answers = answers(&output.stdout, prompt);
    assert_eq!(answers.len(), 1, "{output:?}");
    assert!(answers[0]["error"]["message"].as_str().unwrap().contains("before it answered"));
    assert!(is_gone(pid(&starts(&sandbox)[0]["started"]["pid"].to_string())));
}
