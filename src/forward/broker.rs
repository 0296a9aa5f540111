//! The credential of a long-lived session: kept in memory while it lives, asked for when it does not. Store,
//! refresh and sign-in block, so a thread of their own answers; here are the questions and the waiting.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, mpsc, oneshot};
use url::Url;

use crate::config::Scheme;
use crate::credential::Credential;
use crate::http::Answer;
use crate::secret::{Secret, conceal};
use crate::store::Glimpse;

/// Time that a token lives which is sent to a server, unless its whole life is short.
const MIN_TTL: SignedDuration = SignedDuration::from_mins(1);
/// How long tokens are not renewed that were new when they were refused.
const IN_VAIN: Duration = Duration::from_mins(1);
/// How long what was seen in the store counts: a program may send many requests in that time.
const LOOK: Duration = Duration::from_millis(5);
/// Most secrets that are remembered so that no message repeats them.
const MOST_SECRETS: usize = 64;

/// A credential in hand, and how its server wants to see it.
#[derive(Debug)]
pub struct Held {
    pub scheme: Scheme,
    pub credential: Credential,
    /// Stable, random, not secret.
    pub id: String,
    /// The store's index before it was resolved; `None`: changes there are not heeded.
    pub entry: Option<Glimpse>,
}

impl Held {
    /// Whether it lives long enough for a request: a minute, or a quarter of a life that is a short one.
    pub fn lives(&self, now: Timestamp) -> bool {
        let Some((tokens, _)) = self.credential.as_oauth() else { return true };
        tokens.expires_at.is_none_or(|end| end.duration_since(now) > self.least_ttl())
    }

    /// Whether it is of no use any more.
    fn has_ended(&self, now: Timestamp) -> bool {
        let tokens = self.credential.as_oauth().map(|(tokens, _)| tokens);
        tokens.and_then(|tokens| tokens.expires_at).is_some_and(|end| end <= now)
    }

    /// Whether somebody signed out, signed in or refreshed since, as far as that is heeded.
    pub fn is_past(&self) -> bool {
        self.entry.as_ref().is_some_and(Glimpse::is_past)
    }

    /// How long a token has to live that is sent to a server.
    pub fn least_ttl(&self) -> SignedDuration {
        let tokens = self.credential.as_oauth().map(|(tokens, _)| tokens);
        let life = tokens.and_then(|it| Some(it.expires_at?.duration_since(it.issued_at)));
        life.map_or(MIN_TTL, |life| (life / 4).clamp(SignedDuration::ZERO, MIN_TTL))
    }
}

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
        reply: oneshot::Sender<Result<Option<Arc<Held>>, Trouble>>,
    },
    SignIn(SignInAsk),
    /// Opens a page in the person's browser; the reply says whether one could be.
    Open {
        url: Url,
        reply: oneshot::Sender<bool>,
    },
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
}

/// Who brings the person to the address of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bring {
    /// authctl opens a browser, where there is one.
    Browser,
    /// Whoever gets the address shows it.
    Shown,
}

/// What a session has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Nobody,
    /// What a person pasted: only they can replace it.
    Key,
    /// Tokens of a sign-in.
    Token {
        is_renewable: bool,
    },
}

/// What the session knows of its credential.
enum State {
    Unasked,
    Nobody,
    Held(Arc<Held>),
}

pub struct Broker {
    asks: mpsc::UnboundedSender<Ask>,
    /// Locked while another credential is asked for.
    state: Mutex<State>,
    /// What was handed out last, if it is still in hand.
    last: RefCell<Option<Arc<Held>>>,
    /// Why the last question had no answer.
    trouble: RefCell<Option<Trouble>>,
    /// Until when it is not asked again without need: for as long as it took.
    rests: Cell<Option<Instant>>,
    /// When the store was looked at last.
    looked: Cell<Option<Instant>>,
    /// What was refused although it was new, and when.
    vain: RefCell<Option<(Arc<Held>, Instant)>>,
    /// The store's index when nobody was signed in; `None`: a sign-in elsewhere is not heeded.
    absence: RefCell<Option<Glimpse>>,
    /// Questions that have been answered so far.
    answered: Cell<u64>,
    /// What servers were shown.
    presented: RefCell<Vec<Secret>>,
}

impl Broker {
    pub fn new(asks: mpsc::UnboundedSender<Ask>) -> Self {
        let state = Mutex::new(State::Unasked);
        Self {
            asks,
            state,
            last: RefCell::default(),
            trouble: RefCell::default(),
            rests: Cell::default(),
            looked: Cell::default(),
            vain: RefCell::default(),
            absence: RefCell::default(),
            answered: Cell::default(),
            presented: RefCell::default(),
        }
    }

    /// One that was found before; `None`: nobody is signed in, and somebody may be once `absence` is past.
    pub fn holding(
        asks: mpsc::UnboundedSender<Ask>,
        held: Option<Arc<Held>>,
        absence: Option<Glimpse>,
    ) -> Self {
        let last = RefCell::new(held.clone());
        let state = Mutex::new(held.map_or(State::Nobody, State::Held));
        Self { state, last, absence: RefCell::new(absence), ..Self::new(asks) }
    }

    /// The credential that works now. Asked once for all who wait, and again once another process has changed
    /// what is stored; where that cannot be read, what is in hand goes on. Nobody waits while the last one lives.
    pub async fn fresh(&self) -> Result<Option<Arc<Held>>, Trouble> {
        let state = self.state.try_lock();
        // While it is being asked for, what is stored changes by that alone.
        let is_good = |held: &Arc<Held>| !held.has_ended(Timestamp::now());
        let last = || self.last.borrow().clone().filter(is_good);
        if state.is_err()
            && let Some(held) = last()
        {
            return Ok(Some(held));
        }
        let mut state = match state {
            Ok(state) => state,
            Err(_) => self.state.lock().await,
        };
        let rests = self.rests.get().is_some_and(|until| Instant::now() < until);
        let living = match &*state {
            State::Nobody if !self.may_be_signed_in() => return Ok(None),
            State::Held(held) if held.lives(Timestamp::now()) => Some(held.clone()),
            State::Held(_) | State::Unasked | State::Nobody => None,
        };
        if rests
            && matches!(&*state, State::Unasked)
            && let Some(trouble) = self.trouble()
        {
            return Err(trouble);
        }
        match living {
            Some(held) if !self.is_past(&held) => Ok(Some(held)),
            Some(held) => self.ask(&mut state, None).await.or(Ok(Some(held))),
            None => self.ask(&mut state, None).await,
        }
    }

    /// The credential of [`Broker::fresh`], where that needs no wait.
    pub fn at_hand(&self) -> Option<Arc<Held>> {
        let state = self.state.try_lock().ok()?;
        let State::Held(held) = &*state else { return None };
        if !held.lives(Timestamp::now()) {
            return None;
        }
        if self.is_past(held) {
            // Whoever asks for it sees the same.
            self.looked.set(None);
            return None;
        }
        Some(held.clone())
    }

    /// Whether what is stored has changed since, by a look at the disk now and then.
    fn is_past(&self, held: &Held) -> bool {
        let is_known = self.looked.get().is_some_and(|last| last.elapsed() < LOOK);
        if !is_known {
            self.looked.set(Some(Instant::now()));
        }
        !is_known && held.is_past()
    }

    /// Comes back when no question is open.
    pub async fn settled(&self) {
        drop(self.state.lock().await);
    }

    /// Another credential than the one that was rejected, if there is one or it can be renewed. `None` for
    /// `rejected` means that none was sent. Asked once for all who wait, also where that comes to nothing.
    pub async fn instead_of(
        &self,
        rejected: Option<&Arc<Held>>,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        let answered = self.answered.get();
        let mut state = self.state.lock().await;
        let is_answered = self.answered.get() != answered;
        if let Some(trouble) = self.trouble().filter(|_| is_answered) {
            return Err(trouble);
        }
        // What was sent was in hand then: it has been asked for since.
        if matches!(&*state, State::Nobody) && (is_answered || rejected.is_some()) {
            return Ok(None);
        }
        if let State::Held(held) = &*state
            && rejected.is_none_or(|rejected| !super::is_same(held, rejected))
        {
            return Ok(Some(held.clone()));
        }
        let found = self.ask(&mut state, rejected.cloned()).await?;
        let is_other =
            |held: &Arc<Held>| rejected.is_none_or(|rejected| !super::is_same(held, rejected));
        Ok(found.filter(is_other))
    }

    async fn ask(
        &self,
        state: &mut State,
        rejected: Option<Arc<Held>>,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        let (reply, answer) = oneshot::channel();
        let renews = !rejected.as_ref().is_some_and(|held| self.is_vain(held));
        let asked = Instant::now();
        let absence = self.absence.borrow().as_ref().map(Glimpse::again);
        self.put(Ask::Fresh { rejected, renews, reply })?;
        let found = answer.await.map_err(|_| gone())?;
        self.answered.set(self.answered.get() + 1);
        *self.trouble.borrow_mut() = found.as_ref().err().cloned();
        self.rests.set(found.is_err().then(|| Instant::now() + asked.elapsed()));
        let found = found?;
        *self.absence.borrow_mut() = absence;
        self.last.borrow_mut().clone_from(&found);
        *state = found.clone().map_or(State::Nobody, State::Held);
        Ok(found)
    }

    /// Whether the store has changed since nobody was signed in.
    fn may_be_signed_in(&self) -> bool {
        self.absence.borrow().as_ref().is_some_and(Glimpse::is_past)
    }

    /// How many questions had an answer, of whatever kind.
    pub fn answered(&self) -> u64 {
        self.answered.get()
    }

    /// Has the person sign in; comes back when that is over. The address arrives through `url` before.
    pub async fn sign_in(
        &self,
        wish: SignInWish,
        address: oneshot::Sender<Address>,
    ) -> Result<(), Trouble> {
        let (reply, answer) = oneshot::channel();
        self.put(Ask::SignIn(SignInAsk { wish, address, reply }))?;
        answer.await.map_err(|_| gone())??;
        let mut state = self.state.lock().await;
        self.last.take();
        *state = State::Unasked;
        Ok(())
    }

    /// Why there is no credential, if that is nothing that a sign-in mends.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    /// The credential in hand is as good as it gets, and was refused: for a while neither a refresh nor a
    /// sign-in is worth a try.
    pub async fn note_vain(&self) {
        if let State::Held(held) = &*self.state.lock().await {
            *self.vain.borrow_mut() = Some((held.clone(), Instant::now()));
        }
    }

    /// Whether that was said of the credential in hand.
    pub async fn holds_vain(&self) -> bool {
        matches!(&*self.state.lock().await, State::Held(held) if self.is_vain(held))
    }

    fn is_vain(&self, held: &Arc<Held>) -> bool {
        let vain = self.vain.borrow();
        vain.as_ref()
            .is_some_and(|(vain, since)| super::is_same(vain, held) && since.elapsed() < IN_VAIN)
    }

    /// Whether a credential is in hand.
    pub fn holds(&self) -> bool {
        self.last.borrow().is_some()
    }

    /// What the credential in hand is.
    pub async fn standing(&self) -> Standing {
        match &*self.state.lock().await {
            State::Held(held) if held.credential.as_oauth().is_some() => {
                Standing::Token { is_renewable: held.credential.is_renewable() }
            }
            State::Held(_) => Standing::Key,
            State::Nobody | State::Unasked => Standing::Nobody,
        }
    }

    /// Has the credential in hand renewed: whether there is another one now.
    pub async fn other_than_held(&self) -> Result<bool, Trouble> {
        let held = self.last.borrow().clone();
        Ok(self.instead_of(held.as_ref()).await?.is_some())
    }

    /// A server is shown that.
    pub fn note_presented(&self, secret: &str) {
        let mut presented = self.presented.borrow_mut();
        if secret.is_empty() || presented.iter().any(|known| known.expose() == secret) {
            return;
        }
        if presented.len() == MOST_SECRETS {
            presented.remove(0);
        }
        presented.push(Secret::new(secret));
    }

    /// What a server says, without the secrets that it was shown.
    pub fn concealed(&self, said: &str) -> String {
        conceal(said, &self.presented.borrow())
    }

    /// Opens a page in the person's browser, if there is one.
    pub async fn open(&self, url: Url) -> bool {
        let (reply, answer) = oneshot::channel();
        self.put(Ask::Open { url, reply }).is_ok() && answer.await.unwrap_or(false)
    }

    fn put(&self, ask: Ask) -> Result<(), Trouble> {
        self.asks.send(ask).map_err(|_| gone())
    }
}

/// Only at the end of the process, or after a bug that was reported already.
fn gone() -> Trouble {
    Trouble("authctl is ending".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// As long as nothing changes, the thread that has the store is asked once.
    #[tokio::test]
    async fn the_store_is_asked_again_only_once_its_index_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("entry");
        std::fs::write(&file, "first").unwrap();
        let (asks, mut queue) = mpsc::unbounded_channel();
        let path = file.clone();
        let desk = tokio::spawn(async move {
            let mut asked = 0;
            while let Some(Ask::Fresh { reply, .. }) = queue.recv().await {
                asked += 1;
                let entry = Some(Glimpse::of(path.clone()));
                let scheme = Config::default().provider("groq").unwrap().schemes[0].clone();
                let credential = Credential::ApiKey { key: Secret::new(format!("key {asked}")) };
                let held = Held { scheme, credential, id: String::new(), entry };
                let _ = reply.send(match asked {
                    1 | 2 => Ok(Some(Arc::new(held))),
                    3 => Err(Trouble("the store is locked".to_owned())),
                    _ => Ok(None),
                });
            }
            asked
        });
        let broker = Broker::new(asks);
        let key = async || {
            let held = broker.fresh().await.unwrap();
            held.map(|held| held.credential.secret().expose().to_owned())
        };
        for expected in ["key 1", "key 1"] {
            assert_eq!(key().await.as_deref(), Some(expected));
        }
        std::fs::write(&file, "another").unwrap();
        broker.looked.take();
        for expected in ["key 2", "key 2"] {
            assert_eq!(key().await.as_deref(), Some(expected));
        }
        std::fs::remove_file(&file).unwrap();
        broker.looked.take();
        assert_eq!(key().await.as_deref(), Some("key 2"), "what cannot be read is no sign-out");
        broker.looked.take();
        for _ in 0..2 {
            assert_eq!(key().await, None);
        }
        drop(broker);
        assert_eq!(desk.await.unwrap(), 4);
    }
}
