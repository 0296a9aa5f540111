//! Signing out from inside the editor: the agent forgets what it was given. What authctl keeps stays; that is
//! `authctl logout`.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::Relay;
use super::recovery::cancelled;
use super::ways::Way;
use crate::jsonrpc::{Id, Message};

/// How long an agent may take to let a provider go.
const DISABLE_WAIT: Duration = Duration::from_mins(1);

impl Relay {
    pub(super) async fn log_out(self: Rc<Self>, id: Id, request: Message) {
        let Some(turn) = self.turn_of(&id).await else {
            return self.to_editor(cancelled(&id, "logout"));
        };
        self.is_signed_out.set(true);
        for standing in &self.standings {
            let is_set = standing.way.get() == Some(Way::ProvidersSet);
            let grant = standing.grant();
            if let Some(set) = grant.ways.providers_set.as_ref().filter(|_| is_set) {
                let agent = self.agent.borrow().clone();
                let params = json!({"providerId": set.id});
                if let Some(agent) = agent {
                    // An agent that cannot is told to sign out in any case.
                    let _ = agent.ask("providers/disable", &params, DISABLE_WAIT).await;
                }
            }
        }
        if self.is_to_be_forgotten() {
            self.start_without().await;
        }
        self.standings.iter().for_each(|standing| standing.way.set(None));
        drop(turn);
        if self.advertised.borrow().has_logout {
            let method = request.method().unwrap_or_default().to_owned();
            self.pass(id, &method, request);
        } else {
            self.to_editor(Message::result(&id, &json!({})));
        }
        self.push_status();
    }

    /// Whether the agent has something that it is not known to let go.
    fn is_to_be_forgotten(&self) -> bool {
        let has_logout = self.advertised.borrow().has_logout;
        self.standings.iter().any(|standing| {
            standing.started.get().is_some()
                || !has_logout && standing.way.get().is_some_and(|way| way != Way::ProvidersSet)
        })
    }

    /// The agent as it was before it got anything, with the editor's sessions.
    async fn start_without(self: &Rc<Self>) {
        self.standings.iter().for_each(|standing| standing.started.set(None));
        let Some(first) = self.standings.first() else { return };
        match self.restart(Some(first)).await {
            Ok(()) => self.restore_sessions().await,
            Err(why) => self.say(&why),
        }
        self.release();
    }
}
