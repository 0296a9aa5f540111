//! `authctl mcp` in front of real MCP servers of the legacy era: the official TypeScript SDK over Streamable HTTP
//! and HTTP+SSE, and server-everything.

#![cfg(unix)]

use serde_json::{Value, json};

use crate::real_parts::{Everything, LegacyMcp, present};
use crate::support::eventually;
use crate::support::mcp_host::Host;
use crate::support::sandbox::Sandbox;

fn call(host: &mut Host, name: &str, arguments: &Value) -> Value {
    let answer = host.call("tools/call", &json!({"name": name, "arguments": arguments}));
    assert!(answer["error"].is_null(), "{name}: {answer}");
    answer["result"].clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))
}

/// Calls a tool that asks the host something first.
fn call_and_reply(host: &mut Host, tool: &str, method: &str, reply: &Value) -> Value {
    let id = host.ask("tools/call", &json!({"name": tool, "arguments": {}}));
    let asked = host.receive(method, |message| message["method"] == method);
    host.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": reply}));
    host.answer(&id)["result"].clone()
}

/// What every server of the SDK does over every transport.
fn works(server: &mut LegacyMcp, host: &mut Host) {
    assert_eq!(text(&call(host, "echo", &json!({"text": "ü"}))), "ü");
    assert_eq!(text(&call(host, "big", &json!({"bytes": 3_000_000}))).len(), 3_000_000);
    assert_eq!(call(host, "fail", &json!({}))["isError"], true);
    let roots = json!({"roots": [{"uri": "file:///work"}]});
    assert_eq!(text(&call_and_reply(host, "roots", "roots/list", &roots)), "file:///work");
    let said =
        json!({"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"});
    assert_eq!(text(&call_and_reply(host, "sample", "sampling/createMessage", &said)), "hi");
    let agreed = json!({"action": "accept", "content": {"name": "me"}});
    let elicited = call_and_reply(host, "elicit", "elicitation/create", &agreed);
    assert!(text(&elicited).contains("me"), "{elicited}");

    let params = json!({"name": "count", "arguments": {"to": 3}, "_meta": {"progressToken": "p"}});
    host.call("tools/call", &params);
    for progress in 1..=3 {
        let is_it = |it: &Value| it["method"] == "notifications/progress";
        assert_eq!(host.receive("progress", is_it)["params"]["progress"], progress);
    }
    host.asides.clear();
    server.command("announce");
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");

    server.seen();
    let id = host.ask("tools/call", &json!({"name": "forever", "arguments": {}}));
    eventually("the call", || {
        server.seen().iter().any(|it| it["rpc"] == "tools/call").then_some(())
    });
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    eventually("its end", || {
        server.seen().iter().any(|it| it["cancelled"] == "forever").then_some(())
    });
}

#[test]
fn the_typescript_sdk_over_streamable_http() {
    if !present(&["node"]) {
        return;
    }
    let (sandbox, mut server) = (Sandbox::new(), LegacyMcp::start(&json!({})));
    let mut host = Host::met(&sandbox, &[&server.url]);
    // Its own stream is there once it says something on it.
    eventually("its stream", || server.seen().iter().any(|it| it["method"] == "GET").then_some(()));
    works(&mut server, &mut host);

    // The stream of a request is closed, and its answer comes on another.
    assert_eq!(text(&call(&mut host, "cut", &json!({}))), "after the cut");
    let seen = server.seen();
    assert!(
        seen.iter().any(|it| it["method"] == "GET" && it["last_event_id"].is_string()),
        "{seen:?}"
    );

    server.command("forget");
    assert_eq!(text(&call(&mut host, "echo", &json!({"text": "again"}))), "again");
    let seen = server.seen();
    assert!(seen.iter().any(|it| it["rpc"] == "initialize"), "{seen:?}");
    assert_eq!(host.end().code(), Some(0));
    let seen = server.seen();
    assert!(seen.iter().any(|it| it["method"] == "DELETE"), "{seen:?}");
}

#[test]
fn the_typescript_sdk_without_sessions_and_in_json() {
    if !present(&["node"]) {
        return;
    }
    for options in [
        json!({"stateless": true}),
        json!({"json": true}),
        json!({"json": true, "stateless": true}),
    ] {
        let (sandbox, server) = (Sandbox::new(), LegacyMcp::start(&options));
        let mut host = Host::met(&sandbox, &[&server.url]);
        assert_eq!(text(&call(&mut host, "echo", &json!({"text": "a"}))), "a", "{options}");
        assert_eq!(host.end().code(), Some(0));
    }
}

#[test]
fn the_typescript_sdk_over_http_sse() {
    if !present(&["node"]) {
        return;
    }
    let (sandbox, mut server) = (Sandbox::new(), LegacyMcp::start(&json!({"sse": true})));
    let mut host = Host::met(&sandbox, &[&server.url]);
    works(&mut server, &mut host);
    server.command("forget");
    let again = |host: &mut Host| {
        host.call("tools/call", &json!({"name": "echo", "arguments": {"text": "b"}}))
    };
    // A call may meet the stream as it ends; the next one has another.
    eventually("a new session", || again(&mut host)["result"].is_object().then_some(()));
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn server_everything_over_both_transports() {
    if !present(&["node"]) {
        return;
    }
    for transport in ["streamableHttp", "sse"] {
        let (sandbox, server) = (Sandbox::new(), Everything::start(transport));
        let mut host = Host::met(&sandbox, &[&server.url]);
        let tools = host.call("tools/list", &json!({}));
        assert!(tools["result"]["tools"].as_array().unwrap().len() > 5, "{transport}: {tools}");
        assert_eq!(text(&call(&mut host, "echo", &json!({"message": "hi"}))), "Echo: hi");
        let params = json!({
            "name": "trigger-long-running-operation",
            "arguments": {"duration": 1, "steps": 4},
            "_meta": {"progressToken": 7},
        });
        assert!(host.call("tools/call", &params)["result"].is_object());
        let progress = host.receive("progress", |it| it["method"] == "notifications/progress");
        assert_eq!(progress["params"]["progressToken"], 7, "{transport}");
        assert!(host.call("resources/list", &json!({}))["result"].is_object());
        assert_eq!(host.end().code(), Some(0), "{transport}");
    }
}
