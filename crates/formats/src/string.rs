//! `org.apache.kafka.connect.storage.StringConverter`: a value's text, as Java's `toString` prints it.
//!
//! What Java prints as an address (byte arrays) is base64 here.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};
use tapline_api::convert::{self, Encoded};
use tapline_api::schema::logical;
use tapline_api::{Headers, Result, Schema, SchemaRef, Value};

use crate::calendar::{MILLIS_PER_DAY, java_date};
use crate::number::{push_decimal, push_double, push_float, push_integer};
use crate::{CONVERTER_TYPE, java};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    CONVERTER_TYPE,
    ConfigKey {
        width: Width::Medium,
        display: "Encoding",
        ..ConfigKey::new(
            "converter.encoding",
            Kind::String,
            "The character set of the bytes: UTF-8, ISO-8859-1 or US-ASCII.",
        )
        .default("UTF-8")
        .importance(Importance::High)
        .valid(Validator::Custom(check_encoding))
    },
]);

fn check_encoding(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Text(text) if Charset::named(text).is_none() => Some(format!(
            "Invalid value {text} for configuration {name}: the character set is not supported; use UTF-8, ISO-8859-1 or \
             US-ASCII"
        )),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
    Ascii,
}

impl Charset {
    /// By Java's names, in any case.
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "UTF8" | "UTF-8" => Self::Utf8,
            "ISO-8859-1" | "ISO8859_1" | "ISO8859-1" | "LATIN1" => Self::Latin1,
            "US-ASCII" | "ASCII" => Self::Ascii,
            _ => return None,
        })
    }
}

/// The converter. What is read has the schema of an optional string.
pub struct Converter {
    charset: Charset,
    schema: SchemaRef,
}

impl Converter {
    /// A converter from its options.
    pub fn new(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        if !config.contains(CONVERTER_TYPE.name) {
            config.set(CONVERTER_TYPE.name, "value");
        }
        let parsed = CONFIG.parse(&config)?;
        Ok(Self {
            charset: Charset::named(parsed.required("converter.encoding")?).unwrap_or(Charset::Utf8),
            schema: Schema::string().optional().build(),
        })
    }
}

impl convert::Converter for Converter {
    fn encode(
        &mut self,
        _topic: &Arc<str>,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded> {
        if value.is_null() {
            return Ok(Encoded::Null);
        }
        match self.charset {
            Charset::Utf8 => push_text(schema.map(|s| &**s), value, out),
            charset => {
                let mut text = BytesMut::new();
                push_text(schema.map(|s| &**s), value, &mut text);
                let limit = if charset == Charset::Ascii { 0x80 } else { 0x100 };
                // As Java does, what the character set lacks becomes a question mark.
                out.extend(String::from_utf8_lossy(&text).chars().map(|c| {
                    u8::try_from(u32::from(c))
                        .ok()
                        .filter(|byte| u32::from(*byte) < limit)
                        .unwrap_or(b'?')
                }));
            }
        }
        Ok(Encoded::Bytes)
    }

    fn decode(
        &mut self,
        _topic: &Arc<str>,
        _headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        let schema = Some(self.schema.clone());
        let Some(bytes) = bytes else {
            return Ok((schema, Value::Null));
        };
        let text = match self.charset {
            Charset::Utf8 => utf8(bytes),
            Charset::Latin1 => bytes.iter().copied().map(char::from).collect::<String>().into(),
            Charset::Ascii => bytes
                .iter()
                .map(|byte| {
                    if byte.is_ascii() {
                        char::from(*byte)
                    } else {
                        char::REPLACEMENT_CHARACTER
                    }
                })
                .collect::<String>()
                .into(),
        };
        Ok((schema, Value::String(text)))
    }
}

/// Bytes as text without a copy; what is no UTF-8 becomes U+FFFD, as in Java.
pub(crate) fn utf8(bytes: Bytes) -> ByteString {
    match ByteString::try_from(bytes.clone()) {
        Ok(text) => text,
        Err(_) => match String::from_utf8_lossy(&bytes) {
            Cow::Owned(text) => ByteString::from(text),
            Cow::Borrowed(text) => ByteString::from(text),
        },
    }
}

/// Appends a value as `toString` prints it.
fn push_text(schema: Option<&Schema>, value: &Value, out: &mut BytesMut) {
    let named = schema.and_then(Schema::name).map(|name| &**name);
    match (value, named) {
        (Value::Null, _) => out.extend_from_slice(b"null"),
        (Value::Int32(days), Some(logical::DATE)) => {
            out.extend_from_slice(java_date(i64::from(*days) * MILLIS_PER_DAY).as_bytes());
        }
        (Value::Int32(millis), Some(logical::TIME)) => {
            out.extend_from_slice(java_date(i64::from(*millis)).as_bytes());
        }
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => {
            out.extend_from_slice(java_date(*millis).as_bytes());
        }
        (Value::Bytes(unscaled), Some(logical::DECIMAL)) => {
            push_decimal(out, unscaled, java::scale(schema));
        }
        (Value::Int8(n), _) => push_integer(out, *n),
        (Value::Int16(n), _) => push_integer(out, *n),
        (Value::Int32(n), _) => push_integer(out, *n),
        (Value::Int64(n), _) => push_integer(out, *n),
        (Value::Float32(n), _) => push_float(out, *n),
        (Value::Float64(n), _) => push_double(out, *n),
        (Value::Boolean(b), _) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        (Value::String(text), _) => out.extend_from_slice(text.as_bytes()),
        (Value::Bytes(bytes), _) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        (Value::Array(items), _) => {
            let element = schema.and_then(Schema::value_schema).map(|s| &**s);
            out.extend_from_slice(b"[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                push_text(element, item, out);
            }
            out.extend_from_slice(b"]");
        }
        (Value::Map(entries), _) => {
            let key_schema = schema.and_then(Schema::key_schema).map(|s| &**s);
            let value_schema = schema.and_then(Schema::value_schema).map(|s| &**s);
            out.extend_from_slice(b"{");
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                push_text(key_schema, key, out);
                out.extend_from_slice(b"=");
                push_text(value_schema, value, out);
            }
            out.extend_from_slice(b"}");
        }
        (Value::Struct(row), _) => {
            out.extend_from_slice(b"Struct{");
            let mut first = true;
            for (field, value) in row.schema().fields().iter().zip(row.values()) {
                if value.is_null() {
                    continue;
                }
                if !first {
                    out.extend_from_slice(b",");
                }
                first = false;
                out.extend_from_slice(field.name().as_bytes());
                out.extend_from_slice(b"=");
                push_text(Some(field.schema()), value, out);
            }
            out.extend_from_slice(b"}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Struct;
    use tapline_api::convert::Converter as _;

    fn text(schema: Option<&SchemaRef>, value: &Value) -> String {
        let mut out = BytesMut::new();
        Converter::new(&Config::new())
            .unwrap()
            .encode(&Arc::from("t"), schema, value, &mut out)
            .unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_printed_as_java_prints_them() {
        let schema = Schema::structure()
            .field("id", Schema::int32().build())
            .field("gone", Schema::string().optional().build())
            .field(
                "amount",
                Schema::bytes()
                    .name(logical::DECIMAL)
                    .parameter("scale", "2")
                    .build(),
            )
            .field("at", Schema::int64().name(logical::TIMESTAMP).build())
            .build();
        let row = Value::Struct(Struct::new(
            schema.clone(),
            vec![
                Value::Int32(1),
                Value::Null,
                Value::Bytes(Bytes::from_static(&[0x04, 0xd2])),
                Value::Int64(0),
            ],
        ));
        assert_eq!(
            text(Some(&schema), &row),
            "Struct{id=1,amount=12.34,at=Thu Jan 01 00:00:00 UTC 1970}"
        );
        let map = Value::Map(vec![(
            "k".into(),
            Value::Array(vec![Value::Float64(1e10), Value::Null]),
        )]);
        assert_eq!(text(None, &map), "{k=[1.0E10, null]}");
    }

    #[test]
    fn other_character_sets_replace_what_they_lack() {
        let latin = Config::from_iter([("converter.encoding", "ISO-8859-1")]);
        let mut converter = Converter::new(&latin).unwrap();
        let topic = Arc::from("t");
        let mut out = BytesMut::new();
        converter.encode(&topic, None, &"aé漢".into(), &mut out).unwrap();
        assert_eq!(&out[..], b"a\xe9?");
        let read = converter
            .decode(&topic, &Headers::default(), Some(out.freeze()))
            .unwrap();
        assert_eq!(read.1, "aé?".into());
        assert!(Converter::new(&Config::from_iter([("converter.encoding", "KOI8-R")])).is_err());
    }

    #[test]
    fn text_is_read_without_a_copy_and_broken_text_is_replaced() {
        assert_eq!(utf8(Bytes::from_static(b"ok")), "ok");
        assert_eq!(utf8(Bytes::from_static(b"a\xff")), "a\u{fffd}");
    }
}
