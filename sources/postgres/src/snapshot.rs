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

use std::sync::Arc;

use tapline_api::source::OffsetReader;
use tapline_api::{Error, Result, SchemaRef};
use tapline_cdc::clock::Instant;
use tapline_cdc::metrics::SnapshotMetrics;
use tapline_cdc::signal::{Execute, matches};
use tapline_cdc::snapshot::{
    self as shared, Chunks, Database, Key, Parts, Planned, Progress, Run, stale, stored_progress,
};
use tapline_databases::postgres::{self, identifier, literal, qualified};
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::lsn::Lsn;
use crate::output::Output;
use crate::position::{Position, SnapshotState, partition};
use crate::publication::captured_tables;
use crate::table::Plan;
use crate::wire::{Connection, Role};

use reader::Reader;

/// How many tables are locked and looked at in one go.
const AHEAD: usize = 256;

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

/// A snapshot to be taken: what plans its tables.
pub(crate) struct Snapshot<'a> {
    options: &'a Options,
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
}

/// A table, and how it is asked for.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) plan: Plan,
    plain: bool,
    /// A query of the user's own.
    query: Option<String>,
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

fn name((schema, table): &(String, String)) -> String {
    format!("{schema}.{table}")
}

impl<'a> Snapshot<'a> {
    /// Over open transactions that see the database at `lsn`. Reads all that is left of the captured tables, and gives the
    /// position to stream from. `stored` tells the numbers of stored offsets.
    #[expect(clippy::too_many_arguments, reason = "the parts of a task")]
    pub(crate) async fn run(
        options: &'a Options,
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
        let prefix = options.naming.prefix();
        let names: Vec<String> = tables.iter().map(name).collect();
        // Marks that wait for a batch go out with the first one.
        let marks = output.batch(Vec::new(), 0, None).marks;
        let stores = execute.is_none();
        let run = Arc::new(Run::new(Parts {
            sender: output.sender(),
            queue: output.queue().clone(),
            position: stores.then(|| (partition(prefix), output.offset(&position))),
            seen: lsn.to_string(),
            server: prefix.to_owned(),
            readers: sessions.readers.len(),
            tables: tables.len(),
            metrics: metrics.clone(),
            notifier: options.notifier.clone(),
            captured: captured.join(","),
            repeated_bytes: options.snapshot_repeated_bytes,
            chunk_bytes: options.snapshot_chunk_bytes,
            batch_records: options.batch_records,
            batch_bytes: options.batch_bytes,
        }));
        let mut snapshot = Self {
            options,
            version,
            catalog,
            offsets,
            resumes,
            execute,
            planner: sessions.planner,
            source: events.source_schema().clone(),
            tables,
        };
        if options.snapshot_shared_lock {
            for (schema, table) in snapshot.tables.clone() {
                snapshot.lock(&schema, &table).await?;
            }
        }
        tracing::info!(tables = snapshot.tables.len(), %lsn, resumes, "snapshot begins");
        let forgotten = match resumes || !stores {
            true => Vec::new(),
            false => stale(offsets, prefix, &names).await?,
        };
        let told = run.tell("STARTED", &[]);
        run.begin(told, marks, forgotten, &mut stored).await?;
        let own = Arc::new(options.clone());
        let reader = |connection, asks, outlet| {
            let (options, events, origin) = (own.clone(), events.fork(), origin.clone());
            Reader::new(options, connection, events, origin, outlet).run(asks)
        };
        shared::read(&run, &mut snapshot, &names, sessions.readers, reader, &stored).await?;
        let completed = Position {
            snapshot: Some(SnapshotState::Completed),
            ..position
        };
        let told = run.tell("COMPLETED", &[]);
        let end = output.offset(&completed);
        run.complete(told, end, &mut stored).await?;
        snapshot.planner.close(false).await;
        tracing::info!("snapshot is complete");
        Ok(Position {
            snapshot: None,
            ..position
        })
    }

    /// Locks the next tables, and reads their definitions.
    async fn look_ahead(&mut self, from: usize) -> Result<()> {
        let next = self.tables.iter().skip(from).take(AHEAD);
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

impl Database for Snapshot<'_> {
    type Plan = Source;

    async fn plan(&mut self, index: usize) -> Result<Option<Planned<Source>>> {
        if index.is_multiple_of(AHEAD) {
            self.look_ahead(index).await?;
        }
        let Some((schema, table)) = self.tables.get(index).cloned() else {
            return Ok(None);
        };
        let (schema, table) = (schema.as_str(), table.as_str());
        let Some(found) = self.catalog.table(schema, table).await? else {
            return Ok(None);
        };
        let name = format!("{schema}.{table}");
        let asked = self.execute.and_then(|execute| execute.query(&name));
        let query = asked.or_else(|| self.options.overrides.of(&name));
        let query = query.map(|query| query.trim_end().trim_end_matches(';').to_owned());
        // What a query of the user's own gives is not cut: it may be slow, and need not be the table's rows.
        let key = match &query {
            Some(_) => Vec::new(),
            None => cut::cutting_key(&found),
        };
        let chunk = self.options.snapshot_chunk_bytes;
        let small = self.catalog.size_ahead(schema, table);
        let small = small.filter(|bytes| *bytes < chunk.saturating_mul(2));
        let stored = if self.resumes {
            stored_progress(self.offsets, self.options.naming.prefix(), &name).await?
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
        let plan = Plan::new(found, self.options, &self.source)?;
        Ok(Some(Planned {
            plan: Arc::new(Source { plan, plain, query }),
            progress,
            grows: false,
            bytes,
        }))
    }

    fn statement(&self, _: usize, source: &Source, key: &[String], chunks: &Chunks, chunk: u32) -> String {
        let table = &source.plan.table;
        let name = format!("{}.{}", table.schema, table.name);
        let asked = self.execute.and_then(|execute| execute.condition(&name));
        let parts: Vec<String> = cut::condition(key, chunks, chunk)
            .into_iter()
            .chain(asked.map(|asked| format!("({asked})")))
            .collect();
        let condition = (!parts.is_empty()).then(|| parts.join(" AND "));
        copy_statement(source, condition.as_deref())
    }

    async fn bound(&mut self, _: usize, _: &Source, _: &[String], _: &Chunks) -> Result<Option<Key>> {
        // Tables are cut before they are read.
        Ok(None)
    }
}

/// `COPY table (…)` where that gives all rows, which is a little faster, else by a query.
fn copy_statement(source: &Source, condition: Option<&str>) -> String {
    let (plan, query) = (&source.plan, &source.query);
    let name = match query {
        // On lines of its own: it may end in a comment.
        Some(query) => format!("(\n{query}\n) AS snapshot_select"),
        None => qualified(&plan.table.schema, &plan.table.name),
    };
    let plain = source.plain && query.is_none();
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
