//! What a modern request says of itself in `_meta` (MCP 2026-07-28, basic, `_meta`), so that it stands alone.

use serde_json::{Value, json};

use super::MODERN;
use crate::jsonrpc::{Members, Message};

pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Of requests of the modern era alone.
const OF_REQUESTS: [&str; 4] = [PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL];

/// A client and its revision, as its requests name them.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    pub version: String,
    pub info: Value,
    pub capabilities: Value,
}

impl Client {
    /// As a modern request names it.
    pub fn of(request: &Message) -> Self {
        let meta = Members::of(request).object("params").object("_meta");
        Self {
            version: meta.value_of(PROTOCOL_VERSION).unwrap_or_else(|| MODERN.to_owned()),
            info: meta.value_of(CLIENT_INFO).unwrap_or_else(own_info),
            capabilities: meta.value_of(CLIENT_CAPABILITIES).unwrap_or_else(|| json!({})),
        }
    }

    /// Where no host has said its name.
    pub fn own() -> Self {
        Self { version: MODERN.to_owned(), info: own_info(), capabilities: json!({}) }
    }

    /// Writes it into the parameters of a request.
    pub fn stamp(&self, params: &mut Members<'_>) {
        params.edit("_meta", |meta| {
            meta.set_value(PROTOCOL_VERSION, &json!(self.version));
            meta.set_value(CLIENT_INFO, &self.info);
            meta.set_value(CLIENT_CAPABILITIES, &self.capabilities);
        });
    }

    /// The parameters of a request that has no others.
    pub fn params(&self) -> Value {
        json!({"_meta": {
            PROTOCOL_VERSION: self.version,
            CLIENT_INFO: self.info,
            CLIENT_CAPABILITIES: self.capabilities,
        }})
    }
}

fn own_info() -> Value {
    json!({"name": "authctl", "version": env!("CARGO_PKG_VERSION")})
}

/// Takes out what only modern servers understand; progress tokens and traces stay.
pub fn strip(params: &mut Members<'_>) {
    params.edit("_meta", |meta| OF_REQUESTS.into_iter().for_each(|name| meta.remove(name)));
}

/// The level from which on a request wants to hear log messages.
pub fn log_level(request: &Message) -> Option<String> {
    Members::of(request).object("params").object("_meta").value_of(LOG_LEVEL)
}
