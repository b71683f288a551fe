//! Statements: those that change tables, and the few that open or close a transaction.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::{Result, Value};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::intern::constant;
use tapline_cdc::transaction::Transactions;

use super::Stream;
use crate::binlog::event::{self, Session};
use crate::ddl::{self, Change, ChangeKind};
use crate::event::Origin;
use crate::history::{HistoryRecord, SchemaChangeSource};
use crate::position::source;
use crate::schema::{Table, TableId};
use crate::table::Plan;
use crate::value::charset::Charset;

impl Stream<'_> {
    pub(super) async fn on_query(&mut self, body: Bytes) -> Result<()> {
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
        let sql = charset.text_of(query.sql);
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
            if let Some(id) = change.table.as_ref().filter(|id| captures(id))
                && let Some(table) = self.shape_of(id).await?
            {
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

    /// A table's schema to tell of it without rows: that of this place, or the last one that was known, or the server's.
    async fn shape_of(&mut self, id: &TableId) -> Result<Option<Arc<Table>>> {
        let known = self.tables.get(id).or_else(|| self.former.get(id));
        if let Some(table) = known {
            return Ok(Some(table.clone()));
        }
        let statement = self.catalog.create_table(id).await?;
        let table = statement.and_then(|statement| self.table_of(id, &statement).ok());
        Ok(table.map(|(_, table)| table))
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
                if let Some(table) = self.tables.remove(&id) {
                    self.former.insert(id.clone(), table);
                }
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
    pub(super) async fn keep(&mut self, change: &Change) -> Result<()> {
        let options = self.options;
        let captures = |id: &TableId| options.captures(&id.database, &id.table);
        let known = |name: &str| !crate::config::is_builtin(name);
        self.kept.changed(change, captures);
        if options.kept.keeps(change, captures, known) && change.kind != ChangeKind::Truncate {
            // CREATE TABLE … SELECT stands within the transaction of its rows.
            let within = self.events.transactions.as_ref();
            let within = within.map_or_else(Vec::new, Transactions::offset_entries);
            let position = self.tracker.position().to_offset(within);
            let of = source(options.naming.prefix());
            let record = HistoryRecord::new(&of, &position.0, Clock::now().millis(), change);
            self.history.record(&[record]).await?;
        }
        self.tracker.moved = true;
        Ok(())
    }

    /// Writes a change to the topic of schema changes.
    pub(super) fn tell(&mut self, change: &Change, names: &str) {
        if !self.options.schema_changes {
            return;
        }
        let table = match change.kind {
            ChangeKind::Database => Value::Null,
            _ => Value::from(names.to_owned()),
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
            source: Value::Struct(source),
            ts_ms: Clock::now().millis(),
        };
        if let Some(record) = self.changes.record(change, around) {
            self.events.push(record);
        }
    }
}

/// The tables of a statement, as a source block has them.
fn names_of(changes: &[Change]) -> String {
    let mut names: Vec<(String, &str)> = Vec::new();
    for change in changes {
        if let Some(id) = &change.table
            && !names.iter().any(|(_, name)| *name == &*id.table)
        {
            names.push((id.to_string(), &id.table));
        }
    }
    // Debezium keeps them in a set, by their whole names.
    tapline_cdc::java::hash_map_order(&mut names, |(whole, _)| whole);
    let names: Vec<&str> = names.into_iter().map(|(_, name)| name).collect();
    names.join(",")
}
