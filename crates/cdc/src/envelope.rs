//! The envelope of a change: `before`, `after`, `source`, `transaction`, `op` and three times.
//!
//! Debezium 3.6, `io.debezium.data.Envelope`, schema version 2. Field order and optionality decide the bytes of an event
//! and are those of recordings.

use std::sync::LazyLock;

use tapline_api::adjust::Adjustment;
use tapline_api::envelope::{
    AFTER, BEFORE, ENVELOPE_SUFFIX, OP, SOURCE, TRANSACTION, TS_MS, TS_NS, TS_US, op,
};
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Record, Schema, SchemaRef, Struct, Value};

use crate::clock::Instant;
use crate::intern::{column_schema, field_name};

/// Values of `source.snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMarker {
    /// Read by a snapshot, none of the below.
    True,
    /// The first row of all.
    First,
    /// The first row of a table.
    FirstInDataCollection,
    /// The last row of a table.
    LastInDataCollection,
    /// The last row of all.
    Last,
    /// Streamed.
    False,
    /// Read by an incremental snapshot.
    Incremental,
}

impl SnapshotMarker {
    /// As it stands in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::First => "first",
            Self::FirstInDataCollection => "first_in_data_collection",
            Self::LastInDataCollection => "last_in_data_collection",
            Self::Last => "last",
            Self::False => "false",
            Self::Incremental => "incremental",
        }
    }

    /// The field's value: null of what is streamed, for which the schema's default stands.
    pub fn value(self) -> Value {
        match self {
            Self::False => Value::Null,
            marker => Value::from(marker.as_str()),
        }
    }
}

/// The schema of `transaction`.
pub static TRANSACTION_BLOCK: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("event.block")
        .version(1)
        .optional()
        .field("id", Schema::string().build())
        .field("total_order", Schema::int64().build())
        .field("data_collection_order", Schema::int64().build())
        .build()
        .keep()
});

/// Starts the schema of `source` with what all connectors have: version, connector, name, ts_ms, snapshot, db, sequence,
/// ts_us, ts_ns.
pub fn source_schema(name: &'static str) -> SchemaBuilder {
    let snapshot = Schema::string()
        .optional()
        .name("io.debezium.data.Enum")
        .version(1)
        .parameter(
            "allowed",
            "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental",
        )
        .default("false".into());
    Schema::structure()
        .name(name)
        .version(1)
        .field("version", Schema::string().build())
        .field("connector", Schema::string().build())
        .field("name", Schema::string().build())
        .field("ts_ms", Schema::int64().build())
        .field("snapshot", snapshot.build())
        .field("db", Schema::string().build())
        .field("sequence", Schema::string().optional().build())
        .field("ts_us", Schema::int64().optional().build())
        .field("ts_ns", Schema::int64().optional().build())
}

/// The schema of a table's envelopes; `prefix` is the table's topic.
pub fn envelope_schema(prefix: &str, row: &SchemaRef, source: &SchemaRef) -> SchemaRef {
    adjusted_envelope_schema(prefix, Adjustment::None, row, source)
}

/// The same under a name fitted as `schema.name.adjustment.mode` says.
pub fn adjusted_envelope_schema(
    prefix: &str,
    names: Adjustment,
    row: &SchemaRef,
    source: &SchemaRef,
) -> SchemaRef {
    let int64 = column_schema(Schema::int64().optional().build());
    Schema::structure()
        .name(names.adjust(format!("{prefix}{ENVELOPE_SUFFIX}")))
        .version(2)
        .field(field_name(BEFORE), row.clone())
        .field(field_name(AFTER), row.clone())
        .field(field_name(SOURCE), source.clone())
        .field(field_name(TRANSACTION), TRANSACTION_BLOCK.clone())
        .field(field_name(OP), column_schema(Schema::string().build()))
        .field(field_name(TS_MS), int64.clone())
        .field(field_name(TS_US), int64.clone())
        .field(field_name(TS_NS), int64)
        .build()
        .keep()
}

/// What rows of a snapshot share that were read at once.
#[derive(Debug)]
pub struct ReadAtOnce {
    source: Value,
    at: Instant,
}

impl ReadAtOnce {
    /// Rows with this source block, read now.
    pub fn now(source: Struct) -> Self {
        Self {
            source: Value::Struct(source.share()),
            at: Instant::now(),
        }
    }

    /// The envelope of one of them.
    #[inline]
    pub fn envelope(&self, schema: &SchemaRef, row: Value) -> Value {
        let source = self.source.clone();
        envelope(schema, Value::Null, row, source, Value::Null, op::READ, self.at)
    }
}

/// An envelope of `schema` with a `transaction` block, or null.
#[inline]
pub fn envelope(
    schema: &SchemaRef,
    before: Value,
    after: Value,
    source: Value,
    transaction: Value,
    op: &'static str,
    at: Instant,
) -> Value {
    let values = vec![
        before,
        after,
        source,
        transaction,
        Value::from(op),
        Value::Int64(at.millis()),
        Value::Int64(at.micros()),
        Value::Int64(at.nanos()),
    ];
    Value::Struct(Struct::new(schema.clone(), values))
}

/// Says of a record that a snapshot read where in the snapshot it stands, which is known only when the next one comes.
pub fn remark(record: &mut Record, marker: SnapshotMarker) {
    const SOURCE: usize = 2;
    const SNAPSHOT: usize = 4;
    if let Value::Struct(envelope) = &mut record.value
        && let Some(Value::Struct(source)) = envelope.values_mut().get_mut(SOURCE)
        && let Some(field) = source.values_mut().get_mut(SNAPSHOT)
    {
        *field = marker.value();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_in_the_recorded_order() {
        let row = Schema::structure().optional().name("t.Value").build();
        let source = source_schema("io.debezium.connector.postgresql.Source").build();
        let schema = envelope_schema("g.fx.t", &row, &source);
        let names: Vec<&str> = schema.fields().iter().map(|f| &**f.name()).collect();
        assert_eq!(
            names,
            [
                "before",
                "after",
                "source",
                "transaction",
                "op",
                "ts_ms",
                "ts_us",
                "ts_ns"
            ]
        );
        assert_eq!(
            (schema.name().map(|n| &**n), schema.version()),
            (Some("g.fx.t.Envelope"), Some(2))
        );
        let at = Instant::from_micros(7);
        let nothing = [(); 4].map(|()| Value::Null);
        let [before, after, source, transaction] = nothing;
        let value = envelope(&schema, before, after, source, transaction, "c", at);
        assert_eq!(
            value.as_struct().and_then(|s| s.get("ts_ns")),
            Some(&Value::Int64(7000))
        );
    }
}
