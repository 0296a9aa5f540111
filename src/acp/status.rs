//! `auth/status` (unstable): who is signed in, answered and pushed on the agent's behalf. Agents have a message
//! of their own for it, `_auth/status_update`.

use std::rc::Rc;

use serde_json::{Value, json};

use super::Relay;
use crate::jsonrpc::Message;
use crate::text::clean;

/// What the agent said last.
#[derive(Debug, Default)]
pub struct Status {
    kind: Option<String>,
    label: Option<String>,
    /// What the editor was told last.
    pushed: Option<Value>,
}

impl Status {
    pub fn hear(&mut self, message: &Message) {
        let said = &message.member("params")["authStatus"];
        let text = |name: &str| said[name].as_str().map(clean);
        self.kind = text("kind");
        self.label = text("label");
    }

    /// In the words of the protocol.
    fn of_agent(&self) -> Value {
        let Some(kind) = &self.kind else { return json!({"state": "unknown", "accounts": []}) };
        if kind == "none" {
            return json!({"state": "unauthenticated", "accounts": []});
        }
        let label = self.label.as_deref().unwrap_or(kind);
        json!({"state": "authenticated", "accounts": [{"label": label, "active": true}]})
    }
}

impl Relay {
    /// Whether the editor's question is authctl's to answer.
    pub(super) fn answers_status(&self) -> bool {
        !self.advertised.borrow().has_status
    }

    pub(super) fn current_status(&self) -> Value {
        if self.is_own() {
            return self.status.borrow().of_agent();
        }
        let served = self.standings.iter().filter(|standing| standing.serves());
        let accounts: Vec<Value> = served
            .map(|standing| {
                let grant = standing.grant();
                let (name, title) = (&grant.name, &grant.title);
                json!({"label": format!("{title} ({name})"), "active": true, "name": name})
            })
            .collect();
        let state = if accounts.is_empty() { "unauthenticated" } else { "authenticated" };
        json!({"state": state, "accounts": accounts})
    }

    /// Tells an editor that speaks of signing in, where something has changed.
    pub(super) fn push_status(self: &Rc<Self>) {
        if !self.answers_status() || !self.editor_can.borrow().sign_in {
            return;
        }
        let current = self.current_status();
        let mut status = self.status.borrow_mut();
        if status.pushed.as_ref() != Some(&current) {
            self.to_editor(Message::notification("auth/status_update", Some(&current)));
            status.pushed = Some(current);
        }
    }
}
