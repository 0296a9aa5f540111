//! Signing in while a session goes on: one sign-in at a time, for which calls wait as long as they can, and
//! of which the host hears in its own terms.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use url::Url;

use super::Link;
use crate::forward::Bring;
use crate::http::Answer;
use crate::text::clean;

/// Where a session's sign-in stands.
#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Idle,
    /// Begun; the address where the person goes on, once there is one.
    Pending(Option<Url>),
    Done,
    Failed(String),
}

/// Why a call cannot go on, in words for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// The person has not come to an end yet.
    Pending(String),
    Failed(String),
}

pub struct SignIn {
    link: Rc<dyn Link>,
    state: RefCell<State>,
    changes: watch::Sender<u64>,
}

impl SignIn {
    pub fn new(link: Rc<dyn Link>) -> Rc<Self> {
        Rc::new(Self { link, state: RefCell::default(), changes: watch::Sender::new(0) })
    }

    /// Begins a sign-in, unless one goes on.
    pub fn begin(self: &Rc<Self>, refusal: Option<Arc<Answer>>, bring: Bring) {
        if matches!(&*self.state.borrow(), State::Pending(_)) {
            return;
        }
        self.set(State::Pending(None));
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move { this.run(refusal, bring).await });
    }

    async fn run(self: Rc<Self>, refusal: Option<Arc<Answer>>, bring: Bring) {
        let (tell_url, url) = oneshot::channel();
        let outcome = self.link.broker().sign_in(refusal, bring, tell_url);
        let address = async {
            if let Ok(url) = url.await {
                self.set(State::Pending(Some(url)));
            }
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = outcome => outcome,
            () = address => return,
        };
        self.set(match outcome {
            Ok(_) => State::Done,
            Err(trouble) => State::Failed(trouble.0),
        });
    }

    fn set(&self, state: State) {
        *self.state.borrow_mut() = state;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until the sign-in that goes on is over.
    pub async fn settled(&self, patience: Duration) -> Result<(), Unsettled> {
        let mut changes = self.changes.subscribe();
        let over = changes.wait_for(|_| !matches!(&*self.state.borrow(), State::Pending(_)));
        let _ = timeout(patience, over).await;
        match &*self.state.borrow() {
            State::Idle | State::Done => Ok(()),
            State::Failed(why) => Err(Unsettled::Failed(why.clone())),
            State::Pending(url) => Err(Unsettled::Pending(self.pending_text(url.as_ref()))),
        }
    }

    fn pending_text(&self, url: Option<&Url>) -> String {
        let host = self.link.title();
        match url {
            Some(url) => format!(
                "sign in to {host} first, then try again: open {} in a browser",
                clean(url.as_str())
            ),
            None => format!("sign in to {host} first, then try again"),
        }
    }
}
