//! From rows to records: envelope, key, tombstone, headers.

use bytes::BytesMut;
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
use crate::ddl::Flavor;
use crate::table::{Plan, Row};

/// What a record costs beside the bytes of its values.
const RECORD_OVERHEAD: usize = 1400;
/// Values that are not slices of what the server sent are slices of arenas of this size.
const ARENA: usize = 64 * 1024;

/// Where and when a change happened.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) at: Instant,
    pub(crate) server_id: i64,
    pub(crate) gtid: Value,
    pub(crate) file: Value,
    pub(crate) pos: i64,
    pub(crate) row: i32,
    pub(crate) thread: Value,
    pub(crate) query: Value,
}

/// Builds records and collects them.
#[derive(Debug)]
pub(crate) struct Events {
    schema: SchemaRef,
    connector: &'static str,
    name: Value,
    headers: ContextHeaders,
    shared: Headers,
    tombstones: bool,
    skip_unchanged: bool,
    skipped: Skipped,
    /// With `provide.transaction.metadata`.
    pub(crate) transactions: Option<Transactions>,
    pub(crate) arena: BytesMut,
    pub(crate) records: Vec<Record>,
    pub(crate) bytes: usize,
    /// What there has been since the last batch.
    pub(crate) seen: Seen,
}

/// One change of a row.
#[derive(Debug)]
struct Change<'a> {
    plan: &'a Plan,
    key: Value,
    before: Value,
    after: Value,
    op: &'static str,
    size: usize,
    headers: Headers,
}

impl Events {
    pub(crate) fn new(options: &Options, headers: ContextHeaders) -> Self {
        let int64 = Schema::int64().optional().build();
        let text = Schema::string().optional().build();
        let name = match options.flavor {
            Flavor::MySql => "io.debezium.connector.mysql.Source",
            Flavor::MariaDb => "io.debezium.connector.mariadb.Source",
        };
        let schema = source_schema(name)
            .field("table", text.clone())
            .field("server_id", Schema::int64().build())
            .field("gtid", text.clone())
            .field("file", Schema::string().build())
            .field("pos", Schema::int64().build())
            .field("row", Schema::int32().build())
            .field("thread", int64)
            .field("query", text)
            .build()
            .keep();
        Self {
            schema,
            connector: options.connector(),
            name: constant(options.naming.prefix()),
            shared: headers.shared(),
            headers,
            tombstones: options.tombstones,
            skip_unchanged: options.skip_unchanged,
            skipped: options.skipped,
            transactions: options
                .transactions
                .then(|| Transactions::new(options.naming.transaction())),
            arena: BytesMut::with_capacity(ARENA),
            records: Vec::new(),
            bytes: 0,
            seen: Seen::default(),
        }
    }

    /// One for another task, which collects for itself.
    pub(crate) fn fork(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            name: self.name.clone(),
            headers: self.headers.clone(),
            shared: self.shared.clone(),
            transactions: None,
            arena: BytesMut::with_capacity(ARENA),
            records: Vec::new(),
            bytes: 0,
            seen: Seen::default(),
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

    /// Puts a record of another kind in.
    pub(crate) fn push(&mut self, mut record: Record) {
        if record.headers.is_empty() {
            record.headers = self.shared.clone();
        }
        self.bytes += RECORD_OVERHEAD;
        self.records.push(record);
    }

    /// Puts a transaction's boundary in, which has no headers.
    pub(crate) fn push_boundary(&mut self, record: Record) {
        self.bytes += RECORD_OVERHEAD;
        self.records.push(record);
    }

    /// What rows share that a snapshot reads now.
    pub(crate) fn reading(&self, plan: &Plan, marker: SnapshotMarker, origin: &Origin) -> ReadAtOnce {
        ReadAtOnce::now(self.source(&plan.database, &plan.table_name, marker, origin))
    }

    /// A row that a snapshot read.
    pub(crate) fn read(&mut self, plan: &Plan, row: Row, reading: &ReadAtOnce) -> Record {
        let (key, size) = (plan.key(&row), row.size);
        let value = reading.envelope(&plan.envelope_schema, plan.row(row));
        self.bytes += size + RECORD_OVERHEAD;
        record(plan, key, value, self.shared.clone())
    }

    pub(crate) fn created(&mut self, plan: &Plan, row: Row, origin: &Origin) {
        if !self.skipped.creates {
            self.seen.creates += 1;
            let (key, size) = (plan.key(&row), row.size);
            self.emit(
                Change {
                    plan,
                    key,
                    before: Value::Null,
                    after: plan.row(row),
                    op: op::CREATE,
                    size,
                    headers: self.shared.clone(),
                },
                origin,
            );
        }
    }

    /// An update; one that changes the key becomes a delete, a tombstone and a create.
    pub(crate) fn updated(&mut self, plan: &Plan, old: Row, new: Row, origin: &Origin) {
        let size = old.size + new.size;
        let (old_key, new_key) = (plan.key(&old), plan.key(&new));
        let Some(schema) = plan.key_schema.as_ref().filter(|_| old_key != new_key) else {
            let (before, after) = (plan.row(old), plan.row(new));
            if self.skipped.updates {
                return;
            }
            if self.skip_unchanged && before == after {
                self.seen.unchanged += 1;
                return;
            }
            self.seen.updates += 1;
            let headers = self.shared.clone();
            return self.emit(
                Change {
                    plan,
                    key: new_key,
                    before,
                    after,
                    op: op::UPDATE,
                    size,
                    headers,
                },
                origin,
            );
        };
        if !self.skipped.deletes {
            let headers = self.headers.with_new_key(schema, new_key.clone());
            self.deleted_row(plan, old_key.clone(), plan.row(old), origin, size, headers);
        }
        if !self.skipped.creates {
            self.seen.creates += 1;
            let headers = self.headers.with_old_key(schema, old_key);
            self.emit(
                Change {
                    plan,
                    key: new_key,
                    before: Value::Null,
                    after: plan.row(new),
                    op: op::CREATE,
                    size,
                    headers,
                },
                origin,
            );
        }
    }

    pub(crate) fn deleted(&mut self, plan: &Plan, old: Row, origin: &Origin) {
        if !self.skipped.deletes {
            let (key, size) = (plan.key(&old), old.size);
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
            Change {
                plan,
                key,
                before,
                after: Value::Null,
                op: op::DELETE,
                size,
                headers: headers.clone(),
            },
            origin,
        );
        if let Some(key) = tombstone {
            let mut record = record(plan, key, Value::Null, headers);
            record.value_schema = None;
            self.bytes += RECORD_OVERHEAD / 4;
            self.records.push(record);
        }
    }

    pub(crate) fn truncated(&mut self, plan: &Plan, origin: &Origin) {
        if self.skipped.truncates {
            return;
        }
        self.seen.others += 1;
        let headers = self.shared.clone();
        self.emit(
            Change {
                plan,
                key: Value::Null,
                before: Value::Null,
                after: Value::Null,
                op: op::TRUNCATE,
                size: 0,
                headers,
            },
            origin,
        );
        if let Some(record) = self.records.last_mut() {
            record.key_schema = None;
        }
    }

    fn emit(&mut self, change: Change<'_>, origin: &Origin) {
        let plan = change.plan;
        let source = self.source(&plan.database, &plan.table_name, SnapshotMarker::False, origin);
        let source = Value::Struct(source);
        let transaction = self.transactions.as_mut().map_or(Value::Null, |transactions| {
            let Some(id) = transactions.id().map(str::to_owned) else {
                return Value::Null;
            };
            let (total, of_table) = transactions.count(&plan.full_name);
            Transactions::block(id, total, of_table)
        });
        let value = envelope(
            &plan.envelope_schema,
            change.before,
            change.after,
            source,
            transaction,
            change.op,
            Instant::now(),
        );
        self.bytes += change.size + RECORD_OVERHEAD;
        self.records.push(record(plan, change.key, value, change.headers));
    }

    /// The source block.
    pub(crate) fn source(
        &self,
        database: &Value,
        table: &Value,
        marker: SnapshotMarker,
        origin: &Origin,
    ) -> Struct {
        let values = vec![
            Value::from(DEBEZIUM_VERSION),
            Value::from(self.connector),
            self.name.clone(),
            Value::Int64(origin.at.millis()),
            marker.value(),
            database.clone(),
            Value::Null,
            Value::Int64(origin.at.micros()),
            Value::Int64(origin.at.nanos()),
            table.clone(),
            Value::Int64(origin.server_id),
            origin.gtid.clone(),
            origin.file.clone(),
            Value::Int64(origin.pos),
            Value::Int32(origin.row),
            origin.thread.clone(),
            origin.query.clone(),
        ];
        Struct::new(self.schema.clone(), values)
    }
}

fn record(plan: &Plan, key: Value, value: Value, headers: Headers) -> Record {
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
