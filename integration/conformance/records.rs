//! Records made by hand: what a Debezium source writes for a row of a table.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::record::{Origin, SinkRecord, TimestampType};
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Record, Schema, SchemaRef, Struct, Value};

/// Makes the records of one table.
pub struct Table {
    pub topic: Arc<str>,
    pub key: SchemaRef,
    pub row: SchemaRef,
    envelope: SchemaRef,
}

/// A row's schema, which may be null.
pub fn row_schema(fields: &[(&str, SchemaRef)]) -> SchemaRef {
    let start = Schema::structure().name("t.Value").optional();
    let add = |schema: SchemaBuilder, (name, field): &(&str, SchemaRef)| schema.field(*name, field.clone());
    fields.iter().fold(start, add).build()
}

impl Table {
    /// The key is the first field.
    pub fn new(topic: &str, fields: &[(&str, SchemaRef)]) -> Self {
        let (name, schema) = &fields[0];
        let row = row_schema(fields);
        Self {
            topic: topic.into(),
            key: Schema::structure().field(*name, schema.clone()).build(),
            envelope: Schema::structure()
                .name("t.Envelope")
                .field("before", row.clone())
                .field("after", row.clone())
                .field("op", Schema::string().build())
                .build(),
            row,
        }
    }

    pub fn event(&self, op: &'static str, key: Option<Value>, after: Value) -> SinkRecord {
        let value = Value::Struct(Struct::new(
            self.envelope.clone(),
            vec![Value::Null, after, op.into()],
        ));
        self.record(key, value, Some(self.envelope.clone()))
    }

    pub fn record(&self, key: Option<Value>, value: Value, value_schema: Option<SchemaRef>) -> SinkRecord {
        let key = key.map(|key| Value::Struct(Struct::new(self.key.clone(), vec![key])));
        let record = Record {
            key_schema: key.is_some().then(|| self.key.clone()),
            key: key.unwrap_or_default(),
            value,
            value_schema,
            ..Record::new(self.topic.clone())
        };
        SinkRecord {
            record,
            origin: Origin {
                topic: self.topic.clone(),
                partition: 3,
                offset: 42,
                timestamp_type: TimestampType::None,
            },
        }
    }

    /// A row that was created (`c`), read (`r`) or updated (`u`).
    pub fn write(&self, op: &'static str, values: Vec<Value>) -> SinkRecord {
        let key = values[0].clone();
        self.event(
            op,
            Some(key),
            Value::Struct(Struct::new(self.row.clone(), values)),
        )
    }

    pub fn delete(&self, key: i32) -> SinkRecord {
        self.event("d", Some(Value::Int32(key)), Value::Null)
    }

    pub fn tombstone(&self, key: i32) -> SinkRecord {
        self.record(Some(Value::Int32(key)), Value::Null, None)
    }

    /// A row without an envelope or a key.
    pub fn flat(&self, values: Vec<Value>) -> SinkRecord {
        let value = Value::Struct(Struct::new(self.row.clone(), values));
        self.record(None, value, Some(self.row.clone()))
    }
}

pub fn int() -> SchemaRef {
    Schema::int32().build()
}

pub fn text() -> SchemaRef {
    Schema::string().optional().build()
}

pub fn int_and_text(topic: &str) -> Table {
    Table::new(topic, &[("id", int()), ("note", text())])
}

pub fn pair(id: i32, note: &'static str) -> Vec<Value> {
    vec![Value::Int32(id), note.into()]
}

pub fn bytes(bytes: &'static [u8]) -> Value {
    Value::Bytes(Bytes::from_static(bytes))
}
