//! One reader's rows on their way out.
//!
//! A row is held back at the end of a table, because whether it was the last of its table, or of all, shows only
//! afterwards. A chunk counts as done in the batch that has its last row. A reader goes on to the next chunks while those
//! before are being stored, but lets no row out that would make more than `repeated_bytes` of what is not: so much a kill repeats of
//! each reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tapline_api::offset::{OffsetMark, SourceBatch};
use tapline_api::{Record, Result};
use tokio::sync::watch;

use super::ledger::Claim;
use super::run::{Run, stopped, wait};
use super::work::Work;
use crate::clock::Instant as Clock;
use crate::envelope::{SnapshotMarker, remark};

/// What a reader has not given away yet.
#[derive(Debug)]
pub struct Outlet {
    run: Arc<Run>,
    stored: watch::Receiver<u64>,
    records: Vec<Record>,
    bytes: usize,
    held: Option<(Record, SnapshotMarker)>,
    /// Chunks that are done once the held row has gone out; with their bytes.
    withheld: Vec<(Claim, u64)>,
    /// Chunks whose rows have all gone out, or go with the next batch.
    done: Vec<(Claim, u64)>,
    /// What was sent as done, by number, until it is known to be stored.
    unstored: VecDeque<(u64, u64)>,
}

impl Outlet {
    pub(super) fn new(run: Arc<Run>, stored: watch::Receiver<u64>) -> Self {
        Self {
            run,
            stored,
            records: Vec::new(),
            bytes: 0,
            held: None,
            withheld: Vec::new(),
            done: Vec::new(),
            unstored: VecDeque::new(),
        }
    }

    /// The first row of a chunk is about to come.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn begin(&mut self, weight: u64) -> Result<()> {
        self.release();
        self.let_store(weight).await
    }

    /// The next row of a chunk, of so many bytes.
    #[inline]
    pub fn row(&mut self, record: Record, marker: SnapshotMarker, bytes: usize) {
        self.bytes += bytes;
        if let Some((earlier, _)) = self.held.replace((record, marker)) {
            self.records.push(earlier);
        }
    }

    /// A record that is no row.
    pub(super) fn also(&mut self, records: &mut Vec<Record>) {
        self.records.append(records);
    }

    /// Whether it is time to flush.
    #[inline]
    pub fn is_full(&self) -> bool {
        let parts = &self.run.parts;
        self.bytes >= parts.batch_bytes || self.records.len() >= parts.batch_records
    }

    /// All `rows` of the chunk are read.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn end<P>(&mut self, work: &Work<P>, rows: u64) -> Result<()> {
        let all = work.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let ends_table = self.run.ledger().read(work.claim);
        let finished = (work.claim, work.weight);
        work.scanned.add(i64::try_from(rows).unwrap_or(0));
        if ends_table {
            let parts = &self.run.parts;
            parts.metrics.table_read();
            tracing::info!(
                table = &*work.table,
                rows = all,
                "table {} of {} is read",
                work.index + 1,
                parts.tables
            );
            let told = self.run.tell(
                "TABLE_SCAN_COMPLETED",
                &[
                    ("scanned_collection", work.table.to_string()),
                    ("total_rows_scanned", all.to_string()),
                    ("status", "SUCCEEDED".to_owned()),
                    ("data_collections", parts.captured.clone()),
                ],
            );
            self.records.extend(told);
        }
        if rows == 0 {
            self.done.push(finished);
        } else if ends_table {
            self.withheld.push(finished);
            // The first row of all stays that, even where it is the only one of its table.
            if let Some((record, marker)) = &mut self.held
                && *marker != SnapshotMarker::First
            {
                *marker = SnapshotMarker::LastInDataCollection;
                remark(record, *marker);
            }
        } else {
            self.withheld.push(finished);
            self.release();
            // While it is being stored the next chunk is asked for.
            self.flush(true).await?;
        }
        Ok(())
    }

    /// There is nothing more to read. The last row of all is held by the last reader to end.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn finish(mut self) -> Result<()> {
        let last = self.run.reading.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Some((record, _)) = &mut self.held {
            remark(record, SnapshotMarker::Last);
        }
        self.release();
        self.flush(false).await
    }

    /// Lets the held row go.
    fn release(&mut self) {
        if let Some((record, _)) = self.held.take() {
            self.records.push(record);
        }
        self.done.append(&mut self.withheld);
    }

    /// Waits until so much of what was read is stored that, with `more` bytes, what is not makes no more than may be repeated.
    async fn let_store(&mut self, more: u64) -> Result<()> {
        if self.run.parts.position.is_none() {
            return Ok(());
        }
        loop {
            let stored = *self.stored.borrow_and_update();
            self.unstored.retain(|(number, _)| *number > stored);
            let waiting = sum(&self.done) + self.unstored.iter().map(|(_, bytes)| bytes).sum::<u64>();
            if waiting == 0 || waiting + more <= self.run.parts.repeated_bytes {
                return Ok(());
            }
            self.flush(true).await?;
            let Some((number, _)) = self.unstored.back().copied() else {
                return Ok(());
            };
            wait(&mut self.stored, number).await?;
        }
    }

    /// Sends what there is, `soon` when it is waited for. What is stored of several readers rises with the order in which
    /// their batches go out.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn flush(&mut self, soon: bool) -> Result<()> {
        let parts = &self.run.parts;
        let Ok(room) = parts.sender.reserve().await else {
            return Err(stopped());
        };
        let capacity = self.records.len();
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(capacity));
        let (after, bytes) = (records.len(), std::mem::take(&mut self.bytes));
        let seconds = self.run.begun.elapsed().as_secs();
        parts.metrics.batch(after, seconds, Clock::now());
        parts.queue.put(after, bytes);
        // Held until the batch is on its way.
        let mut ledger = self.run.ledger();
        let mut marks = Vec::new();
        match &parts.position {
            None => self.done.clear(),
            Some((partition, position)) => {
                marks.push(OffsetMark {
                    after,
                    partition: partition.clone(),
                    offset: Some(position.clone()),
                });
                if !self.done.is_empty() {
                    let claims: Vec<Claim> = self.done.iter().map(|(claim, _)| *claim).collect();
                    let (offsets, number) = ledger.done(&claims, &parts.seen);
                    let weight = sum(&self.done);
                    self.done.clear();
                    marks.extend(offsets.into_iter().map(|(partition, offset)| OffsetMark {
                        after,
                        partition,
                        offset: Some(offset),
                    }));
                    self.unstored.push_back((number, weight));
                }
            }
        }
        room.send(Ok(SourceBatch {
            records,
            marks,
            bytes,
            flush: soon && parts.position.is_some(),
        }));
        Ok(())
    }
}

fn sum(chunks: &[(Claim, u64)]) -> u64 {
    chunks.iter().map(|(_, bytes)| bytes).sum()
}
