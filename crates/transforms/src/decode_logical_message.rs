//! `io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent`: a logical decoding message whose content
//! is JSON looks like an inserted row, so that the outbox's EventRouter can take it from there.
//!
//! Source: Debezium 3.6. What is no such message passes; content that is no JSON object is a data error.

use std::collections::HashMap;

use tapline_api::adjust::Adjustment;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Width};
use tapline_api::connector::TransformPlugin;
use tapline_api::envelope::{ENVELOPE_SUFFIX, op};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Error, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::debezium::titled;
use crate::json_struct::Expansion;
use crate::part::{CACHED, require_struct};

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent",
    version: DEBEZIUM_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(DecodeLogicalMessage::new(config)?)),
};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[titled(
    ConfigKey::new(
        "fields.null.include",
        Kind::Boolean,
        "Whether nulls of the content become fields, as optional bytes.",
    )
    .default("false")
    .importance(Importance::Medium),
    Width::Medium,
    "Defines whether to include fields with null values to the decoded structure",
)]);

/// The schema that logical decoding messages have.
const MESSAGE: &str = "io.debezium.connector.postgresql.MessageValue";

/// The transformation.
pub struct DecodeLogicalMessage {
    expansion: Expansion,
    /// By the schemas of value and content.
    schemas: HashMap<(u64, u64), SchemaRef>,
}

fn failed(text: impl Into<String>) -> Error {
    Error::data(text.into()).exception("io.debezium.DebeziumException")
}

impl DecodeLogicalMessage {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            expansion: Expansion::new(parsed.boolean("fields.null.include")?, Adjustment::None),
            schemas: HashMap::new(),
        })
    }

    fn content(&mut self, message: &Value) -> Result<(SchemaRef, Value)> {
        let Value::Bytes(content) = message
            .as_struct()
            .and_then(|message| message.get("content"))
            .unwrap_or(&Value::Null)
        else {
            return Err(failed("The content of a logical decoding message is non-binary"));
        };
        let text = String::from_utf8_lossy(content);
        if !text.starts_with(['{', '[']) {
            return Err(failed(format!(
                "Unable to parse logical decoding message content JSON string '{text}'"
            )));
        }
        self.expansion.expand(None, &text).map_err(failed)
    }
}

/// The schema of the insert: the message's fields but the message, and the content as the row.
fn insert(message: &Schema, content: &SchemaRef) -> SchemaRef {
    let mut builder = Schema::structure().name(format!("{MESSAGE}{ENVELOPE_SUFFIX}"));
    for field in message
        .fields()
        .iter()
        .filter(|field| &**field.name() != "message")
    {
        builder = builder.field(field.name().clone(), field.schema().clone());
    }
    builder.field("after", content.clone()).build()
}

impl Transformation for DecodeLogicalMessage {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let schema = match &record.value_schema {
            Some(schema) if schema.is_named(MESSAGE) => schema.clone(),
            _ => return Ok(Some(record)),
        };
        let value = require_struct(std::mem::take(&mut record.value), "Retrieve a record value")?;
        let (content_schema, content) = self.content(value.get("message").unwrap_or(&Value::Null))?;
        if self.schemas.len() >= CACHED {
            self.schemas.clear();
        }
        let updated = self
            .schemas
            .entry((schema.id(), content_schema.id()))
            .or_insert_with(|| insert(&schema, &content_schema))
            .clone();
        let named = schema.fields().iter().zip(value.into_parts().1);
        let mut values: Vec<Value> = named
            .filter_map(|(field, value)| match &**field.name() {
                "message" => None,
                "op" => Some(op::CREATE.into()),
                _ => Some(value),
            })
            .collect();
        values.push(content);
        record.value_schema = Some(updated.clone());
        record.value = Value::Struct(Struct::new(updated, values));
        // The prefix of the message.
        (record.key_schema, record.key) = (None, Value::Null);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(content: &'static str) -> Record {
        let inner = Schema::structure()
            .field("prefix", Schema::string().optional().build())
            .field("content", Schema::bytes().optional().build())
            .build();
        let schema = Schema::structure()
            .name(MESSAGE)
            .field("op", Schema::string().build())
            .field("message", inner.clone())
            .field("ts_us", Schema::int64().optional().build())
            .build();
        let content = Value::Bytes(Bytes::from_static(content.as_bytes()));
        let inner = Value::Struct(Struct::new(inner, vec!["p".into(), content]));
        let mut record = Record::new("g.message");
        record.key = "p".into();
        record.value = Value::Struct(Struct::new(
            schema.clone(),
            vec!["m".into(), inner, Value::Int64(7)],
        ));
        record.value_schema = Some(schema);
        record
    }

    #[test]
    fn a_message_of_json_becomes_an_insert() {
        let mut decode = DecodeLogicalMessage::new(&Config::default()).unwrap();
        let out = decode
            .apply(message(r#"{"id":1,"n":null}"#), None)
            .unwrap()
            .unwrap();
        assert!(out.key.is_null());
        let schema = out.value_schema.unwrap();
        assert_eq!(
            &**schema.name().unwrap(),
            "io.debezium.connector.postgresql.MessageValue.Envelope"
        );
        let value = out.value.as_struct().unwrap();
        assert_eq!(value.get("op"), Some(&"c".into()));
        assert_eq!(value.get("ts_us"), Some(&Value::Int64(7)));
        let after = value.get("after").unwrap().as_struct().unwrap();
        assert_eq!(after.values(), [Value::Int32(1)]);
        let other = Record::new("t");
        assert_eq!(decode.apply(other.clone(), None).unwrap(), Some(other));
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        let mut decode = DecodeLogicalMessage::new(&Config::default()).unwrap();
        assert_eq!(
            decode.apply(message("hello text"), None).unwrap_err().message(),
            "Unable to parse logical decoding message content JSON string 'hello text'"
        );
        assert!(decode.apply(message("{"), None).is_err());
    }
}
