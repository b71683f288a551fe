//! Signals of MySQL and MariaDB, and the incremental snapshots that they ask for; see `tapline_cdc::{signals, incremental}`.

mod keys;

use std::sync::Arc;

use tapline_api::offset::Offset;
use tapline_api::{Error, Record, Result, Value};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::incremental::{Incremental, KeyPart};
use tapline_cdc::signal::{Execute, Signal};
use tapline_cdc::signals::{self, Chunks, Filled};
use tapline_databases::mysql::{self, identifier, literal, qualified};
use tokio::sync::mpsc;

use self::keys::{behind, order, part, text_of};
use crate::catalog::Catalog;
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::position::{Place, is_at_or_behind};
use crate::schema::{Column, TableId, Tables};
use crate::table::{Plan, Row};
use crate::wire::TextFields;

pub(crate) use tapline_cdc::signals::signals_partition;

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
    shared: signals::Signals<Waiting, Place>,
    reading: Reading,
    /// The topic of the signal table.
    topic: Option<String>,
}

/// What chunks are read with.
#[derive(Debug, Default)]
struct Reading {
    session: Option<Catalog>,
    /// The table at hand, with the columns that order it.
    table: Option<(Arc<Plan>, Vec<Column>)>,
}

/// Both, for one call.
struct Lent<'a, 'b> {
    reading: &'a mut Reading,
    context: &'a mut Context<'b>,
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
            shared: signals::Signals::new(stored, options.notifier.clone(), outside),
            reading: Reading::default(),
            topic: table.map(|id| options.naming.table(&id.database, "", &id.table)),
        }
    }

    /// Whether a stored offset speaks of an incremental snapshot.
    pub(crate) fn is_under_way(stored: &Offset) -> bool {
        Incremental::<Waiting>::from_offset(stored).is_running()
    }

    /// What offsets say of it.
    pub(crate) fn entries(&self) -> Vec<(&'static str, serde_json::Value)> {
        self.shared.entries()
    }

    /// Waits for a signal from outside; cancel-safe.
    pub(crate) async fn outside(&mut self) -> Outside {
        self.shared.outside().await
    }

    /// A blocking snapshot that is asked for, once.
    pub(crate) fn take_blocking(&mut self) -> Option<Execute> {
        self.shared.take_blocking()
    }

    /// Whether a chunk has ended since the last call: its end is to be stored soon, so that a kill repeats little.
    pub(crate) fn take_finished(&mut self) -> bool {
        self.shared.take_finished()
    }

    /// Streaming begins: a chunk that a former run had not finished is read again.
    pub(crate) async fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        self.shared.begin(&mut Lent { reading, context }).await
    }

    /// Records that changes have made, from number `before` on: what was read of their keys is old; and those of the signal
    /// table are heard.
    pub(crate) async fn changed(&mut self, before: usize, context: &mut Context<'_>) -> Result<()> {
        let records = context.events.records.get(before..).unwrap_or_default();
        if self.shared.is_open()
            && let Some((plan, _)) = &self.reading.table
        {
            self.shared.changed(&plan.topic, records);
        }
        let Some(topic) = &self.topic else { return Ok(()) };
        let heard: Vec<(bool, Signal)> = records
            .iter()
            .filter(|record| *record.topic == **topic)
            .filter_map(heard)
            .collect();
        let reading = &mut self.reading;
        let mut lent = Lent { reading, context };
        for (inserted, signal) in heard {
            match inserted {
                true => self.shared.act(&signal, &mut lent).await?,
                false => self.shared.deleted(&signal.id, &mut lent).await?,
            }
        }
        Ok(())
    }

    /// The stream stands at this place, between two transactions.
    pub(crate) async fn reached(&mut self, place: (&str, u64), context: &mut Context<'_>) -> Result<()> {
        let is_behind = |closes: &Place| is_at_or_behind(place, (&closes.0, closes.1));
        let reading = &mut self.reading;
        self.shared
            .reached(is_behind, &mut Lent { reading, context })
            .await
    }

    /// Does what a signal asks for.
    pub(crate) async fn act(&mut self, signal: &Signal, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        self.shared.act(signal, &mut Lent { reading, context }).await
    }

    /// Reads tables by chunks, or asks for a blocking snapshot of them. Without a table to write watermarks to, a chunk's
    /// window closes by the log.
    pub(crate) async fn read_again(
        &mut self,
        id: &str,
        execute: &Execute,
        context: &mut Context<'_>,
    ) -> Result<()> {
        let reading = &mut self.reading;
        self.shared
            .read_again(id, execute, &mut Lent { reading, context })
            .await
    }
}

impl Chunks for Lent<'_, '_> {
    type Row = Waiting;
    type Place = Place;
    const SCHEMA_CHANGES: &'static str = "signal 'schema-changes' is not supported yet, and has no effect";

    fn can_read(&self) -> bool {
        self.context.options.signal_table.is_some() || self.context.options.read_only
    }

    fn close_by_log(&self) -> bool {
        self.context.options.read_only || self.context.options.signal_table.is_none()
    }

    fn delete_watermarks(&self) -> bool {
        self.context.options.watermark_deletes
    }

    fn place(&self) -> String {
        format!("{{pos={}}}", self.context.origin.pos)
    }

    async fn tables(&mut self) -> Result<Vec<String>> {
        Ok(captured_names(self.context.options, self.context.tables))
    }

    async fn read(&mut self, of: &mut Incremental<Waiting>) -> Result<Filled> {
        if let Some(status) = self.look_at_table(of)? {
            return Ok(Filled::Nothing(status));
        }
        let Some((plan, order)) = self.reading.table.clone() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        self.session().await?;
        match self.query(of, &plan, &order).await {
            Ok(filled) => Ok(filled),
            Err(error) if error.code().is_some() => {
                tracing::warn!(%error, table = %plan.table.id, "the incremental snapshot of a table failed");
                // What else was on its way is not wanted.
                self.reading.session = None;
                Ok(Filled::Nothing("SQL_EXCEPTION"))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn log_end(&mut self) -> Result<Place> {
        Ok(self.session().await?.end().await?.place())
    }

    async fn write_watermark(&mut self, id: &str, kind: &str, data: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} VALUES ({}, {}, {})",
            signal_table(self.context.options)?,
            literal(id),
            literal(kind),
            literal(data)
        );
        let session = self.session().await?;
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

    async fn delete_watermark(&mut self, id: &str) -> Result<()> {
        let table = signal_table(self.context.options)?;
        let sql = format!("DELETE FROM {table} WHERE id = {}", literal(id));
        Ok(self.session().await?.connection.execute(&sql).await?)
    }

    fn forget(&mut self) {
        self.reading.table = None;
    }

    fn emit(&mut self, Waiting { plan, row }: Waiting) {
        let origin = Origin {
            at: Instant::now(),
            row: 0,
            query: Value::Null,
            ..self.context.origin.clone()
        };
        let events = &mut self.context.events;
        let reading = events.reading(&plan, SnapshotMarker::Incremental, &origin);
        let record = events.read(&plan, row, &reading);
        events.records.push(record);
    }

    fn tell(&mut self, record: Record) {
        self.context.events.records.push(record);
    }
}

impl Lent<'_, '_> {
    /// Finds the table's columns and key; gives why it can't be read.
    fn look_at_table(&mut self, of: &Incremental<Waiting>) -> Result<Option<&'static str>> {
        let Some(current) = of.current() else {
            return Ok(None);
        };
        let found = current.id.split_once('.').and_then(|(database, table)| {
            let captured = self.context.options.captures(database, table);
            self.context
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
            .reading
            .table
            .as_ref()
            .is_some_and(|(plan, _)| Arc::ptr_eq(&plan.table, &found));
        if !known {
            let plan = Plan::new(found, self.context.options, self.context.events.source_schema())?;
            self.reading.table = Some((Arc::new(plan), order));
        }
        Ok(None)
    }

    async fn query(
        &mut self,
        of: &mut Incremental<Waiting>,
        plan: &Arc<Plan>,
        order: &[Column],
    ) -> Result<Filled, mysql::Error> {
        let Some(current) = of.current().cloned() else {
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
        let chunk_size = self.context.options.chunk_size;
        if of.maximum().is_none() {
            let sql = format!(
                "SELECT {} FROM {name}{} ORDER BY {} LIMIT 1",
                texts.join(", "),
                condition(Vec::new()),
                by(" DESC")
            );
            let rows = self.reading.opened()?.connection.query(&sql).await?;
            let Some(row) = rows.into_iter().next() else {
                return Ok(Filled::Nothing("EMPTY"));
            };
            let key = row
                .iter()
                .zip(order)
                .map(|(text, column)| part(text.as_deref(), column));
            of.set_maximum(key.collect());
        }
        let mut parts = Vec::new();
        if let Some(end) = of.end() {
            parts.push(behind(order, end));
        }
        if let Some(maximum) = of.maximum() {
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
        let session = self.reading.opened()?;
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
                    .queried(block.bytes(), rest, &mut self.context.events.arena)
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
            of.wait(told, key, Waiting { plan, row });
        }
        Ok(Filled::Rows)
    }

    /// The session for chunks and watermarks; one that broke is opened again.
    async fn session(&mut self) -> Result<&mut Catalog> {
        if self.reading.session.is_none() {
            self.reading.session = Some(Catalog::connect(self.context.options).await?);
        }
        Ok(self.reading.opened()?)
    }
}

impl Reading {
    fn opened(&mut self) -> Result<&mut Catalog, mysql::Error> {
        self.session
            .as_mut()
            .ok_or_else(|| mysql::Error::Protocol("there is no session".to_owned()))
    }
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
