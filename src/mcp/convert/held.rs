//! Questions that a server asks while no call runs in which the host could be asked: they are kept for the next
//! call, a few and not for long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::jsonrpc::{Id, Message};

/// Servers that need many answers ask again.
const MOST: usize = 8;
/// Half of what the usual SDKs wait for an answer.
const AT_MOST: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Held {
    questions: RefCell<Vec<Message>>,
}

impl Held {
    /// Keeps a question; `late` gets it back once it has waited in vain. `false`: too many wait.
    pub fn keep(
        self: &Rc<Self>,
        question: &Message,
        late: impl FnOnce(&Message) + 'static,
    ) -> bool {
        if self.questions.borrow().len() >= MOST {
            return false;
        }
        self.questions.borrow_mut().push(question.clone());
        let (held, question) = (Rc::downgrade(self), question.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(AT_MOST).await;
            if held.upgrade().is_some_and(|held| held.forget(question.id())) {
                late(&question);
            }
        });
        true
    }

    /// What waits, in the order in which it came.
    pub fn take(&self) -> Vec<Message> {
        self.questions.take()
    }

    /// Whether the question waited, which it does no more.
    pub fn forget(&self, id: Option<&Id>) -> bool {
        let mut questions = self.questions.borrow_mut();
        let before = questions.len();
        questions.retain(|question| question.id() != id);
        questions.len() < before
    }
}
