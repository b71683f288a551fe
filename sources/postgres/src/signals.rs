//! Signals of Postgres, and the incremental snapshots that they ask for; see `tapline_cdc::{signals, incremental}`.

use std::sync::Arc;

use tapline_api::offset::Offset;
use tapline_api::{Error, Record, Result};
use tapline_cdc::channels::Outside;
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::incremental::{Incremental, KeyPart};
use tapline_cdc::notification::Notifier;
use tapline_cdc::signal::{Execute, Signal};
use tapline_cdc::signals::{self, Chunks, Filled};
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

pub(crate) use tapline_cdc::signals::signals_partition;

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
    shared: signals::Signals<Waiting, Lsn>,
    reading: Reading,
}

/// What chunks are read with.
#[derive(Debug, Default)]
struct Reading {
    connection: Option<Connection>,
    /// The table at hand, with the columns that order it.
    table: Option<(Arc<Plan>, Order)>,
}

/// Both, for one call.
struct Lent<'a, 'b> {
    reading: &'a mut Reading,
    context: &'a mut Context<'b>,
}

impl Signals {
    /// Goes on as `stored` says. `outside` gives signals that do not come by the log.
    pub(crate) fn new(
        stored: Option<&Offset>,
        notifier: Notifier,
        outside: Option<mpsc::Receiver<Outside>>,
    ) -> Self {
        Self {
            shared: signals::Signals::new(stored, notifier, outside),
            reading: Reading::default(),
        }
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

    /// Whether one is asked for.
    pub(crate) fn wants_blocking(&self) -> bool {
        self.shared.wants_blocking()
    }

    /// Whether a chunk has ended since the last call: its end is to be stored soon, so that a kill repeats little.
    pub(crate) fn take_finished(&mut self) -> bool {
        self.shared.take_finished()
    }

    /// Whether the server should be asked often where it stands.
    pub(crate) fn is_waiting(&self) -> bool {
        self.shared.is_waiting()
    }

    /// Records that changes have made: what was read of their keys is old.
    #[inline]
    pub(crate) fn changed(&mut self, records: &[Record]) {
        if self.shared.is_open()
            && let Some((plan, _)) = &self.reading.table
        {
            self.shared.changed(&plan.topic, records);
        }
    }

    /// Streaming begins: a chunk that a former run had not finished is read again.
    pub(crate) async fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        self.shared.begin(&mut Lent { reading, context }).await
    }

    /// The stream stands at `lsn`, between two transactions.
    pub(crate) async fn reached(&mut self, lsn: Lsn, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        self.shared
            .reached(|closes| lsn >= *closes, &mut Lent { reading, context })
            .await
    }

    pub(crate) async fn hear(&mut self, heard: Heard, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        let mut lent = Lent { reading, context };
        match heard {
            Heard::Inserted(signal) => self.shared.act(&signal, &mut lent).await,
            Heard::Deleted(id) => self.shared.deleted(&id, &mut lent).await,
        }
    }

    /// Does what a signal asks for.
    pub(crate) async fn act(&mut self, signal: &Signal, context: &mut Context<'_>) -> Result<()> {
        let reading = &mut self.reading;
        self.shared.act(signal, &mut Lent { reading, context }).await
    }
}

impl Chunks for Lent<'_, '_> {
    type Row = Waiting;
    type Place = Lsn;
    const SCHEMA_CHANGES: &'static str =
        "signal 'schema-changes' has no meaning for Postgres, whose structures come with the log";

    fn can_read(&self) -> bool {
        self.context.options.signal_table.is_some() || self.context.options.read_only
    }

    fn close_by_log(&self) -> bool {
        self.context.options.read_only
    }

    fn delete_watermarks(&self) -> bool {
        self.context.options.watermark_deletes
    }

    fn place(&self) -> String {
        format!("{{lsn={}}}", self.context.origin.lsn)
    }

    async fn tables(&mut self) -> Result<Vec<String>> {
        let tables = captured_tables(self.context.catalog, self.context.options).await?;
        Ok(tables
            .iter()
            .map(|(schema, table)| format!("{schema}.{table}"))
            .collect())
    }

    async fn read(&mut self, of: &mut Incremental<Waiting>) -> Result<Filled> {
        if let Some(status) = self.look_at_table(of).await? {
            return Ok(Filled::Nothing(status));
        }
        let Some((plan, order)) = self.reading.table.clone() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        match self.query(of, &plan, &order).await {
            Ok(filled) => Ok(filled),
            Err(error) if error.code().is_some() => {
                tracing::warn!(%error, table = plan.table.name, "the incremental snapshot of a table failed");
                // What else was on its way is not wanted.
                self.reading.connection = None;
                Ok(Filled::Nothing("SQL_EXCEPTION"))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn log_end(&mut self) -> Result<Lsn> {
        self.context.catalog.written_lsn().await
    }

    async fn write_watermark(&mut self, id: &str, kind: &str, data: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} VALUES ({}, {}, {})",
            signal_table(self.context.options)?,
            literal(id),
            literal(kind),
            literal(data)
        );
        self.session().await?.query(&sql).await.map_err(|error| {
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

    async fn delete_watermark(&mut self, id: &str) -> Result<()> {
        let table = signal_table(self.context.options)?;
        let sql = format!("DELETE FROM {table} WHERE id = {}", literal(id));
        self.session().await?.query(&sql).await?;
        Ok(())
    }

    fn forget(&mut self) {
        self.reading.table = None;
    }

    fn emit(&mut self, Waiting { plan, row, size }: Waiting) {
        let origin = Origin {
            at: Instant::now(),
            lsn: self.context.origin.lsn,
            last_commit: self.context.origin.last_commit,
            tx_id: None,
            replication: None,
        };
        let events = &mut self.context.events;
        let reading = events.reading(&plan, SnapshotMarker::Incremental, &origin);
        let record = events.read(&plan, row, &reading, size);
        events.records.push(record);
    }

    fn tell(&mut self, record: Record) {
        self.context.events.records.push(record);
    }
}

impl Lent<'_, '_> {
    /// Finds the table's columns and key; gives why it can't be read.
    async fn look_at_table(&mut self, of: &Incremental<Waiting>) -> Result<Option<&'static str>> {
        let Some(current) = of.current().cloned() else {
            return Ok(None);
        };
        let Some((schema, name)) = current.id.split_once('.') else {
            return Ok(Some("UNKNOWN_SCHEMA"));
        };
        let captured = self.tables().await?.contains(&current.id);
        let found = if captured {
            self.context.catalog.table(schema, name).await?
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
        let known = self
            .reading
            .table
            .as_ref()
            .is_some_and(|(plan, _)| plan.table == found);
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
        order: &[(String, u32)],
    ) -> Result<Filled, postgres::Error> {
        let Some(current) = of.current().cloned() else {
            return Ok(Filled::Nothing("UNKNOWN_SCHEMA"));
        };
        let chunk_size = self.context.options.chunk_size;
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
        if of.maximum().is_none() {
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
            let rows = self.session().await?.query(&sql).await?;
            let Some(row) = rows.into_iter().next() else {
                return Ok(Filled::Nothing("EMPTY"));
            };
            let key = row
                .iter()
                .zip(order)
                .map(|(text, (_, of))| part(text.as_deref(), *of));
            of.set_maximum(key.collect());
        }
        let tuple = |parts: &[KeyPart]| {
            let parts: Vec<String> = parts.iter().map(|part| literal(&part.to_string())).collect();
            format!("({})", parts.join(", "))
        };
        let left = format!("({})", columns.join(", "));
        let mut parts = Vec::new();
        if let Some(end) = of.end() {
            parts.push(format!("{left} > {}", tuple(end)));
        }
        if let Some(maximum) = of.maximum() {
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
        self.session().await?.copy_out(&sql).await?;
        loop {
            // Each round anew, since the window is filled in between.
            let connection = self.session().await?;
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
                            .copied(bytes, at..frame.body.end, &mut self.context.events.arena)
                            .map_err(|error| postgres::Error::Protocol(error.to_string()))?;
                        let told = format!("{:?}", plan.key(&row));
                        let plan = plan.clone();
                        of.wait(told, key, Waiting { plan, row, size });
                    }
                    b'E' => return Err(copy_error(block.bytes(), &frame)),
                    b'Z' => {
                        return Ok(if of.is_empty() {
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

    /// The session for chunks and watermarks; one that broke is opened again.
    async fn session(&mut self) -> Result<&mut Connection, postgres::Error> {
        if self.reading.connection.is_none() {
            let mut settings = self.context.options.settings.clone();
            settings.application_name = "tapline signals".to_owned();
            let mut connection = Connection::open(&settings, Role::Sql).await?;
            for statement in &self.context.options.initial_statements {
                connection.query(statement).await?;
            }
            self.reading.connection = Some(connection);
        }
        self.reading
            .connection
            .as_mut()
            .ok_or_else(|| postgres::Error::Protocol("there is no session".to_owned()))
    }
}

fn signal_table(options: &Options) -> Result<String> {
    let table = options.signal_table.as_ref();
    let (schema, name) = table.ok_or_else(|| Error::config("signal.data.collection is not set"))?;
    Ok(qualified(schema, name))
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
