//! Arrays and maps as JSON text, for databases that have no type for them.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tapline_api::{Schema, Value};

use crate::digits;
use crate::meaning::Meaning;
use crate::time;

/// Appends a value as JSON: dates and times as ISO 8601, decimals as numbers with all their digits, bytes in base64.
pub(crate) fn push(value: &Value, schema: Option<&Schema>, out: &mut String) {
    let start = out.len();
    let meaning = schema.map(Meaning::of);
    if meaning.is_some_and(|meaning| semantic(&meaning, value, out).is_some()) {
        return;
    }
    out.truncate(start);
    let element = || schema.and_then(Schema::value_schema).map(|element| &**element);
    match value {
        Value::Null => out.push_str("null"),
        Value::Int8(n) => print(out, format_args!("{n}")),
        Value::Int16(n) => print(out, format_args!("{n}")),
        Value::Int32(n) => print(out, format_args!("{n}")),
        Value::Int64(n) => print(out, format_args!("{n}")),
        Value::Float32(n) if n.is_finite() => print(out, format_args!("{n:e}")),
        Value::Float64(n) if n.is_finite() => print(out, format_args!("{n:e}")),
        Value::Float32(n) => text(&n.to_string(), out),
        Value::Float64(n) => text(&n.to_string(), out),
        Value::Boolean(b) => print(out, format_args!("{b}")),
        Value::String(value) => text(value, out),
        Value::Bytes(bytes) => text(&STANDARD.encode(bytes), out),
        Value::Array(items) => list(out, ['[', ']'], items, |item, out| push(item, element(), out)),
        Value::Map(entries) => list(out, ['{', '}'], entries, |(key, value), out| {
            match key.as_str() {
                Some(key) => text(key, out),
                None => {
                    let mut rendered = String::new();
                    push(key, None, &mut rendered);
                    text(&rendered, out);
                }
            }
            out.push(':');
            push(value, element(), out);
        }),
        Value::Struct(row) => {
            let fields: Vec<_> = row.schema().fields().iter().zip(row.values()).collect();
            list(out, ['{', '}'], &fields, |(field, value), out| {
                text(field.name(), out);
                out.push(':');
                push(value, Some(field.schema()), out);
            });
        }
    }
}

fn print(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

fn text(value: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(value).to_string());
}

fn list<T>(out: &mut String, [open, close]: [char; 2], items: &[T], each: impl Fn(&T, &mut String)) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(item, out);
    }
    out.push(close);
}

fn semantic(meaning: &Meaning, value: &Value, out: &mut String) -> Option<()> {
    match (meaning, value) {
        (Meaning::Decimal { scale, .. }, Value::Bytes(bytes)) => digits::decimal(bytes, *scale, out),
        (Meaning::VariableDecimal, Value::Struct(number)) => {
            let scale = number.get("scale").and_then(Value::as_i64)?;
            let Some(Value::Bytes(bytes)) = number.get("value") else {
                return None;
            };
            digits::decimal(bytes, i32::try_from(scale).ok()?, out);
        }
        (Meaning::Json, Value::String(json)) => {
            serde_json::from_str::<serde::de::IgnoredAny>(json).ok()?;
            out.push_str(json);
        }
        (Meaning::Date, value) => {
            out.push('"');
            time::push_iso_date(value.as_i64()?, out)?;
            out.push('"');
        }
        (Meaning::Time(unit), value) => {
            out.push('"');
            time::push_time(time::micros(value.as_i64()?, *unit)?, out);
            out.push('"');
        }
        (Meaning::Timestamp(unit), value) => {
            let mut stamp = String::new();
            time::push_iso_timestamp(time::micros(value.as_i64()?, *unit)?, &mut stamp)?;
            print(out, format_args!("\"{}\"", stamp.replacen(' ', "T", 1)));
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tapline_api::schema::logical;

    fn json(value: &Value, schema: &Schema) -> String {
        let mut out = String::new();
        push(value, Some(schema), &mut out);
        out
    }

    #[test]
    fn what_is_nested_keeps_its_meaning() {
        let days = Schema::array(Schema::int32().name(logical::DATE).build()).build();
        let value = Value::Array(vec![Value::Int32(0), Value::Null]);
        assert_eq!(json(&value, &days), r#"["1970-01-01",null]"#);
        let map = Schema::map(Schema::string().build(), Schema::bytes().build()).build();
        let value = Value::Map(vec![("k\"".into(), Value::Bytes(Bytes::from_static(b"ab")))]);
        assert_eq!(json(&value, &map), r#"{"k\"":"YWI="}"#);
        assert_eq!(json(&Value::Float32(0.1), &Schema::float32().build()), "1e-1");
        let decimal = Schema::bytes()
            .name(logical::DECIMAL)
            .parameter("scale", "2")
            .build();
        assert_eq!(
            json(&Value::Bytes(Bytes::from_static(&[0x85])), &decimal),
            "-1.23"
        );
    }
}
