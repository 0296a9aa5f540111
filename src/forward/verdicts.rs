//! What servers made of a credential: known to all who have it from the same thread, so that many of them cost no
//! more refreshes than one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::held::{Held, is_same};

/// How long tokens are not renewed that were new when they were refused.
const IN_VAIN: Duration = Duration::from_mins(1);

/// One for each thread that has the store; the clones are the same.
#[derive(Clone, Default)]
pub(super) struct Verdicts(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// What came last.
    newest: Option<Arc<Held>>,
    /// It came in place of another, until a server took it.
    unproven: Option<Said>,
    /// It was refused although it was new.
    vain: Option<Said>,
    /// It came of the last renewal that an answer made necessary whose request was over.
    renewed: Option<Said>,
}

/// What is said of a credential, and since when.
struct Said(Arc<Held>, Instant);

impl Said {
    fn now(held: &Arc<Held>) -> Self {
        Self(held.clone(), Instant::now())
    }

    /// Whether it was said of `held` not long ago.
    fn is_of(&self, held: &Held) -> bool {
        is_same(&self.0, held) && self.1.elapsed() < IN_VAIN
    }
}

impl Verdicts {
    /// What the first request goes with.
    pub fn begin_with(&self, held: &Arc<Held>) {
        self.known().newest.get_or_insert_with(|| held.clone());
    }

    /// Whoever asked for one gets this.
    pub fn note_found(&self, held: &Arc<Held>) {
        let mut known = self.known();
        let last = known.newest.replace(held.clone());
        if last.is_some_and(|last| !is_same(&last, held)) {
            known.unproven = Some(Said::now(held));
        }
    }

    /// A server took it: once it is refused, it is worth a refresh again.
    pub fn note_good(&self, held: &Held) {
        let mut known = self.known();
        if known.unproven.as_ref().is_some_and(|Said(new, _)| is_same(new, held)) {
            known.unproven = None;
        }
    }

    /// Nothing proves the newest one, and it counts as proven.
    pub fn trust_newest(&self) {
        self.known().unproven = None;
    }

    /// A person signed in: nothing is known of what that brings.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }

    /// Neither a refresh nor a sign-in is worth a try for a while.
    pub fn note_vain(&self, held: &Arc<Held>) {
        self.known().vain = Some(Said::now(held));
    }

    pub fn is_vain(&self, held: &Held) -> bool {
        self.known().vain.as_ref().is_some_and(|said| said.is_of(held))
    }

    pub fn note_renewed(&self, held: &Arc<Held>) {
        self.known().renewed = Some(Said::now(held));
    }

    pub fn is_renewed(&self, held: &Held) -> bool {
        self.known().renewed.as_ref().is_some_and(|said| said.is_of(held))
    }

    /// Whether one that was refused may be worth a refresh.
    pub fn is_renewable(&self, held: &Held) -> bool {
        let known = self.known();
        ![&known.vain, &known.unproven].into_iter().flatten().any(|said| said.is_of(held))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whatever panicked left whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
