//! The tables' rows, as they were at one point of the log.
//!
//! ```text
//!  slot made ── exports a snapshot at LSN S ──▶ COPY table 1, COPY table 2, …  (one transaction sees S)
//!      └────────────── keeps the log from S on ──────────────▶ streaming starts at S
//! ```
//!
//! The snapshot is imported before the exporting connection does anything else. Each table is locked against changes of
//! structure (ACCESS SHARE, which COPY takes anyway) before its columns are read, so that the plan fits the rows. One row
//! is held back, because whether it was the last of its table, or of all, shows only afterwards.

use std::time::Duration;

use bytes::Bytes;
use tapline_api::{Error, Record, Result};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_databases::postgres::{self, identifier, literal, qualified};

use crate::catalog::Catalog;
use crate::config::Options;
use crate::event::{Events, Origin, remark};
use crate::lsn::Lsn;
use crate::output::Output;
use crate::position::{Position, SnapshotState};
use crate::publication::captured_tables;
use crate::table::Plan;
use crate::wire::{Connection, Frame, Role, copy_error};

/// How often to tell how far a table is.
const PROGRESS: Duration = Duration::from_secs(10);

/// A snapshot to be taken.
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) options: &'a Options,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) events: &'a mut Events,
    pub(crate) output: &'a mut Output,
    connection: Connection,
    origin: Origin,
    position: Position,
    held: Option<(Record, SnapshotMarker)>,
}

/// Opens the snapshot's transaction. `exported` is the name of a snapshot to see the database by; without one the
/// transaction takes its own.
pub(crate) async fn open(options: &Options, exported: Option<&str>) -> Result<Connection> {
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

impl<'a> Snapshot<'a> {
    /// Over an open transaction that sees the database at `lsn`.
    pub(crate) async fn new(
        options: &'a Options,
        catalog: &'a mut Catalog,
        events: &'a mut Events,
        output: &'a mut Output,
        mut connection: Connection,
        lsn: Lsn,
    ) -> Result<Self> {
        let rows = connection
            .query("SELECT (extract(epoch FROM current_timestamp) * 1000000)::int8")
            .await?;
        let micros = rows
            .first()
            .and_then(|row| row.first().cloned().flatten())
            .and_then(|text| text.parse().ok());
        let micros: i64 = micros.ok_or_else(|| Error::fatal("the server's clock is unreadable"))?;
        let tx_id = catalog.current_transaction().await?;
        let origin = Origin {
            at: Instant::from_micros(micros),
            lsn,
            last_commit: None,
            tx_id: Some(tx_id),
            replication: None,
        };
        let position = Position {
            lsn: Some(lsn),
            tx_id: Some(tx_id),
            ts_usec: Some(micros),
            snapshot: Some(SnapshotState::Running),
            ..Position::default()
        };
        Ok(Self {
            options,
            catalog,
            events,
            output,
            connection,
            origin,
            position,
            held: None,
        })
    }

    /// Reads all captured tables, and gives the position to stream from.
    pub(crate) async fn run(mut self) -> Result<Position> {
        let mut tables = captured_tables(self.catalog, self.options).await?;
        self.options.guardrail.check(tables.len())?;
        let only = &self.options.snapshot_tables;
        tables.retain(|(schema, table)| only.is_empty() || only.matches(&format!("{schema}.{table}")));
        self.options.filters.sort_for_snapshot(&mut tables, Clone::clone);
        if self.options.skipped.reads {
            tables.clear();
        }
        if self.options.snapshot_shared_lock {
            for (schema, table) in &tables {
                self.lock(schema, table).await?;
            }
        }
        tracing::info!(tables = tables.len(), lsn = %self.origin.lsn, "snapshot begins");
        for (index, (schema, table)) in tables.iter().enumerate() {
            let rows = self.table(schema, table, index == 0).await?;
            tracing::info!(
                schema,
                table,
                rows,
                "table {} of {} is read",
                index + 1,
                tables.len()
            );
        }
        if let Some((mut record, _)) = self.held.take() {
            remark(&mut record, SnapshotMarker::Last);
            self.events.records.push(record);
        }
        self.position.snapshot = Some(SnapshotState::Completed);
        self.flush().await?;
        self.connection.close(false).await;
        tracing::info!("snapshot is complete");
        Ok(Position {
            snapshot: None,
            ..self.position
        })
    }

    async fn lock(&mut self, schema: &str, table: &str) -> Result<()> {
        let name = qualified(schema, table);
        self.connection
            .query(&format!("LOCK TABLE {name} IN ACCESS SHARE MODE"))
            .await
            .map_err(|error| unreadable(&self.options.settings.user, schema, table, error))?;
        Ok(())
    }

    async fn table(&mut self, schema: &str, table: &str, first_table: bool) -> Result<u64> {
        self.lock(schema, table).await?;
        let Some(found) = self.catalog.table(schema, table).await? else {
            return Ok(0);
        };
        let plain = found.plain;
        let plan = Plan::new(found, self.options, self.events.source_schema())?;
        let copy = copy_statement(&plan, plain);
        self.connection
            .copy_out(&copy)
            .await
            .map_err(|error| unreadable(&self.options.settings.user, schema, table, error))?;
        let (mut rows, mut told) = (0u64, tokio::time::Instant::now());
        loop {
            while let Some(mut block) = self.connection.take_block()? {
                while let Some(frame) = block.next_frame() {
                    match frame.tag {
                        b'd' => {
                            self.row(&plan, block.bytes(), frame, rows, first_table)?;
                            rows += 1;
                        }
                        // ReadyForQuery ends the statement, after CopyDone and CommandComplete.
                        b'Z' => {
                            self.end_of_table();
                            return Ok(rows);
                        }
                        b'E' => return Err(copy_error(block.bytes(), &frame).into()),
                        _ => {}
                    }
                    if self.is_full() {
                        self.flush().await?;
                    }
                }
            }
            if told.elapsed() > PROGRESS {
                tracing::info!(schema, table, rows, "reading");
                told = tokio::time::Instant::now();
            }
            self.connection.read().await?;
        }
    }

    fn row(
        &mut self,
        plan: &Plan,
        block: &Bytes,
        frame: Frame,
        before: u64,
        first_table: bool,
    ) -> Result<()> {
        let size = frame.body.len();
        let row = plan.copied(block, frame.body, &mut self.events.arena)?;
        let marker = match (before, first_table) {
            (0, true) => SnapshotMarker::First,
            (0, false) => SnapshotMarker::FirstInDataCollection,
            _ => SnapshotMarker::True,
        };
        let record = self.events.read(plan, row, marker, &self.origin, size);
        if let Some((earlier, _)) = self.held.replace((record, marker)) {
            self.events.records.push(earlier);
        }
        Ok(())
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

    fn is_full(&self) -> bool {
        self.events.bytes >= self.options.batch_bytes
            || self.events.records.len() >= self.options.batch_records
    }

    async fn flush(&mut self) -> Result<()> {
        let (records, bytes) = self.events.take();
        let batch = self.output.batch(records, bytes, Some(&self.position));
        if self.output.send(batch).await {
            return Ok(());
        }
        Err(Error::retriable("the task is being stopped"))
    }
}

/// `COPY table (…)` where that gives all rows, which is a little faster, else by a query.
fn copy_statement(plan: &Plan, plain: bool) -> String {
    let name = qualified(&plan.table.schema, &plan.table.name);
    let columns: Vec<String> = plan.column_names().map(identifier).collect();
    let columns = columns.join(", ");
    if plain && !columns.is_empty() {
        return format!("COPY {name} ({columns}) TO STDOUT");
    }
    format!("COPY (SELECT {columns} FROM {name}) TO STDOUT")
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
