//! Links and words of a server about a sign-in, through the bridge: its own links are opened and the call goes
//! on, strangers' links and mere words reach the host as they came.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{Scene, call, is_done, modern, shows_links};
use crate::support::mcp_server::{Gate, McpServer, Mode};
use crate::support::mcp_wire::WireServer;
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
        bridge.greet();
        bridge
    }

    fn greet(&mut self) {
        let parameters = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "host", "version": "1" },
        });
        self.say(
            &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters }),
        );
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

/// It cannot be opened unless it is seen whole, nor judged unless its origin is named.
#[test]
fn a_foreign_link_is_shown_whole_and_with_its_origin() {
    const LINK: &str = "https://evil.example/x?state=abc&next=%2F";
    let mut bridge = Bridge::new(Gate::LinkError, Mode::Json);
    bridge.server.hand_out(LINK);
    bridge.call(1, "build_creative");
    bridge.response(1);
    bridge.call(2, "build_creative");
    bridge.response(2);
    let said = bridge.end();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(LINK)).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("a page of https://evil.example, which is not its own"), "{said}");
}

/// A host that can show links, greeted.
fn showing(gate: Gate) -> (McpServer, Sandbox, Host) {
    let server = McpServer::start(gate, Mode::Sse);
    let sandbox = Sandbox::new();
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let id = host.hello_with(&shows_links());
    host.answer(&id);
    host.notify("notifications/initialized");
    (server, sandbox, host)
}

#[test]
fn a_host_that_shows_links_shows_those_of_the_server_foreign_ones_too() {
    for foreign in [None, Some("https://evil.example/x?state=abc")] {
        let (server, sandbox, mut host) = showing(Gate::LinkError);
        let own = server.link();
        server.hand_out(foreign.unwrap_or(&own));
        let id = host.ask("tools/call", &call("build_creative"));
        let asked = host.receive("the link", |it| it["method"] == "elicitation/create");
        assert_eq!(asked["params"]["url"], foreign.unwrap_or(&own));
        let message = asked["params"]["message"].as_str().unwrap();
        assert_eq!(message.contains("a page of https://evil.example,"), foreign.is_some());
        server.hand_out(&own);
        server.follow_link();
        let accepted = json!({"action": "accept"});
        host.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted}));
        assert!(is_done(&host.answer(&id)));
        host.receive("its end", |it| it["method"] == "notifications/elicitation/complete");
        assert!(sandbox.opened_urls().is_empty());
    }
}

#[test]
fn a_link_that_the_person_declines_leaves_the_servers_own_words() {
    let (_server, sandbox, mut host) = showing(Gate::LinkError);
    let id = host.ask("tools/call", &call("build_creative"));
    let asked = host.receive("the link", |it| it["method"] == "elicitation/create");
    let declined = json!({"action": "decline"});
    host.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": declined}));
    assert_eq!(host.answer(&id)["error"]["code"], -32603);
    assert!(sandbox.opened_urls().is_empty());
}

#[test]
fn a_required_elicitation_passes_to_a_host_that_can_have_it() {
    let (server, sandbox, mut host) = showing(Gate::ElicitationError);
    let answer = host.call("tools/call", &call("build_creative"));
    assert_eq!(answer["error"]["code"], -32042);
    assert_eq!(answer["error"]["data"]["elicitations"][0]["url"], server.link());
    assert!(sandbox.opened_urls().is_empty());
}

/// Without a handshake the link is a result, and the call that is repeated goes on.
#[test]
fn a_link_is_a_result_for_a_host_without_a_handshake() {
    for action in ["accept", "decline"] {
        let server = McpServer::start(Gate::LinkError, Mode::Json);
        let sandbox = Sandbox::new();
        let mut host = Host::start(&sandbox, &[&server.url()]);
        let mut parameters = modern(&call("build_creative"), &shows_links());
        let asked = host.call("tools/call", &parameters);
        let result = &asked["result"];
        let (key, input) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(input["params"]["url"], server.link());
        parameters["requestState"] = result["requestState"].clone();
        parameters["inputResponses"] = json!({ key: { "action": action } });
        if action == "accept" {
            server.follow_link();
            assert!(is_done(&host.call("tools/call", &parameters)));
        } else {
            assert_eq!(host.call("tools/call", &parameters)["error"]["code"], -32603);
        }
        assert!(sandbox.opened_urls().is_empty());
    }
}

#[test]
fn calls_that_meet_one_link_at_one_time_open_it_once() {
    let mut bridge = Bridge::new(Gate::LinkError, Mode::Json);
    for id in 1..=5 {
        bridge.call(id, "build_creative");
    }
    bridge.running.opened_url();
    eventually("all calls", || (bridge.server.calls("tools/call").len() >= 5).then_some(()));
    bridge.server.follow_link();
    for id in 1..=5 {
        assert_eq!(bridge.result(id)["structuredContent"]["tool"], "build_creative");
    }
    assert_eq!(bridge.sandbox.opened_urls().len(), 1);
    bridge.end();
}

/// `AUTH_REQUIRED` with status 200: one sign-in, one more try; what is open asks for nobody.
#[test]
fn an_error_of_adcp_is_signed_in_for() {
    for (gate, mode) in [
        (Gate::Tool, Mode::Json),
        (Gate::Tool, Mode::Sse),
        (Gate::ToolText, Mode::Json),
        (Gate::Handler, Mode::Sse),
    ] {
        let scene = Scene::with(gate, mode);
        let mut host = scene.host(&[]);
        host.initialize();
        assert!(is_done(&host.call("tools/call", &call("get_adcp_capabilities"))));
        assert!(scene.tabs().is_empty());
        let waiting = host.ask("tools/call", &call("build_creative"));
        scene.agree(0);
        assert!(is_done(&host.answer(&waiting)));
        let names: Vec<Value> =
            scene.mcp.calls("tools/call").iter().map(|it| it["params"]["name"].clone()).collect();
        assert_eq!(names, ["get_adcp_capabilities", "build_creative", "build_creative"]);
        assert_eq!(scene.tabs().len(), 1);
        host.last_words();
    }
}

#[test]
fn an_error_that_stays_after_the_sign_in_passes_byte_for_byte() {
    let scene = Scene::new(Gate::Tool);
    scene.mcp.trust(|_| false);
    let mut command = scene.sandbox.command(["mcp", &scene.mcp.url()]);
    command.stdin(std::process::Stdio::piped());
    let running = scene.sandbox.start(command);
    let mut bridge = Bridge {
        server: McpServer::start(Gate::None, Mode::Json),
        sandbox: Sandbox::new(),
        running,
    };
    bridge.greet();
    bridge.call(1, "build_creative");
    scene.agree(0);
    let refused = bridge.response(1);
    let seen = scene.mcp.last_reply();
    assert_eq!(refused, seen);
    bridge.end();
}

/// Errors of other kinds are none of authctl's business.
#[test]
fn errors_of_other_kinds_pass_byte_for_byte() {
    for code in ["ACCOUNT_NOT_FOUND", "PERMISSION_DENIED", "RATE_LIMITED", "BUDGET_EXHAUSTED"] {
        let body = move |id: &Value| {
            format!(
                r#"{{"result":{{"structuredContent":{{"adcp_error":{{"code":"{code}","recovery":"terminal","message":"é"}}}},"isError":true,"content":[]}},"jsonrpc":"2.0","id":{id}}}"#
            )
        };
        let server = WireServer::start(move |call| match call.what() {
            "tools/call" => {
                let body = body(&call.message()["id"]);
                call.reply(200, &[], "application/json", &body)
            }
            _ => call.normal(),
        });
        let sandbox = Sandbox::new();
        let mut host = Host::met(&sandbox, &[&server.url()]);
        let id = host.ask("tools/call", &call("t"));
        assert_eq!(
            host.answer(&id).to_string(),
            serde_json::from_str::<Value>(&body(&id)).unwrap().to_string()
        );
        assert!(sandbox.opened_urls().is_empty());
        assert_eq!(server.count("tools/call"), 1);
    }
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
    assert!(said.contains("should not be opened") && !said.contains("hunter2"), "{said}");
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

/// The words of the gateway: no metadata says who signs people in.
#[test]
fn the_page_that_a_401_names_is_opened_whatever_its_member_is_called() {
    for member in ["login_url", "authorization_uri"] {
        let server = WireServer::start(move |call| match call.what() {
            "tools/call" => {
                let page = format!("http://{}/sign-in?session=7", call.header("host"));
                let body = json!({"error": "login required", member: page}).to_string();
                call.reply(401, &[], "application/json", &body)
            }
            _ => call.normal(),
        });
        let sandbox = Sandbox::new();
        let mut host = Host::met(&sandbox, &[&server.url(), "--call-wait", "1s"]);
        let answer = host.call("tools/call", &call("t"));
        let page = format!("http://{}/sign-in?session=7", server.host());
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(&page), "{answer}");
        eventually("a tab", || (sandbox.opened_urls() == [page.clone()]).then_some(()));
        assert!(host.call("tools/list", &json!({}))["result"]["tools"].is_array());
    }
}

#[test]
fn where_nobody_can_sign_in_the_servers_words_stay_and_the_next_step_is_said() {
    let server = McpServer::start(Gate::Tool, Mode::Json);
    let sandbox = Sandbox::new();
    let mut host = Host::met(&sandbox, &[&server.url(), "--call-wait", "10s"]);
    let answer = host.call("tools/call", &call("build_creative"));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("requires an authenticated principal"), "{answer}");
    assert!(text.contains(&format!("authctl login {} --with-key", server.url())), "{answer}");
    host.last_words();
}
