//! From rows to records: envelope, key, tombstone, headers.
//!
//! Per record there are at most five allocations: the slices of envelope, row before, row after, source and key. Names,
//! schemas and headers are shared.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::envelope::op;
use tapline_api::{DEBEZIUM_VERSION, Headers, Record, Schema, SchemaRef, Struct, Value};
use tapline_cdc::clock::Instant;
use tapline_cdc::envelope::{ReadAtOnce, SnapshotMarker, envelope, source_schema};
use tapline_cdc::headers::ContextHeaders;
use tapline_cdc::intern::constant;
use tapline_cdc::metrics::Seen;
use tapline_cdc::options::Skipped;
use tapline_cdc::transaction::Transactions;

use crate::config::Options;
use crate::lsn::Lsn;
use crate::message::MessageSchemas;
use crate::table::{Plan, Row};

/// What a record costs beside the bytes of its values: its own size, five slices, reference counts.
const RECORD_OVERHEAD: usize = 1400;

/// Values that are not slices of what the server sent are slices of arenas of this size. Bytes remembers the first
/// capacity, up to this much: without one, each value would get a buffer of its own.
const ARENA: usize = 64 * 1024;

/// Where and when a change happened.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The commit's time, or the snapshot's.
    pub(crate) at: Instant,
    pub(crate) lsn: Lsn,
    /// The end of the commit before, once one was seen.
    pub(crate) last_commit: Option<Lsn>,
    pub(crate) tx_id: Option<i64>,
    /// The replication origin's name, and its position there.
    pub(crate) replication: Option<(Value, i64)>,
}

/// Builds records and collects them.
#[derive(Debug)]
pub(crate) struct Events {
    schema: SchemaRef,
    name: Value,
    database: Value,
    headers: ContextHeaders,
    shared: Headers,
    tombstones: bool,
    skip_unchanged: bool,
    skipped: Skipped,
    /// Events since they were last added to the figures.
    pub(crate) seen: Seen,
    /// Boxed, since it is rarely there.
    pub(crate) transactions: Option<Box<Transactions>>,
    messages: MessageSchemas,
    /// The slot's xmin, when it is read.
    pub(crate) xmin: Value,
    pub(crate) arena: BytesMut,
    pub(crate) records: Vec<Record>,
    pub(crate) bytes: usize,
}

/// The schema of `source`; `io.debezium.connector.postgresql.Source`.
pub(crate) fn postgres_source_schema() -> SchemaRef {
    let int64 = Schema::int64().optional().build();
    source_schema("io.debezium.connector.postgresql.Source")
        .field("schema", Schema::string().build())
        .field("table", Schema::string().build())
        .field("txId", int64.clone())
        .field("lsn", int64.clone())
        .field("xmin", int64.clone())
        .field("origin", Schema::string().optional().build())
        .field("origin_lsn", int64)
        .build()
        .keep()
}

impl Events {
    pub(crate) fn new(options: &Options, headers: ContextHeaders) -> Self {
        let schema = postgres_source_schema();
        Self {
            messages: MessageSchemas::new(options, &schema),
            schema,
            name: constant(options.naming.prefix()),
            database: constant(&options.settings.dbname),
            shared: headers.shared(),
            headers,
            tombstones: options.tombstones,
            skip_unchanged: options.skip_unchanged,
            skipped: options.skipped,
            seen: Seen::default(),
            transactions: None,
            xmin: Value::Null,
            arena: BytesMut::with_capacity(ARENA),
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Another one of the same run, with nothing collected.
    pub(crate) fn fork(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            name: self.name.clone(),
            database: self.database.clone(),
            headers: self.headers.clone(),
            shared: self.shared.clone(),
            transactions: None,
            messages: self.messages.clone(),
            xmin: self.xmin.clone(),
            arena: BytesMut::with_capacity(ARENA),
            records: Vec::new(),
            bytes: 0,
            ..*self
        }
    }

    /// The schema of the source block, which envelopes are planned with.
    pub(crate) fn source_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes what has been collected.
    pub(crate) fn take(&mut self) -> (Vec<Record>, usize) {
        let capacity = self.records.len();
        let records = std::mem::replace(&mut self.records, Vec::with_capacity(capacity));
        (records, std::mem::take(&mut self.bytes))
    }

    /// What rows share that a snapshot reads now.
    pub(crate) fn reading(&mut self, plan: &Plan, marker: SnapshotMarker, origin: &Origin) -> ReadAtOnce {
        ReadAtOnce::now(self.source(plan, marker, origin))
    }

    /// A row that a snapshot read, of `size` bytes.
    pub(crate) fn read(&mut self, plan: &Plan, row: Row, reading: &ReadAtOnce, size: usize) -> Record {
        let key = plan.key(&row);
        let value = reading.envelope(&plan.envelope_schema, plan.row(row));
        self.bytes += size + RECORD_OVERHEAD;
        self.record(plan, key, value, self.shared.clone())
    }

    pub(crate) fn created(&mut self, plan: &Plan, row: Row, origin: &Origin, size: usize) {
        if !self.skipped.creates {
            self.seen.creates += 1;
            let key = plan.key(&row);
            self.emit(
                plan,
                key,
                Value::Null,
                plan.row(row),
                op::CREATE,
                origin,
                size,
                self.shared.clone(),
            );
        }
    }

    /// An update; one that changes the key becomes a delete, a tombstone and a create.
    pub(crate) fn updated(
        &mut self,
        plan: &Plan,
        old: Option<(Row, bool)>,
        new: Row,
        origin: &Origin,
        size: usize,
    ) {
        // Only REPLICA IDENTITY FULL sends what can be compared.
        if self.skip_unchanged && old.as_ref().is_some_and(|(row, _)| *row == new) {
            self.seen.unchanged += 1;
            return;
        }
        let new_key = plan.key(&new);
        let old_key = match &old {
            // A key-only row of an identity that does not cover the key says nothing of it.
            Some((row, key_only)) if !key_only || plan.key_in_identity => Some(plan.key(row)),
            _ => None,
        };
        let before = old.map_or(Value::Null, |(row, _)| plan.row(row));
        let (Some(old_key), Some(schema)) = (old_key, &plan.key_schema) else {
            return self.update_in_place(plan, new_key, before, new, origin, size);
        };
        if old_key == new_key {
            return self.update_in_place(plan, new_key, before, new, origin, size);
        }
        if !self.skipped.deletes {
            let headers = self.headers.with_new_key(schema, new_key.clone());
            self.deleted_row(plan, old_key.clone(), before, origin, size, headers);
        }
        if !self.skipped.creates {
            self.seen.creates += 1;
            let headers = self.headers.with_old_key(schema, old_key);
            self.emit(
                plan,
                new_key,
                Value::Null,
                plan.row(new),
                op::CREATE,
                origin,
                size,
                headers,
            );
        }
    }

    fn update_in_place(
        &mut self,
        plan: &Plan,
        key: Value,
        before: Value,
        new: Row,
        origin: &Origin,
        size: usize,
    ) {
        if !self.skipped.updates {
            self.seen.updates += 1;
            self.emit(
                plan,
                key,
                before,
                plan.row(new),
                op::UPDATE,
                origin,
                size,
                self.shared.clone(),
            );
        }
    }

    pub(crate) fn deleted(&mut self, plan: &Plan, old: Row, origin: &Origin, size: usize) {
        if !self.skipped.deletes {
            let key = plan.key(&old);
            self.deleted_row(plan, key, plan.row(old), origin, size, self.shared.clone());
        }
    }

    fn deleted_row(
        &mut self,
        plan: &Plan,
        key: Value,
        before: Value,
        origin: &Origin,
        size: usize,
        headers: Headers,
    ) {
        self.seen.deletes += 1;
        let tombstone = self.tombstones.then(|| key.clone());
        self.emit(
            plan,
            key,
            before,
            Value::Null,
            op::DELETE,
            origin,
            size,
            headers.clone(),
        );
        if let Some(key) = tombstone {
            let mut record = self.record(plan, key, Value::Null, headers);
            record.value_schema = None;
            self.bytes += RECORD_OVERHEAD / 4;
            self.records.push(record);
        }
    }

    pub(crate) fn truncated(&mut self, plan: &Plan, origin: &Origin) {
        if !self.skipped.truncates {
            self.seen.others += 1;
            self.emit(
                plan,
                Value::Null,
                Value::Null,
                Value::Null,
                op::TRUNCATE,
                origin,
                0,
                self.shared.clone(),
            );
            if let Some(record) = self.records.last_mut() {
                record.key_schema = None;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one event")]
    fn emit(
        &mut self,
        plan: &Plan,
        key: Value,
        before: Value,
        after: Value,
        op: &'static str,
        origin: &Origin,
        size: usize,
        headers: Headers,
    ) {
        let source = Value::Struct(self.source(plan, SnapshotMarker::False, origin));
        let block = match &mut self.transactions {
            None => Value::Null,
            Some(transactions) => block(transactions, &plan.collection, origin.lsn),
        };
        let value = envelope(
            &plan.envelope_schema,
            before,
            after,
            source,
            block,
            op,
            Instant::now(),
        );
        let record = self.record(plan, key, value, headers);
        self.bytes += size + RECORD_OVERHEAD;
        self.records.push(record);
    }

    fn record(&self, plan: &Plan, key: Value, value: Value, headers: Headers) -> Record {
        Record {
            topic: plan.topic.clone(),
            partition: None,
            key_schema: plan.key_schema.clone(),
            key,
            value_schema: Some(plan.envelope_schema.clone()),
            value,
            timestamp: None,
            headers,
        }
    }

    /// A logical decoding message.
    pub(crate) fn message(&mut self, prefix: &str, content: Bytes, transactional: bool, origin: &Origin) {
        let names = (Value::from(""), Value::from(""));
        let source = Value::Struct(self.source_block(names, SnapshotMarker::False, origin));
        let block = match &mut self.transactions {
            Some(transactions) if transactional => {
                block(transactions, self.messages.collection(), origin.lsn)
            }
            _ => Value::Null,
        };
        self.seen.others += 1;
        self.bytes += content.len() + prefix.len() + RECORD_OVERHEAD;
        let record = self
            .messages
            .record(prefix, content, source, block, Instant::now());
        self.records.push(record);
    }

    /// A transaction begins; `announced` when a former run has told of it, and stopped within.
    pub(crate) fn transaction_began(&mut self, origin: &Origin, announced: bool) {
        let Some(transactions) = &mut self.transactions else {
            return;
        };
        let id = origin.tx_id.unwrap_or_default().to_string();
        if announced && transactions.id() == Some(id.as_str()) {
            return;
        }
        transactions.begin(id);
        let record = transactions.begun(transaction_id(transactions, origin.lsn), origin.at.millis());
        self.bytes += RECORD_OVERHEAD;
        self.records.push(record);
    }

    /// The transaction has been committed at `origin`.
    pub(crate) fn transaction_ended(&mut self, origin: &Origin) {
        if let Some(transactions) = &self.transactions {
            let record = transactions.ended(transaction_id(transactions, origin.lsn), origin.at.millis());
            self.bytes += RECORD_OVERHEAD;
            self.records.push(record);
        }
    }

    fn source(&mut self, plan: &Plan, marker: SnapshotMarker, origin: &Origin) -> Struct {
        let names = (plan.schema_name.clone(), plan.table_name.clone());
        self.source_block(names, marker, origin)
    }

    fn source_block(
        &mut self,
        (schema_name, table_name): (Value, Value),
        marker: SnapshotMarker,
        origin: &Origin,
    ) -> Struct {
        let (replication, replication_lsn) = match &origin.replication {
            Some((name, lsn)) => (name.clone(), Value::Int64(*lsn)),
            None => (Value::Null, Value::Null),
        };
        let values = vec![
            Value::from(DEBEZIUM_VERSION),
            Value::from("postgresql"),
            self.name.clone(),
            Value::Int64(origin.at.millis()),
            marker.value(),
            self.database.clone(),
            self.sequence(origin),
            Value::Int64(origin.at.micros()),
            Value::Int64(origin.at.nanos()),
            schema_name,
            table_name,
            origin.tx_id.map_or(Value::Null, Value::Int64),
            match marker {
                // A row that was read beside the stream is of no place in it.
                SnapshotMarker::Incremental => Value::Null,
                _ => Value::Int64(origin.lsn.as_i64()),
            },
            self.xmin.clone(),
            replication,
            replication_lsn,
        ];
        Struct::new(self.schema.clone(), values)
    }

    /// `["lastCommitLsn","lsn"]`
    fn sequence(&mut self, origin: &Origin) -> Value {
        let mut digits = itoa::Buffer::new();
        let out = &mut self.arena;
        match origin.last_commit {
            Some(lsn) => {
                out.put_slice(b"[\"");
                out.put_slice(digits.format(lsn.as_i64()).as_bytes());
                out.put_slice(b"\",\"");
            }
            None => out.put_slice(b"[null,\""),
        }
        out.put_slice(digits.format(origin.lsn.as_i64()).as_bytes());
        out.put_slice(b"\"]");
        // Digits and brackets are UTF-8.
        ByteString::try_from(out.split().freeze()).map_or(Value::Null, Value::String)
    }
}

/// As records have it: Debezium adds the LSN of the event at hand.
fn transaction_id(transactions: &Transactions, lsn: Lsn) -> String {
    format!("{}:{}", transactions.id().unwrap_or_default(), lsn.as_i64())
}

/// Counts an event, and makes its block.
fn block(transactions: &mut Transactions, collection: &Arc<str>, lsn: Lsn) -> Value {
    let (total, of_table) = transactions.count(collection);
    Transactions::block(transaction_id(transactions, lsn), total, of_table)
}
