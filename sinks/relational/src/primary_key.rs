//! The key's columns and where their values are, by `primary.key.mode` and `primary.key.fields`.

use std::sync::Arc;

use tapline_api::record::SinkRecord;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Type, Value};

use crate::config::KeyMode;
use crate::confluent;
use crate::layout::Column;
use crate::options::{Options, Vocabulary};
use crate::shape::Source;

/// Where the key's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPart {
    /// There is no key, or it is part of the value.
    None,
    /// The record's key is a struct.
    Struct,
    /// The record's key is the one value.
    Whole,
    /// Made by [`synthetic`].
    Synthetic,
    /// It should be the record's, but that has no schema.
    Missing,
}

/// The column of a field.
pub(crate) fn column(options: &Options, field: &Arc<str>, schema: &SchemaRef, key: bool) -> Column {
    let schema = match options.vocabulary {
        Vocabulary::Debezium => schema.clone(),
        Vocabulary::Confluent => confluent::plain(schema),
    };
    let stands_in = !schema.is_optional() || options.replace_null;
    Column {
        name: options.naming.column(field),
        field: field.clone(),
        stand_in: schema.default().filter(|_| stands_in).cloned(),
        schema,
        key,
    }
}

type Key = (KeyPart, Vec<Column>, Vec<Source>);

/// The key's columns by `primary.key.mode` and `primary.key.fields`.
pub(crate) fn columns(options: &Options, record: &Record, row: Option<&Schema>) -> Result<Key> {
    let confluent = options.vocabulary == Vocabulary::Confluent;
    let wanted = |field: &str| {
        if options.key_fields.is_empty() {
            (confluent && options.key_mode == KeyMode::RecordKey)
                || options.fields.passes(&record.topic, field)
        } else {
            options.key_fields.iter().any(|name| name == field)
        }
    };
    let fields_of = |schema: &Schema, source: fn(usize) -> Source| {
        schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| wanted(field.name()))
            .map(|(i, field)| (column(options, field.name(), field.schema(), true), source(i)))
            .unzip()
    };
    match options.key_mode {
        KeyMode::None => Ok((KeyPart::None, Vec::new(), Vec::new())),
        KeyMode::RecordKey => match &record.key_schema {
            None => Ok((KeyPart::Missing, Vec::new(), Vec::new())),
            Some(schema) if schema.kind() == Type::Struct => {
                let lacking = options
                    .key_fields
                    .iter()
                    .find(|name| schema.field_index(name).is_none());
                if let Some(name) = lacking.filter(|_| confluent) {
                    return Err(Error::data(format!(
                        "PK mode for topic '{}' is RECORD_KEY with configured PK fields {:?}, but record key schema does \
                         not contain field: {name}",
                        record.topic, options.key_fields
                    )));
                }
                let (columns, sources) = fields_of(schema, Source::Key);
                Ok((KeyPart::Struct, columns, sources))
            }
            Some(schema) if matches!(schema.kind(), Type::Array | Type::Map) => Err(Error::data(format!(
                "An unsupported record key schema type detected: {}",
                schema.kind().name().to_uppercase()
            ))),
            Some(schema) => match options.key_fields.as_slice() {
                [name] => {
                    let column = column(options, &name.as_str().into(), schema, true);
                    Ok((KeyPart::Whole, vec![column], vec![Source::Key(0)]))
                }
                _ => Err(Error::config(
                    "the record's key is not a struct: primary.key.fields must name its one column",
                )),
            },
        },
        KeyMode::RecordValue => match row {
            Some(row) => {
                let (columns, sources) = fields_of(row, Source::Value);
                Ok((KeyPart::None, columns, sources))
            }
            None => Err(Error::data(
                "No struct-based primary key defined for record value",
            )),
        },
        KeyMode::RecordHeader if record.headers.is_empty() => Err(Error::data(
            "Configured primary key mode 'record_header' cannot have empty message headers",
        )),
        KeyMode::Kafka | KeyMode::RecordHeader => {
            let schemas = synthetic_schemas(options, record)?;
            let columns: Vec<_> = schemas
                .iter()
                .map(|(name, schema)| column(options, name, schema, true))
                .collect();
            let sources = (0..columns.len()).map(Source::Key).collect();
            Ok((KeyPart::Synthetic, columns, sources))
        }
    }
}

fn synthetic_schemas(options: &Options, record: &Record) -> Result<Vec<(Arc<str>, SchemaRef)>> {
    if options.key_mode == KeyMode::Kafka {
        let defaults = ["__connect_topic", "__connect_partition", "__connect_offset"];
        // Confluent's sink takes other names.
        let named = options.vocabulary == Vocabulary::Confluent && options.key_fields.len() == defaults.len();
        let names: Vec<Arc<str>> = if named {
            options
                .key_fields
                .iter()
                .map(|name| name.as_str().into())
                .collect()
        } else {
            defaults.map(Arc::from).to_vec()
        };
        let schemas = [Schema::string(), Schema::int32(), Schema::int64()].map(|schema| schema.build());
        return Ok(names.into_iter().zip(schemas).collect());
    }
    let wanted =
        |name: &str| options.key_fields.is_empty() || options.key_fields.iter().any(|field| field == name);
    record
        .headers
        .iter()
        .filter(|header| wanted(&header.key))
        .map(|header| match &header.schema {
            Some(schema) => Ok((header.key.clone(), schema.clone())),
            None => Err(Error::data(format!("the header '{}' has no schema", header.key))),
        })
        .collect()
}

/// The key of a record where `primary.key.mode` makes one: its coordinates or its headers.
pub(crate) fn synthetic(options: &Options, sink: &SinkRecord) -> Vec<Value> {
    let SinkRecord { record, origin } = sink;
    match options.key_mode {
        KeyMode::Kafka => vec![
            Value::from(record.topic.to_string()),
            Value::Int32(origin.partition),
            Value::Int64(origin.offset),
        ],
        KeyMode::RecordHeader => record
            .headers
            .iter()
            .filter(|header| {
                options.key_fields.is_empty() || options.key_fields.iter().any(|field| *field == *header.key)
            })
            .map(|header| header.value.clone())
            .collect(),
        _ => Vec::new(),
    }
}
