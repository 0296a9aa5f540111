//! An editor that says no more: what it has asked comes to its end, and then the agent does. One that is gone
//! has closed its other end as well, and its agent ends at once.

use std::mem;
use std::time::Duration;

use tokio::time::timeout;

use super::Relay;
use crate::jsonrpc::{INTERNAL_ERROR, Id, Message};

/// How long an agent may then say nothing: the slowest known takes 18 s for its first word.
const SILENCE: Duration = Duration::from_secs(20);

impl Relay {
    /// Comes back when all is answered, or the agent has fallen silent.
    pub(super) async fn last_work(&self) {
        self.is_deserted.set(true);
        let asked = mem::take(&mut *self.asked_by_agent.borrow_mut());
        let renamed = self.renamed.take().into_values();
        asked.into_iter().chain(renamed).for_each(|id| self.to_agent(unheard(&id)));
        while !self.is_idle() {
            if timeout(SILENCE, self.stirred.notified()).await.is_err() {
                let (title, seconds) = (&self.settings.title, SILENCE.as_secs());
                return self
                    .say(&format!("{title} has said nothing for {seconds} s, and is ended"));
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.mending.borrow().is_empty() && self.held.borrow().is_empty()
    }
}

/// What an agent gets that asks such an editor.
pub fn unheard(id: &Id) -> Message {
    Message::error(Some(id), INTERNAL_ERROR, "the editor says no more", None)
}
