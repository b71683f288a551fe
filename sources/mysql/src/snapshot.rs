//! The tables' schemas and rows, as they were at one point of the log.
//!
//! ```text
//!  sessions: lock ─ all begin ─ position P ─ schemas ─ unlock
//!                                    │         │             planner: where to cut ──▲ asks
//!                                    │         └▶ history    reader: SELECT chunk, SELECT chunk, …  ┐
//!                                    │                       reader: SELECT chunk, …                ├─▶ batches
//!                                    └──────────────────────────────────────────▶ streaming starts at P
//! ```
//!
//! What a chunk is, how it is stored and how a killed snapshot goes on, `tapline_cdc::snapshot` says. What a snapshot sees
//! is named by the GTIDs that were executed, or by file and position: everything before, and nothing else.

pub(crate) mod cut;
mod planner;
mod reader;
mod schemas;
mod sessions;
pub(crate) mod sieve;

use std::sync::Arc;

use tapline_api::source::OffsetReader;
use tapline_api::{Error, Result, Value};
use tapline_cdc::clock::Instant;
use tapline_cdc::intern::constant;
use tapline_cdc::metrics::SnapshotMetrics;
use tapline_cdc::signal::Execute;
use tapline_cdc::snapshot::{self as shared, Parts, Run, stale};
use tapline_databases::mysql;
use tokio::sync::watch;

use crate::catalog::{End, Server};
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::history::{HistoryRecord, KeptTables, SchemaChangeRecords, SchemaHistory};
use crate::output::Output;
use crate::position::{Position, partition};
use crate::schema::{TableId, Tables};
use crate::signals::captured_names;

use planner::{Planner, Source};
use reader::Reader;
pub(crate) use schemas::Schemas;
pub(crate) use sessions::Sessions;

/// A snapshot to be taken.
pub(crate) struct Snapshot<'a> {
    options: &'a Options,
    server: &'a Server,
    events: &'a mut Events,
    output: &'a mut Output,
    history: &'a SchemaHistory,
    changes: &'a SchemaChangeRecords,
    tables: &'a mut Tables,
    kept: &'a mut KeptTables,
    /// Where a former run's progress lies; a blocking snapshot has none.
    offsets: Option<&'a dyn OffsetReader>,
    /// Tells the numbers of stored offsets.
    stored: watch::Receiver<u64>,
    metrics: SnapshotMetrics,
    position: Position,
    origin: Origin,
    /// Records on their way to the history.
    told: Vec<HistoryRecord>,
}

/// The name of what a snapshot sees that was begun at `end`.
fn seen(end: &End, options: &Options) -> String {
    match end.gtids.as_ref().filter(|_| !options.ignore_gtids) {
        Some(gtids) => gtids.clone(),
        None => format!("{}:{}", end.file, end.pos),
    }
}

/// The position that a snapshot begun by `sessions` stands for.
pub(crate) fn position_of(sessions: &Sessions) -> Position {
    Position {
        file: sessions.end.file.clone(),
        pos: sessions.end.pos,
        gtids: sessions.end.gtids.clone(),
        ts_sec: Some(sessions.seconds),
        snapshot: true,
        ..Position::default()
    }
}

impl Sessions {
    /// Reads the schemas, and lets the lock go if it is not wanted any longer.
    pub(crate) async fn schemas(&mut self, options: &Options) -> Result<Schemas> {
        let schemas = Schemas::read(&mut self.planner, options).await?;
        self.schemas_are_read(options).await?;
        Ok(schemas)
    }

    /// The tables whose rows a snapshot reads, in its order.
    pub(crate) async fn tables(&mut self, options: &Options, schemas: &Schemas) -> Result<Vec<TableId>> {
        if options.skipped.reads {
            return Ok(Vec::new());
        }
        let only = &options.snapshot_tables;
        let captured = schemas.tables.iter().filter(|found| found.captured);
        let mut tables: Vec<TableId> = captured
            .map(|found| found.id.clone())
            .filter(|id| (only.is_empty() || only.matches(&id.to_string())) && !options.is_signal_table(id))
            .collect();
        if let Some(ascending) = options.small_tables_first {
            let counts = self.planner.row_counts().await?;
            tables.sort_by_cached_key(|id| {
                let count = counts.get(id).copied().unwrap_or(0);
                if ascending { count } else { -count }
            });
        }
        Ok(tables)
    }
}

impl<'a> Snapshot<'a> {
    #[expect(clippy::too_many_arguments, reason = "the parts of a task")]
    pub(crate) fn new(
        options: &'a Options,
        server: &'a Server,
        events: &'a mut Events,
        output: &'a mut Output,
        history: &'a SchemaHistory,
        changes: &'a SchemaChangeRecords,
        tables: &'a mut Tables,
        kept: &'a mut KeptTables,
        metrics: SnapshotMetrics,
    ) -> Self {
        Self {
            options,
            server,
            events,
            output,
            history,
            changes,
            tables,
            kept,
            offsets: None,
            stored: watch::channel(0).1,
            metrics,
            position: Position::default(),
            origin: Origin {
                at: Instant::from_micros(0),
                server_id: 0,
                gtid: Value::Null,
                file: Value::Null,
                pos: 0,
                row: 0,
                thread: Value::Null,
                query: Value::Null,
            },
            told: Vec::new(),
        }
    }

    /// One whose progress is stored: how far a former run was, and how far this one is.
    pub(crate) fn storing(mut self, offsets: &'a dyn OffsetReader, stored: watch::Receiver<u64>) -> Self {
        self.offsets = Some(offsets);
        self.stored = stored;
        self
    }

    /// Takes it, with the rows of `tables`, and gives the position to stream from. With `resumes`, what a former run has
    /// done of them counts.
    pub(crate) async fn take(
        mut self,
        mut sessions: Sessions,
        schemas: &Schemas,
        tables: Vec<TableId>,
        resumes: bool,
    ) -> Result<Position> {
        let options = self.options;
        let prefix = options.naming.prefix();
        self.position = position_of(&sessions);
        self.origin.at = Instant::from_micros(sessions.seconds * 1_000_000);
        self.origin.file = constant(&self.position.file);
        self.origin.pos = i64::try_from(self.position.pos).unwrap_or(i64::MAX);
        let captured = schemas.tables.iter().filter(|found| found.captured);
        let mut captured: Vec<String> = captured.map(|found| found.id.to_string()).collect();
        captured.sort();
        tracing::info!(
            tables = tables.len(),
            file = self.position.file,
            pos = self.position.pos,
            gtids = self.position.gtids,
            resumes,
            "snapshot begins"
        );
        let offset = self.position.to_offset(Vec::new());
        let run = Arc::new(Run::new(Parts {
            position: Some((partition(prefix), offset.clone())),
            seen: seen(&sessions.end, options),
            ..self.parts(sessions.readers.len(), tables.len(), captured.join(","))
        }));
        self.events.records.extend(run.tell("STARTED", &[]));
        *self.tables = Tables::new(self.server.ignore_case);
        self.tell_schemas(schemas).await?;
        self.kept
            .all(self.tables, |id| options.captures(&id.database, &id.table));
        let records = self.rest();
        let marks = self.kept.marks(records.len(), &offset, self.tables);
        let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let forgotten = match self.offsets {
            Some(offsets) if !resumes => stale(offsets, prefix, &names).await?,
            _ => Vec::new(),
        };
        run.begin(records, marks, forgotten, &mut self.stored).await?;
        self.rows(&run, &mut sessions, tables, &names, resumes, None)
            .await?;
        sessions.unlock().await?;
        sessions.planner.connection.close().await;
        self.position.snapshot = false;
        let told = run.tell("COMPLETED", &[]);
        run.complete(told, self.position.to_offset(Vec::new()), &mut self.stored)
            .await?;
        tracing::info!("snapshot is complete");
        Ok(self.position)
    }

    /// Tells the schemas as they are now at the place of `position`, which streaming goes on from: a lost history is made
    /// anew (`snapshot.mode=recovery`).
    pub(crate) async fn take_schemas(
        mut self,
        mut sessions: Sessions,
        position: Position,
    ) -> Result<Position> {
        let options = self.options;
        let schemas = sessions.schemas(options).await?;
        sessions.unlock().await?;
        sessions.planner.connection.close().await;
        self.position = position;
        self.origin.file = constant(&self.position.file);
        self.origin.pos = i64::try_from(self.position.pos).unwrap_or(i64::MAX);
        *self.tables = Tables::new(self.server.ignore_case);
        self.tell_schemas(&schemas).await?;
        self.kept
            .all(self.tables, |id| options.captures(&id.database, &id.table));
        self.flush().await?;
        Ok(self.position)
    }

    /// Reads tables once more while the log waits (a blocking snapshot): as they are now, told with the place where the log
    /// stands. What changed in between comes again.
    pub(crate) async fn take_again(mut self, execute: &Execute, origin: &Origin) -> Result<()> {
        let mut sessions = Sessions::open_now(self.options).await?;
        self.origin = Origin {
            at: Instant::from_micros(sessions.seconds * 1_000_000),
            thread: Value::Null,
            query: Value::Null,
            ..origin.clone()
        };
        let captured = captured_names(self.options, self.tables);
        let mut names = execute.expand(&captured);
        names.retain(|name| captured.contains(name));
        let tables: Vec<TableId> = names
            .iter()
            .filter_map(|name| name.split_once('.'))
            .map(|(database, table)| TableId::new(database, table))
            .collect();
        tracing::info!(tables = tables.len(), "a blocking snapshot begins");
        let parts = self.parts(sessions.readers.len(), tables.len(), names.join(","));
        let run = Arc::new(Run::new(parts));
        // What was streamed goes first.
        self.flush().await?;
        let told = run.tell("STARTED", &[]);
        run.begin(told, Vec::new(), Vec::new(), &mut self.stored).await?;
        self.rows(&run, &mut sessions, tables, &names, false, Some(execute))
            .await?;
        sessions.planner.connection.close().await;
        let told = run.tell("COMPLETED", &[]);
        let unused = self.position.to_offset(Vec::new());
        run.complete(told, unused, &mut self.stored).await?;
        tracing::info!("the blocking snapshot is complete");
        Ok(())
    }

    fn parts(&self, readers: usize, tables: usize, captured: String) -> Parts {
        Parts {
            sender: self.output.sender(),
            queue: self.output.queue().clone(),
            position: None,
            seen: String::new(),
            server: self.options.naming.prefix().to_owned(),
            readers,
            tables,
            metrics: self.metrics.clone(),
            notifier: self.options.notifier.clone(),
            captured,
            repeated_bytes: self.options.snapshot_repeated_bytes,
            chunk_bytes: self.options.snapshot_chunk_bytes,
            batch_records: self.options.batch_records,
            batch_bytes: self.options.batch_bytes,
        }
    }

    async fn rows(
        &self,
        run: &Arc<Run>,
        sessions: &mut Sessions,
        tables: Vec<TableId>,
        names: &[String],
        resumes: bool,
        execute: Option<&Execute>,
    ) -> Result<()> {
        let readers = std::mem::take(&mut sessions.readers);
        let mut planner = Planner {
            options: self.options,
            known: self.tables,
            offsets: self.offsets,
            source: self.events.source_schema().clone(),
            catalog: &mut sessions.planner,
            tables,
            resumes,
            execute,
            cut: None,
        };
        let user: Arc<str> = self.options.settings.user.as_str().into();
        let reader = |connection, asks, outlet| {
            let reader = Reader {
                user: user.clone(),
                connection,
                events: self.events.fork(),
                origin: self.origin.clone(),
                outlet,
            };
            reader.run(asks)
        };
        shared::read(run, &mut planner, names, readers, reader, &self.stored).await
    }
}

fn unreadable(user: &str, id: &TableId, error: mysql::Error) -> Error {
    let error = Error::from(error);
    if error.kind() != tapline_api::Kind::Config {
        return error;
    }
    Error::config(format!("table {id} can't be read: {}", error.message())).hint(format!(
        "GRANT SELECT ON {} TO {user}; or leave it out by table.exclude.list",
        id.quoted('`')
    ))
}
