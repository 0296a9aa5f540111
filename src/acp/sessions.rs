//! The sessions that the editor has open: what brings each back in an agent that was started anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::jsonrpc::Message;

#[derive(Debug, Default)]
pub struct Sessions {
    /// By `sessionId`: the parameters that it was opened with.
    open: BTreeMap<String, Value>,
}

/// Requests that open a session.
pub fn opens(method: &str) -> bool {
    matches!(method, "session/new" | "session/load" | "session/resume" | "session/fork")
}

/// The session that a message is about.
pub fn of(message: &Message) -> Option<String> {
    message.member("params")["sessionId"].as_str().map(str::to_owned)
}

impl Sessions {
    /// Notes the session that an answer says is open.
    pub fn opened(&mut self, request: &Message, answer: &Message) {
        let mut params = request.member("params");
        let (answered, asked) = (answer.member("result"), params["sessionId"].clone());
        let id = answered["sessionId"].as_str().or(asked.as_str()).map(str::to_owned);
        let Some(id) = id else { return };
        if let Some(params) = params.as_object_mut() {
            params.remove("_meta");
            params.insert("sessionId".into(), json!(id));
        }
        self.open.insert(id, params);
    }

    pub fn closed(&mut self, request: &Message) {
        if let Some(id) = request.member("params")["sessionId"].as_str() {
            self.open.remove(id);
        }
    }

    pub fn forget(&mut self, id: &str) {
        self.open.remove(id);
    }

    /// All of them, with what `session/load` and `session/resume` take.
    pub fn list(&self) -> Vec<(String, Value)> {
        self.open.iter().map(|(id, params)| (id.clone(), params.clone())).collect()
    }
}
