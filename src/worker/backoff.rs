//! Waits that double, up to a limit, with jitter, so that many tasks do not return to a server at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first wait (`RetryWithToleranceOperator.RETRIES_DELAY_MIN_MS`).
pub const FIRST: Duration = Duration::from_millis(300);

/// Counts attempts and says how long to wait before the next.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits of at most `limit`.
    pub fn new(limit: Duration) -> Self {
        Self::between(FIRST, limit)
    }

    /// Waits of `first` and more, and of at most `limit`.
    pub fn between(first: Duration, limit: Duration) -> Self {
        Self {
            first,
            limit,
            attempts: 0,
        }
    }

    /// How often [`wait`](Self::wait) was asked since the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It went well: begin anew.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next wait: half of it certain, half of it by chance.
    pub fn wait(&mut self) -> Duration {
        let whole = full(self.first, self.attempts, self.limit);
        self.attempts = self.attempts.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(chance())
    }
}

/// The wait without jitter.
fn full(first: Duration, attempts: u32, limit: Duration) -> Duration {
    first.saturating_mul(1 << attempts.min(16)).min(limit)
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_keep_half_of_their_length() {
        let limit = Duration::from_secs(10);
        assert_eq!(full(FIRST, 0, limit), FIRST);
        assert_eq!(full(FIRST, 2, limit), FIRST * 4);
        assert_eq!(full(FIRST, 60, limit), limit);
        let mut backoff = Backoff::new(limit);
        for attempt in 0..100 {
            let (whole, wait) = (full(FIRST, attempt, limit), backoff.wait());
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert_eq!(backoff.attempts(), 0);
    }
}
