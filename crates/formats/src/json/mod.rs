//! `org.apache.kafka.connect.json.JsonConverter`.
//!
//! Encoding is the hot path of a source and decoding that of a sink; both go by plans that are compiled once per
//! schema. With schemas, every message begins with its whole schema as JSON: it is rendered once and copied, and when
//! read it is compared with the bytes of the messages before instead of being parsed again.

mod decode;
mod encode;
mod fault;
mod message;
mod reader;
mod repeated;
mod schema;
pub(crate) mod text;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator, Width};
use tapline_api::convert::{self, Encoded};
use tapline_api::{Headers, Result, SchemaRef, Value};

use self::encode::Plan;
use self::message::Messages;
use crate::CONVERTER_TYPE;

/// The options, as Kafka Connect 4.3 defines them.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    CONVERTER_TYPE,
    ConfigKey::new(
        "schemas.enable",
        Kind::Boolean,
        "Whether each key and value carries its schema: an object of schema and payload instead of the payload alone.",
    )
    .default("true")
    .importance(Importance::High)
    .form("Schemas", 0, Width::Medium, "Enable Schemas"),
    ConfigKey::new(
        "schemas.cache.size",
        Kind::Int,
        "How many schemas the converter remembers in each direction.",
    )
    .default("1000")
    .importance(Importance::High)
    .form("Schemas", 1, Width::Medium, "Schema Cache Size"),
    ConfigKey::new(
        "schema.content",
        Kind::String,
        "A schema as JSON for every message read, which then holds the payload alone. Only with schemas.enable, and only \
         for sinks.",
    )
    .importance(Importance::High)
    .form("Schemas", 2, Width::Medium, "Schema Content"),
    ConfigKey::new(
        "decimal.format",
        Kind::String,
        "How a Decimal is written: BASE64, its unscaled bytes, or NUMERIC, a JSON number. Both are read.",
    )
    .default("BASE64")
    .valid(Validator::OneOfIgnoringCase(&["BASE64", "NUMERIC"]))
    .form("Serialization", 0, Width::Medium, "Decimal Format"),
    ConfigKey::new(
        "replace.null.with.default",
        Kind::Boolean,
        "Whether null in a field that has a default becomes that default, in both directions.",
    )
    .default("true")
    .form("Serialization", 1, Width::Medium, "Replace null with default"),
]);

/// What plans are compiled for.
#[derive(Clone, Copy)]
struct Options {
    schemas: bool,
    /// `decimal.format` is NUMERIC.
    numeric: bool,
    replace_null: bool,
}

/// The converter; see the module's documentation.
pub struct Converter {
    options: Options,
    plans: Cache<u64, Plan>,
    messages: Messages,
}

impl Converter {
    /// A converter from its options, `converter.type` among them or not.
    pub fn new(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        if !config.contains(CONVERTER_TYPE.name) {
            config.set(CONVERTER_TYPE.name, "value");
        }
        let parsed = CONFIG.parse(&config)?;
        let options = Options {
            schemas: parsed.boolean("schemas.enable")?,
            numeric: parsed.required("decimal.format")?.eq_ignore_ascii_case("NUMERIC"),
            replace_null: parsed.boolean("replace.null.with.default")?,
        };
        let limit = parsed.count("schemas.cache.size")?;
        let content = parsed.text("schema.content").filter(|text| !text.is_empty());
        Ok(Self {
            options,
            plans: Cache::new(limit),
            messages: Messages::new(options, limit, content)?,
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
        let written = match schema {
            None if value.is_null() => return Ok(Encoded::Null),
            Some(schema) => self
                .plans
                .get_or_make(schema.id(), || Plan::compile(schema, self.options))
                .and_then(|plan| plan.encode(value, out)),
            None if self.options.schemas => {
                out.extend_from_slice(b"{\"schema\":null,\"payload\":");
                let written = encode::write_schemaless(value, out);
                out.extend_from_slice(b"}");
                written
            }
            None => encode::write_schemaless(value, out),
        };
        match written {
            Ok(()) => Ok(Encoded::Bytes),
            Err(fault) => Err(fault.into_error(topic)),
        }
    }

    fn ignore(&mut self, fields: &'static [&'static str]) {
        self.messages.ignore(fields);
    }

    fn decode(
        &mut self,
        topic: &Arc<str>,
        _headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        match bytes {
            None => Ok((None, Value::Null)),
            Some(bytes) => self.messages.read(bytes).map_err(|fault| fault.into_error(topic)),
        }
    }
}
