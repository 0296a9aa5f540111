//! The sessions that the editor has open: what brings each back in an agent that was started anew, and what was
//! set in it since.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::jsonrpc::Message;

/// Requests that set something in a session, with the member that says what, where there are several of a kind
/// (ACP v1, session modes and config options; `set_model` was never stable, and agents have it).
const SETTERS: [(&str, &str); 3] = [
    ("session/set_mode", ""),
    ("session/set_model", ""),
    ("session/set_config_option", "configId"),
];
/// Settings of one session that are kept, and bytes of each.
const MOST_SETTINGS: usize = 64;
const LONGEST_SETTING: usize = 4 << 10;

#[derive(Debug, Default)]
pub struct Sessions {
    /// By `sessionId`.
    open: BTreeMap<String, Session>,
    /// Those that a new agent did not bring back, with the reason.
    lost: BTreeMap<String, String>,
}

/// What it takes to have a session as it was.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// What `session/load` and `session/resume` take.
    pub params: Value,
    /// What was set, in that order; of each kind the last one.
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub method: &'static str,
    pub params: Value,
}

impl Setting {
    /// Of a request that sets something.
    fn of(request: &Message) -> Option<Self> {
        let (method, _) = SETTERS.iter().find(|(method, _)| request.method() == Some(method))?;
        let is_short = request.text().len() <= LONGEST_SETTING;
        is_short.then(|| Self { method, params: request.member("params") })
    }

    fn kind(&self) -> (&str, &Value) {
        let about = SETTERS.iter().find(|(method, _)| *method == self.method);
        (self.method, &self.params[about.map_or("", |(_, member)| member)])
    }
}

/// Requests that open a session.
pub fn opens(method: &str) -> bool {
    matches!(method, "session/new" | "session/load" | "session/resume" | "session/fork")
}

/// Requests that set something in one.
pub fn sets(method: &str) -> bool {
    SETTERS.iter().any(|(setter, _)| *setter == method)
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
        let settings = match request.method() {
            Some("session/fork") => self.settings_for(asked.as_str(), &id),
            _ => Vec::new(),
        };
        self.lost.remove(&id);
        self.open.insert(id, Session { params, settings });
    }

    /// Those of one session, for another.
    fn settings_for(&self, from: Option<&str>, to: &str) -> Vec<Setting> {
        let mut settings =
            from.and_then(|id| self.open.get(id)).map_or_else(Vec::new, |it| it.settings.clone());
        for setting in &mut settings {
            setting.params["sessionId"] = json!(to);
        }
        settings
    }

    pub fn closed(&mut self, request: &Message) {
        if let Some(id) = request.member("params")["sessionId"].as_str() {
            self.open.remove(id);
            self.lost.remove(id);
        }
    }

    pub fn forget(&mut self, id: &str) {
        self.open.remove(id);
    }

    /// One that the agent which runs does not have.
    pub fn lose(&mut self, id: &str, why: &str) {
        self.open.remove(id);
        self.lost.insert(id.to_owned(), why.to_owned());
    }

    /// Why the agent does not have the session in which a request wants something done.
    pub fn why_lost(&self, request: &Message) -> Option<&str> {
        let method = request.method().filter(|_| !self.lost.is_empty())?;
        let is_inside = method == "session/prompt" || sets(method);
        let id = of(request).filter(|_| is_inside)?;
        self.lost.get(&id).map(String::as_str)
    }

    /// Notes what an agent has let itself be set.
    pub fn set(&mut self, request: &Message) {
        let session = of(request).and_then(|id| self.open.get_mut(&id));
        let Some((session, setting)) = session.zip(Setting::of(request)) else { return };
        session.settings.retain(|other| other.kind() != setting.kind());
        if session.settings.len() < MOST_SETTINGS {
            session.settings.push(setting);
        }
    }

    /// One that the agent takes no longer.
    pub fn forget_setting(&mut self, id: &str, setting: &Setting) {
        if let Some(session) = self.open.get_mut(id) {
            session.settings.retain(|other| other != setting);
        }
    }

    /// Whether an agent's news of its sessions' settings would be heeded.
    pub fn has_settings(&self) -> bool {
        self.open.values().any(|session| !session.settings.is_empty())
    }

    /// Notes what the agent has set itself since, of what was set: the editor knows that.
    pub fn heard(&mut self, news: &Message) {
        let session = of(news).and_then(|id| self.open.get_mut(&id));
        let Some(session) = session else { return };
        let update = &news.member("params")["update"];
        for setting in &mut session.settings {
            let current = match setting.method {
                "session/set_mode" => &update["currentModeId"],
                "session/set_config_option" => current_of(update, &setting.params["configId"]),
                _ => continue,
            };
            let member = if setting.method == "session/set_mode" { "modeId" } else { "value" };
            if current.to_string().len() <= LONGEST_SETTING && !current.is_null() {
                setting.params[member] = current.clone();
            }
        }
    }

    /// All of them.
    pub fn list(&self) -> Vec<(String, Session)> {
        self.open.iter().map(|(id, session)| (id.clone(), session.clone())).collect()
    }
}

/// The value that an update says a config option has.
fn current_of<'a>(update: &'a Value, id: &Value) -> &'a Value {
    let mut options = update["configOptions"].as_array().into_iter().flatten();
    options.find(|option| option["id"] == *id).map_or(&Value::Null, |it| &it["currentValue"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(method: &str, params: &Value) -> Message {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Message::read(message.to_string()).unwrap()
    }

    fn opened() -> Sessions {
        let mut sessions = Sessions::default();
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"sessionId": "s"}});
        let answer = Message::read(answer.to_string()).unwrap();
        sessions.opened(&message("session/new", &json!({"cwd": "/"})), &answer);
        sessions
    }

    fn set(sessions: &mut Sessions, option: &str, value: &Value) {
        let params = json!({"sessionId": "s", "configId": option, "value": value});
        sessions.set(&message("session/set_config_option", &params));
    }

    fn values(sessions: &Sessions) -> Vec<Value> {
        let settings = &sessions.list()[0].1.settings;
        settings.iter().map(|setting| setting.params["value"].clone()).collect()
    }

    #[test]
    fn the_last_of_each_kind_is_kept_in_its_order_and_not_without_end() {
        let mut sessions = opened();
        for (option, value) in [("a", 1), ("b", 2), ("a", 3)] {
            set(&mut sessions, option, &json!(value));
        }
        assert_eq!(values(&sessions), [2, 3]);
        set(&mut sessions, "c", &json!("x".repeat(LONGEST_SETTING)));
        assert_eq!(values(&sessions), [2, 3]);
        (0..1_000).for_each(|count| set(&mut sessions, &count.to_string(), &json!(count)));
        assert_eq!(values(&sessions).len(), MOST_SETTINGS);
        sessions.set(&message("session/set_mode", &json!({"sessionId": "unknown"})));
        assert_eq!(sessions.list().len(), 1);
    }

    #[test]
    fn what_the_agent_sets_itself_counts() {
        let mut sessions = opened();
        set(&mut sessions, "a", &json!(1));
        let update =
            |update: Value| message("session/update", &json!({"sessionId": "s", "update": update}));
        sessions.heard(&update(json!({"configOptions": [{"id": "a", "currentValue": 5}]})));
        sessions.heard(&update(json!({"configOptions": "x", "currentModeId": "y"})));
        assert_eq!(values(&sessions), [5]);
        sessions.set(&message("session/set_mode", &json!({"sessionId": "s", "modeId": "plan"})));
        sessions.heard(&update(json!({"currentModeId": "code"})));
        assert_eq!(sessions.list()[0].1.settings[1].params["modeId"], "code");
    }
}
