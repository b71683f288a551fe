//! One session that reads chunks, as long as there are any.
//!
//! A row is held back at the end of a table, because whether it was the last of its table, or of all, shows only
//! afterwards. A chunk counts as done in the batch that has its last row. A reader goes on to another chunk while the one
//! before is being stored, but lets no row of it out: so a kill repeats no more than one chunk's worth of each reader.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use tapline_api::metrics::Metric;
use tapline_api::offset::OffsetMark;
use tapline_api::{Record, Result};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::snapshot::Claim;
use tokio::sync::{mpsc, oneshot, watch};

use super::{PROGRESS, Shared, stopped, unreadable, wait};
use crate::config::Options;
use crate::event::{Events, remark};
use crate::output::Output;
use crate::table::Plan;
use crate::wire::{Connection, Frame, copy_error};

/// A chunk to read.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) claim: Claim,
    /// Notifications that come before it.
    pub(super) told: Vec<Record>,
    pub(super) plan: Arc<Plan>,
    pub(super) sql: String,
    /// The marker of the chunk's first row.
    pub(super) first: SnapshotMarker,
    /// Bytes, roughly.
    pub(super) weight: u64,
    /// The table's place.
    pub(super) index: usize,
    /// The figure of the table's rows.
    pub(super) scanned: Metric,
    /// Rows of the table so far.
    pub(super) rows: Arc<AtomicU64>,
}

/// Who asks for work.
pub(super) type Asks = mpsc::Sender<oneshot::Sender<Option<Work>>>;

/// A session, and what it has not given away yet.
#[derive(Debug)]
pub(super) struct Reader {
    options: Arc<Options>,
    connection: Connection,
    events: Events,
    output: Output,
    shared: Arc<Shared>,
    stored: watch::Receiver<u64>,
    held: Option<(Record, SnapshotMarker)>,
    /// Chunks that are done once the held row has gone out.
    withheld: Vec<(Claim, u64)>,
    /// Chunks whose rows have all gone out, or go with the next batch; with their bytes.
    done: Vec<(Claim, u64)>,
    /// What was sent as done, by number, until it is known to be stored.
    unstored: VecDeque<(u64, u64)>,
}

impl Reader {
    pub(super) fn new(
        options: Arc<Options>,
        connection: Connection,
        events: Events,
        output: Output,
        shared: Arc<Shared>,
        stored: watch::Receiver<u64>,
    ) -> Self {
        Self {
            options,
            connection,
            events,
            output,
            shared,
            stored,
            held: None,
            withheld: Vec::new(),
            done: Vec::new(),
            unstored: VecDeque::new(),
        }
    }

    /// Reads what there is to read.
    pub(super) async fn run(mut self, asks: Asks) -> Result<()> {
        loop {
            let (reply, work) = oneshot::channel();
            if asks.send(reply).await.is_err() {
                return Err(stopped());
            }
            match work.await.map_err(|_| stopped())? {
                Some(mut work) => {
                    self.events.records.append(&mut work.told);
                    self.chunk(work).await?;
                }
                None => break,
            }
        }
        // The last of all is held by the last reader to end.
        let last = self.shared.reading.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Some((record, _)) = &mut self.held {
            remark(record, SnapshotMarker::Last);
        }
        self.release();
        self.flush(false).await?;
        self.connection.close(false).await;
        Ok(())
    }

    async fn chunk(&mut self, work: Work) -> Result<()> {
        let table = &work.plan.table;
        self.connection
            .copy_out(&work.sql)
            .await
            .map_err(|error| unreadable(&self.options.settings.user, &table.schema, &table.name, error))?;
        let (mut rows, mut told) = (0u64, tokio::time::Instant::now());
        loop {
            while let Some(mut block) = self.connection.take_block()? {
                while let Some(frame) = block.next_frame() {
                    match frame.tag {
                        b'd' => {
                            if rows == 0 {
                                self.release();
                                self.let_store(work.weight).await?;
                            }
                            self.row(&work, block.bytes(), frame, rows)?;
                            rows += 1;
                        }
                        // ReadyForQuery ends the statement, after CopyDone and CommandComplete.
                        b'Z' => return self.end(&work, rows).await,
                        b'E' => return Err(copy_error(block.bytes(), &frame).into()),
                        _ => {}
                    }
                    if self.is_full() {
                        self.flush(false).await?;
                    }
                }
            }
            if told.elapsed() > PROGRESS {
                let rows = work.rows.load(Ordering::Relaxed) + rows;
                tracing::info!(schema = table.schema, table = table.name, rows, "reading");
                told = tokio::time::Instant::now();
            }
            self.connection.read().await?;
        }
    }

    #[inline]
    fn row(&mut self, work: &Work, block: &Bytes, frame: Frame, before: u64) -> Result<()> {
        let size = frame.body.len();
        let row = work.plan.copied(block, frame.body, &mut self.events.arena)?;
        let marker = if before == 0 {
            work.first
        } else {
            SnapshotMarker::True
        };
        let record = self
            .events
            .read(&work.plan, row, marker, &self.shared.origin, size);
        if let Some((earlier, _)) = self.held.replace((record, marker)) {
            self.events.records.push(earlier);
        }
        Ok(())
    }

    /// All rows of the chunk are read.
    async fn end(&mut self, work: &Work, rows: u64) -> Result<()> {
        let all = work.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let ends_table = self
            .shared
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(work.claim);
        let finished = (work.claim, work.weight);
        work.scanned.add(i64::try_from(rows).unwrap_or(0));
        if ends_table {
            self.shared.metrics.table_read();
            let (table, index) = (&work.plan.table, work.index + 1);
            tracing::info!(
                schema = table.schema,
                table = table.name,
                rows = all,
                "table {index} of {} is read",
                self.shared.tables
            );
            let told = self.shared.tell(
                "TABLE_SCAN_COMPLETED",
                &[
                    ("scanned_collection", format!("{}.{}", table.schema, table.name)),
                    ("total_rows_scanned", all.to_string()),
                    ("status", "SUCCEEDED".to_owned()),
                    ("data_collections", self.shared.captured.clone()),
                ],
            );
            self.events.records.extend(told);
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

    /// Lets the held row go.
    fn release(&mut self) {
        if let Some((record, _)) = self.held.take() {
            self.events.records.push(record);
        }
        self.done.append(&mut self.withheld);
    }

    /// Waits until so much of what was read is stored that `more` bytes make no more than a chunk of what is not.
    async fn let_store(&mut self, more: u64) -> Result<()> {
        let limit = self.options.snapshot_chunk_bytes;
        if self.shared.position.is_none() {
            return Ok(());
        }
        loop {
            let stored = *self.stored.borrow_and_update();
            self.unstored.retain(|(number, _)| *number > stored);
            let waiting = sum(&self.done) + self.unstored.iter().map(|(_, bytes)| bytes).sum::<u64>();
            if waiting == 0 || waiting + more <= limit {
                return Ok(());
            }
            self.flush(true).await?;
            let Some((number, _)) = self.unstored.back().copied() else {
                return Ok(());
            };
            wait(&mut self.stored, number).await?;
        }
    }

    fn is_full(&self) -> bool {
        self.events.bytes >= self.options.batch_bytes
            || self.events.records.len() >= self.options.batch_records
    }

    /// Sends what there is, `soon` when it is waited for. What is stored of several readers rises with the order in which
    /// their batches go out.
    async fn flush(&mut self, soon: bool) -> Result<()> {
        let sender = self.output.sender();
        let Some(room) = Output::room(&sender).await else {
            return Err(stopped());
        };
        let (records, bytes) = self.events.take();
        let after = records.len();
        let seconds = self.shared.begun.elapsed().as_secs();
        self.shared.metrics.batch(after, seconds, Clock::now());
        let mut ledger = self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = self.output.batch(records, bytes, self.shared.position.as_ref());
        if self.shared.position.is_none() {
            self.done.clear();
        } else if !self.done.is_empty() {
            let claims: Vec<Claim> = self.done.iter().map(|(claim, _)| *claim).collect();
            let (offsets, number) = ledger.done(&claims, &self.shared.seen);
            let weight = sum(&self.done);
            self.done.clear();
            batch
                .marks
                .extend(offsets.into_iter().map(|(partition, offset)| OffsetMark {
                    after,
                    partition,
                    offset: Some(offset),
                }));
            self.unstored.push_back((number, weight));
        }
        batch.flush = soon && self.shared.position.is_some();
        room.send(Ok(batch));
        Ok(())
    }
}

fn sum(chunks: &[(Claim, u64)]) -> u64 {
    chunks.iter().map(|(_, bytes)| bytes).sum()
}
