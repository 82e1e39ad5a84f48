//! How long a download goes on after failures that may pass.

use std::time::{Duration, Instant};

use crate::options::Network;

/// New bytes that renew the patience.
const PROGRESS: u64 = 1 << 16;

/// The attempts of one download and the time since it last made progress.
pub(crate) struct Patience<'a> {
    network: &'a Network,
    /// Attempts made and failed.
    pub(crate) attempts: u32,
    delay: Duration,
    last_progress: Instant,
    /// The most bytes that were ever there: fetching the same ones again is no progress.
    longest: Option<u64>,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        Self { network, attempts: 0, delay: network.first_delay, last_progress: Instant::now(), longest: None }
    }

    /// When it ends, unless there is progress until then.
    pub(crate) fn deadline(&self) -> Instant {
        self.last_progress + self.network.patience
    }

    /// Notes how many bytes are there; the first call tells what an earlier run left.
    pub(crate) fn note(&mut self, length: u64) {
        match self.longest {
            Some(longest) if length < longest + PROGRESS => {}
            longest => {
                self.longest = Some(length);
                if longest.is_some() {
                    self.last_progress = Instant::now();
                }
            }
        }
    }

    /// Counts a failed attempt and tells how long to wait before the next one, at least `asked` where that is bearable;
    /// nothing when it is time to give up.
    pub(crate) fn next(&mut self, asked: Duration) -> Option<Duration> {
        self.attempts += 1;
        let wait = asked.max(self.delay).min(self.network.longest_delay);
        self.delay = (self.delay * 2).min(self.network.longest_delay);
        let lasts = self.attempts <= self.network.retries && Instant::now() + wait < self.deadline();
        lasts.then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_within_bounds_and_end() {
        let network = Network { retries: 4, ..Network::default() };
        let mut patience = Patience::new(&network);
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs_f64());
        assert_eq!(seconds(patience.next(Duration::ZERO)), Some(0.5));
        assert_eq!(seconds(patience.next(Duration::from_secs(3))), Some(3.0));
        assert_eq!(seconds(patience.next(Duration::MAX)), Some(15.0));
        assert_eq!(seconds(patience.next(Duration::ZERO)), Some(4.0));
        assert_eq!(seconds(patience.next(Duration::ZERO)), None);
        assert_eq!(patience.attempts, 5);
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let network = Network { patience: Duration::from_secs(10), ..Network::default() };
        assert_eq!(Patience::new(&network).next(Duration::from_secs(15)), None);
    }

    #[test]
    fn only_new_bytes_renew_the_patience() {
        let network = Network::default();
        let mut patience = Patience::new(&network);
        let start = patience.last_progress;
        for length in [1000, 2000, 0, 1000 + PROGRESS - 1] {
            patience.note(length);
            assert_eq!(patience.last_progress, start, "{length}");
        }
        patience.note(1000 + PROGRESS);
        assert!(patience.longest == Some(1000 + PROGRESS) && patience.last_progress >= start);
    }
}
