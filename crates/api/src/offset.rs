//! Source partitions, source offsets, and the batches that carry them.
//!
//! In Kafka Connect every record brings its offset. Here a batch brings *marks*: "when everything up to here is
//! acknowledged, the position is this". A source thus builds an offset once per batch, not once per row, and a
//! mark may stand where there is no record at all (an idle database, a filtered table, a keepalive).

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::record::Record;

/// Names what a position is in, such as `{"server":"shop"}`; the key under which an offset is stored.
///
/// The order of its entries is kept: it decides the bytes of the record in the offsets topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition(pub Arc<Map<String, Json>>);

/// A position in a source partition, such as `{"lsn":…,"txId":…}`. Entries keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset(pub Arc<Map<String, Json>>);

impl Partition {
    /// From entries in order.
    pub fn new(entries: impl IntoIterator<Item = (String, Json)>) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }
}

impl Offset {
    /// From entries in order.
    pub fn new(entries: impl IntoIterator<Item = (String, Json)>) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }

    /// One entry.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }
}

/// The position after the first `after` records of a batch.
#[derive(Clone, Debug)]
pub struct OffsetMark {
    /// How many of the batch's records precede it; 0 for none, `records.len()` for all.
    pub after: usize,
    /// The source partition.
    pub partition: Partition,
    /// The position, or `None` to forget the partition (a tombstone in the offsets topic).
    pub offset: Option<Offset>,
}

/// What one poll gives: records in the source's order, and marks in the order of `after`.
///
/// Records without a mark behind them are produced, but move no offset; a source ends nearly every batch in a mark.
#[derive(Clone, Debug, Default)]
pub struct SourceBatch {
    /// The records, in the source's order.
    pub records: Vec<Record>,
    /// The positions, ordered by `after`.
    pub marks: Vec<OffsetMark>,
    /// Bytes held, as the source reckons them; what bounds the channels the batch crosses.
    pub bytes: usize,
    /// The source waits for these marks: they are stored as soon as the batch is acknowledged, and not only at
    /// `offset.flush.interval.ms`. For rare moments, such as the end of a snapshot's chunk.
    pub flush: bool,
}

/// Offsets that are acknowledged in the offsets topic, the newest per partition.
#[derive(Clone, Debug, Default)]
pub struct CommittedOffsets(pub Vec<(Partition, Option<Offset>)>);
