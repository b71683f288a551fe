//! Streaming: one task owns the replication connection, decodes what comes, and confirms what is stored.
//!
//! ```text
//!  walsender ──XLogData──▶ Frames ──▶ pgoutput ──▶ rows ──▶ records ──▶ channel ──▶ poll
//!      ◀── status: received, confirmed ── every status.update.interval.ms, on request, and when commit() was called
//! ```
//!
//! - The server hears from us while the channel is full: reading stops then, answering does not.
//! - Only what `commit` has confirmed is reported as flushed.
//! - Between transactions a keepalive's position is a position of ours: everything before it was sent. So an idle database
//!   and filtered tables advance the slot without a heartbeat.
//! - Under backlog it waits a moment before it reads again ([`Pace`]); when little comes, nothing waits.

mod decoder;
mod relation;
mod reselect;
mod status;

use std::time::Duration;

use tapline_api::offset::{Offset, OffsetMark};
use tapline_api::{Error, Kind, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::metrics::{SourceMetrics, StreamingMetrics};
use tapline_cdc::options::OnFailure;
use tapline_cdc::signal::Execute;
use tapline_cdc::snapshot::run_partition;
use tapline_databases::postgres::{self as pg, Pace};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Ahead, Catalog};
use crate::config::Options;
use crate::event::Events;
use crate::lsn::Lsn;
use crate::output::Output;
use crate::pgoutput::{Message, decode};
use crate::position::{Position, SnapshotState};
use crate::signals::{Context, Signals, signals_partition};
use crate::snapshot::sieve::Sieve;
use crate::wal::WalWatch;
use crate::wire::{Block, Connection, Frame, copy_error};

use decoder::Decoder;

/// How often a position without a record goes out.
const IDLE_MARK: Duration = Duration::from_secs(1);
/// Confirmed positions reach the server this often at most.
const CONFIRM: Duration = Duration::from_millis(200);
/// How often a stream that has an end asks the server whether it is reached.
const ASK: Duration = Duration::from_millis(200);
/// XLogData: tag, start, end, clock.
const XLOG_HEADER: usize = 1 + 8 + 8 + 8;

/// A running stream.
pub(crate) struct Stream<'a> {
    pub(crate) options: &'a Options,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) events: &'a mut Events,
    pub(crate) output: &'a mut Output,
    pub(crate) confirmed: watch::Receiver<Lsn>,
    pub(crate) heartbeat: Option<Heartbeat>,
    decoder: Decoder,
    received: Lsn,
    /// `status.update.interval.ms`, or less where the server would give us up sooner.
    status_interval: Duration,
    /// Ends before the first transaction that commits here or later; a snapshot follows.
    until: Option<Lsn>,
    done: bool,
    /// When to read the slot's xmin.
    xmin_due: Option<Instant>,
    pub(crate) signals: Option<Signals>,
    measured: Option<Measured>,
    /// Definitions of tables.
    ahead: Ahead,
    /// The session that asks for what events lack.
    reselecting: Option<Connection>,
}

/// What is told of a stream.
#[derive(Debug)]
struct Measured {
    streaming: StreamingMetrics,
    wal: WalWatch,
}

impl<'a> Stream<'a> {
    /// From `position` on; `end` is where the server's log ends now.
    #[expect(clippy::too_many_arguments, reason = "the parts of a task")]
    pub(crate) fn new(
        options: &'a Options,
        catalog: &'a mut Catalog,
        events: &'a mut Events,
        output: &'a mut Output,
        confirmed: watch::Receiver<Lsn>,
        heartbeat: Option<Heartbeat>,
        position: Position,
        end: Lsn,
        sender_timeout: Duration,
    ) -> Self {
        let patience = if sender_timeout.is_zero() {
            Duration::MAX
        } else {
            sender_timeout / 3
        };
        let status_interval = options.status_interval.min(patience);
        let decoder = Decoder::new(position, end, options.messages.clone());
        Self {
            options,
            catalog,
            events,
            output,
            confirmed,
            heartbeat,
            decoder,
            received: Lsn::NONE,
            status_interval,
            until: None,
            done: false,
            xmin_due: (!options.xmin_interval.is_zero()).then(Instant::now),
            signals: None,
            measured: None,
            ahead: Ahead::new(end),
            reselecting: None,
        }
    }

    /// Keeps figures, and watches the slot.
    pub(crate) fn measure(&mut self, metrics: &SourceMetrics) {
        self.measured = Some(Measured {
            streaming: metrics.streaming(),
            wal: WalWatch::new(&self.options.slot, self.options.slot_budget, metrics),
        });
    }

    /// Only what was committed before `end`: what a snapshot that sees the database at `end` has seen, as far as `sieve`
    /// lets it pass. Its positions say that the snapshot is still to come.
    pub(crate) fn until(mut self, end: Lsn, sieve: Sieve) -> Self {
        self.until = Some(end);
        self.decoder.sieve = Some(sieve);
        self.status_interval = self.status_interval.min(ASK);
        self
    }

    /// Streams until cancelled. `connection` has been given `START_REPLICATION`.
    pub(crate) async fn run(&mut self, mut connection: Connection, cancel: &CancellationToken) -> Result<()> {
        if let Some(measured) = &self.measured {
            measured.streaming.connected(true);
        }
        let ended = self.pump(&mut connection, cancel).await;
        if let Some(measured) = &self.measured {
            measured.streaming.connected(false);
        }
        if ended.is_ok() {
            // What was committed last is worth one more message: the next start skips less.
            let _ = self.confirm(&mut connection, false).await;
            connection.close(true).await;
        }
        ended
    }

    async fn pump(&mut self, connection: &mut Connection, cancel: &CancellationToken) -> Result<()> {
        let sender = self.output.sender();
        let mut block = Block::default();
        let mut pace = Pace::log(Instant::now());
        let mut status_due = Instant::now();
        let mut idle_due = Instant::now() + IDLE_MARK;
        let mut heard = Instant::now();
        let silence = Duration::from_secs(60).max(self.options.status_interval.saturating_mul(3));
        self.lend(async |signals, context| signals.begin(context).await)
            .await?;
        loop {
            while !self.done && !self.is_full() {
                let Some(frame) = block.next_frame() else {
                    match connection.take_block()? {
                        Some(next) => block = next,
                        None => break,
                    }
                    continue;
                };
                if self.on_frame(&block, frame).await? {
                    self.confirm(connection, false).await?;
                }
            }
            if self.done && self.events.records.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            if self.signals.as_ref().is_some_and(Signals::is_waiting) {
                status_due = status_due.min(now + ASK);
            }
            self.read_xmin(now).await?;
            if let Some(measured) = &mut self.measured {
                measured.wal.look(self.catalog, now).await;
            }
            // What waits for room is enough: read on, it would gather beside the batch without a bound.
            let reading = block.is_empty() && !self.is_full() && !self.done;
            if !reading {
                // While we don't listen, silence says nothing.
                heard = now;
            }
            self.beat(now).await;
            let has_records = !self.events.records.is_empty();
            let has_output = has_records || (self.decoder.moved && now >= idle_due);
            let wake = self.next_wake(status_due, (!has_output).then_some(idle_due));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                permit = Output::room(&sender), if has_output => {
                    let Some(permit) = permit else { return Ok(()) };
                    let (records, bytes) = self.events.take();
                    self.keep_further();
                    if let Some(measured) = &self.measured {
                        let seen = std::mem::take(&mut self.events.seen);
                        measured.streaming.batch(seen, self.decoder.origin.at, Clock::now());
                    }
                    let decoder = &mut self.decoder;
                    let at = if records.is_empty() { decoder.rest() } else { decoder.told };
                    decoder.moved = at != decoder.position || decoder.idle.is_some();
                    let position = Position {
                        snapshot: self.until.map(|_| SnapshotState::Running),
                        ..at
                    };
                    let mut batch = self.output.batch(records, bytes, Some(&position));
                    batch.flush = self.signals.as_mut().is_some_and(Signals::take_finished);
                    if self.until.is_some() && let Some(mark) = batch.marks.last().cloned() {
                        let partition = run_partition(self.options.naming.prefix());
                        batch.marks.push(OffsetMark { partition, ..mark });
                    }
                    permit.send(Ok(batch));
                    idle_due = Instant::now() + IDLE_MARK;
                }
                () = sleep_until(wake) => {
                    if Instant::now() >= status_due {
                        // Asked to answer, the server tells where it stands even when nothing happens, and shows that it
                        // lives.
                        self.confirm(connection, true).await?;
                        status_due = Instant::now() + self.status_interval;
                        if heard.elapsed() > silence {
                            return Err(pg::Error::Timeout(format!(
                                "the server has not been heard for {} s", heard.elapsed().as_secs()
                            )).into());
                        }
                    }
                }
                signal = outside(&mut self.signals), if !self.decoder.in_transaction && !self.done => {
                    self.act(signal).await?;
                }
                changed = self.confirmed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    status_due = status_due.min(Instant::now() + CONFIRM);
                }
                read = gather(connection, pace.ready_at()), if reading => {
                    heard = Instant::now();
                    if pace.read(read?, heard) {
                        connection.unwatch()?;
                    }
                }
            }
        }
    }

    /// `idle` is when a position without a record is due, unless something waits for room already.
    fn next_wake(&self, status: Instant, idle: Option<Instant>) -> Instant {
        let mut wake = status;
        if let Some(idle) = idle.filter(|_| self.decoder.moved) {
            wake = wake.min(idle);
        }
        if let Some(heartbeat) = &self.heartbeat {
            wake = wake.min(Instant::from_std(heartbeat.due()));
        }
        // A moment that has passed and was not acted on must not spin.
        wake.max(Instant::now() + Duration::from_millis(1))
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
            catalog: self.catalog,
            events: self.events,
            origin: &self.decoder.origin,
        };
        work(signals, &mut context).await
    }

    /// A message has been dealt with, with the records from `before` on: what of it concerns signals.
    async fn attend(&mut self, before: usize) -> Result<()> {
        let Some(signals) = &mut self.signals else {
            return Ok(());
        };
        signals.changed(self.events.records.get(before..).unwrap_or_default());
        for heard in std::mem::take(&mut self.decoder.heard) {
            self.lend(async |signals, context| signals.hear(heard, context).await)
                .await?;
        }
        if self.decoder.in_transaction {
            return Ok(());
        }
        let at = self.decoder.reached().last_commit.unwrap_or(Lsn::NONE);
        self.lend(async |signals, context| signals.reached(at, context).await)
            .await?;
        self.done |= self.signals.as_ref().is_some_and(Signals::wants_blocking);
        Ok(())
    }

    /// A signal that has not come by the log.
    async fn act(&mut self, outside: Outside) -> Result<()> {
        self.lend(async |signals, context| signals.act(&outside.signal, context).await)
            .await?;
        if let Some(offset) = outside.offset {
            let partition = signals_partition(self.options.naming.prefix());
            let offset = Offset::new([("offset".to_owned(), offset.into())]);
            self.output.send_also(partition, offset);
            self.decoder.moved = true;
        }
        self.done |= self.signals.as_ref().is_some_and(Signals::wants_blocking);
        Ok(())
    }

    /// The blocking snapshot that ended the stream, and where.
    pub(crate) fn blocking(&mut self) -> Option<(Execute, Position)> {
        let execute = self.signals.as_mut()?.take_blocking()?;
        Some((execute, self.decoder.position))
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
        self.decoder.told = self.decoder.rest();
        if let Some(query) = &self.options.heartbeat_query
            && let Err(error) = self.catalog.execute(query).await
        {
            tracing::warn!(%error, "heartbeat.action.query failed");
        }
    }

    /// `xmin.fetch.interval.ms`
    async fn read_xmin(&mut self, now: Instant) -> Result<()> {
        if self.xmin_due.is_some_and(|due| due <= now) {
            let xmin = self.catalog.slot_xmin(&self.options.slot).await?;
            self.events.xmin = xmin.map_or(Value::Null, Value::Int64);
            self.xmin_due = Some(now + self.options.xmin_interval);
        }
        Ok(())
    }

    /// What the offset of the next batch says beside the position.
    fn keep_further(&mut self) {
        if self.events.transactions.is_none() && self.xmin_due.is_none() && self.signals.is_none() {
            return;
        }
        let mut further = Vec::new();
        if let Value::Int64(xmin) = self.events.xmin {
            further.push(("xmin".to_owned(), xmin.into()));
        }
        if let Some(transactions) = &self.events.transactions {
            further.extend(transactions.offset_entries());
        }
        if let Some(signals) = &self.signals {
            let entries = signals.entries();
            further.extend(entries.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        self.output.keep(further);
    }

    /// Handles one message; true when the server wants to hear from us now.
    async fn on_frame(&mut self, block: &Block, frame: Frame) -> Result<bool> {
        match frame.tag {
            b'd' => {}
            b'E' => {
                let error = copy_error(block.bytes(), &frame);
                // A slot that is older than its publication can't tell what came between; nothing of ours did.
                if self.until.is_some() && error.is("42704") {
                    tracing::warn!(%error, "the changes before the snapshot can't be read");
                    self.done = true;
                    return Ok(false);
                }
                return Err(stream_error(error));
            }
            b'c' | b'C' | b'Z' => {
                return Err(Error::retriable(
                    "the server has ended the replication stream; it is being shut down",
                ));
            }
            _ => return Ok(false),
        }
        let bytes = block.bytes();
        let body = frame.body;
        let number = |at: usize| {
            let field = bytes
                .get(body.start + at..body.end)
                .and_then(<[u8]>::first_chunk::<8>);
            field
                .map(|field| u64::from_be_bytes(*field))
                .ok_or_else(|| malformed("a header"))
        };
        match bytes.get(body.start) {
            Some(b'w') => {
                let lsn = Lsn(number(1)?);
                self.received = self.received.max(lsn);
                let start = body.start + XLOG_HEADER;
                if start > body.end {
                    return Err(malformed("a header"));
                }
                let size = body.end - start;
                let message =
                    decode(bytes, start..body.end).map_err(|error| malformed(&error.to_string()))?;
                if let Message::Begin { final_lsn, .. } = message
                    && self.until.is_some_and(|end| final_lsn >= end)
                {
                    self.done = true;
                } else if let Message::Relation(relation) = message {
                    if let Some(sieve) = &mut self.decoder.sieve {
                        sieve.describe(&relation);
                    }
                    self.on_relation(relation).await?;
                } else {
                    let before = self.events.records.len();
                    let lacking = self.key_of(bytes, &message);
                    let done = self.decoder.on_message(self.events, block, message, lsn, size);
                    if self.events.records.len() > before {
                        self.decoder.told = self.decoder.position;
                    }
                    self.tolerate(done)?;
                    if let Some((relation, key)) = lacking {
                        self.reselect(relation, &key, before).await?;
                    }
                    if self.signals.is_some() {
                        self.attend(before).await?;
                    }
                }
                Ok(false)
            }
            Some(b'k') => {
                let end = Lsn(number(1)?);
                self.received = self.received.max(end);
                if self.until.is_some_and(|until| end >= until) && !self.decoder.in_transaction {
                    self.done = true;
                }
                if self.decoder.on_keepalive(end)
                    && let Some(transactions) = &mut self.events.transactions
                {
                    transactions.forget();
                }
                self.attend(self.events.records.len()).await?;
                Ok(bytes.get(body.start + 17) == Some(&1))
            }
            _ => Ok(false),
        }
    }

    /// `event.processing.failure.handling.mode`: what becomes of an event that can't be made.
    #[inline]
    fn tolerate(&mut self, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if error.kind() == Kind::Data && self.options.on_bad_event != OnFailure::Fail => {
                if self.options.on_bad_event == OnFailure::Warn {
                    tracing::warn!(%error, lsn = %self.decoder.origin.lsn, "an event can't be processed and is left out");
                }
                self.events.seen.erroneous += 1;
                Ok(())
            }
            done => done,
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

/// Waits until more may be read, and reads. Cancel-safe.
async fn gather(connection: &mut Connection, ready_at: Instant) -> Result<usize, pg::Error> {
    if Instant::now() < ready_at {
        sleep_until(ready_at).await;
    }
    connection.read().await
}

fn malformed(what: &str) -> Error {
    Error::fatal(format!("the replication stream is malformed: {what}"))
}

/// An error that ended the stream. The log may have gone under the slot.
fn stream_error(error: pg::Error) -> Error {
    let gone =
        error.is("58P01") || error.is("XX000") && error.to_string().contains("has already been removed");
    let error = Error::from(error);
    if gone {
        return Error::fatal(format!(
            "The offset to start reading from has been removed from the database write-ahead log. Create a new snapshot \
             and consider setting of PostgreSQL parameter wal_keep_segments = 0. ({})",
            error.message()
        ))
        .hint("raise max_slot_wal_keep_size, reset the connector's offsets and start it");
    }
    error
}
