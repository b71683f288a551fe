//! Signals, and the incremental snapshots that they ask for; see `tapline_cdc::{signal, incremental}`.
//!
//! The stream calls in: with the records that went out, among them those of the signal table, and where it stands. Chunks
//! are read in between, by a session of their own, while the stream waits; they are small.
//!
//! With `read.only`, or without a signal table, no watermark is written. A chunk's window then closes where the log ended when the chunk had been read:
//! every change that the chunk may have seen, and may have missed, comes before.

use std::sync::Arc;

use tapline_api::offset::{Offset, Partition};
use tapline_api::{Error, Record, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::headers::new_uuid;
use tapline_cdc::incremental::{Incremental, KeyPart};
use tapline_cdc::notification::{Aggregate, Notifier};
use tapline_cdc::signal::{Action, CLOSE, Execute, OPEN, Signal};
use tapline_databases::mysql::{self, identifier, literal, qualified};
use tokio::sync::mpsc;

use crate::catalog::Catalog;
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::position::{Place, is_at_or_behind};
use crate::schema::{Column, Kind, Table, TableId, Tables};
use crate::table::{Plan, Row};
use crate::wire::TextFields;

/// A row that waits for its window to close.
#[derive(Debug)]
pub(crate) struct Waiting {
    plan: Arc<Plan>,
    row: Row,
}

/// What the stream lends.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) events: &'a mut Events,
    pub(crate) tables: &'a Tables,
    /// The event at hand.
    pub(crate) origin: &'a Origin,
}

/// A connector's signals.
#[derive(Debug)]
pub(crate) struct Signals {
    incremental: Incremental<Waiting>,
    notifier: Notifier,
    session: Option<Catalog>,
    outside: Option<mpsc::Receiver<Outside>>,
    /// The topic of the signal table.
    topic: Option<String>,
    /// The table at hand, with the columns that order it.
    table: Option<(Arc<Plan>, Vec<Column>)>,
    /// With `read.only`: where the window closes.
    closes: Option<Place>,
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
        options: &Options,
        stored: Option<&Offset>,
        outside: Option<mpsc::Receiver<Outside>>,
    ) -> Self {
        let table = options.signal_table.as_ref().filter(|_| options.channels.source);
        Self {
            incremental: stored.map(Incremental::from_offset).unwrap_or_default(),
            notifier: options.notifier.clone(),
            session: None,
            outside,
            topic: table.map(|id| options.naming.table(&id.database, "", &id.table)),
            table: None,
            closes: None,
            blocking: None,
            finished: false,
        }
    }

    /// Whether a stored offset speaks of an incremental snapshot.
    pub(crate) fn is_under_way(stored: &Offset) -> bool {
        Incremental::<Waiting>::from_offset(stored).is_running()
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

    /// Whether a chunk has ended since the last call: its end is to be stored soon, so that a kill repeats little.
    pub(crate) fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }

    /// Streaming begins: a chunk that a former run had not finished is read again.
    pub(crate) async fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.incremental.is_running() && self.incremental.chunk().is_none() {
            tracing::info!("an incremental snapshot is under way and goes on");
            self.read_chunk(context).await?;
        }
        Ok(())
    }

    /// Records that changes have made, from number `before` on: what was read of their keys is old; and those of the signal
    /// table are heard.
    pub(crate) async fn changed(&mut self, before: usize, context: &mut Context<'_>) -> Result<()> {
        let records = context.events.records.get(before..).unwrap_or_default();
        if self.incremental.is_open()
            && let Some((plan, _)) = &self.table
        {
            for record in records.iter().filter(|record| *record.topic == *plan.topic) {
                self.incremental.changed(&format!("{:?}", record.key));
            }
        }
        let Some(topic) = &self.topic else { return Ok(()) };
        let heard: Vec<(bool, Signal)> = records
            .iter()
            .filter(|record| *record.topic == **topic)
            .filter_map(heard)
            .collect();
        for (inserted, signal) in heard {
            if inserted {
                self.act(&signal, context).await?;
            } else if context.options.watermark_deletes && self.incremental.is_chunk(&signal.id) {
                self.close(context).await?;
            }
        }
        Ok(())
    }

    /// The stream stands at this place, between two transactions.
    pub(crate) async fn reached(&mut self, place: (&str, u64), context: &mut Context<'_>) -> Result<()> {
        while self
            .closes
            .as_ref()
            .is_some_and(|(file, pos)| is_at_or_behind(place, (file, *pos)))
        {
            self.closes = None;
            self.close(context).await?;
        }
        Ok(())
    }

    /// Does what a signal asks for.
    pub(crate) async fn act(&mut self, signal: &Signal, context: &mut Context<'_>) -> Result<()> {
        let Some(action) = signal.action() else {
            return Ok(());
        };
        match action {
            Action::Log(message) => {
                let at = format!("{{pos={}}}", context.origin.pos);
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
                "signal 'schema-changes' is not supported yet, and has no effect"
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
        self.read_again(&signal.id, execute, context).await
    }

    /// Reads tables by chunks, or asks for a blocking snapshot of them. Without a table to write watermarks to, a chunk's
    /// window closes by the log.
    pub(crate) async fn read_again(
        &mut self,
        id: &str,
        execute: &Execute,
        context: &mut Context<'_>,
    ) -> Result<()> {
        if execute.blocking {
            self.blocking = Some(execute.clone());
            return Ok(());
        }
        let captured = captured_names(context.options, context.tables);
        if self.incremental.add(id, execute, &captured) {
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
        for Waiting { plan, row } in self.incremental.close() {
            let origin = Origin {
                at: Instant::now(),
                row: 0,
                query: Value::Null,
                ..context.origin.clone()
            };
            let record = context
                .events
                .read(&plan, row, SnapshotMarker::Incremental, &origin);
            context.events.records.push(record);
        }
        self.finished = true;
        self.read_chunk(context).await
    }

    async fn read_chunk(&mut self, context: &mut Context<'_>) -> Result<()> {
        if !self.incremental.is_running() || self.incremental.is_paused() {
            return Ok(());
        }
        let id = new_uuid();
        self.incremental.start_chunk(id.clone());
        let opened = Instant::now().java_text();
        let open = format!("{{\"openWindowTimestamp\": \"{opened}\"}}");
        let by_log = context.options.read_only || context.options.signal_table.is_none();
        if !by_log {
            self.watermark(context, &format!("{id}{OPEN}"), "snapshot-window-open", &open)
                .await?;
        }
        while self.incremental.is_running() {
            match self.fill(context).await? {
                Filled::Rows => break,
                Filled::Nothing(status) => self.table_done(status, context),
            }
        }
        if by_log {
            self.incremental.open(&id);
            let end = self.session(context.options).await?.end().await?;
            self.closes = Some((end.file, end.pos));
            return Ok(());
        }
        if context.options.watermark_deletes {
            let sql = format!(
                "DELETE FROM {} WHERE id = {}",
                signal_table(context.options)?,
                literal(&format!("{id}{OPEN}"))
            );
            self.session(context.options)
                .await?
                .connection
                .execute(&sql)
                .await?;
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
        if let Some(status) = self.look_at_table(context)? {
            return Ok(Filled::Nothing(status));
        }
        let Some((plan, order)) = self.table.clone() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        self.session(context.options).await?;
        let filled = match self.query(&plan, &order, context).await {
            Ok(filled) => filled,
            Err(error) if error.code().is_some() => {
                tracing::warn!(%error, table = %plan.table.id, "the incremental snapshot of a table failed");
                // What else was on its way is not wanted.
                self.session = None;
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
        let current = self.incremental.current().map(|table| table.id.clone());
        let data = [
            ("data_collections", self.names()),
            ("current_collection_in_progress", current.unwrap_or_default()),
            ("maximum_key", join(self.incremental.maximum())),
            ("last_processed_key", join(self.incremental.end())),
        ];
        self.notify("IN_PROGRESS", &data, context);
        Ok(filled)
    }

    /// Finds the table's columns and key; gives why it can't be read.
    fn look_at_table(&mut self, context: &mut Context<'_>) -> Result<Option<&'static str>> {
        let Some(current) = self.incremental.current() else {
            return Ok(None);
        };
        let found = current.id.split_once('.').and_then(|(database, table)| {
            let captured = context.options.captures(database, table);
            context
                .tables
                .get(&TableId::new(database, table))
                .filter(|_| captured)
        });
        let Some(found) = found.cloned() else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let Some(order) = order(&found, &current.surrogate_key) else {
            return Ok(Some("NO_PRIMARY_KEY"));
        };
        let known = self
            .table
            .as_ref()
            .is_some_and(|(plan, _)| Arc::ptr_eq(&plan.table, &found));
        if !known {
            let plan = Plan::new(found, context.options, context.events.source_schema())?;
            self.table = Some((Arc::new(plan), order));
        }
        Ok(None)
    }

    async fn query(
        &mut self,
        plan: &Arc<Plan>,
        order: &[Column],
        context: &mut Context<'_>,
    ) -> Result<Filled, mysql::Error> {
        let Some(current) = self.incremental.current().cloned() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        let condition = |mut parts: Vec<String>| {
            if !current.condition.is_empty() {
                parts.push(format!("({})", current.condition));
            }
            match parts.is_empty() {
                true => String::new(),
                false => format!(" WHERE {}", parts.join(" AND ")),
            }
        };
        let name = qualified(&plan.table.id.database, &plan.table.id.table);
        let texts: Vec<String> = order.iter().map(text_of).collect();
        let by = |direction: &str| -> String {
            let columns: Vec<String> = order
                .iter()
                .map(|column| format!("{}{direction}", identifier(&column.name)))
                .collect();
            columns.join(", ")
        };
        let chunk_size = context.options.chunk_size;
        if self.incremental.maximum().is_none() {
            let sql = format!(
                "SELECT {} FROM {name}{} ORDER BY {} LIMIT 1",
                texts.join(", "),
                condition(Vec::new()),
                by(" DESC")
            );
            let rows = self.opened()?.connection.query(&sql).await?;
            let Some(row) = rows.into_iter().next() else {
                return Ok(Filled::Nothing("EMPTY"));
            };
            let key = row
                .iter()
                .zip(order)
                .map(|(text, column)| part(text.as_deref(), column));
            self.incremental.set_maximum(key.collect());
        }
        let mut parts = Vec::new();
        if let Some(end) = self.incremental.end() {
            parts.push(behind(order, end));
        }
        if let Some(maximum) = self.incremental.maximum() {
            parts.push(format!("NOT {}", behind(order, maximum)));
        }
        let wanted: Vec<String> = texts.iter().cloned().chain(plan.selected()).collect();
        let sql = format!(
            "SELECT {} FROM {name}{} ORDER BY {} LIMIT {chunk_size}",
            wanted.join(", "),
            condition(parts),
            by("")
        );
        let mut read = Vec::new();
        let session = self.opened()?;
        let mut rows = session.connection.stream_rows(&sql).await?;
        while let Some(mut block) = rows.next_block().await? {
            while let Some(at) = rows.row(&mut block)? {
                let bytes = block.bytes().get(at.clone()).unwrap_or_default();
                let mut fields = TextFields::new(bytes);
                let key: Vec<KeyPart> = order
                    .iter()
                    .map(|column| {
                        let text = fields.next().flatten().map(String::from_utf8_lossy);
                        part(text.as_deref(), column)
                    })
                    .collect();
                let rest = at.end - fields.left()..at.end;
                let row = plan
                    .queried(block.bytes(), rest, &mut context.events.arena)
                    .map_err(|error| mysql::Error::Protocol(error.to_string()))?;
                read.push((key, row));
            }
        }
        if read.is_empty() {
            return Ok(Filled::Nothing("SUCCEEDED"));
        }
        for (key, row) in read {
            let told = format!("{:?}", plan.key(&row));
            let plan = plan.clone();
            self.incremental.wait(told, key, Waiting { plan, row });
        }
        Ok(Filled::Rows)
    }

    async fn watermark(&mut self, context: &mut Context<'_>, id: &str, kind: &str, data: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} VALUES ({}, {}, {})",
            signal_table(context.options)?,
            literal(id),
            literal(kind),
            literal(data)
        );
        let session = self.session(context.options).await?;
        session.connection.execute(&sql).await.map_err(|error| {
            let denied = error.is_config();
            let error = Error::from(error);
            if denied {
                return Error::config(format!("a watermark can't be written: {}", error.message()))
                    .hint("GRANT INSERT, DELETE on the signal table, or set read.only=true");
            }
            error
        })
    }

    /// The session for chunks and watermarks; one that broke is opened again.
    async fn session(&mut self, options: &Options) -> Result<&mut Catalog> {
        if self.session.is_none() {
            self.session = Some(Catalog::connect(options).await?);
        }
        Ok(self.opened()?)
    }

    fn opened(&mut self) -> Result<&mut Catalog, mysql::Error> {
        self.session
            .as_mut()
            .ok_or_else(|| mysql::Error::Protocol("there is no session".to_owned()))
    }

    fn names(&self) -> String {
        self.incremental.names().join(",")
    }

    fn notify(&self, kind: &str, data: &[(&str, String)], context: &mut Context<'_>) {
        let id = match self.incremental.correlation() {
            Some(id) => id.to_owned(),
            None => new_uuid(),
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

/// The names of the captured tables, sorted.
pub(crate) fn captured_names(options: &Options, tables: &Tables) -> Vec<String> {
    let ids = tables.iter().map(|table| &table.id);
    let captured = ids.filter(|id| options.captures(&id.database, &id.table));
    let mut names: Vec<String> = captured
        .map(|id| format!("{}.{}", id.database, id.table))
        .collect();
    names.sort();
    names
}

fn signal_table(options: &Options) -> Result<String> {
    let table = options.signal_table.as_ref();
    let id = table.ok_or_else(|| Error::config("signal.data.collection is not set"))?;
    Ok(qualified(&id.database, &id.table))
}

/// A row that was inserted into the signal table, or the id of one that was deleted.
fn heard(record: &Record) -> Option<(bool, Signal)> {
    let envelope = record.value.as_struct()?;
    let inserted = match envelope.get("op")?.as_str()? {
        "c" => true,
        "d" => false,
        _ => return None,
    };
    let row = envelope
        .get(if inserted { "after" } else { "before" })?
        .as_struct()?;
    let text = |index: usize| {
        let value = row.values().get(index).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let signal = Signal {
        id: text(0),
        kind: text(1),
        data: text(2),
    };
    Some((inserted, signal))
}

/// The columns that order a table's rows: its key, or one of the user's own.
fn order(table: &Table, surrogate: &str) -> Option<Vec<Column>> {
    let key: Vec<&str> = match surrogate.is_empty() {
        true => table.key.iter().map(|name| &**name).collect(),
        false => vec![surrogate],
    };
    let columns: Option<Vec<Column>> = key.iter().map(|name| table.column(name).cloned()).collect();
    columns.filter(|columns| !columns.is_empty())
}

fn is_binary(column: &Column) -> bool {
    matches!(
        column.kind,
        Kind::Binary
            | Kind::VarBinary
            | Kind::TinyBlob
            | Kind::Blob
            | Kind::MediumBlob
            | Kind::LongBlob
            | Kind::Bit
    )
}

/// A key's column as text: what may be no text goes in hexadecimal.
fn text_of(column: &Column) -> String {
    let name = identifier(&column.name);
    match is_binary(column) {
        true => format!("HEX({name})"),
        false => name,
    }
}

fn literal_of(column: &Column, part: &KeyPart) -> String {
    match (part, column.kind) {
        (KeyPart::Null, _) => "NULL".to_owned(),
        (KeyPart::Text(hex), Kind::Bit) => format!("CONV({}, 16, 10)+0", literal(hex)),
        (KeyPart::Text(hex), _) if is_binary(column) => format!("UNHEX({})", literal(hex)),
        (KeyPart::Text(text), _) => literal(text),
        (number, _) => number.to_string(),
    }
}

/// Rows behind a key: `(a > 1 OR (a = 1 AND (b > 2)))`, which an index serves, where a comparison of tuples is slow.
fn behind(order: &[Column], key: &[KeyPart]) -> String {
    let mut text = String::new();
    for (column, part) in order.iter().zip(key).rev() {
        let (name, value) = (identifier(&column.name), literal_of(column, part));
        text = match text.is_empty() {
            true => format!("({name} > {value})"),
            false => format!("({name} > {value} OR ({name} = {value} AND {text}))"),
        };
    }
    text
}

/// A key's value with the type that Java would give it.
fn part(text: Option<&str>, column: &Column) -> KeyPart {
    let Some(text) = text else { return KeyPart::Null };
    let unsigned = column.unsigned();
    let known = match column.kind {
        Kind::TinyInt | Kind::Boolean => text.parse().ok().map(KeyPart::Short),
        Kind::SmallInt if !unsigned => text.parse().ok().map(KeyPart::Short),
        Kind::SmallInt | Kind::MediumInt => text.parse().ok().map(KeyPart::Int),
        Kind::Int if !unsigned => text.parse().ok().map(KeyPart::Int),
        Kind::Int | Kind::BigInt => text.parse().ok().map(KeyPart::Long),
        _ => None,
    };
    known.unwrap_or_else(|| KeyPart::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::{self, Dialect};

    fn table(sql: &str) -> Arc<Table> {
        let mut tables = Tables::new(false);
        ddl::apply(&mut tables, &Dialect::mysql(), "fx", sql).unwrap();
        tables.iter().next().unwrap().clone()
    }

    #[test]
    fn a_chunk_begins_behind_the_key_of_the_last_one() {
        let table =
            table("create table t (a int unsigned, b varbinary(4), c varchar(9), primary key (a, b, c))");
        let order = order(&table, "").unwrap();
        let key: Vec<KeyPart> = ["5", "FF00", "it's"]
            .iter()
            .zip(&order)
            .map(|(text, column)| part(Some(text), column))
            .collect();
        assert_eq!(key[0], KeyPart::Long(5));
        assert_eq!(
            behind(&order, &key),
            "(`a` > 5 OR (`a` = 5 AND (`b` > UNHEX('FF00') OR (`b` = UNHEX('FF00') AND (`c` > 'it\\'s')))))"
        );
        assert_eq!(text_of(&order[1]), "HEX(`b`)");
    }
}
