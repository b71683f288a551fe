//! What the reading thread tells the task's loop, in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tapline_api::record::{SinkRecord, TopicPartition};
use tapline_api::sink::{Assigned, SinkOffsets};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::kafka::consumer::{RawRecord, Rebalance};

/// Records, and where they end.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// For the task.
    pub(super) records: Vec<SinkRecord>,
    /// As they lay in their topics, one per record; empty unless a dead letter queue may want them.
    pub(super) raw: Vec<RawRecord>,
    /// Next offsets behind the batch, behind records that were let go too.
    pub(super) next: SinkOffsets,
}

impl Batch {
    /// Drops what is of these partitions: they are no longer ours.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        let of = |topic: &Arc<str>, partition: i32| {
            partitions
                .iter()
                .any(|p| p.partition == partition && p.topic == *topic)
        };
        self.records
            .retain(|record| !of(&record.origin.topic, record.origin.partition));
        self.raw.retain(|record| !of(&record.topic, record.partition));
        self.next.retain(|key, _| !of(&key.topic, key.partition));
    }

    /// Adds what came after it.
    pub(super) fn append(&mut self, later: Batch) {
        self.records.extend(later.records);
        self.raw.extend(later.raw);
        self.next.extend(later.next);
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        let raw = |raw: &RawRecord| raw.value.as_ref().map_or(0, |value| value.len());
        let records: usize = self.records.iter().map(|record| record.record.size()).sum();
        records + self.raw.iter().map(raw).sum::<usize>()
    }

    /// Whether there is nothing in it, not even an offset.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.next.is_empty()
    }
}

/// One thing told.
pub(super) enum Event {
    /// Records.
    Batch(Batch),
    /// Partitions come; answer with where to start.
    Assigned(Vec<Assigned>, oneshot::Sender<SinkOffsets>),
    /// Partitions go; answer when they are done with.
    Revoked(Vec<TopicPartition>, bool, oneshot::Sender<()>),
}

/// What both sides know of each other.
#[derive(Default)]
pub(super) struct Shared {
    /// The loop has ended: nothing is to be told any more.
    pub(super) closing: AtomicBool,
    /// The task is paused.
    pub(super) paused: AtomicBool,
    /// Rebalances told and not yet heard. The reading thread waits in them, so they are heard out even while a
    /// batch is tried again.
    pub(super) rebalances: AtomicUsize,
    /// Told when there is one more of them.
    pub(super) rebalancing: Notify,
    /// Partitions that went while the reading thread held records of them.
    pub(super) gone: Mutex<Vec<TopicPartition>>,
}

/// The consumer's side of a rebalance.
pub(super) struct Listener {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) shared: Arc<Shared>,
}

impl Listener {
    /// Tells, and waits for the answer; `None` when the loop has ended.
    fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Event) -> Option<T> {
        if self.shared.closing.load(Ordering::Acquire) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.shared.rebalances.fetch_add(1, Ordering::AcqRel);
        self.shared.rebalancing.notify_one();
        self.events.blocking_send(make(answer)).ok()?;
        answered.blocking_recv().ok()
    }
}

impl Rebalance for Listener {
    fn assigned(&self, partitions: Vec<Assigned>) -> SinkOffsets {
        self.ask(|answer| Event::Assigned(partitions, answer))
            .unwrap_or_default()
    }

    fn revoked(&self, partitions: Vec<TopicPartition>, lost: bool) {
        self.shared
            .gone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(partitions.iter().cloned());
        self.ask(|answer| Event::Revoked(partitions, lost, answer));
    }
}

/// Batches that wait behind one that is tried again.
pub(super) type Waiting = VecDeque<Batch>;
