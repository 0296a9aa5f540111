//! Links and words of a server about a sign-in, through the bridge: its own links are opened and the call goes
//! on, strangers' links and mere words reach the host as they came.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::mcp_server::{Gate, McpServer, Mode};
use crate::support::sandbox::{Running, Sandbox};

/// A server behind a gate, and a bridge to it with a host that can elicit nothing.
struct Bridge {
    server: McpServer,
    sandbox: Sandbox,
    running: Running,
}

impl Bridge {
    fn new(gate: Gate, mode: Mode) -> Self {
        let server = McpServer::start(gate, mode);
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(["mcp", &server.url()]);
        command.stdin(std::process::Stdio::piped());
        let running = sandbox.start(command);
        let mut bridge = Self { server, sandbox, running };
        let parameters = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "host", "version": "1" },
        });
        bridge.say(
            &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters }),
        );
        bridge
    }

    fn say(&mut self, message: &Value) {
        let stdin = self.running.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    fn call(&mut self, id: u64, tool: &str) {
        let parameters = json!({ "name": tool, "arguments": { "a": 1 } });
        self.say(
            &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": parameters }),
        );
    }

    /// The line with the response to request `id`, as it was written.
    fn response(&self, id: u64) -> String {
        eventually("the response", || {
            let lines = self.running.stdout();
            let mut lines = lines.lines().map(str::to_owned);
            lines.find(|line| {
                let message: Value = serde_json::from_str(line).unwrap_or_default();
                message["id"] == id && message.get("method").is_none()
            })
        })
    }

    fn result(&self, id: u64) -> Value {
        let response: Value = serde_json::from_str(&self.response(id)).unwrap();
        response["result"].clone()
    }

    fn end(mut self) -> String {
        drop(self.running.child.stdin.take());
        let output = self.running.finish();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stderr
    }
}

/// The call waits, the person opens the link, the call succeeds.
fn goes_on_after_the_link(gate: Gate, mode: Mode) {
    let mut bridge = Bridge::new(gate, mode);
    bridge.call(1, "build_creative");
    assert_eq!(bridge.running.opened_url(), bridge.server.link());
    bridge.server.follow_link();
    assert_eq!(bridge.result(1)["structuredContent"]["tool"], "build_creative");
    assert_eq!(bridge.sandbox.opened_urls().len(), 1);
    bridge.end();
}

#[test]
fn the_link_of_an_error_is_opened() {
    goes_on_after_the_link(Gate::LinkError, Mode::Sse);
}

#[test]
fn the_link_of_an_elicitation_is_opened() {
    goes_on_after_the_link(Gate::ElicitationError, Mode::Json);
}

#[test]
fn the_link_of_a_connection_is_opened() {
    goes_on_after_the_link(Gate::Connection, Mode::Sse);
}

#[test]
fn the_link_of_a_401_is_opened() {
    let mut bridge = Bridge::new(Gate::HttpLink, Mode::Json);
    assert_eq!(bridge.running.opened_url(), bridge.server.link());
    bridge.server.follow_link();
    assert_eq!(bridge.result(0)["serverInfo"]["name"], "fake");
    bridge.call(1, "build_creative");
    assert_eq!(bridge.result(1)["structuredContent"]["tool"], "build_creative");
    assert_eq!(bridge.sandbox.opened_urls().len(), 1);
    bridge.end();
}

#[test]
fn the_link_of_an_authorize_tool_is_opened_and_shown() {
    let mut bridge = Bridge::new(Gate::AuthorizeTool, Mode::Sse);
    bridge.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    assert_eq!(bridge.result(1)["tools"][0]["name"], "authorize");
    bridge.call(2, "authorize");
    let text = bridge.result(2)["content"][0]["text"].to_string();
    assert!(text.contains(&bridge.server.link()), "{text}");
    assert_eq!(bridge.running.opened_url(), bridge.server.link());
    bridge.server.follow_link();
    bridge.call(3, "build_creative");
    assert_eq!(bridge.result(3)["structuredContent"]["tool"], "build_creative");
    let said = bridge.running.stdout();
    assert!(said.contains("notifications/tools/list_changed"), "{said}");
    bridge.end();
}

#[test]
fn a_foreign_link_is_not_opened_and_the_error_passes() {
    let mut bridge = Bridge::new(Gate::LinkError, Mode::Json);
    bridge.server.hand_out("https://evil.example/x");
    bridge.call(1, "build_creative");
    let response = bridge.response(1);
    assert!(response.contains("-32603") && response.contains("(https://evil.example/x)"));
    assert!(bridge.sandbox.opened_urls().is_empty());
    assert_eq!(bridge.server.calls("tools/call").len(), 1);
    let said = bridge.end();
    assert!(said.contains("https://evil.example/x"), "{said}");
}

#[test]
fn a_link_that_is_no_web_address_is_named_and_dropped() {
    let mut bridge = Bridge::new(Gate::ElicitationError, Mode::Json);
    bridge.server.hand_out("https://user:hunter2@evil.example/");
    bridge.call(1, "build_creative");
    let response = bridge.response(1);
    assert!(response.contains("-32042"), "{response}");
    assert!(bridge.sandbox.opened_urls().is_empty());
    let said = bridge.end();
    assert!(said.contains("left out") && !said.contains("hunter2"), "{said}");
}

#[test]
fn words_alone_pass_byte_for_byte_and_are_mentioned() {
    let mut bridge = Bridge::new(Gate::Prose, Mode::Json);
    bridge.call(1, "build_creative");
    let text = "Unable to query: empty authorization: not authorized";
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    let sent = json!({ "result": result, "jsonrpc": "2.0", "id": 1 }).to_string();
    assert_eq!(bridge.response(1), sent);
    assert!(bridge.sandbox.opened_urls().is_empty());
    assert_eq!(bridge.server.calls("tools/call").len(), 1);
    let said = bridge.end();
    assert!(said.contains("not authorized"), "{said}");
}

#[test]
fn what_is_open_needs_nobody() {
    let mut bridge = Bridge::new(Gate::Handler, Mode::Sse);
    bridge.call(1, "list_formats");
    assert_eq!(bridge.result(1)["structuredContent"]["tool"], "list_formats");
    assert!(bridge.sandbox.opened_urls().is_empty());
    bridge.end();
}
