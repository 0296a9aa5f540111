//! What a refusal leads to: the next way, the credential of another process, a sign-in. Then the request goes to
//! the agent again, under the editor's id; what nothing helps gets the agent's words and the command that does.

use std::rc::Rc;

use serde_json::json;

use super::Relay;
use super::deliver::Standing;
use super::dialect;
use super::open::Open;
use super::refusal::AUTH_REQUIRED;
use super::ways::Way;
use crate::jsonrpc::{Id, Members, Message, rewritten};
use crate::secret::{Secret, conceal};
use crate::text::clean;

/// How often a request is sent at most: as it came, by another way, and after a sign-in.
const MOST_SENT: u8 = 3;
/// ACP: the request was cancelled.
const CANCELLED: i64 = -32800;

impl Relay {
    pub(super) async fn recover(self: Rc<Self>, id: Id, open: Open, refusal: Message) {
        let method = open.method.clone();
        let Some(turn) = self.turn_of(&id).await else {
            return self.to_editor(cancelled(&id, &method));
        };
        let mended = self.mend(&id, &open).await;
        match mended {
            _ if self.is_cancelled(&id) => self.to_editor(cancelled(&id, &method)),
            Ok(()) => self.send_again(id, open),
            // That is said to all who wait.
            Err(_) if self.has_agent_ended() => self.open.insert(id, open),
            Err(step) => self.to_editor(advised(&refusal, &step, &self.hidden())),
        }
        self.release();
        drop(turn);
        self.push_status();
    }

    /// Whether sending it again is worth a try; else what the person can do.
    async fn mend(self: &Rc<Self>, id: &Id, open: &Open) -> Result<(), String> {
        if self.is_own() {
            return Err(self.settings.advice.clone());
        }
        if self.is_signed_out.get() {
            return Err("you have signed out here; start the agent anew to sign in".to_owned());
        }
        if open.epoch < self.epoch.get() {
            return Ok(());
        }
        let Some(first) = self.standings.first() else { return Err(String::new()) };
        if open.sent >= MOST_SENT {
            return Err(self.step(first));
        }
        self.look_again().await;
        let opens = open.method != "session/prompt";
        if self.deliver_next(opens).await || self.deliver_changed().await {
            // A new start has taken what the others had.
            self.deliver_all().await;
            return Ok(());
        }
        let wanting = self.standings.iter().find(|it| !it.holds.get()).unwrap_or(first);
        if wanting.holds.get()
            && let Some(why) = self.refused_parameter()
        {
            return Err(why);
        }
        self.sign_in(wanting, id, false).await?;
        if self.deliver_all().await { Ok(()) } else { Err(self.step(wanting)) }
    }

    /// What helps: a sign-in, unless the agent would not take it.
    fn step(&self, standing: &Standing) -> String {
        let refused = self.refused_parameter().filter(|_| standing.holds.get());
        refused.unwrap_or_else(|| next_step(standing))
    }

    /// The next way of the first grant that has one. Where a session is open and authctl's proxy was used, the
    /// provider has refused the credential: no other way would help.
    async fn deliver_next(self: &Rc<Self>, opens: bool) -> bool {
        for standing in self.standings.iter().filter(|standing| standing.holds.get()) {
            if !opens && standing.way.get().is_some_and(Way::is_by_proxy) {
                continue;
            }
            standing.way.set(None);
            if self.deliver(standing).await {
                return true;
            }
        }
        false
    }

    /// A credential that another process has replaced since the agent got it.
    async fn deliver_changed(self: &Rc<Self>) -> bool {
        for standing in &self.standings {
            let old = standing.given.borrow().clone();
            let Some((old, way)) = old.zip(standing.tried.borrow().last().copied()) else {
                continue;
            };
            if way.is_by_proxy() {
                continue;
            }
            if self.settings.supply.is_replaced(&standing.grant().name, &old).await {
                standing.begin_anew();
                standing.started.set(None);
                if self.deliver(standing).await {
                    return true;
                }
            }
        }
        false
    }

    fn send_again(&self, id: Id, mut open: Open) {
        let Some(request) = open.request.clone() else { return };
        // What the editor wanted has been done.
        if dialect::is_login(&open.method) {
            return self.to_editor(Message::result(&id, &json!({})));
        }
        if let Some(answer) = self.lost_session(&id, &request) {
            return self.to_editor(answer);
        }
        open.sent += 1;
        open.epoch = self.epoch.get();
        self.open.insert(id, open);
        self.to_agent(self.with_helper(request));
    }

    pub(super) fn is_cancelled(&self, id: &Id) -> bool {
        self.cancelled.borrow().contains(id)
    }
}

/// The command that helps, in a sentence.
pub(super) fn next_step(standing: &Standing) -> String {
    format!("sign in with: authctl login {} (then try again)", standing.grant().name)
}

/// The answer to a request that the editor no longer wants: a turn ends with a reason.
pub(super) fn cancelled(id: &Id, method: &str) -> Message {
    match method {
        "session/prompt" => Message::result(id, &json!({"stopReason": "cancelled"})),
        _ => Message::error(Some(id), CANCELLED, "Request cancelled", None),
    }
}

/// An error about signing in that is authctl's own.
pub(super) fn required(id: &Id, step: &str) -> Message {
    Message::error(Some(id), AUTH_REQUIRED, &format!("Authentication required: {step}"), None)
}

/// The agent's error, which says as well what there is to do, and nothing of what is `hidden`.
fn advised(refusal: &Message, step: &str, hidden: &[Secret]) -> Message {
    if step.is_empty() {
        return refusal.clone();
    }
    rewritten(refusal, |message| {
        message.edit("error", |error: &mut Members<'_>| {
            let said: String = error.value_of("message").unwrap_or_default();
            let text = format!("{}; {step}", clean(&conceal(&said, hidden)));
            error.set_value("message", &json!(text));
        });
    })
}
