//! What hangs on a batch: who waits for it, and the room that it takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::kafka::producer::Batch;

/// Those who wait for a batch. Dropped without being [`settled`](Self::settled), it tells them that it failed.
#[derive(Debug)]
pub(super) struct Load {
    waiting: Vec<Batch>,
    records: usize,
    /// When its first record came.
    pub(super) since: Instant,
    /// The room that it takes once it is closed.
    pub(super) held: Option<Held>,
}

impl Load {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            waiting: Vec::new(),
            records: 0,
            since,
            held: None,
        }
    }

    /// One more record, of `batch`.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.records += 1;
        if !self.waiting.last().is_some_and(|last| last.is(batch)) {
            self.waiting.push(batch.clone());
        }
    }

    /// The broker has it.
    pub(super) fn settled(mut self) {
        self.waiting.clear();
    }

    /// The broker will not have it.
    pub(super) fn failed(mut self, code: Code, why: &str) {
        self.tell(code, why);
    }

    fn tell(&mut self, code: Code, why: &str) {
        for batch in self.waiting.drain(..) {
            batch.failed(self.records, code, why);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tell(
            Code::PurgeQueue,
            "the producer was closed before the records were acknowledged",
        );
    }
}

/// Room for batches on their way, in bytes.
#[derive(Debug)]
pub(super) struct Room {
    bound: usize,
    used: Mutex<usize>,
    freed: Condvar,
    records: AtomicUsize,
}

/// A piece of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Room>,
    bytes: usize,
    records: usize,
}

impl Room {
    pub(super) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            bound,
            used: Mutex::new(0),
            freed: Condvar::new(),
            records: AtomicUsize::new(0),
        })
    }

    /// Takes room for a batch when there is some; a batch may stand over. Waits for `patience` at most.
    pub(super) fn take(self: &Arc<Self>, bytes: usize, records: usize, patience: Duration) -> Option<Held> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut used, waited) = self
            .freed
            .wait_timeout_while(used, patience, |used| *used >= self.bound)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *used += bytes;
        self.records.fetch_add(records, Ordering::AcqRel);
        Some(Held {
            room: self.clone(),
            bytes,
            records,
        })
    }

    /// Records that hold room.
    pub(super) fn records(&self) -> usize {
        self.records.load(Ordering::Acquire)
    }

    fn give(&self, bytes: usize) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
        drop(used);
        self.freed.notify_all();
    }
}

impl Held {
    /// It has become smaller.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.room.give(less);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.records.fetch_sub(self.records, Ordering::AcqRel);
        self.room.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn a_load_that_is_dropped_has_failed_and_one_that_is_settled_has_not() {
        let load = |batch: &Batch| {
            let mut load = Load::new(Instant::now());
            load.add(batch);
            load.add(batch);
            load
        };
        let (batch, delivery) = Batch::new(Arc::new(Notify::new()));
        let (one, other) = (load(&batch), load(&batch));
        drop(batch);
        one.settled();
        assert!(!delivery.is_settled());
        drop(other);
        assert!(delivery.is_settled());
        assert_eq!(delivery.failed(), 2);
        assert!(delivery.error().unwrap().message().contains("was closed"));
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let room = Room::new(10);
        let none = Duration::ZERO;
        let mut first = room.take(8, 3, none).unwrap();
        let second = room.take(8, 2, none).unwrap();
        assert!(room.take(1, 1, none).is_none());
        assert_eq!(room.records(), 5);
        first.shrink(1);
        assert!(room.take(1, 1, none).is_some());
        drop((first, second));
        assert_eq!(room.records(), 0);
    }
}
