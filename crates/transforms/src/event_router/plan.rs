//! Where the parts of an outbox message stand in an event, worked out once per schema.

use std::sync::Arc;

use tapline_api::schema::Type;
use tapline_api::{Error, Result, Schema, SchemaRef, Struct, Value};

use super::config::{Columns, Placement};

const CONNECT_EXCEPTION: &str = "org.apache.kafka.connect.errors.ConnectException";

/// The parts of an envelope.
pub(super) struct Envelope {
    pub(super) op: usize,
    pub(super) after: usize,
    pub(super) ts_ms: usize,
    row: Option<Row>,
}

/// The columns of a row.
pub(super) struct Row {
    schema: SchemaRef,
    pub(super) id: usize,
    pub(super) key: Option<usize>,
    pub(super) payload: usize,
    timestamp: Option<(usize, i64)>,
    version: Option<usize>,
    pub(super) route_by: usize,
    pub(super) headers: Vec<(Arc<str>, usize)>,
    pub(super) envelope: Vec<(Arc<str>, usize)>,
    partition: Option<usize>,
}

fn error(text: String) -> Error {
    Error::data(text).exception(CONNECT_EXCEPTION)
}

fn data_exception(text: String) -> Error {
    Error::data(text).exception("org.apache.kafka.connect.errors.DataException")
}

/// The text of a column that must have one.
pub(super) fn text<'a>(value: &'a Value, column: &str) -> Result<&'a str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Err(error(format!("The column {column} tells the topic, and is null"))),
        _ => Err(data_exception(format!("Field '{column}' is not of type STRING"))),
    }
}

impl Envelope {
    pub(super) fn new(schema: &Schema, _columns: &Columns) -> Result<Self> {
        let find = |name: &str| {
            schema
                .field_index(name)
                .ok_or_else(|| error(format!("Unknown field: {name}")))
        };
        Ok(Self {
            op: find("op")?,
            after: find("after")?,
            ts_ms: find("ts_ms")?,
            row: None,
        })
    }

    /// The plan of a row; an envelope's rows have one schema.
    pub(super) fn row(&mut self, schema: &SchemaRef, columns: &Columns) -> Result<&Row> {
        let known = self.row.take().filter(|row| row.schema.id() == schema.id());
        let row = match known {
            Some(row) => row,
            None => Row::new(schema, columns)?,
        };
        Ok(self.row.insert(row))
    }
}

impl Row {
    fn new(schema: &SchemaRef, columns: &Columns) -> Result<Self> {
        let field = |what: &str, name: &str| {
            schema
                .field_index(name)
                .ok_or_else(|| error(format!("Unable to find {what} field {name} in event")))
        };
        let known = |name: &str| {
            schema
                .field_index(name)
                .ok_or_else(|| data_exception(format!("{name} is not a valid field name")))
        };
        let timestamp = match &columns.timestamp {
            None => None,
            Some(name) => Some(timestamp(schema, field("timestamp", name)?)?),
        };
        let (mut headers, mut envelope, mut partition) = (Vec::new(), Vec::new(), None);
        for additional in &columns.additional {
            let Some(index) = schema.field_index(&additional.column) else {
                if columns.strict {
                    return Err(error(format!(
                        "Unable to find field {} in event",
                        additional.column
                    )));
                }
                continue;
            };
            let alias: Arc<str> = additional.alias.as_str().into();
            match additional.placement {
                Placement::Header => headers.push((alias, index)),
                Placement::Envelope => envelope.push((alias, index)),
                Placement::Partition => partition = Some(index),
            }
        }
        Ok(Self {
            payload: field("payload", &columns.payload)?,
            id: field("event-id", &columns.id)?,
            key: columns.key.as_deref().map(known).transpose()?,
            timestamp,
            version: columns.version.as_deref().map(known).transpose()?,
            route_by: known(&columns.route_by)?,
            headers,
            envelope,
            partition,
            schema: schema.clone(),
        })
    }

    pub(super) fn schema_of(&self, index: usize) -> SchemaRef {
        match self.schema.fields().get(index) {
            Some(field) => field.schema().clone(),
            None => Schema::string().optional().build(),
        }
    }

    /// A column's value; the default where it is null, as Java's `Struct.get` has it.
    pub(super) fn value(&self, row: &Struct, index: usize) -> Value {
        match row.at(index) {
            None | Some(Value::Null) => {
                let field = self.schema.fields().get(index);
                field
                    .and_then(|field| field.schema().default().cloned())
                    .unwrap_or_default()
            }
            Some(value) => value.clone(),
        }
    }

    /// Milliseconds since the epoch.
    pub(super) fn timestamp(&self, row: &Struct) -> Result<Option<i64>> {
        let Some((index, units)) = self.timestamp else {
            return Ok(None);
        };
        Ok(self.value(row, index).as_i64().map(|at| at / units))
    }

    pub(super) fn version(&self, row: &Struct) -> Result<Option<i32>> {
        self.int32(row, self.version)
    }

    pub(super) fn partition(&self, row: &Struct) -> Result<Option<i32>> {
        self.int32(row, self.partition)
    }

    fn int32(&self, row: &Struct, index: Option<usize>) -> Result<Option<i32>> {
        let Some(index) = index else { return Ok(None) };
        match self.value(row, index) {
            Value::Null => Ok(None),
            Value::Int32(n) => Ok(Some(n)),
            _ => {
                let name = self.schema.fields().get(index).map(|field| field.name().clone());
                let name = name.unwrap_or_default();
                Err(data_exception(format!("Field '{name}' is not of type INT32")))
            }
        }
    }

    /// The schema of payload and further columns; `routed` goes into its name.
    pub(super) fn value_schema(&self, payload: &SchemaRef, version: Option<i32>, routed: &str) -> SchemaRef {
        let name = match self.schema.name() {
            None => routed.to_owned(),
            Some(name) => match name.rsplit_once('.') {
                Some((space, last)) => format!("{space}.{routed}.{last}"),
                None => format!("{routed}.{name}"),
            },
        };
        let mut builder = Schema::structure().name(name).field("payload", payload.clone());
        if let Some(version) = version {
            builder = builder.version(version);
        }
        for (alias, index) in &self.envelope {
            builder = builder.field(alias.clone(), self.schema_of(*index));
        }
        builder.build()
    }
}

/// A column of time, and how many of its units are a millisecond.
fn timestamp(schema: &Schema, index: usize) -> Result<(usize, i64)> {
    let Some(field) = schema.fields().get(index) else {
        return Err(error("Unable to find timestamp field in event".to_owned()));
    };
    let of = field.schema();
    if of.kind() != Type::Int64 {
        return Err(data_exception(format!(
            "Field '{}' is not of type INT64",
            field.name()
        )));
    }
    let units = match of.name().map(|name| &**name) {
        Some("io.debezium.time.Timestamp") => 1,
        Some("io.debezium.time.MicroTimestamp") => 1_000,
        Some("io.debezium.time.NanoTimestamp") => 1_000_000,
        Some(name) => {
            return Err(error(format!(
                "Unsupported field type {name} for event timestamp"
            )));
        }
        None => {
            return Err(error(format!(
                "Unsupported field type {} (without logical schema name) for event timestamp",
                of.kind().constant()
            )));
        }
    };
    Ok((index, units))
}
