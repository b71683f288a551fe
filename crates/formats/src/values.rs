//! `org.apache.kafka.connect.data.Values`: values as text and back, as headers have them.
//!
//! Text is written much like JSON and read by guessing: a number is the narrowest type that holds it, what looks like a
//! date, a time or a timestamp is one, `[…]` and `{…}` become arrays and maps if every part of them can be read;
//! anything else is a string. Times are UTC.

mod parse;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use tapline_api::schema::logical;
use tapline_api::{Schema, SchemaRef, Type, Value};

pub use self::parse::parse;

use crate::calendar::{MILLIS_PER_DAY, date, time, timestamp};
use crate::java;
use crate::number::{push_decimal, push_double, push_float, push_integer};

/// The schemas of what is read, made once so that they keep their identity.
pub struct Schemas {
    string: SchemaRef,
    boolean: SchemaRef,
    int8: SchemaRef,
    int16: SchemaRef,
    int32: SchemaRef,
    int64: SchemaRef,
    float32: SchemaRef,
    float64: SchemaRef,
    date: SchemaRef,
    time: SchemaRef,
    timestamp: SchemaRef,
}

impl Schemas {
    /// One of each.
    pub fn new() -> Self {
        Self {
            string: Schema::string().build(),
            boolean: Schema::boolean().build(),
            int8: Schema::int8().build(),
            int16: Schema::int16().build(),
            int32: Schema::int32().build(),
            int64: Schema::int64().build(),
            float32: Schema::float32().build(),
            float64: Schema::float64().build(),
            date: Schema::int32().name(logical::DATE).version(1).build(),
            time: Schema::int32().name(logical::TIME).version(1).build(),
            timestamp: Schema::int64().name(logical::TIMESTAMP).version(1).build(),
        }
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a value as `Values.convertToString` prints it; `embedded` strings are quoted.
pub fn push_value(out: &mut BytesMut, schema: Option<&Schema>, value: &Value, embedded: bool) {
    let named = schema.and_then(Schema::name).map(|name| &**name);
    match (value, named) {
        (Value::Null, _) => out.extend_from_slice(b"null"),
        (Value::Int32(days), Some(logical::DATE)) => {
            push_date(out, i64::from(*days) * MILLIS_PER_DAY);
        }
        (Value::Int32(millis), Some(logical::TIME)) => push_date(out, i64::from(*millis)),
        (Value::Int64(millis), Some(logical::TIMESTAMP)) => push_date(out, *millis),
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
        (Value::String(text), _) => push_string(out, text, embedded),
        (Value::Bytes(bytes), _) => push_string(out, &STANDARD.encode(bytes), embedded),
        (Value::Array(items), _) => {
            let element = schema.and_then(Schema::value_schema).map(|s| &**s);
            out.extend_from_slice(b"[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                push_value(out, element, item, true);
            }
            out.extend_from_slice(b"]");
        }
        (Value::Map(entries), _) => {
            let key_schema = schema.and_then(Schema::key_schema).map(|s| &**s);
            let value_schema = schema.and_then(Schema::value_schema).map(|s| &**s);
            out.extend_from_slice(b"{");
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                push_value(out, key_schema, key, true);
                out.extend_from_slice(b":");
                push_value(out, value_schema, value, true);
            }
            out.extend_from_slice(b"}");
        }
        (Value::Struct(row), _) => {
            out.extend_from_slice(b"{");
            for (index, (field, value)) in row.schema().fields().iter().zip(row.values()).enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                push_string(out, field.name(), true);
                out.extend_from_slice(b":");
                let value = match (value, field.schema().default()) {
                    (Value::Null, Some(default)) => default,
                    (value, _) => value,
                };
                push_value(out, Some(field.schema()), value, true);
            }
            out.extend_from_slice(b"}");
        }
    }
}

fn push_string(out: &mut BytesMut, text: &str, embedded: bool) {
    if !embedded {
        return out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\"");
    for part in text.split_inclusive(['\\', '"']) {
        match part.strip_suffix(['\\', '"']) {
            Some(clean) => {
                let (_, last) = part.split_at(clean.len());
                out.extend_from_slice(clean.as_bytes());
                out.extend_from_slice(b"\\");
                out.extend_from_slice(last.as_bytes());
            }
            None => out.extend_from_slice(part.as_bytes()),
        }
    }
    out.extend_from_slice(b"\"");
}

/// As Java, which sees only an instant: before the second day it is a time, at midnight a date.
fn push_date(out: &mut BytesMut, millis: i64) {
    let text = if millis < MILLIS_PER_DAY {
        time(millis)
    } else if millis % MILLIS_PER_DAY == 0 {
        date(millis / MILLIS_PER_DAY)
    } else {
        timestamp(millis)
    };
    out.extend_from_slice(text.as_bytes());
}

/// What two types have in common, as the parts of an array or map are read: the wider number, or nothing.
fn common(previous: &SchemaRef, next: &SchemaRef) -> Option<SchemaRef> {
    let number = |kind| {
        matches!(
            kind,
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Float32 | Type::Float64
        )
    };
    let (a, b) = (previous.kind(), next.kind());
    if a == b {
        Some(next.clone())
    } else if number(a) && number(b) {
        // The constants stand in the order of their width.
        Some(if a > b { previous.clone() } else { next.clone() })
    } else {
        None
    }
}

/// A part of an array or map as the common type has it; `None` where that can't be.
fn align(schema: &Schema, value: Value) -> Option<Value> {
    #[expect(clippy::cast_precision_loss, reason = "as Java's number conversions do")]
    Some(match (schema.kind(), value) {
        (_, Value::Null) if !schema.is_optional() => return None,
        (Type::Int16, value @ (Value::Int8(_) | Value::Int16(_))) => {
            Value::Int16(i16::try_from(value.as_i64()?).ok()?)
        }
        (Type::Int32, value @ (Value::Int8(_) | Value::Int16(_) | Value::Int32(_))) => {
            Value::Int32(i32::try_from(value.as_i64()?).ok()?)
        }
        (Type::Float32, Value::Float32(n)) => Value::Float32(n),
        (Type::Float64, Value::Float32(n)) => Value::Float64(n.into()),
        (kind @ (Type::Int64 | Type::Float32 | Type::Float64), value) => match (kind, value.as_i64()) {
            (Type::Int64, Some(n)) => Value::Int64(n),
            (Type::Float32, Some(n)) => Value::Float32(n as f32),
            (Type::Float64, Some(n)) => Value::Float64(n as f64),
            _ => value,
        },
        (_, value) => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_inside_other_values_is_quoted_and_whole() {
        for (text, expected) in [
            ("", "\"\""),
            ("é", "\"é\""),
            ("Straß", "\"Straß\""),
            ("a\"é", "\"a\\\"é\""),
            ("漢\\", "\"漢\\\\\""),
        ] {
            let mut out = BytesMut::new();
            push_value(&mut out, None, &Value::from(text.to_owned()), true);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
