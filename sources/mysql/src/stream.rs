//! Streaming: one task owns the dump's connection, and makes records of what comes.
//!
//! - A full channel stops the reading; the server waits.
//! - Under backlog it waits a moment before it reads again ([`Pace`]); when little comes, nothing waits.
//! - A transaction's commit moves the position, whether it held anything of ours or not: an idle or filtered database
//!   advances the stored offset.
//! - A table's schema is what the statements up to here made of it. Where it can't be known, the table's changes are not
//!   guessed at.

mod catch_up;
mod dispatch;
mod held;
mod known;
mod packet;
mod rows;
mod statement;
mod transaction;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapline_api::offset::{Offset, OffsetMark};
use tapline_api::{Error, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::intern::constant;
use tapline_cdc::metrics::{SourceMetrics, StreamingMetrics};
use tapline_databases::mysql::Pace;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::packet::event_of;
use crate::binlog::payload::Payload;
use crate::catalog::{Catalog, Server};
use crate::config::Options;
use crate::ddl::Dialect;
use crate::event::{Events, Origin};
use crate::history::{KeptTables, SchemaChangeRecords, SchemaHistory};
use crate::output::Output;
use crate::position::Tracker;
use crate::quarantine::Quarantine;
use crate::schema::{Table, TableId, Tables};
use crate::signals::{Context, Signals, signals_partition};
use crate::snapshot::Snapshot;
use crate::snapshot::sieve::Sieve;
use crate::table::{KeyLayout, Layout, Plan};
use crate::wire::{Block, Connection};

/// How often a position without a record goes out.
const IDLE_MARK: Duration = Duration::from_secs(1);
/// How long the end of the last record's transaction may wait to be stored: Debezium does not store it at all.
const END_MARK: Duration = Duration::from_secs(30);

/// A running stream.
pub(crate) struct Stream<'a> {
    pub(crate) options: &'a Options,
    server: &'a Server,
    signals: Option<Signals>,
    metrics: &'a SourceMetrics,
    measured: StreamingMetrics,
    /// Marks of signals that are dealt with.
    heard: Vec<OffsetMark>,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) events: &'a mut Events,
    pub(crate) output: &'a mut Output,
    pub(crate) history: &'a SchemaHistory,
    pub(crate) changes: &'a SchemaChangeRecords,
    pub(crate) tables: Tables,
    /// Tables whose schema is not known, with why.
    pub(crate) unknown: HashMap<TableId, String>,
    /// What tables were whose schema is not known any more.
    former: HashMap<TableId, Arc<Table>>,
    /// Tables whose changes are left out.
    pub(crate) quarantine: Quarantine,
    pub(crate) kept: KeptTables,
    /// What goes out before a killed snapshot is resumed.
    pub(crate) sieve: Option<Sieve>,
    pub(crate) tracker: Tracker,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) checksums: bool,
    /// How long the server may be silent.
    silence: Duration,
    dialect: Dialect,
    maps: HashMap<u64, Mapped>,
    plans: HashMap<TableId, Arc<Plan>>,
    origin: Origin,
    /// The commit's time, where the server tells it finer than in seconds.
    committed_at: Option<Clock>,
    /// Changes of this transaction are another source's.
    foreign: bool,
    payload: Option<Payload>,
    documents: Vec<Option<Range<usize>>>,
    /// What an offset says of the transaction that ended last.
    ended: Vec<(String, serde_json::Value)>,
}

/// A TABLE_MAP, and what is done with rows of it.
struct Mapped {
    body: Bytes,
    /// `None` of a table that is not captured, or whose changes are skipped.
    plan: Option<Arc<(Arc<Plan>, Layout)>>,
    /// Of a table whose changes are left out: how its key is found in rows that have gone.
    gone: Option<Arc<(Plan, KeyLayout)>>,
}

/// What a stream is made of.
pub(crate) struct Parts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) server: &'a Server,
    pub(crate) signals: Option<Signals>,
    pub(crate) metrics: &'a SourceMetrics,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) events: &'a mut Events,
    pub(crate) output: &'a mut Output,
    pub(crate) history: &'a SchemaHistory,
    pub(crate) changes: &'a SchemaChangeRecords,
    pub(crate) tables: Tables,
    pub(crate) unknown: HashMap<TableId, String>,
    pub(crate) quarantine: Quarantine,
    pub(crate) kept: KeptTables,
    pub(crate) tracker: Tracker,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) checksums: bool,
    pub(crate) silence: Duration,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        let file = constant(&parts.tracker.file);
        Self {
            dialect: parts.options.dialect(),
            options: parts.options,
            server: parts.server,
            signals: parts.signals,
            metrics: parts.metrics,
            measured: parts.metrics.streaming(),
            heard: Vec::new(),
            catalog: parts.catalog,
            events: parts.events,
            output: parts.output,
            history: parts.history,
            changes: parts.changes,
            tables: parts.tables,
            unknown: parts.unknown,
            former: HashMap::new(),
            quarantine: parts.quarantine,
            kept: parts.kept,
            sieve: None,
            tracker: parts.tracker,
            heartbeat: parts.heartbeat,
            checksums: parts.checksums,
            silence: parts.silence,
            maps: HashMap::new(),
            plans: HashMap::new(),
            origin: Origin {
                at: Clock::from_micros(0),
                server_id: 0,
                gtid: Value::Null,
                file,
                pos: 0,
                row: 0,
                thread: Value::Null,
                query: Value::Null,
            },
            committed_at: None,
            foreign: false,
            payload: None,
            documents: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Streams until cancelled. `connection` has been given the dump command.
    pub(crate) async fn run(&mut self, connection: Connection, cancel: &CancellationToken) -> Result<()> {
        self.measured.connected(true);
        let ended = self.pump(connection, cancel).await;
        self.measured.connected(false);
        ended
    }

    async fn pump(&mut self, mut connection: Connection, cancel: &CancellationToken) -> Result<()> {
        let sender = self.output.sender();
        let mut block = Block::default();
        let mut idle_due = Instant::now() + IDLE_MARK;
        let mut end_due = Instant::now() + END_MARK;
        let mut pace = Pace::log(Instant::now());
        let mut heard = Instant::now();
        self.lend(async |signals, context| signals.begin(context).await)
            .await?;
        self.settle().await?;
        loop {
            while !self.is_full() {
                if self.next_of_payload().await? {
                    continue;
                }
                let Some(packet) = block.next_packet() else {
                    match connection.take_block() {
                        Some(next) => block = next,
                        None => break,
                    }
                    continue;
                };
                let event = event_of(&block, packet)?;
                self.on_event(event, false).await?;
            }
            let now = Instant::now();
            if self.sieve.is_none() && self.quarantine.is_due(now) && !self.tracker.in_transaction() {
                self.look_at_held().await?;
            }
            self.beat(now).await;
            let has_records = !self.events.records.is_empty();
            let has_output = has_records
                || self.tracker.moved && now >= idle_due
                || self.tracker.owes_end && now >= end_due;
            // What waits for room is enough: read on, it would gather beside the batch without a bound.
            let reading = block.is_empty() && !self.is_full() && self.payload.is_none();
            if !reading {
                // While we don't listen, silence says nothing.
                heard = now;
            } else if now.duration_since(heard) > self.silence {
                return Err(Error::retriable(format!(
                    "the server has not been heard for {} s, not even by the heartbeats that it was asked for",
                    self.silence.as_secs()
                )));
            }
            let mut wake = (heard + self.silence).min(now + Duration::from_secs(3600));
            if self.tracker.moved && !has_output {
                wake = wake.min(idle_due);
            }
            if self.tracker.owes_end && !has_output {
                wake = wake.min(end_due);
            }
            if let Some(heartbeat) = &self.heartbeat {
                wake = wake.min(Instant::from_std(heartbeat.due()));
            }
            if let Some(due) = self.quarantine.due().filter(|_| self.sieve.is_none()) {
                wake = wake.min(due);
            }
            let wake = wake.max(now + Duration::from_millis(1));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                permit = sender.reserve(), if has_output => {
                    let Ok(permit) = permit else { return Ok(()) };
                    let (position, within) = match has_records {
                        true => self.tracker.position_of_records(),
                        false => (self.tracker.position(), false),
                    };
                    let transaction = match &self.events.transactions {
                        Some(transactions) if transactions.id().is_some() => transactions.offset_entries(),
                        _ if within => self.ended.clone(),
                        _ => Vec::new(),
                    };
                    let mut transaction = transaction;
                    if let Some(signals) = &self.signals {
                        let entries = signals.entries();
                        transaction.extend(entries.into_iter().map(|(name, value)| (name.to_owned(), value)));
                    }
                    let offset = position.to_offset(transaction);
                    let seen = std::mem::take(&mut self.events.seen);
                    self.measured.batch(seen, self.origin.at, Clock::now());
                    let (records, bytes) = self.events.take();
                    let mut marks = self.kept.marks(records.len(), &offset, &self.tables);
                    for mut mark in self.heard.drain(..) {
                        mark.after = records.len();
                        marks.push(mark);
                    }
                    let mut batch = self.output.batch(records, bytes, marks, Some(offset));
                    batch.flush = self.signals.as_mut().is_some_and(Signals::take_finished);
                    permit.send(Ok(batch));
                    self.tracker.stored(within);
                    idle_due = Instant::now() + IDLE_MARK;
                    end_due = Instant::now() + END_MARK;
                }
                () = sleep_until(wake) => {}
                signal = outside(&mut self.signals), if !self.tracker.in_transaction() => self.act(signal).await?,
                read = gather(&mut connection, pace.ready_at()), if reading => {
                    heard = Instant::now();
                    if pace.read(read?, heard) {
                        connection.unwatch()?;
                    }
                }
            }
        }
    }

    /// Calls `work` with the signals, and with what they need of the stream.
    async fn lend(
        &mut self,
        work: impl AsyncFnOnce(&mut Signals, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(signals) = &mut self.signals else {
            return Ok(());
        };
        let mut context = Context {
            options: self.options,
            events: self.events,
            tables: &self.tables,
            origin: &self.origin,
        };
        work(signals, &mut context).await
    }

    /// A signal that has not come by the log.
    async fn act(&mut self, outside: Outside) -> Result<()> {
        self.lend(async |signals, context| signals.act(&outside.signal, context).await)
            .await?;
        if let Some(offset) = outside.offset {
            self.heard.push(OffsetMark {
                after: 0,
                partition: signals_partition(self.options.naming.prefix()),
                offset: Some(Offset::new([("offset".to_owned(), offset.into())])),
            });
            self.tracker.moved = true;
        }
        self.settle().await
    }

    /// The stream stands between two transactions: windows close, and blocking snapshots may be taken.
    async fn settle(&mut self) -> Result<()> {
        let (file, next) = (self.tracker.file.clone(), self.tracker.next);
        self.lend(async |signals, context| signals.reached((&file, next), context).await)
            .await?;
        while let Some(execute) = self.signals.as_mut().and_then(Signals::take_blocking) {
            let snapshot = Snapshot::new(
                self.options,
                self.server,
                self.events,
                self.output,
                self.history,
                self.changes,
                &mut self.tables,
                &mut self.kept,
                self.metrics.snapshot(),
            );
            snapshot.take_again(&execute, &self.origin).await?;
            self.tracker.tell_all();
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.events.bytes >= self.options.batch_bytes
            || self.events.records.len() >= self.options.batch_records
    }

    async fn beat(&mut self, now: Instant) {
        let Some(heartbeat) = &mut self.heartbeat else {
            return;
        };
        let Some(record) = heartbeat.beat(now.into_std(), Clock::now()) else {
            return;
        };
        self.events.records.push(record);
        if let Some(query) = &self.options.heartbeat_query
            && let Err(error) = self.catalog.connection.execute(query).await
        {
            tracing::warn!(%error, "heartbeat.action.query failed");
        }
    }
}

/// Waits for a signal that does not come by the log. Cancel-safe.
async fn outside(signals: &mut Option<Signals>) -> Outside {
    match signals {
        Some(signals) => signals.outside().await,
        None => std::future::pending().await,
    }
}

async fn gather(connection: &mut Connection, ready_at: Instant) -> Result<usize> {
    if Instant::now() < ready_at {
        sleep_until(ready_at).await;
    }
    Ok(connection.read().await?)
}
