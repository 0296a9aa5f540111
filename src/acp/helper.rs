//! The way by a credential helper: the agent runs a command that authctl answers, each time with what is stored
//! then. It learns of that command from a variable, or from `_meta` where it opens a session.

use std::rc::Rc;

use serde_json::{Value, json};

use super::deliver::Standing;
use super::hook::Hook;
use super::ways::Way;
use super::{Relay, sessions};
use crate::config::Helper;
use crate::jsonrpc::{Message, rewritten};

impl Relay {
    /// The command that asks for this credential, as long as the agent is to have it in this way.
    pub(super) fn helper(self: &Rc<Self>, standing: &Standing) -> Result<String, String> {
        let mut hook = standing.hook.borrow_mut();
        if let Some(hook) = &*hook {
            return Ok(hook.command().to_owned());
        }
        let program = self.settings.own_command.first().ok_or("this program is not found")?;
        let (relay, name) = (Rc::downgrade(self), standing.grant().name.clone());
        let opened = Hook::open(program, move || {
            let (relay, name) = (relay.clone(), name.clone());
            Box::pin(async move {
                let relay = relay.upgrade().ok_or("the session is over")?;
                relay.answer_helper(&name).await
            })
        });
        let opened = opened.map_err(|error| format!("cannot make a socket: {error}"))?;
        Ok(hook.insert(opened).command().to_owned())
    }

    async fn answer_helper(&self, name: &str) -> super::hook::Answer {
        let mut standings = self.standings.iter();
        let standing = standings.find(|it| it.grant().name == name && it.hook.borrow().is_some());
        let standing = standing.ok_or("the agent gets its credential in another way")?;
        if self.is_signed_out.get() {
            return Err("the editor has signed out".to_owned());
        }
        self.possess(standing, Way::Helper).await
    }

    /// The request with the command in its `_meta`, where it opens a session and the agent looks there.
    pub(super) fn with_helper(&self, request: Message) -> Message {
        if !request.method().is_some_and(sessions::opens) {
            return request;
        }
        let Some(meta) = self.helper_meta(request.member("params")["_meta"].clone()) else {
            return request;
        };
        rewritten(&request, |message| {
            message.edit("params", |params| params.set_value("_meta", &meta));
        })
    }

    /// The same `_meta` with it; `None` where there is none to put in.
    pub(super) fn helper_meta(&self, mut meta: Value) -> Option<Value> {
        let mut is_changed = false;
        for standing in &self.standings {
            let (grant, hook) = (standing.grant(), standing.hook.borrow());
            if let (Some(Helper::Meta(path)), Some(hook)) = (&grant.ways.helper, &*hook) {
                is_changed |= put(&mut meta, path, hook.command());
            }
        }
        is_changed.then_some(meta)
    }
}

/// Whether there was a place: what the editor says instead of a table stays.
fn put(at: &mut Value, path: &[String], text: &str) -> bool {
    let Some((first, rest)) = path.split_first() else {
        *at = json!(text);
        return true;
    };
    if at.is_null() {
        *at = json!({});
    }
    at.is_object() && put(&mut at[first.as_str()], rest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_put_among_what_the_editor_says() {
        let path = ["a", "b"].map(str::to_owned);
        let mut meta = json!({"x": 1, "a": {"c": 2}});
        assert!(put(&mut meta, &path, "run"));
        assert_eq!(meta, json!({"x": 1, "a": {"c": 2, "b": "run"}}));
        let mut none = Value::Null;
        assert!(put(&mut none, &path, "run"));
        assert_eq!(none, json!({"a": {"b": "run"}}));
        let mut file = json!({"a": "settings.json"});
        assert!(!put(&mut file, &path, "run"));
        assert_eq!(file, json!({"a": "settings.json"}));
    }
}
