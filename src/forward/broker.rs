//! The credential of a long-lived session: kept in memory while it lives, asked for when it does not. Store,
//! refresh and sign-in block, so a thread of their own answers; here is the waiting.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Mutex, oneshot};
use url::Url;

use super::ask::{Address, Ask, Asks, SignInAsk, SignInWish, Trouble, gone};
use super::held::{Held, is_same};
use crate::secret::{Secret, conceal};
use crate::store::Glimpse;

/// How long what was seen in the store counts: a program may send many requests in that time.
const LOOK: Duration = Duration::from_millis(5);
/// Most secrets that are remembered so that no message repeats them.
const MOST_SECRETS: usize = 64;

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
    asks: Asks,
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
    /// The store's index when nobody was signed in; `None`: a sign-in elsewhere is not heeded.
    absence: RefCell<Option<Glimpse>>,
    /// Questions that have been answered so far.
    answered: Cell<u64>,
    /// What servers were shown.
    presented: RefCell<Vec<Secret>>,
}

impl Broker {
    pub fn new(asks: Asks) -> Self {
        let state = Mutex::new(State::Unasked);
        Self {
            asks,
            state,
            last: RefCell::default(),
            trouble: RefCell::default(),
            rests: Cell::default(),
            looked: Cell::default(),
            absence: RefCell::default(),
            answered: Cell::default(),
            presented: RefCell::default(),
        }
    }

    /// One that was found before; `None`: nobody is signed in, and somebody may be once `absence` is past.
    pub fn holding(asks: Asks, held: Option<Arc<Held>>, absence: Option<Glimpse>) -> Self {
        if let Some(held) = &held {
            asks.verdicts.begin_with(held);
        }
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
            && rejected.is_none_or(|rejected| !is_same(held, rejected))
        {
            return Ok(Some(held.clone()));
        }
        let found = self.ask(&mut state, rejected.cloned()).await?;
        let is_other = |held: &Arc<Held>| rejected.is_none_or(|rejected| !is_same(held, rejected));
        Ok(found.filter(is_other))
    }

    async fn ask(
        &self,
        state: &mut State,
        rejected: Option<Arc<Held>>,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        let asked = Instant::now();
        let absence = self.absence.borrow().as_ref().map(Glimpse::again);
        let found = self.asks.fresh(rejected).await;
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
        self.asks.put(Ask::SignIn(SignInAsk { wish, address, reply }))?;
        answer.await.map_err(|_| gone())??;
        let mut state = self.state.lock().await;
        self.last.take();
        self.asks.verdicts.forget();
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
            self.asks.verdicts.note_vain(held);
        }
    }

    /// Whether that was said of the credential in hand.
    pub async fn holds_vain(&self) -> bool {
        matches!(&*self.state.lock().await, State::Held(held) if self.asks.verdicts.is_vain(held))
    }

    /// A server took it: once it is refused, it is worth a refresh again.
    pub fn note_good(&self, held: &Held) {
        self.asks.verdicts.note_good(held);
    }

    /// Has the next requests go with another token than the one that an answer refused; not again and again.
    pub async fn renew(&self, refused: &Arc<Held>) {
        if self.asks.verdicts.is_renewed(refused) {
            self.note_vain().await;
            return;
        }
        // What stands in the way is said at the next request, which needs it.
        if let Ok(Some(new)) = self.instead_of(Some(refused)).await {
            self.asks.verdicts.note_renewed(&new);
        }
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

    /// Has the credential in hand renewed: whether there is another one now. Nothing proves that one.
    pub async fn other_than_held(&self) -> Result<bool, Trouble> {
        let held = self.last.borrow().clone();
        let is_other = self.instead_of(held.as_ref()).await?.is_some();
        self.asks.verdicts.trust_newest();
        Ok(is_other)
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
        self.asks.put(Ask::Open { url, reply }).is_ok() && answer.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::credential::Credential;

    /// As long as nothing changes, the thread that has the store is asked once.
    #[tokio::test]
    async fn the_store_is_asked_again_only_once_its_index_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("entry");
        std::fs::write(&file, "first").unwrap();
        let (asks, mut queue) = Asks::channel();
        let path = file.clone();
        let desk = tokio::spawn(async move {
            let mut asked = 0;
            while let Some(Ask::Fresh { reply, .. }) = queue.recv().await {
                asked += 1;
                let entry = Some(Glimpse::of(path.clone()));
                let scheme = Config::default().provider("groq").unwrap().schemes[0].clone();
                let credential = Credential::ApiKey { key: Secret::new(format!("key {asked}")) };
                let held = Held { scheme, credential, id: String::new(), entry };
                reply.send(match asked {
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

    /// Asked in vain, it is not asked by each of those who wait, nor by who comes right afterwards.
    #[tokio::test]
    async fn what_cannot_be_had_is_asked_for_once_for_all_who_wait() {
        let (asks, mut queue) = Asks::channel();
        let desk = tokio::spawn(async move {
            let mut asked = 0;
            while let Some(Ask::Fresh { reply, .. }) = queue.recv().await {
                asked += 1;
                // As long as it takes, so long is the rest.
                tokio::time::sleep(Duration::from_secs(1)).await;
                reply.send(Err(Trouble("the store is locked".to_owned())));
            }
            asked
        });
        let broker = Broker::new(asks);
        let instead = || broker.instead_of(None);
        let (one, two, three) = tokio::join!(instead(), instead(), instead());
        for outcome in [one, two, three, broker.fresh().await] {
            assert_eq!(outcome.unwrap_err().0, "the store is locked");
        }
        drop(broker);
        assert_eq!(desk.await.unwrap(), 1);
    }
}
