//! Values as text that Postgres reads: for types without a binary form of ours, for arrays, and for defaults.

use std::fmt::Write;

use tapline_api::{Struct, Value};

use super::kind::Kind;
use crate::digits::{bit, bit_width, decimal, hex};
use crate::misfit::Misfit;
use crate::time;

/// Appends a value that is not null.
pub(super) fn push(kind: &Kind, value: &Value, out: &mut String) -> Result<(), Misfit> {
    let start = out.len();
    match (kind, value) {
        (Kind::Array(element), Value::Array(items)) => array(element, items, out)?,
        (Kind::Hstore, Value::Map(entries)) => {
            for (i, (key, value)) in entries.iter().enumerate() {
                let key = key.as_str().ok_or(Misfit)?;
                hstore_pair(i, key, value.as_str(), out);
            }
        }
        (Kind::HstoreJson, Value::String(text)) => hstore_of_json(text, out)?,
        (Kind::Vector(_), Value::Array(items)) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                comma(i, out);
                float(item, out)?;
            }
            out.push(']');
        }
        (Kind::SparseVector(_), Value::Struct(vector)) => sparse_vector(vector, out)?,
        (Kind::Geometry(_), Value::Struct(shape)) => geometry(shape, out)?,
        (Kind::Point, Value::Struct(point)) => {
            out.push('(');
            float(point.get("x").ok_or(Misfit)?, out)?;
            out.push(',');
            float(point.get("y").ok_or(Misfit)?, out)?;
            out.push(')');
        }
        (Kind::Boolean, Value::Boolean(b)) => out.push_str(if *b { "true" } else { "false" }),
        (Kind::Bit, Value::Boolean(b)) => out.push(if *b { '1' } else { '0' }),
        (Kind::Float32 | Kind::Float64, value) => float(value, out)?,
        (Kind::Bytes, Value::Bytes(bytes)) => {
            out.push_str("\\x");
            hex(bytes, out);
        }
        (Kind::Decimal { scale, .. }, Value::Bytes(bytes)) => decimal(bytes, *scale, out),
        (Kind::VariableDecimal, Value::Struct(number)) => {
            let scale = number.get("scale").and_then(Value::as_i64).ok_or(Misfit)?;
            match number.get("value") {
                Some(Value::Bytes(bytes)) => decimal(bytes, i32::try_from(scale).map_err(|_| Misfit)?, out),
                _ => return Err(Misfit),
            }
        }
        (Kind::Date, value) => {
            let days = value
                .as_i64()
                .and_then(|days| i32::try_from(days).ok())
                .and_then(time::date);
            time::push_date(days.ok_or(Misfit)?, out);
        }
        (Kind::Time(unit, _), value) => {
            let micros = value.as_i64().and_then(|n| time::time(n, *unit));
            time::push_time(micros.ok_or(Misfit)?, out);
        }
        (Kind::Timestamp(unit, _), value) => {
            let micros = value.as_i64().and_then(|n| time::timestamp(n, *unit));
            time::push_timestamp(micros.ok_or(Misfit)?, out);
        }
        (Kind::Interval, value) => {
            let micros = value.as_i64().ok_or(Misfit)?;
            let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
            print(
                out,
                format_args!("{sign}{}.{:06} seconds", micros / 1_000_000, micros % 1_000_000),
            );
        }
        (Kind::Bits { length, .. }, Value::Bytes(bytes)) => {
            let width = bit_width(bytes, *length);
            out.extend((0..width).rev().map(|i| if bit(bytes, i) { '1' } else { '0' }));
        }
        (_, Value::String(text)) => out.push_str(text),
        (Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Oid | Kind::Serial(_), value) => {
            print(out, format_args!("{}", value.as_i64().ok_or(Misfit)?));
        }
        _ => {
            out.truncate(start);
            return Err(Misfit);
        }
    }
    Ok(())
}

fn print(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

fn comma(i: usize, out: &mut String) {
    if i > 0 {
        out.push(',');
    }
}

fn float(value: &Value, out: &mut String) -> Result<(), Misfit> {
    match value {
        Value::Float32(n) if n.is_finite() => print(out, format_args!("{n:e}")),
        Value::Float64(n) if n.is_finite() => print(out, format_args!("{n:e}")),
        Value::Float32(n) => not_finite(f64::from(*n), out),
        Value::Float64(n) => not_finite(*n, out),
        value => print(out, format_args!("{}", value.as_i64().ok_or(Misfit)?)),
    }
    Ok(())
}

fn not_finite(n: f64, out: &mut String) {
    out.push_str(match n {
        n if n.is_nan() => "NaN",
        n if n < 0.0 => "-Infinity",
        _ => "Infinity",
    });
}

/// `{1,NULL,"a\"b"}`; what is not an array itself is quoted.
fn array(element: &Kind, items: &[Value], out: &mut String) -> Result<(), Misfit> {
    out.push('{');
    for (i, item) in items.iter().enumerate() {
        comma(i, out);
        match (element, item) {
            (_, Value::Null) => out.push_str("NULL"),
            (Kind::Array(_), item) => push(element, item, out)?,
            (element, item) => {
                let mut text = String::new();
                push(element, item, &mut text)?;
                quoted(&text, out);
            }
        }
    }
    out.push('}');
    Ok(())
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn hstore_pair(i: usize, key: &str, value: Option<&str>, out: &mut String) {
    comma(i, out);
    quoted(key, out);
    out.push_str("=>");
    match value {
        Some(value) => quoted(value, out),
        None => out.push_str("NULL"),
    }
}

fn hstore_of_json(text: &str, out: &mut String) -> Result<(), Misfit> {
    let pairs: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| Misfit)?;
    for (i, (key, value)) in pairs.iter().enumerate() {
        hstore_pair(i, key, value.as_str(), out);
    }
    Ok(())
}

/// pgvector's `{1:0.5,3:2}/25`.
fn sparse_vector(vector: &Struct, out: &mut String) -> Result<(), Misfit> {
    let dimensions = vector.get("dimensions").and_then(Value::as_i64).ok_or(Misfit)?;
    let Some(Value::Map(entries)) = vector.get("vector") else {
        return Err(Misfit);
    };
    out.push('{');
    for (i, (index, value)) in entries.iter().enumerate() {
        comma(i, out);
        print(out, format_args!("{}:", index.as_i64().ok_or(Misfit)?));
        float(value, out)?;
    }
    print(out, format_args!("}}/{dimensions}"));
    Ok(())
}

/// PostGIS reads hexadecimal EWKB: WKB with the SRID behind the type, as a flag in the type says.
fn geometry(shape: &Struct, out: &mut String) -> Result<(), Misfit> {
    const HAS_SRID: u32 = 0x2000_0000;
    let Some(Value::Bytes(wkb)) = shape.get("wkb") else {
        return Err(Misfit);
    };
    let srid = shape
        .get("srid")
        .and_then(Value::as_i64)
        .and_then(|srid| u32::try_from(srid).ok());
    let (order, kind, rest) = match wkb.split_at_checked(5) {
        Some(([order, kind @ ..], rest)) => (*order, <[u8; 4]>::try_from(kind).map_err(|_| Misfit)?, rest),
        _ => return Err(Misfit),
    };
    let little = order == 1;
    let code = if little {
        u32::from_le_bytes(kind)
    } else {
        u32::from_be_bytes(kind)
    };
    let Some(srid) = srid.filter(|_| code & HAS_SRID == 0) else {
        hex(wkb, out);
        return Ok(());
    };
    let bytes = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    hex(&[order], out);
    hex(&bytes(code | HAS_SRID), out);
    hex(&bytes(srid), out);
    hex(rest, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tapline_api::Schema;

    fn text(kind: Kind, value: Value) -> String {
        let mut out = String::new();
        match push(&kind, &value, &mut out) {
            Ok(()) => out,
            Err(Misfit) => "misfit".to_owned(),
        }
    }

    fn structure(fields: Vec<(&str, Value)>) -> Value {
        let mut schema = Schema::structure();
        for (name, _) in &fields {
            schema = schema.field(*name, Schema::string().build());
        }
        Value::Struct(Struct::new(
            schema.build(),
            fields.into_iter().map(|(_, value)| value).collect(),
        ))
    }

    #[test]
    fn values_are_written_as_postgres_reads_them() {
        let bytes = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
        for (kind, value, expected) in [
            (Kind::Int32, Value::Int32(-7), "-7"),
            (Kind::Float64, Value::Float64(0.1), "1e-1"),
            (Kind::Float32, Value::Float32(f32::NEG_INFINITY), "-Infinity"),
            (Kind::Bytes, bytes(&[0, 255]), "\\x00ff"),
            (
                Kind::Decimal {
                    precision: 0,
                    scale: 2,
                },
                bytes(&[0x85]),
                "-1.23",
            ),
            (
                Kind::Decimal {
                    precision: 0,
                    scale: -2,
                },
                bytes(&[1]),
                "1e2",
            ),
            (Kind::Interval, Value::Int64(-1_500_000), "-1.500000 seconds"),
            (
                Kind::Bits {
                    length: 5,
                    varying: false,
                },
                bytes(&[0b0000_0110]),
                "00110",
            ),
            (
                Kind::Bits {
                    length: 0,
                    varying: true,
                },
                bytes(&[1, 1]),
                "100000001",
            ),
            (Kind::Date, Value::Int32(0), "1970-01-01"),
            (Kind::Named("inet".into()), "::1".into(), "::1"),
            (Kind::Int32, "x".into(), "x"),
            (Kind::Boolean, Value::Int32(1), "misfit"),
        ] {
            assert_eq!(text(kind, value), expected);
        }
    }

    #[test]
    fn arrays_quote_what_they_hold() {
        let texts = Kind::Array(Box::new(Kind::Text(None)));
        let value = Value::Array(vec!["a\"b\\c".into(), Value::Null, "NULL".into()]);
        assert_eq!(text(texts, value), r#"{"a\"b\\c",NULL,"NULL"}"#);
        let nested = Kind::Array(Box::new(Kind::Array(Box::new(Kind::Int32))));
        let row = |n| Value::Array(vec![Value::Int32(n)]);
        assert_eq!(
            text(nested, Value::Array(vec![row(1), row(2)])),
            r#"{{"1"},{"2"}}"#
        );
    }

    #[test]
    fn maps_vectors_and_shapes_have_their_own_forms() {
        let map = Value::Map(vec![("k\"".into(), "v".into()), ("l".into(), Value::Null)]);
        assert_eq!(text(Kind::Hstore, map), r#""k\""=>"v","l"=>NULL"#);
        assert_eq!(
            text(Kind::HstoreJson, r#"{"a":"1","b":null}"#.into()),
            r#""a"=>"1","b"=>NULL"#
        );
        let vector = Value::Array(vec![Value::Float64(1.0), Value::Float64(0.5)]);
        assert_eq!(text(Kind::Vector("vector".into()), vector), "[1e0,5e-1]");
        let sparse = structure(vec![
            ("dimensions", Value::Int16(9)),
            ("vector", Value::Map(vec![(Value::Int16(3), Value::Float64(2.0))])),
        ]);
        assert_eq!(text(Kind::SparseVector(String::new()), sparse), "{3:2e0}/9");
        let wkb = Value::Bytes(Bytes::from_static(&[1, 1, 0, 0, 0, 0xaa]));
        let shape = structure(vec![("wkb", wkb), ("srid", Value::Int32(4326))]);
        assert_eq!(text(Kind::Geometry(String::new()), shape), "0101000020e6100000aa");
    }
}
