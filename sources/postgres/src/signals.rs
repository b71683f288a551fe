//! Signals, and the incremental snapshots that they ask for; see `tapline_cdc::{signal, incremental}`.
//!
//! The stream calls in: with what it decoded of the signal table, with the records that went out, and where it stands.
//! Chunks are read in between, by a session of their own, while the stream waits; they are small.
//!
//! With `read.only` no watermark is written. A chunk's window then closes where the log ended when the chunk had been read:
//! every change that the chunk may have seen, and may have missed, comes before.

use std::sync::Arc;

use tapline_api::offset::{Offset, Partition};
use tapline_api::{Error, Record, Result};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::headers::uuid_v7;
use tapline_cdc::incremental::{Incremental, KeyPart};
use tapline_cdc::notification::{Aggregate, Notifier};
use tapline_cdc::signal::{Action, CLOSE, Execute, OPEN, Signal};
use tapline_databases::postgres::{self, identifier, literal, qualified};
use tokio::sync::mpsc;

use crate::catalog::Catalog;
use crate::config::Options;
use crate::copy::{Field, fields, unescape};
use crate::event::{Events, Origin};
use crate::lsn::Lsn;
use crate::publication::captured_tables;
use crate::snapshot::cut::cutting_key;
use crate::table::{Plan, Row};
use crate::types::oid;
use crate::wire::{Connection, Role, copy_error};

/// What the log said of the signal table.
#[derive(Debug)]
pub(crate) enum Heard {
    Inserted(Signal),
    /// The id.
    Deleted(String),
}

/// A row that waits for its window to close.
#[derive(Debug)]
pub(crate) struct Waiting {
    plan: Arc<Plan>,
    row: Row,
    size: usize,
}

/// What the stream lends.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) events: &'a mut Events,
    /// The event at hand.
    pub(crate) origin: &'a Origin,
}

/// Columns that order a table, and their types.
type Order = Vec<(String, u32)>;

/// A connector's signals.
#[derive(Debug)]
pub(crate) struct Signals {
    incremental: Incremental<Waiting>,
    notifier: Notifier,
    connection: Option<Connection>,
    outside: Option<mpsc::Receiver<Outside>>,
    /// The table at hand, with the columns that order it.
    table: Option<(Arc<Plan>, Order)>,
    /// With `read.only`: where the window closes.
    closes: Option<Lsn>,
    /// A blocking snapshot that is asked for.
    blocking: Option<Execute>,
    /// A chunk's rows are on their way.
    finished: bool,
}

/// The source partition under which the place in the signal topic is stored.
pub(crate) fn signals_partition(server: &str) -> Partition {
    Partition::new([
        ("server".to_owned(), server.into()),
        ("tapline".to_owned(), "signals".into()),
    ])
}

impl Signals {
    /// Goes on as `stored` says. `outside` gives signals that do not come by the log.
    pub(crate) fn new(
        stored: Option<&Offset>,
        notifier: Notifier,
        outside: Option<mpsc::Receiver<Outside>>,
    ) -> Self {
        Self {
            incremental: stored.map(Incremental::from_offset).unwrap_or_default(),
            notifier,
            connection: None,
            outside,
            table: None,
            closes: None,
            blocking: None,
            finished: false,
        }
    }

    /// What offsets say of it.
    pub(crate) fn entries(&self) -> Vec<(&'static str, serde_json::Value)> {
        self.incremental.entries()
    }

    /// Waits for a signal from outside; cancel-safe.
    pub(crate) async fn outside(&mut self) -> Outside {
        if let Some(outside) = &mut self.outside {
            match outside.recv().await {
                Some(signal) => return signal,
                None => self.outside = None,
            }
        }
        std::future::pending().await
    }

    /// A blocking snapshot that is asked for, once.
    pub(crate) fn take_blocking(&mut self) -> Option<Execute> {
        self.blocking.take()
    }

    /// Whether one is asked for.
    pub(crate) fn wants_blocking(&self) -> bool {
        self.blocking.is_some()
    }

    /// Whether a chunk has ended since the last call: its end is to be stored soon, so that a kill repeats little.
    pub(crate) fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }

    /// Whether the server should be asked often where it stands.
    pub(crate) fn is_waiting(&self) -> bool {
        self.closes.is_some()
    }

    /// Records that changes have made: what was read of their keys is old.
    #[inline]
    pub(crate) fn changed(&mut self, records: &[Record]) {
        if !self.incremental.is_open() {
            return;
        }
        let Some((plan, _)) = &self.table else { return };
        for record in records.iter().filter(|record| *record.topic == *plan.topic) {
            self.incremental.changed(&format!("{:?}", record.key));
        }
    }

    /// Streaming begins: a chunk that a former run had not finished is read again.
    pub(crate) async fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.incremental.is_running() && self.incremental.chunk().is_none() {
            tracing::info!("an incremental snapshot is under way and goes on");
            self.read_chunk(context).await?;
        }
        Ok(())
    }

    /// The stream stands at `lsn`, between two transactions.
    pub(crate) async fn reached(&mut self, lsn: Lsn, context: &mut Context<'_>) -> Result<()> {
        while self.closes.is_some_and(|closes| lsn >= closes) {
            self.closes = None;
            self.close(context).await?;
        }
        Ok(())
    }

    pub(crate) async fn hear(&mut self, heard: Heard, context: &mut Context<'_>) -> Result<()> {
        match heard {
            Heard::Inserted(signal) => self.act(&signal, context).await,
            Heard::Deleted(id) if context.options.watermark_deletes && self.incremental.is_chunk(&id) => {
                self.close(context).await
            }
            Heard::Deleted(_) => Ok(()),
        }
    }

    /// Does what a signal asks for.
    pub(crate) async fn act(&mut self, signal: &Signal, context: &mut Context<'_>) -> Result<()> {
        let Some(action) = signal.action() else {
            return Ok(());
        };
        match action {
            Action::Log(message) => {
                let at = format!("{{lsn={}}}", context.origin.lsn);
                tracing::info!("{}", message.replace("{}", &at));
            }
            Action::Execute(execute) if execute.blocking => self.blocking = Some(execute),
            Action::Execute(execute) => self.execute(signal, &execute, context).await?,
            Action::Stop(patterns) => self.stop(&patterns, context),
            Action::Pause => {
                if self.incremental.pause(true) {
                    self.notify("PAUSED", &[("data_collections", self.names())], context);
                }
            }
            Action::Resume => {
                if self.incremental.pause(false) {
                    self.notify("RESUMED", &[("data_collections", self.names())], context);
                    if self.incremental.chunk().is_none() {
                        self.read_chunk(context).await?;
                    }
                }
            }
            Action::OpenWindow(id) => self.incremental.open(&id),
            Action::CloseWindow(id) => {
                if self.incremental.is_chunk(&id) {
                    self.close(context).await?;
                }
            }
            Action::SchemaChanges(_) => tracing::warn!(
                id = signal.id,
                "signal 'schema-changes' has no meaning for Postgres, whose structures come with the log"
            ),
        }
        Ok(())
    }

    async fn execute(&mut self, signal: &Signal, execute: &Execute, context: &mut Context<'_>) -> Result<()> {
        if context.options.signal_table.is_none() && !context.options.read_only {
            tracing::warn!(
                id = signal.id,
                "an incremental snapshot is asked for, but neither signal.data.collection nor read.only is set"
            );
            return Ok(());
        }
        let captured = captured_names(context).await?;
        if self.incremental.add(&signal.id, execute, &captured) {
            self.notify("STARTED", &[("data_collections", self.names())], context);
            self.read_chunk(context).await?;
        }
        Ok(())
    }

    fn stop(&mut self, patterns: &[String], context: &mut Context<'_>) {
        let (removed, current) = self.incremental.remove(patterns);
        if removed.is_empty() {
            tracing::info!("no incremental snapshot of these tables is under way: nothing to stop");
            return;
        }
        if current {
            self.table = None;
            self.closes = None;
        }
        let data = [("data_collections", removed.join(","))];
        self.notify("ABORTED", if patterns.is_empty() { &[] } else { &data }, context);
    }

    /// What is left in the window goes out, and the next chunk is read.
    async fn close(&mut self, context: &mut Context<'_>) -> Result<()> {
        let origin = Origin {
            at: Instant::now(),
            lsn: context.origin.lsn,
            last_commit: context.origin.last_commit,
            tx_id: None,
            replication: None,
        };
        for waiting in self.incremental.close() {
            let Waiting { plan, row, size } = waiting;
            let origin = Origin {
                at: Instant::now(),
                ..origin.clone()
            };
            let record = context
                .events
                .read(&plan, row, SnapshotMarker::Incremental, &origin, size);
            context.events.records.push(record);
        }
        self.finished = true;
        self.read_chunk(context).await
    }

    async fn read_chunk(&mut self, context: &mut Context<'_>) -> Result<()> {
        if !self.incremental.is_running() || self.incremental.is_paused() {
            return Ok(());
        }
        let now = Instant::now();
        let id = uuid_v7(now.millis(), random());
        self.incremental.start_chunk(id.clone());
        let opened = now.java_text();
        let open = format!("{{\"openWindowTimestamp\": \"{opened}\"}}");
        let read_only = context.options.read_only;
        if !read_only {
            self.watermark(context, &format!("{id}{OPEN}"), "snapshot-window-open", &open)
                .await?;
        }
        while self.incremental.is_running() {
            match self.fill(context).await? {
                Filled::Rows => break,
                Filled::Nothing(status) => self.table_done(status, context),
            }
        }
        if read_only {
            self.incremental.open(&id);
            self.closes = Some(context.catalog.written_lsn().await?);
            return Ok(());
        }
        if context.options.watermark_deletes {
            let sql = format!(
                "DELETE FROM {} WHERE id = {}",
                signal_table(context)?,
                literal(&format!("{id}{OPEN}"))
            );
            self.session(context).await?.query(&sql).await?;
            return Ok(());
        }
        let close = format!(
            "{{\"openWindowTimestamp\": \"{opened}\", \"closeWindowTimestamp\": \"{}\"}}",
            Instant::now().java_text()
        );
        self.watermark(context, &format!("{id}{CLOSE}"), "snapshot-window-close", &close)
            .await
    }

    fn table_done(&mut self, status: &str, context: &mut Context<'_>) {
        let table = self.incremental.current().map(|table| table.id.clone());
        tracing::info!(
            table,
            rows = self.incremental.rows,
            status,
            "incremental snapshot of a table has ended"
        );
        let data = [
            ("scanned_collection", table.unwrap_or_default()),
            ("total_rows_scanned", self.incremental.rows.to_string()),
            ("status", status.to_owned()),
            ("data_collections", self.names()),
        ];
        self.notify("TABLE_SCAN_COMPLETED", &data, context);
        self.incremental.next();
        self.table = None;
        if !self.incremental.is_running() {
            self.notify("COMPLETED", &[], context);
        }
    }

    /// Reads the next rows of the table at hand into the window.
    async fn fill(&mut self, context: &mut Context<'_>) -> Result<Filled> {
        if let Some(status) = self.look_at_table(context).await? {
            return Ok(Filled::Nothing(status));
        }
        let Some((plan, order)) = self.table.clone() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        let filled = match self.query(&plan, &order, context).await {
            Ok(filled) => filled,
            Err(error) if error.code().is_some() => {
                tracing::warn!(%error, table = plan.table.name, "the incremental snapshot of a table failed");
                // What else was on its way is not wanted.
                self.connection = None;
                return Ok(Filled::Nothing("SQL_EXCEPTION"));
            }
            Err(error) => return Err(error.into()),
        };
        if !matches!(filled, Filled::Rows) {
            return Ok(filled);
        }
        let join = |key: Option<&[KeyPart]>| {
            let parts: Vec<String> = key.unwrap_or_default().iter().map(ToString::to_string).collect();
            parts.join(",")
        };
        let data = [
            ("data_collections", self.names()),
            (
                "current_collection_in_progress",
                self.incremental
                    .current()
                    .map(|table| table.id.clone())
                    .unwrap_or_default(),
            ),
            ("maximum_key", join(self.incremental.maximum())),
            ("last_processed_key", join(self.incremental.end())),
        ];
        self.notify("IN_PROGRESS", &data, context);
        Ok(filled)
    }

    /// Finds the table's columns and key; gives why it can't be read.
    async fn look_at_table(&mut self, context: &mut Context<'_>) -> Result<Option<&'static str>> {
        let Some(current) = self.incremental.current().cloned() else {
            return Ok(None);
        };
        let Some((schema, name)) = current.id.split_once('.') else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let captured = captured_names(context).await?.contains(&current.id);
        let found = if captured {
            context.catalog.table(schema, name).await?
        } else {
            None
        };
        let Some(found) = found else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let names = if current.surrogate_key.is_empty() {
            cutting_key(&found)
        } else {
            vec![current.surrogate_key]
        };
        let order: Option<Order> = names
            .iter()
            .map(|name| {
                let column = found.columns.iter().find(|column| column.name == *name)?;
                Some((name.clone(), column.of.oid))
            })
            .collect();
        let Some(order) = order.filter(|order| !order.is_empty()) else {
            return Ok(Some("NO_PRIMARY_KEY"));
        };
        let known = self.table.as_ref().is_some_and(|(plan, _)| plan.table == found);
        if !known {
            let plan = Plan::new(found, context.options, context.events.source_schema())?;
            self.table = Some((Arc::new(plan), order));
        }
        Ok(None)
    }

    async fn query(
        &mut self,
        plan: &Arc<Plan>,
        order: &[(String, u32)],
        context: &mut Context<'_>,
    ) -> Result<Filled, postgres::Error> {
        let Some(current) = self.incremental.current().cloned() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        let chunk_size = context.options.chunk_size;
        let name = qualified(&plan.table.schema, &plan.table.name);
        let columns: Vec<String> = order.iter().map(|(name, _)| identifier(name)).collect();
        // Of names of their own: ORDER BY would take a text of the column's name for the column.
        let texts: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, name)| format!("{name}::text AS tapline_{index}"))
            .collect();
        let condition = |mut parts: Vec<String>| {
            if !current.condition.is_empty() {
                parts.push(format!("({})", current.condition));
            }
            if parts.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", parts.join(" AND "))
            }
        };
        if self.incremental.maximum().is_none() {
            let descending: Vec<String> = columns
                .iter()
                .map(|name| format!("{name} DESC NULLS LAST"))
                .collect();
            let sql = format!(
                "SELECT {} FROM {name}{} ORDER BY {} LIMIT 1",
                texts.join(", "),
                condition(Vec::new()),
                descending.join(", ")
            );
            let rows = self.session(context).await?.query(&sql).await?;
            let Some(row) = rows.into_iter().next() else {
                return Ok(Filled::Nothing("EMPTY"));
            };
            let key = row
                .iter()
                .zip(order)
                .map(|(text, (_, of))| part(text.as_deref(), *of));
            self.incremental.set_maximum(key.collect());
        }
        let tuple = |parts: &[KeyPart]| {
            let parts: Vec<String> = parts.iter().map(|part| literal(&part.to_string())).collect();
            format!("({})", parts.join(", "))
        };
        let left = format!("({})", columns.join(", "));
        let mut parts = Vec::new();
        if let Some(end) = self.incremental.end() {
            parts.push(format!("{left} > {}", tuple(end)));
        }
        if let Some(maximum) = self.incremental.maximum() {
            parts.push(format!("{left} <= {}", tuple(maximum)));
        }
        let wanted: Vec<String> = texts
            .iter()
            .cloned()
            .chain(plan.column_names().map(identifier))
            .collect();
        let sql = format!(
            "COPY (SELECT {} FROM {name}{} ORDER BY {} LIMIT {chunk_size}) TO STDOUT",
            wanted.join(", "),
            condition(parts),
            columns.join(", ")
        );
        self.session(context).await?.copy_out(&sql).await?;
        loop {
            // Each round anew, since the window is filled in between.
            let connection = self.session(context).await?;
            let Some(mut block) = connection.take_block()? else {
                connection.read().await?;
                continue;
            };
            while let Some(frame) = block.next_frame() {
                match frame.tag {
                    b'd' => {
                        let bytes = block.bytes();
                        let mut at = frame.body.start;
                        let mut key = Vec::with_capacity(order.len());
                        for (field, (_, of)) in fields(bytes, frame.body.clone()).zip(order) {
                            match field {
                                Field::Null => {
                                    key.push(KeyPart::Null);
                                    at += 3;
                                }
                                Field::Plain(range) | Field::Escaped(range) => {
                                    at = range.end + 1;
                                    let text = unescape(bytes.get(range).unwrap_or_default());
                                    key.push(part(Some(&String::from_utf8_lossy(&text)), *of));
                                }
                            }
                        }
                        let size = frame.body.len();
                        let row = plan
                            .copied(bytes, at..frame.body.end, &mut context.events.arena)
                            .map_err(|error| postgres::Error::Protocol(error.to_string()))?;
                        let told = format!("{:?}", plan.key(&row));
                        let plan = plan.clone();
                        self.incremental.wait(told, key, Waiting { plan, row, size });
                    }
                    b'E' => return Err(copy_error(block.bytes(), &frame)),
                    b'Z' => {
                        return Ok(if self.incremental.is_empty() {
                            Filled::Nothing("SUCCEEDED")
                        } else {
                            Filled::Rows
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    async fn watermark(&mut self, context: &mut Context<'_>, id: &str, kind: &str, data: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} VALUES ({}, {}, {})",
            signal_table(context)?,
            literal(id),
            literal(kind),
            literal(data)
        );
        self.session(context).await?.query(&sql).await.map_err(|error| {
            let denied = error.is("42501");
            let error = Error::from(error);
            if denied {
                return Error::config(format!("a watermark can't be written: {}", error.message()))
                    .hint("GRANT INSERT, DELETE on the signal table, or set read.only=true");
            }
            error
        })?;
        Ok(())
    }

    async fn session(&mut self, context: &Context<'_>) -> Result<&mut Connection, postgres::Error> {
        if self.connection.is_none() {
            let mut settings = context.options.settings.clone();
            settings.application_name = "tapline signals".to_owned();
            let mut connection = Connection::open(&settings, Role::Sql).await?;
            for statement in &context.options.initial_statements {
                connection.query(statement).await?;
            }
            self.connection = Some(connection);
        }
        self.connection
            .as_mut()
            .ok_or_else(|| postgres::Error::Protocol("there is no session".to_owned()))
    }

    fn names(&self) -> String {
        self.incremental.names().join(",")
    }

    fn notify(&self, kind: &str, data: &[(&str, String)], context: &mut Context<'_>) {
        let id = match self.incremental.correlation() {
            Some(id) => id.to_owned(),
            None => uuid_v7(Instant::now().millis(), random()),
        };
        let record = self
            .notifier
            .notify(&id, Aggregate::Incremental, kind, data, Instant::now());
        context.events.records.extend(record);
    }
}

enum Filled {
    Rows,
    /// Why there are no rows.
    Nothing(&'static str),
}

fn signal_table(context: &Context<'_>) -> Result<String> {
    let table = context.options.signal_table.as_ref();
    let (schema, name) = table.ok_or_else(|| Error::config("signal.data.collection is not set"))?;
    Ok(qualified(schema, name))
}

async fn captured_names(context: &Context<'_>) -> Result<Vec<String>> {
    let tables = captured_tables(context.catalog, context.options).await?;
    Ok(tables
        .iter()
        .map(|(schema, table)| format!("{schema}.{table}"))
        .collect())
}

fn part(text: Option<&str>, of: u32) -> KeyPart {
    let Some(text) = text else { return KeyPart::Null };
    let known = match of {
        oid::INT2 => text.parse().ok().map(KeyPart::Short),
        oid::INT4 => text.parse().ok().map(KeyPart::Int),
        oid::INT8 => text.parse().ok().map(KeyPart::Long),
        oid::UUID => KeyPart::uuid(text),
        _ => None,
    };
    known.unwrap_or_else(|| KeyPart::Text(text.to_owned()))
}

/// Enough to tell two ids of one millisecond apart.
pub(crate) fn random() -> u128 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = || u128::from(RandomState::new().build_hasher().finish());
    bits() << 64 | bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_types_that_java_would_give_them() {
        assert_eq!(part(Some("5"), oid::INT4), KeyPart::Int(5));
        assert_eq!(part(Some("5"), oid::TEXT), KeyPart::Text("5".into()));
        assert_eq!(part(None, oid::INT4), KeyPart::Null);
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(part(Some(uuid), oid::UUID).to_string(), uuid);
    }
}
