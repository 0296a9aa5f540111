//! When to come back for a stream that was cut: as the server says, else ever more rarely, and not for ever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Attempts in vain, one after the other.
const MOST: usize = 5;
const FIRST: Duration = Duration::from_secs(1);

/// A server that names no wait at all would be asked without a pause.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_mins(5);

pub struct Reconnect(ExponentialBackoff);

impl Reconnect {
    pub fn new() -> Self {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST).with_max_times(MOST);
        Self(pauses.with_jitter().build())
    }

    /// How long to wait before the next attempt; `None` after too many. The `retry` of the server's stream
    /// (in milliseconds) is kept to.
    pub fn pause(&mut self, retry: Option<u64>) -> Option<Duration> {
        let own = self.0.next()?;
        Some(retry.map_or(own, |wait| Duration::from_millis(wait).clamp(SHORTEST, LONGEST)))
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
}
