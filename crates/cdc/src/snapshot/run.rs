//! One run of a snapshot: what its readers share, and how it begins and ends in what is stored.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapline_api::offset::{Offset, OffsetMark, Partition, SourceBatch};
use tapline_api::source::OffsetReader;
use tapline_api::{Error, Record, Result};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::ledger::Ledger;
use super::progress::{Progress, progress_partition};
use crate::clock::Instant as Clock;
use crate::headers::new_uuid;
use crate::metrics::{QueueMetrics, SnapshotMetrics};
use crate::notification::{Aggregate, Notifier};

/// The number that the first stored position of a run counts as; those of chunks follow.
pub const RUNNING: u64 = 1;

/// What the stored end of a snapshot counts as.
pub const COMPLETED: u64 = u64::MAX;

/// What a run is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where batches go.
    pub sender: mpsc::Sender<Result<SourceBatch>>,
    /// Counts what lies there.
    pub queue: QueueMetrics,
    /// The position that goes with every batch, and its source partition; none when nothing is stored, because positions
    /// are the stream's (a blocking snapshot).
    pub position: Option<(Partition, Offset)>,
    /// The name of what the database's snapshot sees.
    pub seen: String,
    /// `topic.prefix`.
    pub server: String,
    /// How many readers there are.
    pub readers: usize,
    /// How many tables.
    pub tables: usize,
    /// Figures.
    pub metrics: SnapshotMetrics,
    /// Who tells how far it is.
    pub notifier: Notifier,
    /// All captured tables, as notifications name them.
    pub captured: String,
    /// How many bytes of rows may be read and not be stored, per reader.
    pub repeated_bytes: u64,
    /// About how many bytes of a table make a chunk.
    pub chunk_bytes: u64,
    /// A batch is full at so many records, or bytes.
    pub batch_records: usize,
    /// See there.
    pub batch_bytes: usize,
}

/// A running snapshot.
#[derive(Debug)]
pub struct Run {
    pub(super) parts: Parts,
    pub(super) ledger: Mutex<Ledger>,
    /// Readers that may still come upon a row.
    pub(super) reading: AtomicUsize,
    pub(super) begun: Instant,
}

impl Run {
    /// Nothing is read yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(RUNNING)),
            reading: parts.readers.into(),
            begun: Instant::now(),
            parts,
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A notification, for the topic.
    pub fn tell(&self, kind: &str, data: &[(&str, String)]) -> Vec<Record> {
        if self.parts.notifier.is_silent() {
            return Vec::new();
        }
        let at = Clock::now();
        let told = self
            .parts
            .notifier
            .notify(&new_uuid(), Aggregate::Initial, kind, data, at);
        told.into_iter().collect()
    }

    /// Stores that a snapshot is under way, before any row goes out: a deleted row might stay for ever else. What lies under
    /// `forgotten` is of an earlier snapshot that this one does not go on with.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn begin(
        &self,
        records: Vec<Record>,
        mut marks: Vec<OffsetMark>,
        forgotten: Vec<Partition>,
        stored: &mut watch::Receiver<u64>,
    ) -> Result<()> {
        let after = records.len();
        self.parts.metrics.started(self.parts.tables, self.parts.tables);
        if let Some((partition, offset)) = &self.parts.position {
            marks.extend(
                forgotten
                    .into_iter()
                    .map(|partition| mark(after, partition, None)),
            );
            marks.push(mark(after, partition.clone(), Some(offset.clone())));
            marks.push(self.again(after, Some(offset)));
        }
        self.send(records, marks).await?;
        if self.parts.position.is_some() && self.parts.tables > 0 {
            wait(stored, RUNNING).await?;
        }
        Ok(())
    }

    /// Stores `completed` as the position, and forgets how far the tables were. Returns when that is stored: streaming before
    /// would let a kill take changes for ones that a snapshot is still to come to.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn complete(
        &self,
        records: Vec<Record>,
        completed: Offset,
        stored: &mut watch::Receiver<u64>,
    ) -> Result<()> {
        let after = records.len();
        let mut marks = Vec::new();
        if let Some((partition, _)) = &self.parts.position {
            marks.push(mark(after, partition.clone(), Some(completed)));
            marks.push(self.again(after, None));
            let ledger = self.ledger();
            marks.extend(
                ledger
                    .partitions()
                    .map(|partition| mark(after, partition.clone(), None)),
            );
        }
        self.send(records, marks).await?;
        if self.parts.position.is_some() {
            wait(stored, COMPLETED).await?;
        }
        self.parts.metrics.ended(true, self.begun.elapsed().as_secs());
        Ok(())
    }

    fn again(&self, after: usize, offset: Option<&Offset>) -> OffsetMark {
        mark(after, run_partition(&self.parts.server), offset.cloned())
    }

    async fn send(&self, records: Vec<Record>, marks: Vec<OffsetMark>) -> Result<()> {
        if records.is_empty() && marks.is_empty() {
            return Ok(());
        }
        self.parts.queue.put(records.len(), 0);
        let batch = SourceBatch {
            records,
            marks,
            bytes: 0,
            flush: true,
        };
        self.parts.sender.send(Ok(batch)).await.map_err(|_| stopped())
    }
}

fn mark(after: usize, partition: Partition, offset: Option<Offset>) -> OffsetMark {
    OffsetMark {
        after,
        partition,
        offset,
    }
}

/// The source partition under which a running snapshot's position stands once more, with whatever writes it.
pub fn run_partition(server: &str) -> Partition {
    Partition::new([
        ("server".to_owned(), server.into()),
        ("tapline".to_owned(), "snapshot".into()),
    ])
}

/// Whether the position that is stored under `of` is that of a snapshot of ours: else somebody has begun another one since,
/// and what is stored of ours is too old.
///
/// # Errors
/// When the offsets can't be read.
pub async fn is_own(offsets: &dyn OffsetReader, server: &str, of: &Partition) -> Result<bool> {
    let again = offsets.offset(&run_partition(server)).await?;
    Ok(again.is_some() && again == offsets.offset(of).await?)
}

/// How far a former run came with a table; `server` is `topic.prefix`.
///
/// # Errors
/// When the offsets can't be read.
pub async fn stored_progress(
    offsets: &dyn OffsetReader,
    server: &str,
    table: &str,
) -> Result<Option<Progress>> {
    let stored = offsets.offset(&progress_partition(server, table)).await?;
    Ok(stored.as_ref().and_then(Progress::from_offset))
}

/// The partitions of these tables under which a former run's progress lies.
///
/// # Errors
/// When the offsets can't be read.
pub async fn stale(offsets: &dyn OffsetReader, server: &str, tables: &[String]) -> Result<Vec<Partition>> {
    let mut found = Vec::new();
    for table in tables {
        let partition = progress_partition(server, table);
        if offsets.offset(&partition).await?.is_some() {
            found.push(partition);
        }
    }
    Ok(found)
}

/// Waits until what is numbered so is stored.
///
/// # Errors
/// When the task is being stopped.
pub async fn wait(stored: &mut watch::Receiver<u64>, number: u64) -> Result<()> {
    match stored.wait_for(|stored| *stored >= number).await {
        Ok(_) => Ok(()),
        Err(_) => Err(stopped()),
    }
}

pub(super) fn stopped() -> Error {
    Error::retriable("the task is being stopped")
}
