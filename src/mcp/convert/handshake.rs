//! What is agreed at the beginning, in both forms: `initialize` with its result, and the `_meta` of a request
//! with the result of `server/discover`.

use serde_json::{Map, Value, json};

use crate::jsonrpc::Message;
use crate::mcp::meta::{Client, SERVER_INFO};
use crate::mcp::{LEGACY, LEGACY_VERSIONS, MODERN};

/// A host with a handshake, as a modern request names it.
pub fn client_of(initialize: &Message) -> Client {
    let mut params = initialize.member("params");
    let mut capabilities = members(params["capabilities"].take());
    capabilities.retain(|name, _| name != "tasks");
    if let Some(roots) = capabilities.get_mut("roots") {
        *roots = json!({});
    }
    let takes_urls = version_of(initialize) == LEGACY;
    if let Some(Value::Object(elicitation)) = capabilities.get_mut("elicitation") {
        elicitation.retain(|mode, _| mode != "url" || takes_urls);
        if elicitation.is_empty() {
            elicitation.insert("form".to_owned(), json!({}));
        }
    }
    let info = match params["clientInfo"].take() {
        Value::Null => Client::own().info,
        info => info,
    };
    Client { version: MODERN.to_owned(), info, capabilities: capabilities.into() }
}

/// The revision that is spoken with a host.
pub fn version_of(initialize: &Message) -> String {
    let params = initialize.member("params");
    let asked = params["protocolVersion"].as_str().unwrap_or(LEGACY);
    if LEGACY_VERSIONS.contains(&asked) { asked } else { LEGACY }.to_owned()
}

/// The result of `initialize`, from that of `server/discover`.
pub fn initialized(discovered: &Value, version: &str) -> Value {
    let info = match &discovered["_meta"][SERVER_INFO] {
        Value::Null => json!({"name": "server", "version": ""}),
        info => info.clone(),
    };
    let mut result = json!({
        "protocolVersion": version,
        "capabilities": members(discovered["capabilities"].clone()),
        "serverInfo": info,
    });
    if discovered["instructions"].is_string() {
        result["instructions"] = discovered["instructions"].clone();
    }
    result
}

/// The parameters of `initialize`, in the name of a modern host.
pub fn initialize(client: &Client) -> Value {
    json!({
        "protocolVersion": LEGACY,
        "capabilities": members(client.capabilities.clone()),
        "clientInfo": client.info,
    })
}

/// The result of `server/discover`, from that of `initialize`.
pub fn discovered(initialized: &Value) -> Value {
    let mut capabilities = members(initialized["capabilities"].clone());
    capabilities.retain(|name, _| name != "tasks");
    let mut result = json!({
        "resultType": "complete",
        "supportedVersions": [MODERN],
        "capabilities": capabilities,
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {SERVER_INFO: initialized["serverInfo"]},
    });
    if initialized["instructions"].is_string() {
        result["instructions"] = initialized["instructions"].clone();
    }
    result
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(version: &str, capabilities: &Value) -> Value {
        let params = json!({"protocolVersion": version, "capabilities": capabilities});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        client_of(&Message::read(message.to_string()).unwrap()).capabilities
    }

    #[test]
    fn capabilities_take_the_modern_form() {
        let given = json!({
            "roots": {"listChanged": true},
            "sampling": {"tools": {}},
            "elicitation": {},
            "tasks": {"list": {}},
            "experimental": {"x": {}},
        });
        let expected = json!({
            "roots": {},
            "sampling": {"tools": {}},
            "elicitation": {"form": {}},
            "experimental": {"x": {}},
        });
        assert_eq!(capabilities(LEGACY, &given), expected);
        let url = json!({"elicitation": {"url": {}}});
        assert_eq!(capabilities(LEGACY, &url), url);
        let without = json!({"elicitation": {"form": {}}});
        assert_eq!(capabilities("2025-06-18", &url), without);
    }
}
