//! `io.debezium.converters.CloudEventsConverter`: change events as CloudEvents 1.0, in JSON.
//!
//! What the event is about (id, source, type, time) and the source block, as extension attributes `iodebezium…`, come from
//! the event itself; the rows before and after are its data. As in Debezium, a value that is no change event has no bytes.
//!
//! Source: Debezium 3.6, `CloudEventsConverter`, `CloudEventsMaker`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};
use tapline_api::convert::{self, Encoded};
use tapline_api::envelope::{AFTER, BEFORE, ENVELOPE_SUFFIX, OP, SOURCE, TRANSACTION};
use tapline_api::{Error, Headers, Result, Schema, SchemaRef, Struct, Type, Value};

use crate::CONVERTER_TYPE;
use crate::calendar::timestamp;
use crate::json;

const METADATA: &str = "value,id:generate,type:generate,traceparent:header,dataSchemaName:generate";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    CONVERTER_TYPE,
    ConfigKey::new("serializer.type", Kind::String, "How the event is written: json.")
        .default("json")
        .importance(Importance::High)
        .valid(Validator::Custom(json_only))
        .form("", 1, Width::Medium, "CloudEvents serializer type"),
    ConfigKey::new(
        "data.serializer.type",
        Kind::String,
        "How its data is written: json.",
    )
    .default("json")
    .importance(Importance::High)
    .valid(Validator::Custom(json_only))
    .form("", 2, Width::Medium, "CloudEvents data serializer type"),
    ConfigKey::new(
        "json.schemas.enable",
        Kind::Boolean,
        "Whether the data carries its schema: an object of schema and payload instead of the payload alone.",
    )
    .default("true"),
    ConfigKey::new(
        "json.decimal.format",
        Kind::String,
        "How a Decimal of the data is written: BASE64, its unscaled bytes, or NUMERIC, a JSON number.",
    )
    .default("BASE64")
    .valid(Validator::OneOfIgnoringCase(&["BASE64", "NUMERIC"])),
    ConfigKey::new(
        "json.replace.null.with.default",
        Kind::Boolean,
        "Whether null in a field that has a default becomes that default.",
    )
    .default("true"),
    ConfigKey::new(
        "opentelemetry.tracing.attributes.enable",
        Kind::Boolean,
        "Whether there are attributes of OpenTelemetry: false.",
    )
    .default("false")
    .valid(Validator::Custom(|name, value| {
        not_yet(name, value, |text| text == "false")
    })),
    ConfigKey::new(
        "extension.attributes.enable",
        Kind::Boolean,
        "Whether there are extension attributes, of the operation, the source and the transaction.",
    )
    .default("true"),
    ConfigKey::new(
        "schema.name.adjustment.mode",
        Kind::String,
        "How names of schemas are adjusted. In JSON no adjusted name is written.",
    )
    .default("avro"),
    ConfigKey::new(
        "schema.cloudevents.name",
        Kind::String,
        "The name of the event's schema. In JSON it is not written.",
    ),
    ConfigKey::new(
        "schema.data.name.source.header.enable",
        Kind::Boolean,
        "Whether the name of the data's schema may come from a header: false.",
    )
    .default("false")
    .valid(Validator::Custom(|name, value| {
        not_yet(name, value, |text| text == "false")
    })),
    ConfigKey::new(
        "metadata.source",
        Kind::List,
        "Where what the event says of itself comes from: the value.",
    )
    .default(METADATA)
    .valid(Validator::Custom(|name, value| {
        not_yet(name, value, |text| {
            text.replace(' ', "") == METADATA || text == "value"
        })
    })),
]);

fn json_only(name: &str, value: &ConfigValue) -> Option<String> {
    not_yet(name, value, |text| text.trim().eq_ignore_ascii_case("json"))
}

fn not_yet(name: &str, value: &ConfigValue, known: fn(&str) -> bool) -> Option<String> {
    let text = value.display()?;
    (!known(&text)).then(|| format!("Invalid value {text} for configuration {name}: it is not supported yet"))
}

/// The converter.
pub struct Converter {
    extensions: bool,
    event: json::Converter,
    data: json::Converter,
    /// By the value's schema; `None` for what is no change event.
    plans: Cache<u64, Option<Plan>>,
}

/// What is known of events of one schema.
struct Plan {
    /// The event without its data.
    schema: SchemaRef,
    source: usize,
    op: usize,
    transaction: Option<usize>,
    name: usize,
    ts_ms: usize,
    connector: usize,
    /// What makes the id: its text before a value, and where that stands in the source.
    id: Vec<(&'static str, usize)>,
    data: SchemaRef,
    rows: Vec<usize>,
    /// Extensions of the source.
    source_fields: usize,
    transaction_fields: usize,
}

/// The parts of an id, by connector.
fn id_fields(connector: &str) -> &'static [(&'static str, &'static str)] {
    match connector {
        "mysql" | "mariadb" => &[("name:", "name"), (";file:", "file"), (";pos:", "pos")],
        _ => &[
            ("name:", "name"),
            (";lsn:", "lsn"),
            (";txId:", "txId"),
            (";sequence:", "sequence"),
        ],
    }
}

fn extension(prefix: &str, name: &str) -> String {
    let valid = |c: &char| c.is_ascii_alphanumeric();
    std::iter::once("iodebezium")
        .flat_map(str::chars)
        .chain(prefix.chars().chain(name.chars()).filter(valid))
        .collect()
}

/// The schema of an extension attribute; numbers of 64 bits are text, since CloudEvents' are of 32.
fn attribute(schema: &Schema, optional: bool) -> Result<SchemaRef> {
    let builder = match schema.kind() {
        Type::Boolean => Schema::boolean(),
        Type::Int8 | Type::Int16 | Type::Int32 => Schema::int32(),
        Type::Int64 | Type::String => Schema::string(),
        kind => {
            return Err(Error::data(format!(
                "Source field of type {} cannot be converted to CloudEvents extension attribute",
                kind.constant()
            )));
        }
    };
    Ok(builder.set_optional(optional || schema.is_optional()).build())
}

const TRANSACTION_FIELDS: [&str; 3] = ["id", "total_order", "data_collection_order"];

impl Plan {
    fn new(schema: &Schema, source: &Schema, connector: &str, extensions: bool) -> Result<Self> {
        let find = |schema: &Schema, name: &str| {
            schema
                .field_index(name)
                .ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
        };
        let mut event = Schema::structure();
        for name in ["id", "source", "specversion", "type", "time", "datacontenttype"] {
            event = event.field(name, Schema::string().build());
        }
        let (mut source_fields, mut transaction_fields) = (0, 0);
        if extensions {
            event = event.field(extension("", OP), Schema::string().build());
            for field in source.fields() {
                event = event.field(extension("", field.name()), attribute(field.schema(), false)?);
                source_fields += 1;
            }
            for name in TRANSACTION_FIELDS {
                event = event.field(extension("tx", name), Schema::string().optional().build());
                transaction_fields += 1;
            }
        }
        let mut data = Schema::structure().name(format!("io.debezium.connector.{connector}.Data"));
        let mut rows = Vec::new();
        for name in [BEFORE, AFTER] {
            if let Some(field) = schema.field(name) {
                data = data.field(name, field.schema().clone());
                rows.push(find(schema, name)?);
            }
        }
        let id = id_fields(connector).iter();
        let id = id.filter_map(|(text, name)| Some((*text, source.field_index(name)?)));
        Ok(Self {
            schema: event.build(),
            source: find(schema, SOURCE)?,
            op: find(schema, OP)?,
            transaction: schema.field_index(TRANSACTION),
            name: find(source, "name")?,
            ts_ms: find(source, "ts_ms")?,
            connector: find(source, "connector")?,
            id: id.collect(),
            data: data.build(),
            rows,
            source_fields,
            transaction_fields,
        })
    }

    fn event(&self, envelope: &Struct, source: &Struct) -> Value {
        let text = |index: usize| shown(source.at(index));
        let (name, connector) = (text(self.name), text(self.connector));
        let id: String = self
            .id
            .iter()
            .map(|(before, index)| format!("{before}{}", text(*index)))
            .collect();
        let at = source.at(self.ts_ms).and_then(Value::as_i64).unwrap_or(0);
        let mut values: Vec<Value> = vec![
            id.into(),
            format!("/debezium/{connector}/{name}").into(),
            "1.0".into(),
            format!("io.debezium.connector.{connector}.DataChangeEvent").into(),
            timestamp(at).into(),
            "application/json".into(),
        ];
        if self.source_fields > 0 {
            values.push(envelope.at(self.op).cloned().unwrap_or_default());
            let fields = source.schema().fields().iter().zip(source.values());
            values.extend(fields.map(|(field, value)| {
                let value = match value {
                    Value::Null => field.schema().default().unwrap_or(value),
                    _ => value,
                };
                extended(value)
            }));
            let transaction = self
                .transaction
                .and_then(|index| envelope.at(index))
                .and_then(Value::as_struct);
            for name in TRANSACTION_FIELDS.iter().take(self.transaction_fields) {
                let value = transaction.and_then(|transaction| transaction.get(name));
                values.push(value.map(extended).unwrap_or_default());
            }
        }
        Value::Struct(Struct::new(self.schema.clone(), values))
    }

    fn data(&self, envelope: &Struct) -> Value {
        let row = |index: &usize| envelope.at(*index).cloned().unwrap_or_default();
        Value::Struct(Struct::new(
            self.data.clone(),
            self.rows.iter().map(row).collect(),
        ))
    }
}

/// As an attribute of its kind.
fn extended(value: &Value) -> Value {
    match value {
        Value::Int8(n) => Value::Int32((*n).into()),
        Value::Int16(n) => Value::Int32((*n).into()),
        Value::Int64(n) => n.to_string().into(),
        other => other.clone(),
    }
}

/// As Java adds it to a text.
fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.to_string(),
        Some(value) => value
            .as_i64()
            .map_or_else(|| "null".to_owned(), |number| number.to_string()),
        None => "null".to_owned(),
    }
}

impl Converter {
    /// A converter from its options.
    pub fn new(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        config.set(CONVERTER_TYPE.name, "value");
        let parsed = CONFIG.parse(&config)?;
        let event = Config::from_iter([("schemas.enable", "false")]);
        Ok(Self {
            extensions: parsed.boolean("extension.attributes.enable")?,
            event: json::Converter::new(&event)?,
            data: json::Converter::new(&config.prefixed("json."))?,
            plans: Cache::new(1000),
        })
    }
}

impl convert::Converter for Converter {
    fn encode(
        &mut self,
        topic: &Arc<str>,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded> {
        let (Some(schema), Value::Struct(envelope)) = (schema, value) else {
            return Ok(Encoded::Null);
        };
        let extensions = self.extensions;
        let plan = self.plans.get_or_make(schema.id(), || {
            if !schema.name().is_some_and(|name| name.ends_with(ENVELOPE_SUFFIX)) {
                return Ok(None);
            }
            let Some(Value::Struct(source)) = envelope.get(SOURCE) else {
                return Ok(None);
            };
            let connector = source
                .get("connector")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Plan::new(schema, source.schema(), connector, extensions).map(Some)
        })?;
        let Some(plan) = plan else {
            return Ok(Encoded::Null);
        };
        let Some(source) = envelope.at(plan.source).and_then(Value::as_struct) else {
            return Ok(Encoded::Null);
        };
        let event = plan.event(envelope, source);
        self.event.encode(topic, Some(&plan.schema), &event, out)?;
        // The data goes into the event, before the brace that ends it.
        out.truncate(out.len().saturating_sub(1));
        out.extend_from_slice(b",\"data\":");
        let data = plan.data(envelope);
        self.data.encode(topic, Some(&plan.data), &data, out)?;
        out.extend_from_slice(b"}");
        Ok(Encoded::Bytes)
    }

    fn decode(
        &mut self,
        _topic: &Arc<str>,
        _headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        match bytes {
            None => Ok((None, Value::Null)),
            Some(_) => Err(Error::data("CloudEvents can be written, but not be read yet")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::convert::Converter as _;

    fn event() -> (SchemaRef, Value) {
        let row = Schema::structure()
            .name("g.fx.t.Value")
            .optional()
            .field("a", Schema::int32().build())
            .build();
        let source = Schema::structure()
            .field("connector", Schema::string().build())
            .field("name", Schema::string().build())
            .field("ts_ms", Schema::int64().build())
            .field("sequence", Schema::string().optional().build())
            .field("txId", Schema::int64().optional().build())
            .field("lsn", Schema::int64().optional().build())
            .field("origin_lsn", Schema::int64().optional().build())
            .build();
        let schema = Schema::structure()
            .name("g.fx.t.Envelope")
            .field("before", row.clone())
            .field("after", row.clone())
            .field("source", source.clone())
            .field("op", Schema::string().build())
            .build();
        let source = Value::Struct(Struct::new(
            source,
            vec![
                "postgresql".into(),
                "g".into(),
                Value::Int64(1_795_406_999_555),
                "[null,\"8\"]".into(),
                Value::Int64(9),
                Value::Int64(8),
                Value::Null,
            ],
        ));
        let row = Value::Struct(Struct::new(row, vec![Value::Int32(1)]));
        let value = Value::Struct(Struct::new(
            schema.clone(),
            vec![Value::Null, row, source, "c".into()],
        ));
        (schema, value)
    }

    fn written(
        options: &[(&'static str, &'static str)],
        schema: &SchemaRef,
        value: &Value,
    ) -> Option<String> {
        let mut converter = Converter::new(&options.iter().copied().collect()).unwrap();
        let mut out = BytesMut::new();
        match converter
            .encode(&"t".into(), Some(schema), value, &mut out)
            .unwrap()
        {
            Encoded::Null => None,
            Encoded::Bytes => Some(String::from_utf8(out.to_vec()).unwrap()),
        }
    }

    #[test]
    fn a_change_is_an_event_with_its_source_as_extensions() {
        let (schema, value) = event();
        let options = [("json.schemas.enable", "false")];
        assert_eq!(
            written(&options, &schema, &value).unwrap(),
            r#"{"id":"name:g;lsn:8;txId:9;sequence:[null,\"8\"]","source":"/debezium/postgresql/g","specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent","time":"2026-11-23T04:09:59.555Z","datacontenttype":"application/json","iodebeziumop":"c","iodebeziumconnector":"postgresql","iodebeziumname":"g","iodebeziumtsms":"1795406999555","iodebeziumsequence":"[null,\"8\"]","iodebeziumtxId":"9","iodebeziumlsn":"8","iodebeziumoriginlsn":null,"iodebeziumtxid":null,"iodebeziumtxtotalorder":null,"iodebeziumtxdatacollectionorder":null,"data":{"before":null,"after":{"a":1}}}"#
        );
        let options = [("extension.attributes.enable", "false")];
        let text = written(&options, &schema, &value).unwrap();
        assert!(
            text.contains(r#""datacontenttype":"application/json","data":{"schema":{"#),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_change_event_has_no_bytes_and_what_is_not_there_is_refused() {
        let schema = Schema::structure()
            .name("io.debezium.connector.common.Heartbeat")
            .build();
        let value = Value::Struct(Struct::new(schema.clone(), Vec::new()));
        assert_eq!(written(&[], &schema, &value), None);
        for option in [("serializer.type", "avro"), ("metadata.source", "header")] {
            assert!(Converter::new(&Config::from_iter([option])).is_err());
        }
    }
}
