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

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tapline_api::offset::{Offset, OffsetMark};
use tapline_api::{Error, Kind, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::filter::Selection;
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::intern::constant;
use tapline_cdc::metrics::{SourceMetrics, StreamingMetrics};
use tapline_cdc::options::OnFailure;
use tapline_cdc::signal::{Execute, Signal};
use tapline_cdc::snapshot::run_partition;
use tapline_databases::postgres::{self as pg, Pace};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Ahead, Catalog, is_builtin};
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::lsn::Lsn;
use crate::output::Output;
use crate::pgoutput::{Column as Sent, EPOCH_MICROS, Message, Old, Relation, ReplicaIdentity, Tuple, decode};
use crate::position::{MessageType, Position, Prefix, SnapshotState};
use crate::reselect::{Key, open, shown, statement};
use crate::signals::{Context, Heard, Signals, signals_partition};
use crate::snapshot::sieve::Sieve;
use crate::table::{Column, Plan, Row, Table};
use crate::wal::WalWatch;
use crate::wire::{Block, Connection, Frame, copy_error};

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

/// What is known between messages.
struct Decoder {
    /// By relation id; `None` for a table that is not captured.
    plans: HashMap<u32, Option<Plan>>,
    position: Position,
    /// The position of the last record: what a batch says, as Debezium's offsets do. That a commit followed is told when
    /// nothing else comes.
    told: Position,
    /// Whether the position has moved since it last went out.
    moved: bool,
    /// Where a keepalive says that the server stands. It becomes the position when nothing else comes: with a change that
    /// follows goes the commit before it, as in Debezium.
    idle: Option<Position>,
    in_transaction: bool,
    /// Where the transaction at hand was committed.
    commits: Lsn,
    origin: Origin,
    /// Events so far at `origin.lsn`.
    nth: u64,
    /// What a restart has to skip: of a transaction that is still to come, and of the one that has come.
    expected: Option<Prefix>,
    skipping: Option<Prefix>,
    /// Where the server's log ended when streaming began.
    end_at_start: Lsn,
    /// Which logical decoding messages are wanted.
    messages: Option<Selection>,
    /// Before a snapshot is resumed: what goes out.
    sieve: Option<Sieve>,
    /// The signal table's relation, and what came of it.
    signal_relation: Option<u32>,
    heard: Vec<Heard>,
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
        let expected = position.within_transaction();
        let patience = if sender_timeout.is_zero() {
            Duration::MAX
        } else {
            sender_timeout / 3
        };
        let status_interval = options.status_interval.min(patience);
        let origin = Origin {
            at: Clock::from_micros(position.ts_usec.unwrap_or(0)),
            lsn: Lsn::NONE,
            last_commit: position.last_commit,
            tx_id: None,
            replication: None,
        };
        let decoder = Decoder {
            plans: HashMap::new(),
            position,
            told: position,
            moved: false,
            idle: None,
            in_transaction: false,
            commits: Lsn::NONE,
            origin,
            nth: 0,
            expected,
            skipping: None,
            end_at_start: end,
            messages: options.messages.clone(),
            sieve: None,
            signal_relation: None,
            heard: Vec::new(),
        };
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
        let mut pace = Pace::new(Instant::now());
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

    /// Standby status update: what has been received, and what is confirmed as written, flushed and applied.
    async fn confirm(&mut self, connection: &mut Connection, ask: bool) -> Result<()> {
        let confirmed = if self.options.confirms {
            *self.confirmed.borrow_and_update()
        } else {
            Lsn::NONE
        };
        let mut message = [0u8; 34];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(room) = message.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(b"r");
        put(&self.received.max(confirmed).0.to_be_bytes());
        put(&confirmed.0.to_be_bytes());
        put(&confirmed.0.to_be_bytes());
        put(&(Clock::now().micros() - EPOCH_MICROS).to_be_bytes());
        put(&[u8::from(ask)]);
        let sending = connection.send_copy_data(&message);
        tokio::pin!(sending);
        loop {
            match tokio::time::timeout(self.options.flush_timeout, &mut sending).await {
                Ok(sent) => return Ok(sent?),
                Err(_) => self.flush_timed_out(confirmed)?,
            }
        }
    }

    /// `lsn.flush.timeout.action`: the position was not taken within `lsn.flush.timeout.ms`. Cut off, the message would
    /// spoil the connection, so without an error it is waited for on.
    fn flush_timed_out(&self, lsn: Lsn) -> Result<()> {
        let text = format!(
            "LSN flush operation for LSN '{lsn}' did not complete within the configured timeout of {} ms.",
            self.options.flush_timeout.as_millis()
        );
        match self.options.on_flush_timeout {
            OnFailure::Fail => Err(Error::fatal(text)
                .exception("org.apache.kafka.connect.errors.ConnectException")
                .hint("set lsn.flush.timeout.ms, or lsn.flush.timeout.action to warn or ignore")),
            OnFailure::Warn => {
                tracing::warn!("{text}");
                Ok(())
            }
            OnFailure::Skip => Ok(()),
        }
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

    /// With `post.processors`: the relation and the key of a changed row.
    fn key_of(&self, block: &Bytes, message: &Message) -> Option<(u32, Key)> {
        let reselect = self.options.reselect.as_ref()?;
        let (Message::Insert { relation, new } | Message::Update { relation, new, .. }) = message else {
            return None;
        };
        let plan = self.decoder.plans.get(relation)?.as_ref()?;
        let key = plan.key_texts(block, new, reselect.by_event_key);
        (!key.is_empty()).then_some((*relation, key))
    }

    /// Asks the table for what the events from `before` on lack of their rows.
    async fn reselect(&mut self, relation: u32, key: &Key, before: usize) -> Result<()> {
        let (Some(reselect), Some(Some(plan))) = (&self.options.reselect, self.decoder.plans.get(&relation))
        else {
            return Ok(());
        };
        for index in before..self.events.records.len() {
            let after = self
                .events
                .records
                .get(index)
                .and_then(|record| record.value.as_struct())
                .and_then(|envelope| envelope.at(1)?.as_struct())
                .filter(|after| after.schema().id() == plan.row_schema.id());
            let missing = after
                .map(|after| plan.missing(after, reselect))
                .unwrap_or_default();
            if missing.is_empty() {
                continue;
            }
            let names: Vec<&str> = missing
                .iter()
                .map(|(column, _)| plan.column_name(*column))
                .collect();
            let sql = statement(&plan.table, &names, key);
            let asking = async {
                if self.reselecting.is_none() {
                    self.reselecting = Some(open(self.options).await?);
                }
                match &mut self.reselecting {
                    Some(connection) => connection.query(&sql).await,
                    None => Ok(Vec::new()),
                }
            };
            let found = match tokio::time::timeout(self.options.query_timeout, asking).await {
                Ok(found) => found,
                Err(_) => Err(pg::Error::Timeout(
                    "a row could not be read again in time".to_owned(),
                )),
            };
            let row = match found {
                Ok(rows) => rows.into_iter().next(),
                Err(error) => {
                    self.reselecting = None;
                    reselect.failed(format!(
                        "Failed to re-select columns for table {} and key {}: {error}",
                        plan.collection,
                        shown(key)
                    ))?;
                    continue;
                }
            };
            let Some(row) = row else {
                reselect.failed(format!(
                    "Failed to find row in table {} with key {}.",
                    plan.collection,
                    shown(key)
                ))?;
                continue;
            };
            for ((column, field), cell) in missing.into_iter().zip(row) {
                let value = plan.reselected(column, cell, &mut self.events.arena)?;
                if let Some(record) = self.events.records.get_mut(index)
                    && let Value::Struct(envelope) = &mut record.value
                    && let Some(Value::Struct(after)) = envelope.values_mut().get_mut(1)
                    && let Some(place) = after.values_mut().get_mut(field)
                {
                    *place = value;
                }
            }
        }
        Ok(())
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

    /// A table version: the plan for the rows that follow.
    async fn on_relation(&mut self, relation: Relation) -> Result<()> {
        let builtin = is_builtin(&relation.schema, &relation.table);
        let signals = self.options.is_signal_table(&relation.schema, &relation.table);
        if signals {
            self.decoder.signal_relation = Some(relation.id);
        }
        if !signals
            && !self
                .options
                .filters
                .table(&relation.schema, &relation.table, builtin)
        {
            self.decoder.plans.insert(relation.id, None);
            return Ok(());
        }
        let id = relation.id;
        let oids: Vec<u32> = relation.columns.iter().map(|column| column.type_oid).collect();
        let types = self.catalog.types(&oids).await?;
        let name = (relation.schema.as_str(), relation.table.as_str());
        let now = self
            .ahead
            .table(self.catalog, self.options, self.decoder.commits, name)
            .await?;
        let table = merge(relation, types, now);
        // Sent again for a reason that is not ours (another connection's DDL): identity, and all caches, stay.
        if let Some(Some(plan)) = self.decoder.plans.get(&id)
            && plan.table == table
        {
            return Ok(());
        }
        let plan = Plan::new(table, self.options, self.events.source_schema())?;
        self.decoder.plans.insert(id, Some(plan));
        Ok(())
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

/// The stream says which columns of which types the rows have; the catalog, which may be ahead of the stream, adds what
/// the stream does not say: which columns may be null, their defaults, the key's order.
fn merge(relation: Relation, types: Vec<crate::types::PgType>, now: Option<Table>) -> Table {
    let known = |name: &str| {
        now.as_ref()
            .and_then(|table| table.columns.iter().find(|column| column.name == name))
    };
    // A replica identity that is the whole row says nothing of the key.
    let telling = matches!(
        relation.replica_identity,
        ReplicaIdentity::Default | ReplicaIdentity::Index
    );
    let columns: Vec<Column> = relation
        .columns
        .iter()
        .zip(types)
        .map(|(sent, of)| {
            let known = known(&sent.name);
            Column {
                name: sent.name.clone(),
                of,
                modifier: sent.type_modifier,
                optional: known.map_or(!(telling && sent.key), |column| column.optional),
                default: known.and_then(|column| column.default.clone()),
                generated: false,
                identity: sent.key,
            }
        })
        .collect();
    let position = |name: &str| columns.iter().position(|column| column.name == name);
    let in_catalog: Vec<usize> = now.as_ref().map_or_else(Vec::new, |table| {
        let names = table.key.iter().filter_map(|index| table.columns.get(*index));
        names.filter_map(|column| position(&column.name)).collect()
    });
    let sent: Vec<usize> = (0..columns.len())
        .filter(|i| columns.get(*i).is_some_and(|c| c.identity))
        .collect();
    // By default the identity is the primary key that the rows were written with, whatever has become of it since; the
    // catalog says in which order its columns stand. An index may be another than the key's.
    let primary = relation.replica_identity == ReplicaIdentity::Default && !sent.is_empty();
    let same = in_catalog.len() == sent.len() && sent.iter().all(|index| in_catalog.contains(index));
    let key = if same || now.is_some() && !primary {
        in_catalog
    } else if telling {
        sent
    } else {
        Vec::new()
    };
    Table {
        schema: relation.schema,
        name: relation.table,
        columns,
        key,
        plain: false,
    }
}

impl Decoder {
    /// Whether the position moved.
    fn on_keepalive(&mut self, end: Lsn) -> bool {
        // Of a transaction whose first part is behind, the rest is still to come; unless all that there was has been sent.
        if self.expected.is_some() && end < self.end_at_start {
            return false;
        }
        let at = self.reached();
        let behind = at.last_commit.or(at.lsn).unwrap_or(Lsn::NONE);
        let moves = !self.in_transaction && end > behind;
        if moves {
            self.expected = None;
            self.idle = Some(Position {
                last_commit: Some(end),
                lsn: Some(end),
                processed: Some(end),
                events: 0,
                message_type: Some(MessageType::Commit),
                snapshot: None,
                ..self.position
            });
            self.moved = true;
        }
        moves
    }

    /// How far everything has come.
    fn reached(&self) -> Position {
        self.idle.unwrap_or(self.position)
    }

    /// Nothing else comes: the position is as far as everything has come.
    fn rest(&mut self) -> Position {
        self.position = self.reached();
        self.idle = None;
        self.position
    }

    #[inline]
    fn on_message(
        &mut self,
        events: &mut Events,
        block: &Block,
        message: Message,
        lsn: Lsn,
        size: usize,
    ) -> Result<()> {
        match message {
            Message::Insert { relation, new } => {
                if self.advance(lsn, MessageType::Insert)
                    && self.hears(relation, block, &new, false)
                    && self.passes(|sieve| sieve.inserted(relation, block.bytes(), &new))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let row = plan.tuple(block.bytes(), &new, None, &mut events.arena)?;
                    events.created(plan, row, &self.origin, size);
                }
            }
            Message::Update { relation, old, new } => {
                if self.advance(lsn, MessageType::Update)
                    && self.passes(|sieve| sieve.updated(relation, block.bytes(), old.as_ref(), &new))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let (old, row) = update(plan, events, block, old.as_ref(), &new)?;
                    events.updated(plan, old, row, &self.origin, size);
                }
            }
            Message::Delete { relation, old } => {
                if self.advance(lsn, MessageType::Delete)
                    && self.hears(relation, block, &old.tuple, true)
                    && self.passes(|sieve| sieve.deleted(relation, block.bytes(), &old.tuple))
                    && let Some(plan) = find(&self.plans, relation, events)?
                {
                    let row = plan.tuple(block.bytes(), &old.tuple, None, &mut events.arena)?;
                    events.deleted(plan, row, &self.origin, size);
                }
            }
            Message::Truncate { relations } => {
                // One record per table, all at one LSN.
                for relation in relations {
                    if self.advance(lsn, MessageType::Truncate)
                        && let Some(plan) = find(&self.plans, relation, events)?
                    {
                        events.truncated(plan, &self.origin);
                    }
                }
            }
            Message::Begin {
                final_lsn,
                commit_micros,
                xid,
            } => {
                if let Some(sieve) = &mut self.sieve {
                    sieve.begin(final_lsn);
                }
                self.commits = final_lsn;
                self.begin(lsn, commit_micros, xid);
                events.transaction_began(&self.origin, self.skipping.is_some());
            }
            Message::Commit { commit_micros, .. } => {
                self.commit(lsn, commit_micros);
                events.seen.committed += 1;
                events.transaction_ended(&self.origin);
            }
            Message::Logical {
                transactional,
                prefix,
                content,
                ..
            } => {
                let new = if transactional {
                    self.advance(lsn, MessageType::Message)
                } else {
                    self.step(lsn)
                };
                if new
                    && self
                        .messages
                        .as_ref()
                        .is_some_and(|wanted| wanted.contains(&prefix))
                {
                    let content = block.bytes().slice(content);
                    events.message(&prefix, content, transactional, &self.origin);
                }
            }
            Message::Origin { commit_lsn, name } => {
                self.origin.replication = Some((constant(&name), commit_lsn.as_i64()));
            }
            // A type's name is in the catalog.
            Message::Type | Message::Relation(_) => {}
        }
        Ok(())
    }

    /// Notes what comes of the signal table. Always true.
    #[inline]
    fn hears(&mut self, relation: u32, block: &Block, tuple: &Tuple, deleted: bool) -> bool {
        if self.signal_relation != Some(relation) {
            return true;
        }
        let mut texts = tuple.columns(block.bytes()).map(|column| match column {
            Sent::Text(range) => {
                let text = block.bytes().get(range).unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
            _ => String::new(),
        });
        let mut next = || texts.next().unwrap_or_default();
        let (id, kind, data) = (next(), next(), next());
        self.heard.push(if deleted {
            Heard::Deleted(id)
        } else {
            Heard::Inserted(Signal { id, kind, data })
        });
        true
    }

    /// Whether a change goes out, where not all do.
    #[inline]
    fn passes(&self, test: impl FnOnce(&Sieve) -> bool) -> bool {
        self.sieve.as_ref().is_none_or(test)
    }

    fn begin(&mut self, lsn: Lsn, commit_micros: i64, xid: u32) {
        self.in_transaction = true;
        self.idle = None;
        self.nth = 0;
        self.origin.at = Clock::from_micros(commit_micros);
        self.origin.tx_id = Some(i64::from(xid));
        self.origin.replication = None;
        self.origin.lsn = lsn;
        // The transaction within which the last run stopped is the first to come. If another comes, it has gone from
        // the publication.
        self.skipping = self.expected.take().filter(|prefix| prefix.xid == xid);
    }

    fn commit(&mut self, lsn: Lsn, commit_micros: i64) {
        self.in_transaction = false;
        self.skipping = None;
        self.origin.lsn = lsn;
        self.origin.last_commit = Some(lsn);
        self.position = Position {
            last_commit: Some(lsn),
            lsn: Some(lsn),
            processed: Some(lsn),
            events: 0,
            tx_id: self.origin.tx_id,
            ts_usec: Some(commit_micros),
            message_type: Some(MessageType::Commit),
            snapshot: None,
        };
        self.moved = true;
    }

    /// Moves to a message outside of transactions, which is a point of rest as a commit is; false when a former run has
    /// dealt with it: streaming from there, the server sends it again.
    fn step(&mut self, lsn: Lsn) -> bool {
        let at = self.position;
        let behind =
            at.message_type == Some(MessageType::Message) && at.tx_id.is_none() && at.lsn == Some(lsn);
        self.origin.lsn = lsn;
        self.origin.last_commit = Some(lsn);
        self.origin.tx_id = None;
        if behind {
            return false;
        }
        self.idle = None;
        self.position = Position {
            last_commit: Some(lsn),
            lsn: Some(lsn),
            processed: Some(lsn),
            events: 0,
            tx_id: None,
            ts_usec: Some(self.origin.at.micros()),
            message_type: Some(MessageType::Message),
            snapshot: None,
        };
        self.moved = true;
        true
    }

    /// Moves to the next event; false when a former run has dealt with it.
    #[inline]
    fn advance(&mut self, lsn: Lsn, kind: MessageType) -> bool {
        self.nth = if lsn == self.origin.lsn { self.nth + 1 } else { 1 };
        self.origin.lsn = lsn;
        if let Some(prefix) = &self.skipping {
            if prefix.covers(lsn, self.nth) {
                return false;
            }
            self.skipping = None;
        }
        self.position = Position {
            last_commit: self.position.last_commit,
            lsn: Some(lsn),
            processed: Some(lsn),
            events: self.nth,
            tx_id: self.origin.tx_id,
            ts_usec: Some(self.origin.at.micros()),
            message_type: Some(kind),
            snapshot: None,
        };
        self.moved = true;
        true
    }
}

fn find<'a>(
    plans: &'a HashMap<u32, Option<Plan>>,
    relation: u32,
    events: &mut Events,
) -> Result<Option<&'a Plan>> {
    match plans.get(&relation) {
        Some(None) => {
            events.seen.filtered += 1;
            Ok(None)
        }
        Some(plan) => Ok(plan.as_ref()),
        None => Err(malformed(&format!(
            "rows of relation {relation} come before its description"
        ))),
    }
}

type Updated = (Option<(Row, bool)>, Row);

fn update(
    plan: &Plan,
    events: &mut Events,
    block: &Block,
    old: Option<&Old>,
    new: &Tuple,
) -> Result<Updated> {
    let Some(old) = old else {
        return Ok((None, plan.tuple(block.bytes(), new, None, &mut events.arena)?));
    };
    let before = plan.tuple(block.bytes(), &old.tuple, None, &mut events.arena)?;
    // A key-only row is null where it says nothing.
    let whole = (!old.key_only).then_some(&before);
    let after = plan.tuple(block.bytes(), new, whole, &mut events.arena)?;
    Ok((Some((before, old.key_only)), after))
}
