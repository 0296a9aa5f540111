//! A handshake without an editor: an agent is started, says what it takes, opens a session where that is wanted,
//! and is ended again. It is handed nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::advertised::Advertised;
use super::agent::{self, Agent};
use crate::jsonrpc::{Kind, Message};
use crate::launch::{self, Ending};
use crate::text::clean_to;

/// What an editor says that it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editor {
    /// Everything that decides what an agent offers.
    Able,
    /// Nothing.
    Plain,
}

/// What an agent said.
pub struct Heard {
    pub advertised: Advertised,
    /// The result of `initialize`.
    pub hello: Value,
    /// What `session/new` came to, where it was asked; the error as the agent said it.
    pub session: Option<Result<(), String>>,
}

impl Heard {
    /// What it says of itself (v2 calls it `info`).
    pub fn info(&self) -> &Value {
        if self.hello["agentInfo"].is_null() {
            &self.hello["info"]
        } else {
            &self.hello["agentInfo"]
        }
    }
}

/// Why it said nothing.
#[derive(Debug, thiserror::Error)]
pub enum Mute {
    #[error(transparent)]
    Launch(#[from] launch::Error),
    #[error("{0}")]
    Silent(#[from] agent::Silence),
    #[error("the agent refused initialize: {0}")]
    Refused(String),
}

/// Has the agent say hello, and ends it; `session` is the folder of one to open.
pub async fn probe(
    command: &launch::Command,
    editor: Editor,
    session: Option<&str>,
    patience: Duration,
) -> Result<Heard, Mute> {
    let sink = |agent: &std::rc::Rc<Agent>, found| match found {
        Ok(message) => decline(agent, agent.hear(message).as_ref()),
        Err(flawed) => agent::note(&flawed, &[]),
    };
    let agent = Agent::start(command, Box::new(sink))?;
    let heard = listen(&agent, editor, session, patience).await;
    agent.end(Ending::Closed).await;
    heard
}

async fn listen(
    agent: &Agent,
    editor: Editor,
    session: Option<&str>,
    patience: Duration,
) -> Result<Heard, Mute> {
    let answer = agent.ask("initialize", &editor.hello(), patience).await?;
    if let Some(refusal) = refusal(&answer) {
        return Err(Mute::Refused(refusal));
    }
    let session = match session {
        Some(folder) => {
            let wish = json!({"cwd": folder, "mcpServers": []});
            let answer = agent.ask("session/new", &wish, patience).await?;
            Some(refusal(&answer).map_or(Ok(()), Err))
        }
        None => None,
    };
    Ok(Heard { advertised: Advertised::of(&answer), hello: answer.member("result"), session })
}

impl Editor {
    fn hello(self) -> Value {
        let capabilities = match self {
            Editor::Plain => json!({}),
            Editor::Able => json!({
                "fs": {"readTextFile": true, "writeTextFile": true},
                "terminal": true,
                "auth": {"terminal": true, "_meta": {"gateway": true}},
                "elicitation": {"form": {}, "url": {}},
                "_meta": {"terminal-auth": true},
            }),
        };
        json!({
            "protocolVersion": 1,
            "clientCapabilities": capabilities,
            "clientInfo": {"name": "authctl", "version": env!("CARGO_PKG_VERSION")},
        })
    }
}

/// What an answer refuses, for people.
fn refusal(answer: &Message) -> Option<String> {
    let error = answer.member("error");
    if error.is_null() {
        return None;
    }
    let said = clean_to(error["message"].as_str().unwrap_or_default(), 300);
    Some(format!("{said} ({})", error["code"]))
}

/// Nobody is there to do what it asks.
fn decline(agent: &Agent, message: Option<&Message>) {
    if let Some(Kind::Request { id, .. }) = message.map(Message::kind) {
        agent.tell(Message::error(Some(id), -32_601, "authctl only looks", None));
    }
}
