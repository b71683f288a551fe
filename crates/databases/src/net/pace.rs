//! When to read again from a server that has much to send.
//!
//! A walsender sends a message a row, a binlog's dump a few rows at a time. A reader that wakes up for each is most of the
//! cost, on both sides; one that lets them gather for a moment is woken a hundred times less. But it must not add to latency when little comes. So what tells
//! is how much the last read gave, and, since a reader that keeps up never sees much at once, how many reads there were
//! of late.

use std::time::Duration;

use tokio::time::Instant;

use super::gather::GATHERED;

/// A read of so many bytes means that more is coming.
const BACKLOG: usize = 4 * 1024;
/// So many reads within [`WINDOW`] mean it too.
const MANY: u32 = 16;
const WINDOW: Duration = Duration::from_millis(2);
/// How long to let a log gather then.
const GATHER: Duration = Duration::from_millis(2);
/// How long to let a query's rows gather: they come faster than a log, and the server waits once its socket is full.
const GATHER_ROWS: Duration = Duration::from_micros(500);

/// Paces the reads of one stream.
#[derive(Debug)]
pub struct Pace {
    gather: Duration,
    ready_at: Instant,
    window: Instant,
    reads: u32,
}

impl Pace {
    /// Of a log that is read from now on.
    pub fn log(now: Instant) -> Self {
        Self::new(GATHER, now)
    }

    /// Of a query's rows, read from now on.
    pub fn rows(now: Instant) -> Self {
        Self::new(GATHER_ROWS, now)
    }

    fn new(gather: Duration, now: Instant) -> Self {
        Self {
            gather,
            ready_at: now,
            window: now,
            reads: 0,
        }
    }

    /// Not before then.
    pub fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// There was a read of `bytes`; true when the next one is to wait. One that has left more behind is not waited after.
    pub fn read(&mut self, bytes: usize, now: Instant) -> bool {
        if now.duration_since(self.window) > WINDOW {
            (self.window, self.reads) = (now, 0);
        }
        self.reads += 1;
        let gathers = (bytes >= BACKLOG || self.reads >= MANY) && bytes < GATHERED;
        if gathers {
            self.ready_at = now + self.gather;
            self.reads = 0;
        }
        gathers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_read_waits_for_more_and_a_small_one_does_not() {
        let now = Instant::now();
        let mut pace = Pace::log(now);
        assert!(!pace.read(300, now));
        assert_eq!(pace.ready_at(), now);
        assert!(pace.read(BACKLOG, now));
        assert_eq!(pace.ready_at(), now + GATHER);
        let mut pace = Pace::log(now);
        assert!(!pace.read(GATHERED, now));
    }

    #[test]
    fn many_small_reads_in_a_moment_wait_for_more() {
        let mut now = Instant::now();
        let mut pace = Pace::log(now);
        for _ in 0..MANY {
            now += Duration::from_micros(50);
            pace.read(300, now);
        }
        assert_eq!(pace.ready_at(), now + GATHER);
    }

    #[test]
    fn a_transaction_now_and_then_never_waits() {
        let mut now = Instant::now();
        let mut pace = Pace::log(now);
        for _ in 0..100 {
            now += Duration::from_millis(10);
            for _ in 0..4 {
                pace.read(100, now);
                assert!(pace.ready_at() <= now);
            }
        }
    }
}
