//! Values in Postgres' binary form, as elements of an array.
//!
//! An element is its length (-1 for null) and its bytes, written straight from the value into its column's buffer:
//! no allocation, no trait object, one `match` per value.

use bytes::{BufMut, BytesMut};
use tapline_api::{Schema, Struct, Value};
use tokio_postgres::types::Type;

use super::kind::Kind;
use super::numeric;
use super::text;
use crate::digits;
use crate::misfit::Misfit;
use crate::time::{self, Unit};

/// How a value is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Text,
    Bytea,
    /// Of this scale.
    Decimal(i32),
    /// A struct; the places of its scale and its value.
    VariableDecimal(usize, usize),
    Date,
    Time(Unit),
    Timestamp(Unit),
    TimestampTz,
    TimeTz,
    Interval,
    /// Of this length, or of any.
    Bits(u32),
    BitOfBool,
    Json,
    Jsonb,
    Uuid,
    /// A struct; the places of x and y.
    Point(usize, usize),
    /// As text, which the statement casts.
    Rendered(Box<Kind>),
}

impl Wire {
    /// The natural form of a kind, with its element type.
    pub(super) fn natural(kind: &Kind, schema: &Schema) -> (Self, Type) {
        let place = |name: &str| schema.field_index(name).unwrap_or(usize::MAX);
        match kind {
            Kind::Boolean => (Self::Bool, Type::BOOL),
            Kind::Int16 => (Self::Int2, Type::INT2),
            Kind::Int32 => (Self::Int4, Type::INT4),
            Kind::Int64 | Kind::Serial(_) => (Self::Int8, Type::INT8),
            Kind::Oid => (Self::Oid, Type::OID),
            Kind::Float32 => (Self::Float4, Type::FLOAT4),
            Kind::Float64 => (Self::Float8, Type::FLOAT8),
            Kind::Text(_) => (Self::Text, Type::TEXT),
            Kind::Bytes => (Self::Bytea, Type::BYTEA),
            Kind::Decimal { scale, .. } => (Self::Decimal(*scale), Type::NUMERIC),
            Kind::VariableDecimal => (
                Self::VariableDecimal(place("scale"), place("value")),
                Type::NUMERIC,
            ),
            Kind::Date => (Self::Date, Type::DATE),
            Kind::Time(unit, _) => (Self::Time(*unit), Type::TIME),
            Kind::Timestamp(unit, _) => (Self::Timestamp(*unit), Type::TIMESTAMP),
            Kind::ZonedTime(_) => (Self::TimeTz, Type::TIMETZ),
            Kind::ZonedTimestamp(_) => (Self::TimestampTz, Type::TIMESTAMPTZ),
            Kind::Interval => (Self::Interval, Type::INTERVAL),
            Kind::Bits { length, .. } => (Self::Bits(*length), Type::VARBIT),
            Kind::Bit => (Self::BitOfBool, Type::VARBIT),
            Kind::Json => (Self::Json, Type::JSON),
            Kind::Jsonb => (Self::Jsonb, Type::JSONB),
            Kind::Uuid => (Self::Uuid, Type::UUID),
            Kind::Point => (Self::Point(place("x"), place("y")), Type::POINT),
            Kind::HstoreJson
            | Kind::Hstore
            | Kind::Geometry(_)
            | Kind::Vector(_)
            | Kind::SparseVector(_)
            | Kind::Named(_)
            | Kind::Array(_) => (Self::Rendered(Box::new(kind.clone())), Type::TEXT),
        }
    }

    /// Appends an element.
    #[inline]
    pub(super) fn put(&self, value: &Value, out: &mut BytesMut) -> Result<(), Misfit> {
        match (self, value) {
            (_, Value::Null) => out.put_i32(-1),
            (Self::Int8, value) => {
                out.put_i32(8);
                out.put_i64(value.as_i64().ok_or(Misfit)?);
            }
            (Self::Int4, value) => {
                out.put_i32(4);
                out.put_i32(integer(value)?);
            }
            (Self::Text | Self::Json, Value::String(text)) => put_bytes(text.as_bytes(), out)?,
            (Self::Bool, Value::Boolean(b)) => {
                out.put_i32(1);
                out.put_u8(u8::from(*b));
            }
            (Self::Int2, value) => {
                out.put_i32(2);
                out.put_i16(integer(value)?);
            }
            (Self::Oid, value) => {
                out.put_i32(4);
                out.put_u32(integer(value)?);
            }
            (Self::Float4, Value::Float32(n)) => {
                out.put_i32(4);
                out.put_f32(*n);
            }
            (Self::Float8, Value::Float64(n)) => {
                out.put_i32(8);
                out.put_f64(*n);
            }
            (Self::Float8, Value::Float32(n)) => {
                out.put_i32(8);
                out.put_f64(f64::from(*n));
            }
            (Self::Bytea, Value::Bytes(bytes)) => put_bytes(bytes, out)?,
            (Self::Decimal(scale), Value::Bytes(bytes)) => {
                sized(out, |out| numeric::put(bytes, *scale, out))?;
            }
            (Self::VariableDecimal(scale, number), Value::Struct(row)) => {
                let scale = row.at(*scale).ok_or(Misfit).and_then(integer)?;
                let Some(Value::Bytes(bytes)) = row.at(*number) else {
                    return Err(Misfit);
                };
                sized(out, |out| numeric::put(bytes, scale, out))?;
            }
            (Self::Date, value) => {
                out.put_i32(4);
                out.put_i32(time::date(integer(value)?).ok_or(Misfit)?);
            }
            (Self::Time(unit), value) => {
                let micros = value.as_i64().and_then(|n| time::time(n, *unit));
                out.put_i32(8);
                out.put_i64(micros.ok_or(Misfit)?);
            }
            (Self::Timestamp(unit), value) => {
                let micros = value.as_i64().and_then(|n| time::timestamp(n, *unit));
                out.put_i32(8);
                out.put_i64(micros.ok_or(Misfit)?);
            }
            (Self::TimestampTz, Value::String(text)) => {
                out.put_i32(8);
                out.put_i64(time::zoned_timestamp(text).ok_or(Misfit)?);
            }
            (Self::TimeTz, Value::String(text)) => {
                let (micros, west) = time::zoned_time(text).ok_or(Misfit)?;
                out.put_i32(12);
                out.put_i64(micros);
                out.put_i32(west);
            }
            (Self::Interval, value) => {
                out.put_i32(16);
                out.put_i64(value.as_i64().ok_or(Misfit)?);
                // Days and months.
                out.put_i64(0);
            }
            (Self::Bits(length), Value::Bytes(bytes)) => put_bits(bytes, *length, out)?,
            (Self::BitOfBool, Value::Boolean(b)) => {
                out.put_i32(5);
                out.put_i32(1);
                out.put_u8(if *b { 0x80 } else { 0 });
            }
            (Self::Jsonb, Value::String(text)) => {
                out.put_i32(length(text.len() + 1)?);
                // The version of the form.
                out.put_u8(1);
                out.extend_from_slice(text.as_bytes());
            }
            (Self::Uuid, Value::String(text)) => {
                out.put_i32(16);
                out.put_u128(uuid(text).ok_or(Misfit)?);
            }
            (Self::Point(x, y), Value::Struct(point)) => {
                out.put_i32(16);
                out.put_f64(coordinate(point, *x)?);
                out.put_f64(coordinate(point, *y)?);
            }
            (Self::Rendered(kind), value) => {
                let mut rendered = String::new();
                text::push(kind, value, &mut rendered)?;
                put_bytes(rendered.as_bytes(), out)?;
            }
            _ => return Err(Misfit),
        }
        Ok(())
    }
}

fn integer<N: TryFrom<i64>>(value: &Value) -> Result<N, Misfit> {
    value.as_i64().and_then(|n| N::try_from(n).ok()).ok_or(Misfit)
}

fn length(bytes: usize) -> Result<i32, Misfit> {
    i32::try_from(bytes).map_err(|_| Misfit)
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) -> Result<(), Misfit> {
    out.put_i32(length(bytes.len())?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes what comes with its length before it.
fn sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Result<(), Misfit> {
    let start = out.len();
    out.put_i32(0);
    write(out);
    let size = length(out.len() - start - 4)?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
    Ok(())
}

/// Postgres' bits begin with the highest.
fn put_bits(bytes: &[u8], limit: u32, out: &mut BytesMut) -> Result<(), Misfit> {
    let width = digits::bit_width(bytes, limit);
    out.put_i32(length(4 + width.div_ceil(8))?);
    out.put_i32(length(width)?);
    for start in (0..width).step_by(8) {
        let mut byte = 0;
        for i in start..(start + 8).min(width) {
            if digits::bit(bytes, width - 1 - i) {
                byte |= 0x80 >> (i - start);
            }
        }
        out.put_u8(byte);
    }
    Ok(())
}

/// With or without dashes.
fn uuid(text: &str) -> Option<u128> {
    let mut value: u128 = 0;
    let mut count = 0;
    for byte in text.bytes() {
        let digit = match byte {
            b'-' => continue,
            byte => char::from(byte).to_digit(16)?,
        };
        value = value << 4 | u128::from(digit);
        count += 1;
    }
    (count == 32).then_some(value)
}

fn coordinate(point: &Struct, place: usize) -> Result<f64, Misfit> {
    match point.at(place) {
        Some(Value::Float64(n)) => Ok(*n),
        Some(Value::Float32(n)) => Ok(f64::from(*n)),
        _ => Err(Misfit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tokio_postgres::types::FromSql;

    fn put(wire: &Wire, value: &Value) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        wire.put(value, &mut out).ok()?;
        let size = i32::from_be_bytes(out[..4].try_into().unwrap());
        assert_eq!(usize::try_from(size).unwrap(), out.len() - 4);
        Some(out[4..].to_vec())
    }

    #[test]
    fn what_is_written_is_what_postgres_types_read() {
        let int = put(&Wire::Int4, &Value::Int16(-5)).unwrap();
        assert_eq!(i32::from_sql(&Type::INT4, &int).unwrap(), -5);
        let float = put(&Wire::Float8, &Value::Float32(0.5)).unwrap();
        assert!((f64::from_sql(&Type::FLOAT8, &float).unwrap() - 0.5).abs() < f64::EPSILON);
        let json = put(&Wire::Jsonb, &"{}".into()).unwrap();
        assert_eq!(json, b"\x01{}");
        let uuid = put(&Wire::Uuid, &"00112233-4455-6677-8899-aabbccddeeff".into()).unwrap();
        assert_eq!(uuid[..4], [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(put(&Wire::Uuid, &"00112233".into()), None);
    }

    #[test]
    fn bits_are_turned_round() {
        let bits =
            |bytes: &'static [u8], length| put(&Wire::Bits(length), &Value::Bytes(Bytes::from_static(bytes)));
        // 0000000100000010, as Debezium has it: the low byte first.
        assert_eq!(bits(&[0b10, 0b1], 16).unwrap(), [0, 0, 0, 16, 0b1, 0b10]);
        assert_eq!(bits(&[0b110], 5).unwrap(), [0, 0, 0, 5, 0b0011_0000]);
        assert_eq!(bits(&[0, 0], 0).unwrap(), [0, 0, 0, 0]);
    }

    #[test]
    fn null_has_no_bytes_and_a_misfit_is_an_error() {
        let mut out = BytesMut::new();
        Wire::Text.put(&Value::Null, &mut out).unwrap();
        assert_eq!(out[..], [0xff; 4]);
        assert_eq!(put(&Wire::Int2, &Value::Int32(40_000)), None);
        assert_eq!(put(&Wire::Text, &Value::Int32(1)), None);
        assert_eq!(put(&Wire::Time(Unit::Millis), &Value::Int32(-1)), None);
    }
}
