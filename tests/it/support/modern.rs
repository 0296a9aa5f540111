//! A scripted MCP server of 2026-07-28, and what its hosts send.

use std::io;

use serde_json::{Value, json};

use super::mcp_wire::{self, Call, WireServer};

pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// One that does only what is normal.
pub fn modern() -> WireServer {
    WireServer::start(normal)
}

/// What an ordinary server of this era answers.
pub fn normal(call: &mut Call) -> io::Result<()> {
    match call.what().to_owned().as_str() {
        "server/discover" => call.result(&discovered()),
        "tools/list" => call.result(&json!({
            "resultType": "complete",
            "tools": [{"name": "plain", "inputSchema": {"type": "object"}}],
            "ttlMs": 0,
            "cacheScope": "private",
        })),
        "tools/call" | "prompts/get" | "resources/read" | "completion/complete" => {
            let text = call.message()["params"]["arguments"].to_string();
            let content = json!([{"type": "text", "text": text}]);
            call.result(&json!({"resultType": "complete", "content": content}))
        }
        "subscriptions/listen" => {
            acknowledge(call)?;
            call.stay()
        }
        "GET" | "DELETE" => call.reply(405, &[], "text/plain", ""),
        _ => fail(call, 404, -32601, &json!(null)),
    }
}

/// An error, as this era sends it: under a status that says the same.
pub fn fail(call: &mut Call, status: u16, code: i64, data: &Value) -> io::Result<()> {
    let error = json!({"code": code, "message": "scripted", "data": data});
    let body = json!({"jsonrpc": "2.0", "id": call.message()["id"], "error": error});
    call.reply(status, &[], "application/json", &body.to_string())
}

/// Of a server that has everything.
pub fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {
            "tools": {"listChanged": true},
            "prompts": {},
            "resources": {"listChanged": true, "subscribe": true},
            "logging": {},
        },
        "instructions": "be kind",
        "ttlMs": 1000,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "modern", "version": "2"}},
    })
}

/// Begins the stream of a subscription.
pub fn acknowledge(call: &mut Call) -> io::Result<()> {
    let honoured = call.message()["params"]["notifications"].clone();
    call.events()?;
    change(call, "notifications/subscriptions/acknowledged", &json!({"notifications": honoured}))
}

/// A notification on the stream of a subscription.
pub fn change(call: &mut Call, method: &str, params: &Value) -> io::Result<()> {
    let mut params = params.clone();
    params["_meta"] = json!({SUBSCRIPTION: call.message()["id"]});
    call.event(json!({"jsonrpc": "2.0", "method": method, "params": params}))
}

/// What a server with sessions says to a stranger.
pub fn no_session(call: &mut Call) -> io::Result<()> {
    call.reply(400, &[], "application/json", &mcp_wire::no_session())
}

/// The parameters of a request that has no others, of a host that has everything.
pub fn meta() -> Value {
    with_meta(&json!({}))
}

pub fn with_meta(params: &Value) -> Value {
    let everything = json!({"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}});
    with_capabilities(params, &everything)
}

pub fn with_capabilities(params: &Value, capabilities: &Value) -> Value {
    let mut params = params.clone();
    let of_host = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "modern-host", "version": "3"},
        CAPABILITIES: capabilities,
    });
    for (name, value) in of_host.as_object().unwrap() {
        params["_meta"][name] = value.clone();
    }
    params
}
