//! The tables' schemas and rows, as they were at one point of the log.
//!
//! ```text
//!  minimal:   FLUSH TABLES WITH READ LOCK ─ snapshot begins ─ position ─ schemas ─ UNLOCK ─ rows
//!  extended:  … the same, and the lock is kept until the rows are read
//!  none:      position ─ snapshot begins ─ schemas ─ rows       changes in between are read and streamed
//! ```
//!
//! Without the right to lock all tables, the captured ones are locked by name until the rows are read. One row is held
//! back, because whether it was the last of its table, or of all, shows only afterwards.

use std::sync::Arc;
use std::time::Duration;

use tapline_api::{Error, Record, Result, Value};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::headers::new_uuid;
use tapline_cdc::intern::constant;
use tapline_cdc::java::hash_map_order;
use tapline_cdc::metrics::SnapshotMetrics;
use tapline_cdc::notification::Aggregate;
use tapline_cdc::signal::Execute;
use tapline_databases::mysql::{identifier, qualified};

use crate::catalog::{Catalog, End, Server};
use crate::config::{Locking, Options};
use crate::ddl::{self, Change, ChangeKind};
use crate::event::{Events, Origin, remark};
use crate::history::{HistoryRecord, KeptTables, SchemaChangeRecords, SchemaChangeSource, SchemaHistory};
use crate::output::Output;
use crate::position::{Position, source};
use crate::schema::{TableId, Tables};
use crate::signals::captured_names;
use crate::table::Plan;

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// How often to tell how far a table is.
const PROGRESS: Duration = Duration::from_secs(10);

/// So many records go to the history at once.
const HISTORY_BATCH: usize = 500;

/// A snapshot to be taken.
pub(crate) struct Snapshot<'a> {
    pub(crate) options: &'a Options,
    pub(crate) server: &'a Server,
    pub(crate) events: &'a mut Events,
    pub(crate) output: &'a mut Output,
    pub(crate) history: &'a SchemaHistory,
    pub(crate) changes: &'a SchemaChangeRecords,
    pub(crate) tables: &'a mut Tables,
    pub(crate) kept: &'a mut KeptTables,
    pub(crate) position: Position,
    pub(crate) origin: Origin,
    metrics: SnapshotMetrics,
    begun: tokio::time::Instant,
    held: Option<(Record, SnapshotMarker)>,
    /// Records on their way to the history.
    told: Vec<HistoryRecord>,
}

/// How the tables are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    All,
    ByName,
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
            metrics,
            begun: tokio::time::Instant::now(),
            held: None,
            told: Vec::new(),
        }
    }

    /// Takes it, with the rows if `data`, and gives the position to stream from.
    pub(crate) async fn take(mut self, data: bool) -> Result<Position> {
        self.notify("STARTED", &[]);
        let mut catalog = Catalog::connect(self.options).await?;
        let all = catalog.tables().await?;
        let mut captured: Vec<TableId> = all
            .iter()
            .filter(|id| self.options.captures(&id.database, &id.table))
            .cloned()
            .collect();
        self.options.guardrail.check(captured.len())?;
        self.options.filters.sort_for_snapshot(&mut captured, |id| {
            (id.database.to_string(), id.table.to_string())
        });
        let locked = self.begin(&mut catalog, &captured).await?;
        tracing::info!(
            tables = captured.len(),
            file = self.position.file,
            pos = self.position.pos,
            gtids = self.position.gtids,
            "snapshot begins"
        );
        self.schemas(&mut catalog, &all, &captured).await?;
        if locked == Held::All && self.options.locking == Locking::Minimal {
            catalog.connection.execute("UNLOCK TABLES").await?;
        }
        if data && !self.options.skipped.reads {
            let only = &self.options.snapshot_tables;
            let names = captured_names(self.options, self.tables).join(",");
            captured.retain(|id| {
                (only.is_empty() || only.matches(&id.to_string())) && !self.options.is_signal_table(id)
            });
            let tables: Vec<(TableId, String)> = captured.into_iter().map(|id| (id, String::new())).collect();
            self.rows(&mut catalog, &tables, &names).await?;
        }
        if locked != Held::Nothing {
            catalog.connection.execute("UNLOCK TABLES").await?;
        }
        catalog.connection.execute("COMMIT").await?;
        catalog.connection.close().await;
        if let Some((mut record, _)) = self.held.take() {
            remark(&mut record, SnapshotMarker::Last);
            self.events.records.push(record);
        }
        self.notify("COMPLETED", &[]);
        self.position.snapshot = false;
        self.kept
            .all(self.tables, |id| self.options.captures(&id.database, &id.table));
        self.flush().await?;
        tracing::info!("snapshot is complete");
        Ok(self.position)
    }

    /// Reads tables once more while the log waits (a blocking snapshot): as they are now, told with the place where the log
    /// stands. What changed in between comes again.
    pub(crate) async fn take_again(
        mut self,
        execute: &Execute,
        position: Position,
        origin: &Origin,
    ) -> Result<()> {
        self.notify("STARTED", &[]);
        let mut catalog = Catalog::connect(self.options).await?;
        let session = &mut catalog.connection;
        session
            .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        session.execute(BEGIN).await?;
        let seconds = catalog.now().await?;
        self.position = position;
        self.origin = Origin {
            at: Instant::from_micros(seconds * 1_000_000),
            thread: Value::Null,
            query: Value::Null,
            ..origin.clone()
        };
        let captured = captured_names(self.options, self.tables);
        let tables: Vec<(TableId, String)> = execute
            .expand(&captured)
            .into_iter()
            .filter_map(|name| {
                let (database, table) = name.split_once('.')?;
                let condition = execute.condition(&name).unwrap_or_default().to_owned();
                Some((TableId::new(database, table), condition))
            })
            .filter(|(id, _)| captured.contains(&id.to_string()))
            .collect();
        let names: Vec<String> = tables.iter().map(|(id, _)| id.to_string()).collect();
        tracing::info!(tables = tables.len(), "a blocking snapshot begins");
        self.rows(&mut catalog, &tables, &names.join(",")).await?;
        catalog.connection.execute("COMMIT").await?;
        catalog.connection.close().await;
        if let Some((mut record, _)) = self.held.take() {
            remark(&mut record, SnapshotMarker::Last);
            self.events.records.push(record);
        }
        self.notify("COMPLETED", &[]);
        self.metrics.ended(true, self.begun.elapsed().as_secs());
        tracing::info!("the blocking snapshot is complete");
        Ok(())
    }

    /// Reads the rows of tables, each with what goes into WHERE. `captured` is what notifications name.
    async fn rows(
        &mut self,
        catalog: &mut Catalog,
        tables: &[(TableId, String)],
        captured: &str,
    ) -> Result<()> {
        let count = tables.len();
        self.metrics.started(count, count);
        let mut names: Vec<String> = tables.iter().map(|(id, _)| id.to_string()).collect();
        names.sort();
        hash_map_order(&mut names, |name| name);
        let names = names.join(",");
        for (index, (id, condition)) in tables.iter().enumerate() {
            let data = [
                ("current_collection_in_progress", id.to_string()),
                ("data_collections", names.clone()),
            ];
            self.notify("IN_PROGRESS", &data);
            let rows = self.table(catalog, id, condition, index == 0).await?;
            tracing::info!(table = %id, rows, "table {} of {count} is read", index + 1);
            self.metrics.table_read();
            self.metrics
                .rows_of(&id.to_string())
                .set(i64::try_from(rows).unwrap_or(i64::MAX));
            self.metrics.batch(
                usize::try_from(rows).unwrap_or(usize::MAX),
                self.begun.elapsed().as_secs(),
                Instant::now(),
            );
            let data = [
                ("scanned_collection", id.to_string()),
                ("total_rows_scanned", rows.to_string()),
                ("status", "SUCCEEDED".to_owned()),
                ("data_collections", captured.to_owned()),
            ];
            self.notify("TABLE_SCAN_COMPLETED", &data);
        }
        Ok(())
    }

    /// A notification, for the topic.
    fn notify(&mut self, kind: &str, data: &[(&str, String)]) {
        if self.options.notifier.is_silent() {
            return;
        }
        let record =
            self.options
                .notifier
                .notify(&new_uuid(), Aggregate::Initial, kind, data, Instant::now());
        self.events.records.extend(record);
    }

    /// Locks, begins, and notes the position.
    async fn begin(&mut self, catalog: &mut Catalog, captured: &[TableId]) -> Result<Held> {
        let seconds = self.options.lock_timeout.as_millis().div_ceil(1000).max(1);
        let session = &mut catalog.connection;
        session
            .execute(&format!("SET SESSION lock_wait_timeout={seconds}"))
            .await?;
        session
            .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        let (held, end): (Held, End);
        if self.options.locking == Locking::None {
            // The position first: what changes before the snapshot begins is read, and streamed once more.
            end = catalog.end().await?;
            catalog.connection.execute(BEGIN).await?;
            held = Held::Nothing;
        } else {
            match session.execute("FLUSH TABLES WITH READ LOCK").await {
                Ok(()) => {
                    session.execute(BEGIN).await?;
                    held = Held::All;
                }
                Err(error) if error.is_config() => {
                    tracing::info!(%error, "no right to lock all tables; the captured ones are locked by name");
                    let names: Vec<String> = captured
                        .iter()
                        .map(|id| format!("{} READ", qualified(&id.database, &id.table)))
                        .collect();
                    if !names.is_empty() {
                        session
                            .execute(&format!("LOCK TABLES {}", names.join(", ")))
                            .await?;
                    }
                    held = Held::ByName;
                }
                Err(error) => return Err(error.into()),
            }
            end = catalog.end().await?;
        }
        let seconds = catalog.now().await?;
        self.position = Position {
            file: end.file,
            pos: end.pos,
            gtids: end.gtids,
            ts_sec: Some(seconds),
            snapshot: true,
            ..Position::default()
        };
        self.origin.at = Instant::from_micros(seconds * 1_000_000);
        self.origin.file = constant(&self.position.file);
        self.origin.pos = i64::try_from(self.position.pos).unwrap_or(i64::MAX);
        Ok(held)
    }

    /// Reads the schemas, and tells them as the statements that would make them.
    async fn schemas(&mut self, catalog: &mut Catalog, all: &[TableId], captured: &[TableId]) -> Result<()> {
        let (charset, collation) = (&self.server.charset, &self.server.collation);
        self.tables.set_server_charset(charset);
        let setting = format!("SET character_set_server={charset}, collation_server={collation}");
        self.tell(Change::of_database("", setting), None).await?;
        let mut wanted: Vec<TableId> = captured.to_vec();
        if !self.options.kept.only_captured_tables {
            wanted.extend(all.iter().filter(|id| !captured.contains(id)).cloned());
        }
        for id in &wanted {
            let change = Change {
                kind: ChangeKind::Drop,
                database: id.database.clone(),
                table: Some(id.clone()),
                previous: None,
                after: None,
                statement: format!("DROP TABLE IF EXISTS {}", id.quoted('`')),
            };
            self.tell(change, Some(id)).await?;
        }
        let mut databases: Vec<Arc<str>> = Vec::new();
        for id in &wanted {
            if !databases.contains(&id.database) {
                databases.push(id.database.clone());
            }
        }
        for database in databases {
            let name = identifier(&database);
            let mut create = format!("CREATE DATABASE {name}");
            if let Some((charset, collation)) = catalog.database_charset(&database).await? {
                create.push_str(&format!(" CHARSET {charset} COLLATE {collation}"));
                self.tables.set_database_charset(&database, Some(&charset));
            }
            for statement in [
                format!("DROP DATABASE IF EXISTS {name}"),
                create,
                format!("USE {name}"),
            ] {
                self.tell(Change::of_database(database.clone(), statement), None)
                    .await?;
            }
            for id in wanted.iter().filter(|id| id.database == database) {
                self.schema(catalog, id, captured.contains(id)).await?;
            }
        }
        self.history.record(&std::mem::take(&mut self.told)).await
    }

    async fn schema(&mut self, catalog: &mut Catalog, id: &TableId, captured: bool) -> Result<()> {
        let found = match catalog.create_table(id).await {
            Ok(found) => found,
            Err(error) if captured => return Err(error),
            Err(error) => {
                tracing::warn!(table = %id, %error, "the schema of a table that is not captured can't be read");
                return Ok(());
            }
        };
        let Some(statement) = found else { return Ok(()) };
        match ddl::apply(self.tables, &self.options.dialect(), &id.database, &statement) {
            Ok(changes) => {
                for mut change in changes {
                    change.statement.clone_from(&statement);
                    self.tell(change, Some(id)).await?;
                }
                Ok(())
            }
            Err(error) if captured => Err(error.into_api(&statement)),
            Err(error) => {
                tracing::warn!(table = %id, %error, "the schema of a table that is not captured is not understood");
                Ok(())
            }
        }
    }

    /// Writes a change to the history, and to the topic of schema changes.
    async fn tell(&mut self, change: Change, table: Option<&TableId>) -> Result<()> {
        let options = self.options;
        let captures = |id: &TableId| options.captures(&id.database, &id.table);
        let database = |name: &str| !crate::config::is_builtin(name);
        let now = Instant::now();
        if options.kept.keeps(&change, captures, database) {
            let position = self.position.to_offset(Vec::new());
            let of = source(options.naming.prefix());
            let record = HistoryRecord::new(&of, &position.0, now.millis(), &change);
            self.told.push(record);
            if self.told.len() >= HISTORY_BATCH {
                self.history.record(&std::mem::take(&mut self.told)).await?;
            }
        }
        if options.schema_changes {
            let origin = Origin {
                at: now,
                ..self.origin.clone()
            };
            let name = table.map_or(Value::Null, |id| constant(&id.table));
            let source =
                self.events
                    .source(&constant(&change.database), &name, SnapshotMarker::True, &origin);
            let around = SchemaChangeSource {
                source,
                ts_ms: now.millis(),
            };
            if let Some(record) = self.changes.record(&change, around) {
                self.events.push(record);
            }
            if self.events.records.len() >= options.batch_records {
                flush(self.events, self.output, &self.position).await?;
            }
        }
        Ok(())
    }

    async fn table(
        &mut self,
        catalog: &mut Catalog,
        id: &TableId,
        condition: &str,
        first_table: bool,
    ) -> Result<u64> {
        let Some(table) = self.tables.get(id).cloned() else {
            return Ok(0);
        };
        let plan = Plan::new(table, self.options, self.events.source_schema())?;
        let columns = plan.selected().join(", ");
        let columns = if columns.is_empty() {
            "1".to_owned()
        } else {
            columns
        };
        let name = qualified(&id.database, &id.table);
        let mut rows = catalog
            .connection
            .stream_rows(&match condition.is_empty() {
                true => format!("SELECT {columns} FROM {name}"),
                false => format!("SELECT {columns} FROM {name} WHERE {condition}"),
            })
            .await
            .map_err(|error| unreadable(&self.options.settings.user, id, error.into()))?;
        let (mut read, mut told) = (0u64, tokio::time::Instant::now());
        while let Some(mut block) = rows.next_block().await? {
            while let Some(at) = rows.row(&mut block)? {
                let row = plan.queried(block.bytes(), at, &mut self.events.arena)?;
                let marker = match (read, first_table) {
                    (0, true) => SnapshotMarker::First,
                    (0, false) => SnapshotMarker::FirstInDataCollection,
                    _ => SnapshotMarker::True,
                };
                read += 1;
                let record = self.events.read(&plan, row, marker, &self.origin);
                if let Some((earlier, _)) = self.held.replace((record, marker)) {
                    self.events.records.push(earlier);
                }
                if self.events.bytes >= self.options.batch_bytes
                    || self.events.records.len() >= self.options.batch_records
                {
                    flush(self.events, self.output, &self.position).await?;
                }
            }
            if told.elapsed() > PROGRESS {
                tracing::info!(table = %id, rows = read, "reading");
                told = tokio::time::Instant::now();
            }
        }
        self.end_of_table();
        Ok(read)
    }

    /// The first row of all stays that, even where it is the only one of its table.
    fn end_of_table(&mut self) {
        if let Some((record, marker)) = &mut self.held
            && !matches!(
                marker,
                SnapshotMarker::First | SnapshotMarker::LastInDataCollection
            )
        {
            *marker = SnapshotMarker::LastInDataCollection;
            remark(record, *marker);
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let offset = self.position.to_offset(Vec::new());
        let (records, bytes) = self.events.take();
        let marks = self.kept.marks(records.len(), &offset, self.tables);
        let mut batch = self.output.batch(records, bytes, marks, Some(offset));
        // Its end is stored at once: a kill would begin it again.
        batch.flush = true;
        if self.output.send(batch).await {
            return Ok(());
        }
        Err(Error::retriable("the task is being stopped"))
    }
}

async fn flush(events: &mut Events, output: &Output, position: &Position) -> Result<()> {
    let (records, bytes) = events.take();
    let batch = output.batch(records, bytes, Vec::new(), Some(position.to_offset(Vec::new())));
    if output.send(batch).await {
        return Ok(());
    }
    Err(Error::retriable("the task is being stopped"))
}

fn unreadable(user: &str, id: &TableId, error: Error) -> Error {
    if error.kind() != tapline_api::Kind::Config {
        return error;
    }
    Error::config(format!("table {id} can't be read: {}", error.message())).hint(format!(
        "GRANT SELECT ON {} TO {user}; or leave it out by table.exclude.list",
        id.quoted('`')
    ))
}
