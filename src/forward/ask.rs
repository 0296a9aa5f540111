//! The questions to the thread that has the store, and the way there and back.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::held::Held;
use super::verdicts::Verdicts;
use crate::http::Answer;

/// What is found: `None` where nobody is signed in.
pub(super) type Found = Result<Option<Arc<Held>>, Trouble>;

/// Why a credential cannot be had, in words for the person; a sign-in would not help.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// A question to the thread that has the store.
pub enum Ask {
    /// The credential, fresh enough for a request; `None`: nobody is signed in, or the sign-in has ended.
    /// One that was `rejected` is replaced by what another process got, or else, with `renews`, refreshed.
    Fresh {
        rejected: Option<Arc<Held>>,
        renews: bool,
        reply: Reply,
    },
    SignIn(SignInAsk),
    /// Opens a page in the person's browser; the reply says whether one could be.
    Open {
        url: Url,
        reply: oneshot::Sender<bool>,
    },
}

/// The way back of a credential.
pub struct Reply {
    sender: oneshot::Sender<Found>,
    verdicts: Verdicts,
}

impl Reply {
    /// Whether whoever asked is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub fn send(self, found: Found) {
        // Before anybody has it: what is found may be refused at once, and others see it in the store.
        if let Ok(Some(held)) = &found {
            self.verdicts.note_found(held);
        }
        // Nobody waits any more.
        let _ = self.sender.send(found);
    }
}

/// The way to the thread that has the store, for any number of brokers; it ends when all have let go of it.
#[derive(Clone)]
pub struct Asks {
    queue: mpsc::UnboundedSender<Ask>,
    pub(super) verdicts: Verdicts,
}

impl Asks {
    /// With the other end, for the thread that answers.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (queue, asked) = mpsc::unbounded_channel();
        (Self { queue, verdicts: Verdicts::default() }, asked)
    }

    pub(super) fn put(&self, ask: Ask) -> Result<(), Trouble> {
        self.queue.send(ask).map_err(|_| gone())
    }

    /// Asks for a credential, in place of the one that was `rejected`.
    pub(super) async fn fresh(&self, rejected: Option<Arc<Held>>) -> Found {
        let renews = rejected.as_ref().is_none_or(|held| self.verdicts.is_renewable(held));
        let (sender, answer) = oneshot::channel();
        let reply = Reply { sender, verdicts: self.verdicts.clone() };
        self.put(Ask::Fresh { rejected, renews, reply })?;
        answer.await.map_err(|_| gone())?
    }
}

/// Only at the end of the process, or after a bug that was reported already.
pub(super) fn gone() -> Trouble {
    Trouble("authctl is ending".to_owned())
}

/// What makes a sign-in necessary, and how it is to go.
#[derive(Clone)]
pub struct SignInWish {
    /// What the server said.
    pub refusal: Option<Arc<Answer>>,
    pub bring: Bring,
    /// Only if another authorization server is to be asked than the one of the credential that was refused.
    pub only_elsewhere: bool,
}

/// A wish to have the person sign in.
pub struct SignInAsk {
    pub wish: SignInWish,
    /// Gets the address where the person signs in, as soon as there is one.
    pub address: oneshot::Sender<Address>,
    pub reply: oneshot::Sender<Result<(), Trouble>>,
}

/// Where a person signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub url: Url,
    /// A browser was opened there.
    pub is_opened: bool,
    /// What is to be entered there (RFC 8628).
    pub code: Option<String>,
    /// The person's browser may be one of another machine, which does not come back to this one.
    pub is_elsewhere: bool,
}

/// Who brings the person to the address of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bring {
    /// authctl opens a browser, where there is one.
    Browser,
    /// Whoever gets the address shows it.
    Shown,
}
