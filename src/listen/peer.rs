//! Whoever has a connection: whether somebody who is let in uses it, and what is under way on it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Time in which a new connection must bring a request of somebody who is let in.
const STRANGER_TIME: Duration = Duration::from_secs(5);

/// Whoever has a connection, as an extension of each request; unknown at first.
#[derive(Debug, Clone, Default)]
pub struct Peer(Arc<Notice>);

#[derive(Debug, Default)]
struct Notice {
    is_known: AtomicBool,
    /// It brings a body, which may take a while.
    is_bringing: AtomicBool,
    /// Requests that came and answers that have ended, where they are counted.
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// When an answer ended last.
    rested: Mutex<Option<Instant>>,
    /// Bytes go both ways, and nobody knows what they mean.
    is_joined: AtomicBool,
    told: Notify,
}

impl Peer {
    /// Comes back when nobody who is let in has sent a request in time.
    pub(super) async fn stays_unknown(&self) {
        if timeout(STRANGER_TIME, self.0.told.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Has the connection kept: one that is let in uses it.
    pub fn let_in(&self) {
        if !self.0.is_known.swap(true, Ordering::Relaxed) {
            self.0.told.notify_one();
        }
    }

    /// A request has come; it is under way until what comes back is dropped.
    pub(super) fn begins(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Whether the connection carries no requests that can be counted.
    pub fn joins(&self, is_joined: bool) {
        self.0.is_joined.store(is_joined, Ordering::Relaxed);
    }

    /// Since when no request has been under way, from `beginning` on; `None`: one is.
    pub(super) fn rests_since(&self, beginning: Instant) -> Option<Instant> {
        let is_over = self.0.begun.load(Ordering::Relaxed) == self.0.ended.load(Ordering::Relaxed);
        let rested = *self.0.rested.lock().unwrap_or_else(PoisonError::into_inner);
        is_over.then(|| rested.unwrap_or(beginning))
    }

    /// Whether its last answer has ended, and nothing new has come.
    pub(super) fn is_idle(&self) -> bool {
        let begun = self.0.begun.load(Ordering::Relaxed);
        let is_over = begun > 0 && begun == self.0.ended.load(Ordering::Relaxed);
        is_over && !self.0.is_joined.load(Ordering::Relaxed)
    }

    pub(super) fn is_known(&self) -> bool {
        self.0.is_known.load(Ordering::Relaxed)
    }

    pub(super) fn brings(&self, is_bringing: bool) {
        self.0.is_bringing.store(is_bringing, Ordering::Relaxed);
    }

    pub(super) fn is_bringing(&self) -> bool {
        self.0.is_bringing.load(Ordering::Relaxed)
    }
}

/// A request of a peer.
pub(super) struct UnderWay(Peer);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let notice = &self.0.0;
        *notice.rested.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        notice.ended.fetch_add(1, Ordering::Relaxed);
    }
}
