//! Streaming: one task owns the dump's connection, and makes records of what comes.
//!
//! - A full channel stops the reading; the server waits.
//! - A transaction's commit moves the position, whether it held anything of ours or not: an idle or filtered database
//!   advances the stored offset.
//! - A table's schema is what the statements up to here made of it. Where it can't be known, the table's changes are not
//!   guessed at.

mod catch_up;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapline_api::offset::{Offset, OffsetMark};
use tapline_api::{Error, Kind, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::headers::new_uuid;
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::intern::constant;
use tapline_cdc::metrics::{SourceMetrics, StreamingMetrics};
use tapline_cdc::notification::Aggregate;
use tapline_cdc::options::OnFailure;
use tapline_cdc::signal::Execute;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::ahead;
use crate::binlog::Malformed;
use crate::binlog::event::{self, HEADER, Header, Session, code};
use crate::binlog::gtid::{Gtid, MariaGtid};
use crate::binlog::image::{self, Change as RowChange, Rows};
use crate::binlog::payload::{self, Payload};
use crate::binlog::reader::Reader;
use crate::binlog::table_map::{self, TableMap};
use crate::catalog::{Catalog, Server};
use crate::config::Options;
use crate::ddl::{self, Change, ChangeKind, Dialect};
use crate::event::{Events, Origin};
use crate::history::{HistoryRecord, KeptTables, SchemaChangeRecords, SchemaChangeSource, SchemaHistory};
use crate::output::Output;
use crate::position::{AnyGtid, Tracker, source};
use crate::quarantine::{Answer, Quarantine};
use crate::schema::{Table, TableId, Tables};
use crate::signals::{Context, Signals, signals_partition};
use crate::snapshot::Snapshot;
use crate::snapshot::sieve::Sieve;
use crate::table::{Before, Layout, Plan};
use crate::value::charset::Charset;
use crate::wire::{Block, Connection, server_error};

/// How often a position without a record goes out.
const IDLE_MARK: Duration = Duration::from_secs(1);
/// How long the end of the last record's transaction may wait to be stored: Debezium does not store it at all.
const END_MARK: Duration = Duration::from_secs(30);
/// A read of so much means that more is coming.
const BACKLOG: usize = 16 * 1024;
/// How long to let it gather then.
const GATHER: Duration = Duration::from_millis(2);

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
        let mut ready_at = Instant::now();
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
                read = gather(&mut connection, ready_at), if reading => {
                    heard = Instant::now();
                    ready_at = if read? >= BACKLOG { heard + GATHER } else { heard };
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

    /// The stream stands between two transactions: windows close, and a blocking snapshot may be taken.
    async fn settle(&mut self) -> Result<()> {
        let (file, next) = (self.tracker.file.clone(), self.tracker.next);
        self.lend(async |signals, context| signals.reached((&file, next), context).await)
            .await?;
        let Some(execute) = self.signals.as_mut().and_then(Signals::take_blocking) else {
            return Ok(());
        };
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

    /// The next event of a compressed transaction; false when there is none.
    async fn next_of_payload(&mut self) -> Result<bool> {
        let Some(payload) = &mut self.payload else {
            return Ok(false);
        };
        match payload.next_event() {
            Ok(Some(event)) => {
                self.on_event(event, true).await?;
                Ok(true)
            }
            Ok(None) => {
                self.payload = None;
                Ok(false)
            }
            Err(error) => Err(self.malformed(&error)),
        }
    }

    /// An error with the place.
    fn malformed(&self, error: &Malformed) -> Error {
        self.at_place(Error::fatal(error.to_string()))
    }

    fn at_place(&self, error: Error) -> Error {
        let kind = error.kind();
        Error::fatal(format!(
            "the event of {} before position {}: {}",
            self.tracker.file,
            self.tracker.next,
            error.message()
        ))
        .exception("io.debezium.DebeziumException")
        .with_kind(kind)
    }

    /// What becomes of an event that can't be read (`event.deserialization.failure.handling.mode`).
    fn unreadable(&self, error: Error) -> Result<()> {
        match self.options.on_unreadable {
            OnFailure::Fail => {
                Err(error.hint("event.deserialization.failure.handling.mode=warn leaves such events out"))
            }
            OnFailure::Warn => {
                tracing::warn!(%error, "an event can't be read, and is left out");
                Ok(())
            }
            OnFailure::Skip => {
                tracing::debug!(%error, "an event can't be read, and is left out");
                Ok(())
            }
        }
    }

    async fn on_event(&mut self, bytes: Bytes, in_payload: bool) -> Result<()> {
        let header = Header::read(&bytes).map_err(|e| self.malformed(&e))?;
        let checksums = self.checksums && !in_payload;
        let (range, whole) = match event::body(&bytes, &header, checksums) {
            Ok(range) => (range, true),
            Err(error) => {
                // Without the others the position would be lost.
                let error = self.malformed(&error);
                if !holds_rows(header.code) {
                    return Err(error);
                }
                self.unreadable(error)?;
                (0..0, false)
            }
        };
        let body = bytes.slice(range);
        if matches!(header.code, code::HEARTBEAT | code::HEARTBEAT_V2) {
            return Ok(());
        }
        if header.code == code::ROTATE {
            let (pos, file) = event::rotate(&body).map_err(|e| self.malformed(&e))?;
            self.origin.file = constant(&file);
            self.tracker.rotate(file, pos);
            return Ok(());
        }
        if header.code == code::FORMAT_DESCRIPTION {
            self.checksums = event::has_checksums(&body);
            self.maps.clear();
        }
        if header.is_artificial() && !in_payload {
            return Ok(());
        }
        let seconds = i64::from(header.timestamp);
        let next = if in_payload { 0 } else { header.next };
        self.tracker
            .event(next, header.length, header.server_id, Some(seconds));
        if self.committed_at.is_none() {
            self.origin.at = Clock::from_micros(seconds * 1_000_000);
        }
        self.origin.server_id = header.server_id.into();
        self.origin.pos = i64::try_from(self.tracker.pos).unwrap_or(i64::MAX);
        if whole {
            self.on_body(&header, body).await?;
        }
        // A payload is one event of the file; what is in it is counted in its place.
        if header.code != code::TRANSACTION_PAYLOAD {
            self.tracker.complete();
        }
        if self.signals.is_some() && !self.tracker.in_transaction() {
            self.settle().await?;
        }
        Ok(())
    }

    async fn on_body(&mut self, header: &Header, body: Bytes) -> Result<()> {
        match header.code {
            kind if is_rows(kind) => {
                let before = self.events.records.len();
                let size = self.events.bytes;
                match self.on_rows(header.code, body) {
                    // What a value is worth, other options decide.
                    Err(error) if error.kind() == Kind::Fatal => {
                        self.unreadable(error)?;
                        self.events.records.truncate(before);
                        self.events.bytes = size;
                    }
                    read => read?,
                }
                self.lend(async |signals, context| signals.changed(before, context).await)
                    .await
            }
            code::TABLE_MAP => self.on_table_map(body).await,
            code::GTID => {
                let gtid = Gtid::read(&body).map_err(|e| self.malformed(&e))?;
                self.committed_at = commit_time(&body);
                self.on_gtid(gtid);
                Ok(())
            }
            code::GTID_TAGGED => {
                let gtid = Gtid::read_tagged(&body).map_err(|e| self.malformed(&e))?;
                self.committed_at = None;
                self.on_gtid(gtid);
                Ok(())
            }
            // ANONYMOUS_GTID
            34 => {
                self.committed_at = commit_time(&body);
                if let Some(at) = self.committed_at {
                    self.origin.at = at;
                }
                self.tracker.no_gtid();
                self.origin.gtid = Value::Null;
                self.foreign = false;
                Ok(())
            }
            code::MARIADB_GTID => {
                let (gtid, alone) =
                    MariaGtid::read(&body, header.server_id).map_err(|e| self.malformed(&e))?;
                let text = Value::from(gtid.to_string());
                self.tracker.begin_gtid(AnyGtid::MariaDb(gtid), text.clone());
                self.origin.gtid = text;
                self.tracker.begin();
                if !alone {
                    self.begin_transaction();
                }
                Ok(())
            }
            code::QUERY => self.on_query(body).await,
            code::QUERY_COMPRESSED => {
                let query = event::query(&body).map_err(|e| self.malformed(&e))?;
                let head = body.len() - query.sql.len();
                let sql = payload::mariadb(query.sql).map_err(|e| self.malformed(&e))?;
                let mut whole = body.get(..head).unwrap_or_default().to_vec();
                whole.extend(sql);
                self.on_query(whole.into()).await
            }
            code::XID | code::XA_PREPARE => {
                self.end_transaction();
                Ok(())
            }
            code::ROWS_QUERY => {
                let text = body.get(1..).unwrap_or_default();
                self.on_rows_query(text);
                Ok(())
            }
            code::ANNOTATE_ROWS => {
                self.on_rows_query(&body);
                Ok(())
            }
            code::TRANSACTION_PAYLOAD => {
                self.payload = Some(Payload::new(&body).map_err(|e| self.malformed(&e))?);
                self.tracker.stay();
                Ok(())
            }
            code::INCIDENT => self.unreadable(self.at_place(Error::fatal(
                "the server lost events of its own log here (an INCIDENT event)",
            ))),
            code::START_ENCRYPTION | code::STOP => Ok(()),
            _ => Ok(()),
        }
    }

    fn on_gtid(&mut self, gtid: Gtid) {
        if let Some(at) = self.committed_at {
            self.origin.at = at;
            self.tracker.set_seconds(at.millis() / 1000);
        }
        let (included, excluded) = (&self.options.sources_included, &self.options.sources_excluded);
        let chosen = self.options.filter_by_source && !(included.is_empty() && excluded.is_empty());
        self.foreign = chosen && {
            let uuid = gtid.origin.to_string();
            let uuid = uuid.split(':').next().unwrap_or_default();
            !included.is_empty() && !included.matches(uuid) || !excluded.is_empty() && excluded.matches(uuid)
        };
        let text = Value::from(gtid.to_string());
        self.origin.gtid = text.clone();
        self.tracker.begin_gtid(AnyGtid::MySql(gtid), text);
    }

    fn on_rows_query(&mut self, text: &[u8]) {
        if self.options.include_query {
            self.origin.query = Value::from(String::from_utf8_lossy(text).into_owned());
        }
    }

    fn begin_transaction(&mut self) {
        let Some(transactions) = &mut self.events.transactions else {
            return;
        };
        let id = match &self.origin.gtid {
            Value::String(gtid) => gtid.to_string(),
            _ => format!("file={},pos={}", self.tracker.file, self.tracker.pos),
        };
        if self.tracker.is_skipping() && transactions.id() == Some(&id) {
            // It goes on where the stored offset left it.
            return;
        }
        transactions.begin(id.clone());
        if !self.tracker.is_skipping() {
            let record = transactions.begun(id, self.origin.at.millis());
            self.events.push_boundary(record);
        }
    }

    fn end_transaction(&mut self) {
        let skipping = self.tracker.is_skipping();
        if self.tracker.in_transaction()
            && let Some(transactions) = &mut self.events.transactions
            && let Some(id) = transactions.id().map(str::to_owned)
        {
            self.ended = transactions.offset_entries();
            let record = transactions.ended(id, self.origin.at.millis());
            transactions.forget();
            if !skipping {
                self.events.push_boundary(record);
                self.tracker.tell();
            }
        }
        self.events.seen.committed += 1;
        self.tracker.commit();
        self.origin.thread = Value::Null;
        self.origin.query = Value::Null;
        self.committed_at = None;
        self.foreign = false;
    }

    async fn on_table_map(&mut self, body: Bytes) -> Result<()> {
        let id = table_map::table_id(&body).map_err(|e| self.malformed(&e))?;
        if self.maps.get(&id).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let map = match TableMap::read(&body) {
            Ok(map) => map,
            Err(error) => return self.unreadable(self.malformed(&error)),
        };
        let plan = match self.options.captures(&map.database, &map.table) {
            true => self.plan_of(&map).await?,
            false => {
                self.events.seen.filtered += 1;
                None
            }
        };
        // Numbers of tables rise with every change; those that were left behind are not used again.
        if self.maps.len() > 4096 {
            self.maps.clear();
        }
        // What is kept must not keep a whole read alive.
        let body = Bytes::copy_from_slice(&body);
        let plan = plan.map(Arc::new);
        self.maps.insert(id, Mapped { body, plan });
        Ok(())
    }

    /// The plan for a TABLE_MAP. Where no schema is known, or it does not fit, it is taken from the server where that is
    /// provably the one of this place; else the table is held, or as the options say.
    async fn plan_of(&mut self, map: &TableMap) -> Result<Option<(Arc<Plan>, Layout)>> {
        let id = TableId::new(map.database.as_str(), map.table.as_str());
        if self.quarantine.holds(&id) {
            return Ok(None);
        }
        let why = match self.tables.get(&id).cloned() {
            Some(table) => {
                let plan = match self
                    .plans
                    .get(&id)
                    .filter(|plan| Arc::ptr_eq(&plan.table, &table))
                {
                    Some(plan) => plan.clone(),
                    None => Arc::new(Plan::new(table, self.options, self.events.source_schema())?),
                };
                match plan.layout(map) {
                    Ok(layout) => {
                        self.plans.insert(id, plan.clone());
                        return Ok(Some((plan, layout)));
                    }
                    Err(why) => why.to_string(),
                }
            }
            None => self
                .unknown
                .get(&id)
                .cloned()
                .unwrap_or_else(|| "the schema history does not have it".to_owned()),
        };
        if let Some(found) = self.servers_plan(&id, map).await? {
            tracing::warn!(table = %id, why, "schema is taken from the server, where it is that of this place");
            return Ok(Some(found));
        }
        let text = format!("the schema of {id} is not known: {why}");
        match self.options.on_unknown_schema {
            Some(OnFailure::Fail) => Err(self.at_place(Error::fatal(text)).hint(
                "take a snapshot again, or leave its changes out by inconsistent.schema.handling.mode=warn",
            )),
            Some(OnFailure::Warn) => {
                tracing::warn!("{text}; its changes are skipped");
                Ok(None)
            }
            Some(OnFailure::Skip) => Ok(None),
            None => {
                self.hold(id, &why);
                Ok(None)
            }
        }
    }

    /// Leaves a table's changes out from here on, until its schema is known.
    fn hold(&mut self, id: TableId, why: &str) {
        self.tables.remove(&id);
        self.plans.remove(&id);
        self.kept.forget(&id);
        let since = self.tracker.position().to_offset(Vec::new());
        self.tell_of_held("QUARANTINED", &id, why);
        let mark = self.quarantine.hold(id, why, &since);
        self.heard.push(mark);
        self.tracker.moved = true;
    }

    fn let_go(&mut self, id: &TableId, why: &str) {
        tracing::info!(table = %id, why, "a table is released");
        let mark = self.quarantine.release(id);
        self.heard.push(mark);
        self.tracker.moved = true;
        self.unknown.remove(id);
        self.maps.clear();
        self.tell_of_held("RELEASED", id, why);
    }

    fn tell_of_held(&mut self, kind: &str, id: &TableId, why: &str) {
        let data = [
            ("data_collections", id.to_string()),
            ("reason", why.to_owned()),
            ("position", format!("{}:{}", self.tracker.file, self.tracker.pos)),
        ];
        let notifier = &self.options.notifier;
        let record = notifier.notify(&new_uuid(), Aggregate::Quarantine, kind, &data, Clock::now());
        self.events.records.extend(record);
    }

    /// Asks the server for held tables, and releases those whose answer holds by now. The stream stands between two
    /// transactions.
    async fn look_at_held(&mut self) -> Result<()> {
        for id in self.quarantine.take_due(Instant::now()) {
            let Some(statement) = self.catalog.create_table(&id).await? else {
                self.let_go(&id, "it is not there any more");
                continue;
            };
            match self.table_of(&id, &statement) {
                Ok((_, table)) => {
                    let end = self.catalog.end().await?;
                    let answer = Answer {
                        table,
                        statement,
                        from: (end.file, end.pos),
                    };
                    self.quarantine.answered(&id, answer);
                }
                Err(why) => tracing::warn!(table = %id, why, "a table stays held"),
            }
        }
        let (file, next) = (self.tracker.file.clone(), self.tracker.next);
        let answers = self.quarantine.reached((&file, next));
        if answers.is_empty() {
            return Ok(());
        }
        if self.signals.is_none() {
            self.signals = Some(Signals::new(self.options, None, None));
        }
        for Answer { table, statement, .. } in answers {
            let id = table.id.clone();
            self.let_go(&id, "the server has told its schema; its rows are read again");
            self.tables.put(table.clone());
            self.adopt(&id, table.clone(), statement).await?;
            let execute = Execute {
                blocking: table.key.is_empty(),
                collections: vec![literal_pattern(&id.to_string())],
                conditions: Vec::new(),
                surrogate_key: None,
            };
            self.lend(async |signals, context| signals.read_again(&new_uuid(), &execute, context).await)
                .await?;
        }
        self.settle().await
    }

    /// The tables with the one that the server would make so.
    fn table_of(&self, id: &TableId, statement: &str) -> Result<(Tables, Arc<Table>), String> {
        let mut tables = self.tables.clone();
        ddl::apply(&mut tables, &self.options.dialect(), &id.database, statement)
            .map_err(|error| error.to_string())?;
        let table = tables.get(id).cloned();
        let table = table.ok_or_else(|| "it makes no table of that name".to_owned())?;
        Plan::new(table.clone(), self.options, self.events.source_schema())
            .map_err(|error| error.message().to_owned())?;
        Ok((tables, table))
    }

    /// The server's schema, if it is provably that of this place: no statement from here to the end of the log names the
    /// table; or the log names its columns, and all of them agree.
    async fn servers_plan(&mut self, id: &TableId, map: &TableMap) -> Result<Option<(Arc<Plan>, Layout)>> {
        let Some(statement) = self.catalog.create_table(id).await? else {
            return Ok(None);
        };
        let Ok((tables, table)) = self.table_of(id, &statement) else {
            return Ok(None);
        };
        let plan = Arc::new(Plan::new(
            table.clone(),
            self.options,
            self.events.source_schema(),
        )?);
        let Ok(layout) = plan.layout(map) else {
            return Ok(None);
        };
        let end = self.catalog.end().await?.place();
        let here = (self.tracker.file.clone(), self.tracker.pos);
        let (options, server) = (self.options, self.server);
        let changed = ahead::names_table(options, server, (&here.0, here.1), &end, &id.table);
        let unchanged = match changed.await {
            Ok(named) => named == Some(false),
            Err(error) => {
                tracing::warn!(table = %id, %error, "looking ahead in the log failed");
                false
            }
        };
        if !unchanged && map.names.is_empty() {
            return Ok(None);
        }
        self.tables = tables;
        self.unknown.remove(id);
        self.adopt(id, table, statement).await?;
        self.plans.insert(id.clone(), plan.clone());
        Ok(Some((plan, layout)))
    }

    /// Writes a table that the server has told of to the history.
    async fn adopt(&mut self, id: &TableId, table: Arc<Table>, statement: String) -> Result<()> {
        let change = Change {
            kind: ChangeKind::Alter,
            database: id.database.clone(),
            table: Some(id.clone()),
            previous: None,
            after: Some(table),
            statement,
        };
        self.keep(&change).await
    }

    fn on_rows(&mut self, kind: u8, body: Bytes) -> Result<()> {
        let skipped = if self.tracker.is_skipping() {
            return Ok(());
        } else {
            self.tracker.take_skipped_rows()
        };
        let id = image::table_id(&body).map_err(|e| self.malformed(&e))?;
        let Some(mapped) = self.maps.get(&id) else {
            // Number 0xffffff stands for no table at all: an empty event that ends a statement.
            if id == 0x00ff_ffff {
                return Ok(());
            }
            return Err(self.malformed(&Malformed::bad(format!(
                "rows are of table {id}, which no TABLE_MAP names"
            ))));
        };
        let Some(ready) = mapped.plan.clone().filter(|_| !self.foreign) else {
            return Ok(());
        };
        let (plan, layout) = &*ready;
        let rows = Rows::read(kind, &body).map_err(|e| self.malformed(&e))?;
        let Some(rows) = rows else { return Ok(()) };
        if rows.columns != plan.table.columns.len() {
            return Err(self.malformed(&Malformed::bad(
                "rows have not as many columns as their TABLE_MAP",
            )));
        }
        let (event, start) = if rows.compressed {
            let whole = payload::mariadb(body.get(rows.start..).unwrap_or_default());
            (Bytes::from(whole.map_err(|e| self.malformed(&e))?), 0)
        } else {
            (body.clone(), rows.start)
        };
        let count = self.emit_rows(plan, layout, &rows, &event, start, skipped)?;
        self.tracker.rows(count);
        Ok(())
    }

    /// Emits the rows from number `skipped` on; how many there are.
    fn emit_rows(
        &mut self,
        plan: &Plan,
        layout: &Layout,
        rows: &Rows<'_>,
        event: &Bytes,
        start: usize,
        skipped: u64,
    ) -> Result<u64> {
        let mut r = Reader::from(event, start, "a rows event");
        let mut number = 0u64;
        while !r.is_empty() {
            let nothing = Before {
                insert: rows.change == RowChange::Write,
                ..Before::default()
            };
            self.documents.iter_mut().for_each(|place| *place = None);
            let first = plan
                .image(
                    layout,
                    event,
                    &mut r,
                    rows.present,
                    &nothing,
                    &mut self.documents,
                    &mut self.events.arena,
                )
                .map_err(|e| self.at_place(e))?;
            let second = if rows.change == RowChange::Update {
                let before = Before {
                    row: Some(&first),
                    present: rows.present,
                    partial: rows.partial,
                    insert: false,
                };
                let image = plan.image(
                    layout,
                    event,
                    &mut r,
                    rows.present_after,
                    &before,
                    &mut self.documents,
                    &mut self.events.arena,
                );
                Some(image.map_err(|e| self.at_place(e))?)
            } else {
                None
            };
            number += 1;
            if number <= skipped {
                continue;
            }
            let passes =
                |sieve: &Sieve| sieve.passes(plan, rows.change, &first, second.as_ref(), &self.tracker);
            if !self.sieve.as_ref().is_none_or(passes) {
                continue;
            }
            self.origin.row = i32::try_from(number - 1).unwrap_or(i32::MAX);
            match (rows.change, second) {
                (RowChange::Update, Some(second)) => {
                    self.events.updated(plan, first, second, &self.origin);
                }
                (RowChange::Delete, _) => self.events.deleted(plan, first, &self.origin),
                _ => self.events.created(plan, first, &self.origin),
            }
        }
        Ok(number)
    }

    fn on_begin(&mut self, thread: u32) {
        self.origin.thread = Value::Int64(thread.into());
        self.tracker.begin();
        self.begin_transaction();
    }

    async fn on_query(&mut self, body: Bytes) -> Result<()> {
        let query = event::query(&body).map_err(|e| self.malformed(&e))?;
        // What most of them say.
        if query.sql == b"BEGIN" {
            self.on_begin(query.thread);
            return Ok(());
        }
        let session = Session::read(query.status);
        let charset = session
            .client_collation
            .map_or(Charset::Utf8, Charset::of_collation);
        let sql = charset.decode_statement(query.sql);
        let sql = sql.trim();
        let upper: String = sql.chars().take(12).collect::<String>().to_ascii_uppercase();
        match upper.as_str() {
            "BEGIN" => {
                self.on_begin(query.thread);
                return Ok(());
            }
            "COMMIT" | "ROLLBACK" => {
                self.end_transaction();
                return Ok(());
            }
            _ => {}
        }
        if upper.starts_with("XA START") || upper.starts_with("XA BEGIN") {
            self.tracker.begin();
            return Ok(());
        }
        let silent = ["XA ", "SAVEPOINT", "ROLLBACK TO", "RELEASE SAVE"];
        if silent.iter().any(|start| upper.starts_with(start)) {
            if !self.tracker.in_transaction()
                || upper.starts_with("XA COMMIT")
                || upper.starts_with("XA ROLLBACK")
            {
                self.end_transaction();
            }
            return Ok(());
        }
        if ["INSERT ", "UPDATE ", "DELETE "]
            .iter()
            .any(|start| upper.starts_with(start))
        {
            tracing::warn!(
                "the log holds a statement instead of rows (binlog_format is not ROW); its changes are not seen: {}",
                upper
            );
            return Ok(());
        }
        let database = String::from_utf8_lossy(query.database).into_owned();
        let opens = sql.to_ascii_uppercase().ends_with("START TRANSACTION");
        if !self.tracker.is_skipping() {
            self.on_ddl(sql, &database, session.sql_mode).await?;
        }
        // CREATE TABLE … SELECT begins a transaction, which ends with an XID; anything else stands alone.
        if opens {
            self.tracker.begin();
        } else {
            self.end_transaction();
        }
        Ok(())
    }

    /// A statement that may change tables.
    async fn on_ddl(&mut self, sql: &str, database: &str, sql_mode: Option<u64>) -> Result<()> {
        let dialect = match sql_mode {
            Some(bits) => self.dialect.with_sql_mode(bits),
            None => self.dialect.clone(),
        };
        self.quarantine.heard(sql);
        let changes = match ddl::apply(&mut self.tables, &dialect, database, sql) {
            Ok(changes) => changes,
            Err(error) => return self.not_understood(database, sql, error).await,
        };
        let options = self.options;
        let captures = |id: &TableId| options.captures(&id.database, &id.table);
        for change in changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Truncate)
        {
            let table = change.table.as_ref().filter(|id| captures(id));
            if let Some(table) = table.and_then(|id| self.tables.get(id)).cloned() {
                let plan = Plan::new(table, options, self.events.source_schema())?;
                self.events.truncated(&plan, &self.origin);
            }
        }
        for change in &changes {
            for id in [&change.table, &change.previous].into_iter().flatten() {
                self.plans.remove(id);
                self.unknown.remove(id);
            }
        }
        if !changes.is_empty() {
            self.maps.clear();
        }
        for change in &changes {
            // Made anew, or gone: all that there is of it is told from here on.
            if matches!(change.kind, ChangeKind::Create | ChangeKind::Drop)
                && let Some(id) = change.table.as_ref().filter(|id| self.quarantine.holds(id))
            {
                self.let_go(id, "a statement has made it anew, or dropped it");
            }
        }
        let known = |name: &str| !crate::config::is_builtin(name);
        if options.ddl_filter.ignores(sql) || !options.kept.tells(&changes, captures, known) {
            return Ok(());
        }
        let names = names_of(&changes);
        for change in &changes {
            self.keep(change).await?;
            self.tell(change, &names);
        }
        Ok(())
    }

    /// A statement that can't be parsed: its table, if it is one of ours, is not known from here on. The history has the
    /// statement, so that a recovery comes to the same end.
    async fn not_understood(&mut self, database: &str, sql: &str, error: ddl::Error) -> Result<()> {
        if self.options.ddl_filter.ignores(sql) {
            return Ok(());
        }
        match error.table().cloned() {
            Some(id) if self.options.captures(&id.database, &id.table) => {
                tracing::warn!(table = %id, %error, "a statement can't be parsed; the schema is asked for at the next row");
                if self.quarantine.holds(&id) {
                    return Ok(());
                }
                self.tables.remove(&id);
                self.plans.remove(&id);
                self.maps.clear();
                self.unknown.insert(id.clone(), error.to_string());
                self.kept.forget(&id);
                let change = Change {
                    table: Some(id),
                    ..Change::of_database(database, sql)
                };
                self.keep(&change).await
            }
            _ => {
                tracing::debug!(%error, "a statement is stepped over");
                Ok(())
            }
        }
    }

    /// Writes a change to the history.
    async fn keep(&mut self, change: &Change) -> Result<()> {
        let options = self.options;
        let captures = |id: &TableId| options.captures(&id.database, &id.table);
        let known = |name: &str| !crate::config::is_builtin(name);
        self.kept.changed(change, captures);
        if options.kept.keeps(change, captures, known) && change.kind != ChangeKind::Truncate {
            let position = self.tracker.position().to_offset(Vec::new());
            let of = source(options.naming.prefix());
            let record = HistoryRecord::new(&of, &position.0, Clock::now().millis(), change);
            self.history.record(&[record]).await?;
        }
        self.tracker.moved = true;
        Ok(())
    }

    /// Writes a change to the topic of schema changes.
    fn tell(&mut self, change: &Change, names: &str) {
        if !self.options.schema_changes {
            return;
        }
        let table = match names.is_empty() {
            true => Value::Null,
            false => Value::from(names.to_owned()),
        };
        let origin = Origin {
            // Of statements Debezium tells milliseconds.
            at: Clock::from_micros(self.origin.at.millis() * 1000),
            query: Value::Null,
            ..self.origin.clone()
        };
        let database = constant(&change.database);
        let source = self
            .events
            .source(&database, &table, SnapshotMarker::False, &origin);
        let around = SchemaChangeSource {
            source,
            ts_ms: Clock::now().millis(),
        };
        if let Some(record) = self.changes.record(change, around) {
            self.events.push(record);
        }
    }
}

/// The tables of a statement, as a source block has them.
fn names_of(changes: &[Change]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for change in changes {
        if let Some(id) = &change.table
            && !names.contains(&&*id.table)
        {
            names.push(&id.table);
        }
    }
    // Debezium keeps them in a set.
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    tapline_cdc::java::hash_map_order(&mut names, |name| name);
    names.join(",")
}

/// Whether an event can be left out without losing the place.
fn holds_rows(kind: u8) -> bool {
    kind == code::TABLE_MAP || is_rows(kind)
}

/// Whether an event is rows that were written.
fn is_rows(kind: u8) -> bool {
    matches!(
        kind,
        code::WRITE_ROWS
            | code::UPDATE_ROWS
            | code::DELETE_ROWS
            | code::WRITE_ROWS_V1
            | code::UPDATE_ROWS_V1
            | code::DELETE_ROWS_V1
            | code::PARTIAL_UPDATE_ROWS
            | code::WRITE_ROWS_COMPRESSED_V1..=code::DELETE_ROWS_COMPRESSED
    )
}

/// A regular expression that this text alone matches.
fn literal_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The event in a packet, or the error that ends the dump.
fn event_of(block: &Block, packet: Range<usize>) -> Result<Bytes> {
    let bytes = block.bytes().slice(packet);
    match bytes.first() {
        Some(0) if bytes.len() > HEADER => Ok(bytes.slice(1..)),
        Some(0xff) => Err(dump_error(&bytes)),
        Some(0xfe) => Err(Error::retriable(
            "the server has ended the stream; it is being shut down, or another replica has our server id",
        )),
        _ => Err(Error::fatal("the server sent a packet that is no event")),
    }
}

fn dump_error(packet: &[u8]) -> Error {
    let error = server_error(packet);
    let text = error.to_string();
    match error.code() {
        Some(1236)
            if text.contains("same server_uuid/server_id") || text.contains("server_id as this replica") =>
        {
            Error::config(text).hint("give every connector and replica a database.server.id of its own")
        }
        Some(1236) => Error::fatal(text)
            .exception("io.debezium.DebeziumException")
            .hint(
                "what the connector has not read is not in the server's log any more; a snapshot is needed",
            ),
        _ => error.into(),
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
    sleep_until(ready_at).await;
    Ok(connection.read().await?)
}

/// The commit's time from a GTID event, which has it since MySQL 8.0.1, in microseconds; which is what Debezium
/// tells of rows.
fn commit_time(body: &[u8]) -> Option<Clock> {
    let mut r = Reader::from(body, 1 + 16 + 8 + 1 + 16, "a GTID event");
    let immediate = r.uint(7).ok()?;
    let original = match immediate >> 55 {
        0 => immediate,
        _ => r.uint(7).ok()?,
    };
    let micros = i64::try_from(original & !(1 << 55))
        .ok()
        .filter(|micros| *micros > 0)?;
    Some(Clock::from_micros(micros))
}
