//! The tables' rows, as they were at one point of the log.
//!
//! ```text
//!  slot made ── exports a snapshot at LSN S ──▶ reader: COPY chunk, COPY chunk, …  ┐
//!      │                                        reader: COPY chunk, …              ├─▶ batches
//!      │                            planner: lock, columns, where to cut ──▲ asks  ┘
//!      └────────────── keeps the log from S on ──────────────▶ streaming starts at S
//! ```
//!
//! All sessions import one snapshot before the exporting connection does anything else. Each table is locked against
//! changes of structure (ACCESS SHARE, which COPY takes anyway) before its columns are read, so that the plan fits the rows.
//! Tables are planned one after the other, when a reader asks for more; what a chunk is, how it is stored and how a killed
//! snapshot goes on, `tapline_cdc::snapshot` says. What a snapshot sees is named by its LSN: everything that was committed
//! before, and nothing else.

pub(crate) mod cut;
mod reader;
pub(crate) mod sieve;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tapline_api::metrics::Metric;
use tapline_api::offset::{OffsetMark, SourceBatch};
use tapline_api::source::OffsetReader;
use tapline_api::{Error, Record, Result, SchemaRef};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::headers::uuid_v7;
use tapline_cdc::java::hash_map_order;
use tapline_cdc::metrics::SnapshotMetrics;
use tapline_cdc::notification::{Aggregate, Notifier};
use tapline_cdc::signal::{Execute, matches};
use tapline_cdc::snapshot::{Chunks, Ledger, Progress, progress_partition};
use tapline_databases::postgres::{self, identifier, literal, qualified};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::catalog::Catalog;
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::lsn::Lsn;
use crate::output::Output;
use crate::position::{Position, SnapshotState};
use crate::publication::captured_tables;
use crate::signals::random;
use crate::table::Plan;
use crate::wire::{Connection, Role};

use reader::{Reader, Work};

/// The number that the first stored position of a run counts as; those of chunks follow.
pub(crate) const RUNNING: u64 = 1;

/// What the stored end of a snapshot counts as.
pub(crate) const COMPLETED: u64 = u64::MAX;

/// How many tables are locked and looked at in one go.
const AHEAD: usize = 256;

/// How often to tell how far a table is.
const PROGRESS: Duration = Duration::from_secs(10);

/// The sessions of a snapshot: one to plan with, and those that read.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) planner: Connection,
    readers: Vec<Connection>,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// At the start, or the rest of a killed one.
    Initial { resumes: bool },
    /// A signal has asked for it, when the stream stood here. It stores nothing: positions are the stream's.
    Blocking(&'a Execute, Position),
}

/// A snapshot to be taken.
pub(crate) struct Snapshot<'a> {
    options: Arc<Options>,
    version: u32,
    catalog: &'a mut Catalog,
    offsets: &'a dyn OffsetReader,
    /// Whether a former run's progress counts.
    resumes: bool,
    execute: Option<&'a Execute>,
    planner: Connection,
    /// The schema of the source block.
    source: SchemaRef,
    tables: Vec<(String, String)>,
    /// How many of `tables` are planned, and told of.
    planned: usize,
    told: usize,
    /// The names of `tables`, as notifications give them.
    names: String,
    current: Option<Current>,
    shared: Arc<Shared>,
}

/// What the readers of a snapshot share.
#[derive(Debug)]
pub(crate) struct Shared {
    origin: Origin,
    /// What goes with every batch; none when nothing is stored.
    position: Option<Position>,
    /// The name of what the snapshot sees.
    seen: String,
    ledger: Mutex<Ledger>,
    /// Readers that may still come upon a row.
    reading: std::sync::atomic::AtomicUsize,
    tables: usize,
    metrics: SnapshotMetrics,
    begun: tokio::time::Instant,
    notifier: Notifier,
    /// All captured tables, as notifications name them.
    captured: String,
}

/// The table that chunks are given out of.
#[derive(Debug)]
struct Current {
    index: usize,
    /// As the ledger numbers it.
    number: usize,
    plan: Arc<Plan>,
    plain: bool,
    /// A query of the user's own.
    query: Option<String>,
    scanned: Metric,
    key: Vec<String>,
    progress: Progress,
    weight: u64,
    rows: Arc<AtomicU64>,
}

/// Opens the snapshot's transactions. `exported` is the name of a snapshot to see the database by; without one they take
/// one of their own.
pub(crate) async fn open(options: &Options, exported: Option<&str>) -> Result<Sessions> {
    let mut planner = session(options, exported).await?;
    let own;
    let exported = match exported {
        Some(name) => Some(name),
        None => {
            own = first_cell(&mut planner, "SELECT pg_export_snapshot()").await?;
            Some(own.as_str())
        }
    };
    let mut readers = Vec::with_capacity(options.snapshot_threads);
    for _ in 0..options.snapshot_threads {
        readers.push(session(options, exported).await?);
    }
    Ok(Sessions { planner, readers })
}

/// In the order of a Java set.
fn names(tables: &[(String, String)]) -> String {
    let name = |(schema, table): &(String, String)| format!("{schema}.{table}");
    let mut names: Vec<String> = tables.iter().map(name).collect();
    names.sort();
    hash_map_order(&mut names, |name| name);
    names.join(",")
}

async fn session(options: &Options, exported: Option<&str>) -> Result<Connection> {
    let mut settings = options.settings.clone();
    settings.application_name = "tapline snapshot".to_owned();
    let mut connection = Connection::open(&settings, Role::Sql).await?;
    for statement in &options.initial_statements {
        connection.query(statement).await?;
    }
    connection
        .query(&format!(
            "SET lock_timeout = {}",
            options.lock_timeout.as_millis()
        ))
        .await?;
    connection
        .query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    if let Some(name) = exported {
        connection
            .query(&format!("SET TRANSACTION SNAPSHOT {}", literal(name)))
            .await?;
    }
    Ok(connection)
}

async fn first_cell(connection: &mut Connection, sql: &str) -> Result<String> {
    let rows = connection.query(sql).await?;
    let cell = rows.into_iter().next().and_then(|row| row.into_iter().next());
    cell.flatten()
        .ok_or_else(|| Error::fatal(format!("the server's answer to {sql} is empty")))
}

/// The tables that a snapshot reads, in its order.
pub(crate) async fn snapshot_tables(catalog: &Catalog, options: &Options) -> Result<Vec<(String, String)>> {
    let mut tables = captured_tables(catalog, options).await?;
    options.guardrail.check(tables.len())?;
    tables.retain(|(schema, table)| !options.is_signal_table(schema, table));
    let only = &options.snapshot_tables;
    tables.retain(|(schema, table)| only.is_empty() || only.matches(&format!("{schema}.{table}")));
    options.filters.sort_for_snapshot(&mut tables, Clone::clone);
    if let Some(ascending) = options.small_tables_first {
        let counts = catalog.row_counts(&tables).await?;
        let mut counted: Vec<_> = counts.into_iter().zip(tables).collect();
        counted.sort_by_key(|(count, _)| if ascending { *count } else { -count });
        tables = counted.into_iter().map(|(_, table)| table).collect();
    }
    if options.skipped.reads {
        tables.clear();
    }
    Ok(tables)
}

/// How far a former run came with a table.
pub(crate) async fn stored_progress(
    offsets: &dyn OffsetReader,
    options: &Options,
    schema: &str,
    table: &str,
) -> Result<Option<Progress>> {
    let partition = progress_partition(options.naming.prefix(), &format!("{schema}.{table}"));
    let stored = offsets.offset(&partition).await?;
    Ok(stored.as_ref().and_then(Progress::from_offset))
}

impl Shared {
    /// A notification, for the topic.
    fn tell(&self, kind: &str, data: &[(&str, String)]) -> Vec<Record> {
        if self.notifier.is_silent() {
            return Vec::new();
        }
        let id = uuid_v7(Instant::now().millis(), random());
        let record = self
            .notifier
            .notify(&id, Aggregate::Initial, kind, data, Instant::now());
        record.into_iter().collect()
    }
}

impl<'a> Snapshot<'a> {
    /// Over open transactions that see the database at `lsn`. Reads all that is left of the captured tables, and gives the
    /// position to stream from. `stored` tells the numbers of stored offsets.
    #[expect(clippy::too_many_arguments, reason = "the parts of a task")]
    pub(crate) async fn run(
        options: &Options,
        version: u32,
        catalog: &'a mut Catalog,
        events: &Events,
        output: &mut Output,
        offsets: &'a dyn OffsetReader,
        kind: Kind<'a>,
        mut sessions: Sessions,
        lsn: Lsn,
        mut stored: watch::Receiver<u64>,
        metrics: &SnapshotMetrics,
    ) -> Result<Position> {
        let micros = first_cell(
            &mut sessions.planner,
            "SELECT (extract(epoch FROM current_timestamp) * 1000000)::int8",
        )
        .await?;
        let micros: i64 = micros
            .parse()
            .map_err(|_| Error::fatal("the server's clock is unreadable"))?;
        let (resumes, execute, at) = match kind {
            Kind::Initial { resumes } => (resumes, None, None),
            Kind::Blocking(execute, at) => (false, Some(execute), Some(at)),
        };
        let tx_id = match at.and_then(|at| at.tx_id) {
            Some(tx_id) => tx_id,
            None => catalog.current_transaction().await?,
        };
        let position = Position {
            lsn: Some(lsn),
            tx_id: Some(tx_id),
            ts_usec: Some(micros),
            snapshot: Some(SnapshotState::Running),
            ..Position::default()
        };
        let origin = Origin {
            at: Instant::from_micros(micros),
            lsn,
            last_commit: at.and_then(|at| at.last_commit),
            tx_id: Some(tx_id),
            replication: None,
        };
        let mut tables = snapshot_tables(catalog, options).await?;
        let name = |(schema, table): &(String, String)| format!("{schema}.{table}");
        if let Some(execute) = execute {
            tables.retain(|table| matches(&execute.collections, &name(table)));
        }
        let captured: Vec<String> = match execute {
            Some(_) => tables.iter().map(name).collect(),
            None => captured_tables(catalog, options)
                .await?
                .iter()
                .map(name)
                .collect(),
        };
        let shared = Arc::new(Shared {
            origin,
            position: execute.is_none().then_some(position),
            seen: lsn.to_string(),
            ledger: Mutex::new(Ledger::new(RUNNING)),
            reading: sessions.readers.len().into(),
            tables: tables.len(),
            metrics: metrics.clone(),
            begun: tokio::time::Instant::now(),
            notifier: options.notifier.clone(),
            captured: captured.join(","),
        });
        metrics.started(tables.len(), tables.len());
        let mut snapshot = Self {
            options: Arc::new(options.clone()),
            version,
            catalog,
            offsets,
            resumes,
            execute,
            planner: sessions.planner,
            source: events.source_schema().clone(),
            names: names(&tables),
            tables,
            planned: 0,
            told: 0,
            current: None,
            shared,
        };
        if options.snapshot_shared_lock {
            for (schema, table) in snapshot.tables.clone() {
                snapshot.lock(&schema, &table).await?;
            }
        }
        tracing::info!(tables = snapshot.tables.len(), %lsn, resumes, "snapshot begins");
        // Before any row goes out it is known that a snapshot is under way: a deleted row might stay for ever else.
        let begun = SourceBatch {
            flush: true,
            ..output.batch(
                snapshot.shared.tell("STARTED", &[]),
                0,
                snapshot.shared.position.as_ref(),
            )
        };
        send(output, begun).await?;
        if execute.is_none() && !snapshot.tables.is_empty() {
            wait(&mut stored, RUNNING).await?;
        }
        snapshot
            .read(events, output, sessions.readers, stored.clone())
            .await?;
        let completed = Position {
            snapshot: Some(SnapshotState::Completed),
            ..position
        };
        let told = snapshot.shared.tell("COMPLETED", &[]);
        let mut last = SourceBatch {
            flush: true,
            ..output.batch(told, 0, execute.is_none().then_some(&completed))
        };
        if execute.is_none() {
            let ledger = snapshot
                .shared
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let after = last.records.len();
            last.marks.extend(ledger.partitions().map(|partition| OffsetMark {
                after,
                partition: partition.clone(),
                offset: None,
            }));
        }
        send(output, last).await?;
        // Streaming before that would let a kill take changes for ones that a snapshot is still to come to.
        if execute.is_none() {
            wait(&mut stored, COMPLETED).await?;
        }
        snapshot.planner.close(false).await;
        metrics.ended(true, snapshot.shared.begun.elapsed().as_secs());
        tracing::info!("snapshot is complete");
        Ok(Position {
            snapshot: None,
            ..position
        })
    }

    /// Answers the readers until all have ended.
    async fn read(
        &mut self,
        events: &Events,
        output: &Output,
        connections: Vec<Connection>,
        stored: watch::Receiver<u64>,
    ) -> Result<()> {
        let (asks, mut asked) = mpsc::channel::<oneshot::Sender<Option<Work>>>(1);
        let mut readers = JoinSet::new();
        for connection in connections {
            let reader = Reader::new(
                self.options.clone(),
                connection,
                events.fork(),
                output.clone(),
                self.shared.clone(),
                stored.clone(),
            );
            readers.spawn(reader.run(asks.clone()));
        }
        drop(asks);
        loop {
            tokio::select! {
                Some(ask) = asked.recv() => {
                    let work = self.next().await?;
                    // A reader that has failed says so below.
                    let _ = ask.send(work);
                }
                ended = readers.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok(result)) => result?,
                    Some(Err(_)) => {
                        return Err(Error::fatal("a snapshot's reader ended unexpectedly; the log has more"));
                    }
                }
            }
        }
    }

    /// The next chunk to read, planning the next table where one is due.
    async fn next(&mut self) -> Result<Option<Work>> {
        loop {
            let claim = self
                .shared
                .ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .claim();
            if let (Some(claim), Some(current)) = (claim, &self.current)
                && current.number == claim.table
            {
                let first = match (claim.chunk, current.index) {
                    (0, 0) => SnapshotMarker::First,
                    (0, _) => SnapshotMarker::FirstInDataCollection,
                    _ => SnapshotMarker::True,
                };
                let table = format!("{}.{}", current.plan.table.schema, current.plan.table.name);
                let asked = self.execute.and_then(|execute| execute.condition(&table));
                let parts: Vec<String> = cut::condition(&current.key, &current.progress.chunks, claim.chunk)
                    .into_iter()
                    .chain(asked.map(|asked| format!("({asked})")))
                    .collect();
                let condition = (!parts.is_empty()).then(|| parts.join(" AND "));
                let told = std::mem::replace(&mut self.told, self.planned);
                let told = if told == self.planned || self.shared.notifier.is_silent() {
                    Vec::new()
                } else {
                    self.shared.tell(
                        "IN_PROGRESS",
                        &[
                            ("current_collection_in_progress", table),
                            ("data_collections", self.names.clone()),
                        ],
                    )
                };
                return Ok(Some(Work {
                    claim,
                    sql: copy_statement(
                        &current.plan,
                        current.plain,
                        current.query.as_deref(),
                        condition.as_deref(),
                    ),
                    scanned: current.scanned.clone(),
                    told,
                    plan: current.plan.clone(),
                    first,
                    weight: current.weight,
                    index: current.index,
                    rows: current.rows.clone(),
                }));
            }
            let Some((schema, table)) = self.tables.get(self.planned).cloned() else {
                return Ok(None);
            };
            self.current = self.plan(&schema, &table).await?;
            self.planned += 1;
        }
    }

    async fn plan(&mut self, schema: &str, table: &str) -> Result<Option<Current>> {
        if self.planned.is_multiple_of(AHEAD) {
            self.look_ahead().await?;
        }
        let Some(found) = self.catalog.table(schema, table).await? else {
            return Ok(None);
        };
        let name = format!("{schema}.{table}");
        let query = self.options.overrides.iter().find(|(table, _)| *table == name);
        let query = query.map(|(_, query)| query.clone());
        // What a query of the user's own gives is not cut: it may be slow, and need not be the table's rows.
        let key = match &query {
            Some(_) => Vec::new(),
            None => cut::cutting_key(&found),
        };
        let chunk = self.options.snapshot_chunk_bytes;
        let small = self.catalog.size_ahead(schema, table);
        let small = small.filter(|bytes| *bytes < chunk.saturating_mul(2));
        let stored = if self.resumes {
            stored_progress(self.offsets, &self.options, schema, table).await?
        } else {
            None
        };
        // Another key than that it was cut by: what the chunks were can't be told any more.
        let stored = stored.filter(|progress| progress.key.is_empty() || progress.key == key);
        let (progress, bytes) = match stored {
            Some(progress) => (progress, 0),
            None if query.is_some() => (Progress::new(Vec::new(), Chunks::default()), 0),
            // Too small to be cut: not asked about again.
            None if small.is_some() => (
                Progress::new(Vec::new(), Chunks::default()),
                small.unwrap_or_default(),
            ),
            None => {
                let cut = cut::cut(&mut self.planner, self.version, &found, &key, chunk).await?;
                (Progress::new(cut.key, cut.chunks), cut.bytes)
            }
        };
        let plain = found.plain;
        let plan = Plan::new(found, &self.options, &self.source)?;
        let by_chunk = !progress.key.is_empty() || progress.chunks.count() == 1;
        let partition = progress_partition(self.options.naming.prefix(), &format!("{schema}.{table}"));
        let weight = match bytes {
            0 => self.options.snapshot_chunk_bytes,
            bytes => bytes / u64::from(progress.chunks.count()),
        };
        let number = self
            .shared
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(partition, progress.clone(), by_chunk);
        Ok(Some(Current {
            index: self.planned,
            number,
            plan: Arc::new(plan),
            plain,
            query,
            scanned: self.shared.metrics.rows_of(&name),
            key: progress.key.clone(),
            progress,
            weight,
            rows: Arc::default(),
        }))
    }

    /// Locks the next tables, and reads their definitions.
    async fn look_ahead(&mut self) -> Result<()> {
        let next = self.tables.iter().skip(self.planned).take(AHEAD);
        let next: Vec<(String, String)> = next.cloned().collect();
        if let [(schema, table)] = next.as_slice() {
            return self.lock(schema, table).await;
        }
        let names: Vec<String> = next
            .iter()
            .map(|(schema, table)| qualified(schema, table))
            .collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        self.planner.query(&sql).await.map_err(locked_out)?;
        self.catalog.read_ahead(&next).await
    }

    async fn lock(&mut self, schema: &str, table: &str) -> Result<()> {
        let name = qualified(schema, table);
        self.planner
            .query(&format!("LOCK TABLE {name} IN ACCESS SHARE MODE"))
            .await
            .map_err(|error| unreadable(&self.options.settings.user, schema, table, error))?;
        Ok(())
    }
}

/// Waits until what is numbered so is stored.
pub(crate) async fn wait(stored: &mut watch::Receiver<u64>, number: u64) -> Result<()> {
    match stored.wait_for(|stored| *stored >= number).await {
        Ok(_) => Ok(()),
        Err(_) => Err(stopped()),
    }
}

async fn send(output: &Output, batch: SourceBatch) -> Result<()> {
    if output.send(batch).await {
        return Ok(());
    }
    Err(stopped())
}

fn stopped() -> Error {
    Error::retriable("the task is being stopped")
}

/// `COPY table (…)` where that gives all rows, which is a little faster, else by a query.
fn copy_statement(plan: &Plan, plain: bool, query: Option<&str>, condition: Option<&str>) -> String {
    let name = match query {
        // On lines of its own: it may end in a comment.
        Some(query) => format!("(\n{query}\n) AS snapshot_select"),
        None => qualified(&plan.table.schema, &plan.table.name),
    };
    let plain = plain && query.is_none();
    let columns: Vec<String> = plan.column_names().map(identifier).collect();
    let columns = columns.join(", ");
    match condition {
        None if plain && !columns.is_empty() => format!("COPY {name} ({columns}) TO STDOUT"),
        None => format!("COPY (SELECT {columns} FROM {name}) TO STDOUT"),
        Some(condition) => format!("COPY (SELECT {columns} FROM {name} WHERE {condition}) TO STDOUT"),
    }
}

/// Several tables can't be locked: the server's message names the one.
fn locked_out(error: postgres::Error) -> Error {
    let (denied, full) = (error.is("42501"), error.is("53200"));
    let error = Error::from(error);
    if denied {
        return Error::config(format!("a captured table can't be read: {}", error.message()))
            .hint("GRANT SELECT on it, and USAGE on its schema; or leave it out by table.exclude.list");
    }
    if full {
        return Error::config(format!(
            "a snapshot locks all captured tables against changes of structure: {}",
            error.message()
        ))
        .hint("raise max_locks_per_transaction and restart the server");
    }
    error
}

fn unreadable(user: &str, schema: &str, table: &str, error: postgres::Error) -> Error {
    let denied = error.is("42501");
    let error = Error::from(error);
    if denied {
        return Error::config(format!(
            "table {schema}.{table} can't be read: {}",
            error.message()
        ))
        .hint(format!(
            "GRANT SELECT ON {} TO {}, and USAGE on its schema; or leave it out by table.exclude.list",
            qualified(schema, table),
            identifier(user)
        ));
    }
    error
}
