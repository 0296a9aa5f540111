//! `authctl acp --chain`: a part of a chain of proxies, whose conductor is this test. The agent is behind it, and
//! gets its credential in band.

use serde_json::{Value, json};

use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;

const KEY: &str = "sk-acp-Qm4tZ81xYw0aLk9PvBn3Ts";

/// Waits for what goes to the agent with this method.
fn successor(conductor: &Host, method: &str) -> Value {
    let line = conductor.line(method, |message| {
        message["method"] == "proxy/successor" && message["params"]["method"] == method
    });
    serde_json::from_str(&line).unwrap()
}

fn reply(conductor: &mut Host, request: &Value, result: &Value) {
    conductor.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
}

#[test]
fn an_agent_behind_a_conductor_is_served_in_band() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let command = sandbox.command(["acp", "--chain", "--with", "openai"]);
    let mut conductor = Host::start(&sandbox, command);
    let hello = json!({"protocolVersion": 1, "clientCapabilities": {"auth": {}}});
    let greeted = conductor.ask("proxy/initialize", &hello);
    let asked = successor(&conductor, "initialize");
    assert_eq!(asked["params"]["params"]["protocolVersion"], 1);
    let greeting = json!({
        "protocolVersion": 1,
        "agentInfo": {"name": "@agentclientprotocol/codex-acp"},
        "agentCapabilities": {"providers": {}},
        "authMethods": [{"id": "chat-gpt", "name": "ChatGPT"}],
    });
    reply(&mut conductor, &asked, &greeting);
    assert_eq!(conductor.answer(greeted)["result"]["authMethods"], json!([]));
    let set = successor(&conductor, "providers/set");
    let params = &set["params"]["params"];
    assert_eq!(params["providerId"], "openai");
    assert!(params["baseUrl"].as_str().unwrap().ends_with("/openai"), "{params}");
    assert!(params["headers"]["x-authctl-key"].is_string());
    let opened = conductor.ask("session/new", &json!({"cwd": "/", "mcpServers": []}));
    reply(&mut conductor, &set, &json!({}));
    let session = successor(&conductor, "session/new");
    assert_eq!(session["params"]["params"], json!({"cwd": "/", "mcpServers": []}));
    reply(&mut conductor, &session, &json!({"sessionId": "s1"}));
    assert_eq!(conductor.answer(opened)["result"]["sessionId"], "s1");

    // The agent asks its client something.
    let inner = json!({"method": "session/request_permission", "params": {"n": 1}});
    conductor.send(
        &json!({"jsonrpc": "2.0", "id": "a1", "method": "proxy/successor", "params": inner})
            .to_string(),
    );
    let line =
        conductor.line("the question", |message| message["method"] == "session/request_permission");
    let question: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(question["params"], json!({"n": 1}));
    conductor.send(
        &json!({"jsonrpc": "2.0", "id": question["id"], "result": {"outcome": "x"}}).to_string(),
    );
    conductor
        .line("the answer", |message| message["id"] == "a1" && message["result"]["outcome"] == "x");
    let output = conductor.leave();
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(!output.stdout.contains(KEY), "the agent never has it");
}

#[test]
fn each_request_gets_its_own_answer_and_notices_pass() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let command = sandbox.command(["acp", "--chain", "--with", "openai"]);
    let mut conductor = Host::start(&sandbox, command);
    let greeted = conductor.ask("proxy/initialize", &json!({"protocolVersion": 1}));
    let asked = successor(&conductor, "initialize");
    reply(&mut conductor, &asked, &json!({"protocolVersion": 1, "agentCapabilities": {}}));
    assert!(conductor.answer(greeted)["result"].is_object());
    let [first, second] = ["first", "second"].map(|name| conductor.ask(name, &json!({})));
    let asked = ["first", "second"].map(|method| successor(&conductor, method));
    // The later one first, and that a second time, which is nobody's.
    for (request, name) in [(&asked[1], "second"), (&asked[1], "again"), (&asked[0], "first")] {
        reply(&mut conductor, request, &json!({"of": name}));
    }
    assert_eq!(conductor.answer(first)["result"]["of"], "first");
    assert_eq!(conductor.answer(second)["result"]["of"], "second");

    conductor.send(r#"{"jsonrpc":"2.0","method":"told","params":{"n":1}}"#);
    let told = successor(&conductor, "told");
    assert_eq!(
        told,
        json!({"jsonrpc": "2.0", "method": "proxy/successor", "params": {"method": "told", "params": {"n": 1}}})
    );
    let inner = json!({"method": "session/update", "params": {"n": 2}});
    let update = json!({"jsonrpc": "2.0", "method": "proxy/successor", "params": inner});
    conductor.send(&update.to_string());
    let line = conductor.line("the update", |message| message["method"] == "session/update");
    assert_eq!(line, r#"{"jsonrpc":"2.0","method":"session/update","params":{"n":2}}"#);
    let output = conductor.leave().success();
    assert_eq!(output.matches(&format!("\"id\":{second},")).count(), 1, "{output}");
}

#[test]
fn nothing_is_tried_that_would_need_a_start() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    sandbox.write_config(
        "[acp_agent.fake]\ncommands = [\"fake-acp\"]\nnames = [\"fake\"]\n\
         [[acp_agent.fake.providers]]\nprovider = \"openai\"\nhelper = { meta = \"own.helper\" }\n",
    );
    let command = sandbox.command(["acp", "--chain", "--with", "openai"]);
    let mut conductor = Host::start(&sandbox, command);
    let greeted = conductor.ask("proxy/initialize", &json!({"protocolVersion": 1}));
    let asked = successor(&conductor, "initialize");
    reply(&mut conductor, &asked, &json!({"protocolVersion": 1, "agentInfo": {"name": "fake"}}));
    conductor.answer(greeted);
    let opened = conductor.ask("session/new", &json!({"cwd": "/", "mcpServers": []}));
    let session = successor(&conductor, "session/new");
    let refusal = json!({"code": -32000, "message": "Authentication required"});
    let refused = json!({"jsonrpc": "2.0", "id": session["id"], "error": refusal});
    conductor.send(&refused.to_string());
    assert_eq!(conductor.answer(opened)["error"]["code"], -32000);
    let output = conductor.leave();
    assert!(!output.stderr.contains("did not work"), "{}", output.stderr);
}
