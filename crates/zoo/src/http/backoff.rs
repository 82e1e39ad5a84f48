//! Delays between attempts, and when to give up.

use std::time::{Duration, Instant};

use crate::options::Network;

/// New bytes that count as progress.
const PROGRESS: u64 = 1 << 16;

/// The attempts of one download, and the time since its last progress.
pub(crate) struct Backoff<'a> {
    network: &'a Network,
    /// Failed attempts.
    pub(crate) attempts: u32,
    delay: Duration,
    last_progress: Instant,
    /// The largest length so far: fetching the same bytes again is no progress.
    longest: Option<u64>,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        Self { network, attempts: 0, delay: network.first_delay, last_progress: Instant::now(), longest: None }
    }

    /// When the attempts end unless there is progress.
    pub(crate) fn deadline(&self) -> Instant {
        self.last_progress + self.network.patience
    }

    /// Records the number of bytes on disk. The first call records what an earlier run left.
    pub(crate) fn note(&mut self, length: u64) {
        match self.longest {
            None => self.longest = Some(length),
            Some(longest) if length >= longest + PROGRESS => {
                self.longest = Some(length);
                self.last_progress = Instant::now();
            }
            Some(_) => {}
        }
    }

    /// Counts a failed attempt. Returns the delay before the next one, which is at least `requested` within the limits;
    /// `None` to give up.
    pub(crate) fn next(&mut self, requested: Duration) -> Option<Duration> {
        self.attempts += 1;
        let delay = requested.max(self.delay).min(self.network.longest_delay);
        self.delay = (self.delay * 2).min(self.network.longest_delay);
        if self.attempts > self.network.retries || Instant::now() + delay >= self.deadline() {
            return None;
        }
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_within_bounds_and_end() {
        let network = Network { retries: 4, ..Network::default() };
        let mut backoff = Backoff::new(&network);
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs_f64());
        assert_eq!(seconds(backoff.next(Duration::ZERO)), Some(0.5));
        assert_eq!(seconds(backoff.next(Duration::from_secs(3))), Some(3.0));
        assert_eq!(seconds(backoff.next(Duration::MAX)), Some(15.0));
        assert_eq!(seconds(backoff.next(Duration::ZERO)), Some(4.0));
        assert_eq!(seconds(backoff.next(Duration::ZERO)), None);
        assert_eq!(backoff.attempts, 5);
    }

    #[test]
    fn a_delay_beyond_the_deadline_ends_the_attempts() {
        let network = Network { patience: Duration::from_secs(10), ..Network::default() };
        assert_eq!(Backoff::new(&network).next(Duration::from_secs(15)), None);
    }

    #[test]
    fn only_new_bytes_are_progress() {
        let network = Network::default();
        let mut backoff = Backoff::new(&network);
        let start = backoff.last_progress;
        for length in [1000, 2000, 0, 1000 + PROGRESS - 1] {
            backoff.note(length);
            assert_eq!(backoff.last_progress, start, "{length}");
        }
        backoff.note(1000 + PROGRESS);
        assert!(backoff.longest == Some(1000 + PROGRESS) && backoff.last_progress >= start);
    }
}
