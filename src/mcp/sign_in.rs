//! Signing in while a session goes on: one sign-in at a time, for which calls wait as long as they can. How
//! the person hears of it is the host's matter (`offer`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::Link;
use crate::forward::{Address, SignInWish};

/// Where a session's sign-in stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing was refused, or the last sign-in succeeded.
    #[default]
    Settled,
    /// Begun; the address where the person goes on, once there is one.
    Pending(Option<Address>),
    /// Why it came to nothing, in words for the person.
    Failed(String),
}

/// Called with each new state.
type Watcher = Box<dyn Fn(&State)>;

pub struct SignIn {
    link: Rc<dyn Link>,
    state: RefCell<State>,
    /// The person said no to the one that goes on; its address stays good.
    declined: Cell<bool>,
    changes: watch::Sender<u64>,
    watcher: RefCell<Option<Watcher>>,
}

impl SignIn {
    pub fn new(link: Rc<dyn Link>) -> Rc<Self> {
        Rc::new(Self {
            link,
            state: RefCell::default(),
            declined: Cell::default(),
            changes: watch::Sender::new(0),
            watcher: RefCell::default(),
        })
    }

    pub fn watch(&self, watcher: impl Fn(&State) + 'static) {
        *self.watcher.borrow_mut() = Some(Box::new(watcher));
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub fn is_pending(&self) -> bool {
        matches!(&*self.state.borrow(), State::Pending(_))
    }

    /// Begins a sign-in for what was refused, unless one goes on.
    pub fn begin(self: &Rc<Self>, wish: SignInWish) {
        if self.is_pending() {
            return;
        }
        self.declined.set(false);
        self.set(State::Pending(None));
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let outcome = this.run(wish).await;
            this.set(outcome);
        });
    }

    async fn run(&self, wish: SignInWish) -> State {
        let (tell_address, address) = oneshot::channel();
        let outcome = self.link.broker().sign_in(wish, tell_address);
        tokio::pin!(outcome);
        let outcome = tokio::select! {
            outcome = &mut outcome => outcome,
            Ok(address) = address => {
                self.set(State::Pending(Some(address)));
                outcome.await
            }
        };
        match outcome {
            Ok(()) => State::Settled,
            Err(trouble) => State::Failed(trouble.0),
        }
    }

    fn set(&self, state: State) {
        *self.state.borrow_mut() = state;
        self.changes.send_modify(|count| *count += 1);
        if let Some(watcher) = &*self.watcher.borrow() {
            watcher(&self.state());
        }
    }

    /// The person asked for it after all: it is waited for again.
    pub fn resume(&self) {
        self.declined.set(false);
    }

    /// The person does not want to: nobody waits for it any longer.
    pub fn decline(&self) {
        self.declined.set(true);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits for the sign-in that goes on, until it is over or has an address, as `until` says.
    pub async fn wait(&self, until: Until, patience: Duration) -> State {
        let mut changes = self.changes.subscribe();
        let over = changes.wait_for(|_| match &*self.state.borrow() {
            State::Pending(address) => {
                let is_met = address.as_ref().is_some_and(|address| until.is_met_by(address));
                self.declined.get() || is_met
            }
            State::Settled | State::Failed(_) => true,
        });
        let _ = timeout(patience, over).await;
        self.state()
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Over,
    /// Or there is an address to show.
    Address,
    /// Or there is one that no browser was opened for.
    OverOrUnopened,
}

impl Until {
    fn is_met_by(self, address: &Address) -> bool {
        match self {
            Until::Over => false,
            Until::Address => true,
            Until::OverOrUnopened => !address.is_opened,
        }
    }
}
