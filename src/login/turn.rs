//! One login at a time for a credential, across processes. Whoever has the lock signs in; the others
//! wait, and take over what came of it, also a person's no. A login at a terminal goes before one in the
//! background, which steps back while it waits for its person, and then waits itself.

use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{Error, Login, Outcome, Wish};
use crate::credential::{Name, Record};
use crate::grant;
use crate::store::{self, Ended, Guard, Key, Turn};

/// How long a login waits for another one: as long as that may take.
const LOGIN_WAIT: Duration = Duration::from_mins(12);

/// How long nobody in the background asks again a person who said no.
const COOL_DOWN: SignedDuration = SignedDuration::from_mins(1);

/// Between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(50);

impl Login<'_> {
    /// Signs in and saves the credential, or takes over what another process did meanwhile.
    pub fn run(&self, wish: &Wish<'_>) -> Result<Outcome, Error> {
        let asked_at = (self.clock)();
        let (mut guard, mut waited) = match self.store.try_lock(&Key::Login(wish.name))? {
            Some(guard) => (guard, false),
            None => (self.wait_for_turn(wish.name)?, true),
        };
        loop {
            if let Some(outcome) = self.adopt(wish, asked_at, waited)? {
                return Ok(outcome);
            }
            let result = self.take_turn(wish, &guard);
            match result {
                Err(Error::SteppedBack) => {
                    drop(guard);
                    guard = self.step_back(wish.name)?;
                    waited = true;
                }
                Err(Error::EndedElsewhere { ended: Ended::SignedIn, .. }) => {
                    return self.adopt_newer(wish.name, asked_at)?.ok_or_else(|| {
                        Error::EndedElsewhere { name: wish.name.clone(), ended: Ended::Failed }
                    });
                }
                result => return result,
            }
        }
    }

    /// Signs in under the lock, and leaves word of it. A note that cannot be written costs others a
    /// wait, and nobody the login.
    fn take_turn(&self, wish: &Wish<'_>, guard: &Guard) -> Result<Outcome, Error> {
        let turn = Turn::new(self.is_background(), (self.clock)());
        let _ = self.store.begin_turn(guard, wish.name, &turn);
        let result = self.sign_in(wish);
        let _ = self.store.end_turn(guard, wish.name, &turn.ended((self.clock)(), ended(&result)));
        result
    }

    /// Whether nobody sits at the terminal of this process.
    pub(super) fn is_background(&self) -> bool {
        !self.interact.can_ask()
    }

    /// What another process came to while this one waited, where that will do; in the background also a
    /// no of a moment ago.
    fn adopt(
        &self,
        wish: &Wish<'_>,
        asked_at: Timestamp,
        waited: bool,
    ) -> Result<Option<Outcome>, Error> {
        if !wish.is_met_by_any() && wish.since.is_none() {
            return Ok(None);
        }
        let since = wish.since.unwrap_or(asked_at);
        if (waited || wish.since.is_some())
            && let Some(outcome) = self.adopt_newer(wish.name, since)?
            && wish.is_met_by(&outcome.record)
        {
            return Ok(Some(outcome));
        }
        let last = self.store.turn(wish.name).and_then(|turn| turn.ended);
        let now = (self.clock)();
        match last {
            Some((at, ended @ (Ended::Denied | Ended::Unanswered))) if waited && at >= asked_at => {
                Err(Error::EndedElsewhere { name: wish.name.clone(), ended })
            }
            Some((at, Ended::Denied))
                if self.is_background() && at <= now && now.duration_since(at) < COOL_DOWN =>
            {
                Err(Error::EndedElsewhere { name: wish.name.clone(), ended: Ended::Denied })
            }
            _ => Ok(None),
        }
    }

    /// The credential, if another process signed in since `asked_at`.
    pub(super) fn adopt_newer(
        &self,
        name: &Name,
        asked_at: Timestamp,
    ) -> Result<Option<Outcome>, Error> {
        let record = store::unless_damaged(self.store.load(name))?;
        let newer = record.filter(|record: &Record| record.signed_in_at >= asked_at);
        Ok(newer.map(|record| Outcome { record, replaced: true, adopted: true }))
    }

    /// Waits for the lock of the login. At a terminal, whoever holds it in the background is asked to
    /// step back.
    fn wait_for_turn(&self, name: &Name) -> Result<Guard, Error> {
        self.interact.notice(&format!("Another login to {name} is under way; waiting for it."));
        let deadline = Instant::now() + LOGIN_WAIT;
        while Instant::now() < deadline {
            // In the background nobody comes before a person who asked for the turn.
            let is_next = !self.is_background() || !self.store.is_asked_to_yield(name);
            if is_next && let Some(guard) = self.store.try_lock(&Key::Login(name))? {
                return Ok(guard);
            }
            let holder = self.store.turn(name).filter(|turn| turn.ended.is_none());
            if !self.is_background() && holder.is_some_and(|turn| turn.background) {
                self.store.ask_to_yield(name)?;
            }
            thread::sleep(PAUSE);
        }
        Err(Error::Busy(name.clone()))
    }

    /// Leaves the lock to whoever asked for it, and waits for what comes of that.
    fn step_back(&self, name: &Name) -> Result<Guard, Error> {
        self.interact.notice(&format!("A login to {name} at a terminal goes first."));
        self.wait_for_turn(name)
    }
}

/// What a login came to, for others.
pub(super) fn ended<T>(result: &Result<T, Error>) -> Ended {
    match result {
        Ok(_) => Ended::SignedIn,
        Err(Error::Grant { source, .. }) => ended_grant(source),
        Err(Error::EndedElsewhere { ended, .. }) => *ended,
        Err(_) => Ended::Failed,
    }
}

pub(super) fn ended_grant(error: &grant::Error) -> Ended {
    match error {
        grant::Error::Denied { .. } => Ended::Denied,
        grant::Error::TimedOut { .. } | grant::Error::Expired { .. } => Ended::Unanswered,
        _ => Ended::Failed,
    }
}
