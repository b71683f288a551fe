//! The tables' schemas: read while the lock is held, told as the statements that would make them.

use std::sync::Arc;

use tapline_api::{Record, Result, Value};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::intern::constant;
use tapline_databases::mysql::identifier;

use super::Snapshot;
use crate::catalog::Catalog;
use crate::config::Options;
use crate::ddl::{self, Change, ChangeKind};
use crate::event::Origin;
use crate::history::{HistoryRecord, SchemaChangeSource};
use crate::position::source;
use crate::schema::TableId;

/// So many records go to the history at once.
const HISTORY_BATCH: usize = 500;

/// A character set and its collation.
type Charset = (String, String);

/// What the server says of its tables at one moment.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    /// Captured tables, in the order in which they are read; then the others, if they are kept too.
    pub(crate) tables: Vec<Found>,
    /// Databases in the order in which they come in `tables`, with character set and collation.
    databases: Vec<(Arc<str>, Option<Charset>)>,
}

/// A table, and the statement that would make it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: TableId,
    pub(crate) captured: bool,
    statement: Option<String>,
}

impl Schemas {
    /// Reads them.
    pub(super) async fn read(catalog: &mut Catalog, options: &Options) -> Result<Self> {
        let all = catalog.tables().await?;
        let (mut captured, others): (Vec<TableId>, Vec<TableId>) = all
            .into_iter()
            .partition(|id| options.captures(&id.database, &id.table));
        options.guardrail.check(captured.len())?;
        options.filters.sort_for_snapshot(&mut captured, |id| {
            (id.database.to_string(), id.table.to_string())
        });
        let kept = match options.kept.only_captured_tables {
            true => Vec::new(),
            false => others,
        };
        let mut schemas = Self::default();
        let wanted = captured.into_iter().map(|id| (id, true));
        for (id, captured) in wanted.chain(kept.into_iter().map(|id| (id, false))) {
            if !schemas.databases.iter().any(|(name, _)| *name == id.database) {
                let charset = catalog.database_charset(&id.database).await?;
                schemas.databases.push((id.database.clone(), charset));
            }
            let statement = match catalog.create_table(&id).await {
                Ok(found) => found,
                Err(error) if captured => return Err(error),
                Err(error) => {
                    tracing::warn!(table = %id, %error, "the schema of a table that is not captured can't be read");
                    None
                }
            };
            schemas.tables.push(Found {
                id,
                captured,
                statement,
            });
        }
        Ok(schemas)
    }
}

impl Snapshot<'_> {
    /// Tells the schemas to the history, and to the topic of schema changes.
    pub(super) async fn tell_schemas(&mut self, schemas: &Schemas) -> Result<()> {
        let (charset, collation) = (&self.server.charset, &self.server.collation);
        self.tables.set_server_charset(charset);
        let setting = format!("SET character_set_server={charset}, collation_server={collation}");
        self.tell(Change::of_database("", setting), None).await?;
        for Found { id, .. } in &schemas.tables {
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
        for (database, charset) in &schemas.databases {
            let name = identifier(database);
            let mut create = format!("CREATE DATABASE {name}");
            if let Some((charset, collation)) = charset {
                create.push_str(&format!(" CHARSET {charset} COLLATE {collation}"));
                self.tables.set_database_charset(database, Some(charset));
            }
            for statement in [
                format!("DROP DATABASE IF EXISTS {name}"),
                create,
                format!("USE {name}"),
            ] {
                self.tell(Change::of_database(database.clone(), statement), None)
                    .await?;
            }
            for found in schemas
                .tables
                .iter()
                .filter(|found| found.id.database == *database)
            {
                self.tell_schema(found).await?;
            }
        }
        self.history.record(&std::mem::take(&mut self.told)).await
    }

    async fn tell_schema(&mut self, found: &Found) -> Result<()> {
        let Found {
            id,
            captured,
            statement,
        } = found;
        let Some(statement) = statement else { return Ok(()) };
        match ddl::apply(self.tables, &self.options.dialect(), &id.database, statement) {
            Ok(changes) => {
                for mut change in changes {
                    // Debezium leaves out where a comment ends that some servers execute.
                    let whole = statement.strip_suffix("*/").map_or(&**statement, str::trim_end);
                    whole.clone_into(&mut change.statement);
                    self.tell(change, Some(id)).await?;
                }
                Ok(())
            }
            Err(error) if *captured => Err(error.into_api(statement)),
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
                source: Value::Struct(source),
                ts_ms: now.millis(),
            };
            if let Some(record) = self.changes.record(&change, around) {
                self.events.push(record);
            }
            if self.events.records.len() >= options.batch_records {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what there is, without a position: it is stored that a snapshot is under way when all schemas are told.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let (records, bytes) = self.events.take();
        self.output.send_all(records, bytes).await
    }

    /// What is to go out with the first position.
    pub(super) fn rest(&mut self) -> Vec<Record> {
        self.events.take().0
    }
}
