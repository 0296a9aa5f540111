//! When to come back for a stream that was cut: as the server says within bounds, else ever more rarely, and not
//! for ever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Attempts in vain, one after the other.
const MOST: usize = 5;
const FIRST: Duration = Duration::from_secs(1);

/// Streams without news after which the pauses grow.
const QUIET: u32 = 5;

/// A server that names no wait at all would be asked without a pause, and one that names days never again.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

pub struct Reconnect {
    attempts: ExponentialBackoff,
    /// Streams in a row that were opened, and brought nothing.
    quiet: u32,
}

impl Reconnect {
    pub fn new() -> Self {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST).with_max_times(MOST);
        Self { attempts: pauses.with_jitter().build(), quiet: 0 }
    }

    /// How long to wait before the next attempt; `None` after too many. The `retry` of the server's stream
    /// (in milliseconds) is kept to within bounds, as long as its streams bring something.
    pub fn pause(&mut self, retry: Option<u64>) -> Option<Duration> {
        let own = self.attempts.next()?;
        let wait = retry.map_or(own, |wait| Duration::from_millis(wait).clamp(SHORTEST, LONGEST));
        let doublings = self.quiet.saturating_sub(QUIET).min(16);
        Some(wait.saturating_mul(1 << doublings).min(LONGEST))
    }

    /// The stream was opened, and ended without news.
    pub fn came_back(&mut self) {
        *self = Self { quiet: self.quiet + 1, ..Self::new() };
    }

    /// An attempt brought something.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_names_the_wait_and_not_the_number_of_attempts() {
        let mut reconnect = Reconnect::new();
        let own = reconnect.pause(None).unwrap();
        assert!(own >= FIRST && own <= 2 * FIRST, "{own:?}");
        assert_eq!(reconnect.pause(Some(500)), Some(Duration::from_millis(500)));
        assert_eq!(reconnect.pause(Some(0)), Some(SHORTEST));
        assert_eq!(reconnect.pause(Some(u64::MAX)), Some(LONGEST));
        assert!(reconnect.pause(None).is_some());
        assert_eq!(reconnect.pause(Some(500)), None);
        reconnect.succeeded();
        assert_eq!(reconnect.pause(Some(500)), Some(Duration::from_millis(500)));
    }

    #[test]
    fn streams_without_news_are_come_back_for_ever_more_rarely() {
        let mut reconnect = Reconnect::new();
        let mut pause = || {
            let pause = reconnect.pause(Some(0));
            reconnect.came_back();
            pause.unwrap()
        };
        let pauses: Vec<_> = (0..50).map(|_| pause()).collect();
        assert_eq!(pauses[..6], [SHORTEST; 6]);
        assert_eq!(pauses[6..8], [2 * SHORTEST, 4 * SHORTEST]);
        assert_eq!(pauses[49], LONGEST);
        reconnect.succeeded();
        assert_eq!(reconnect.pause(Some(0)), Some(SHORTEST));
    }
}
