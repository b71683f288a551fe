//! Values as SQL literals.
//!
//! The session speaks utf8mb4 and takes backslashes for escapes (`NO_BACKSLASH_ESCAPES` is off), so that what is written
//! here means the same on every server. Bytes are hexadecimal: a statement is always valid UTF-8.

use std::fmt::Write;

use tapline_api::{SchemaRef, Value};

use super::geometry;
use crate::misfit::Misfit;
use crate::time::{self, Unit};
use crate::{digits, json};

/// How a value is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Boolean,
    Integer,
    /// A BIGINT UNSIGNED that came in a signed number.
    Unsigned,
    Float,
    Text,
    Bytes,
    /// Of this scale.
    Decimal(i32),
    VariableDecimal,
    Date,
    Time(Unit),
    ZonedTime,
    Timestamp(Unit, Shift),
    ZonedTimestamp(Shift),
    /// As a BIT of this length, or any.
    Bits(u32),
    Geometry,
    Point,
    /// Numbers as a VECTOR's bytes.
    Vector,
    Json(SchemaRef),
}

/// Between UTC, which the session has, and `use.time.zone`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shift {
    None,
    /// An instant goes into a column without a zone.
    ToLocal(String),
    /// A local time goes into a column of instants.
    FromLocal(String),
}

impl Form {
    /// Appends a literal.
    pub(super) fn push(&self, value: &Value, out: &mut String) -> Result<(), Misfit> {
        match (self, value) {
            (_, Value::Null) => out.push_str("NULL"),
            (Self::Boolean, Value::Boolean(b)) => out.push(if *b { '1' } else { '0' }),
            (Self::Unsigned, Value::Int64(n)) => {
                out.push_str(itoa::Buffer::new().format(n.cast_unsigned()));
            }
            (Self::Integer | Self::Unsigned, value) => {
                out.push_str(itoa::Buffer::new().format(value.as_i64().ok_or(Misfit)?));
            }
            (Self::Float, Value::Float32(n)) if n.is_finite() => print(out, format_args!("{n:e}")),
            (Self::Float, Value::Float64(n)) if n.is_finite() => print(out, format_args!("{n:e}")),
            (Self::Text, Value::String(value)) => text(value, out),
            (Self::Bytes, Value::Bytes(bytes)) => hex(bytes, out),
            (Self::Decimal(scale), Value::Bytes(bytes)) => decimal(bytes, *scale, out),
            (Self::VariableDecimal, Value::Struct(number)) => {
                let scale = number.get("scale").and_then(Value::as_i64).ok_or(Misfit)?;
                let Some(Value::Bytes(bytes)) = number.get("value") else {
                    return Err(Misfit);
                };
                decimal(bytes, i32::try_from(scale).map_err(|_| Misfit)?, out);
            }
            (Self::Date, value) => {
                let days = value.as_i64().ok_or(Misfit)?;
                out.push('\'');
                time::push_iso_date(days, out).ok_or(Misfit)?;
                out.push('\'');
            }
            (Self::Time(unit), value) => {
                let micros = value
                    .as_i64()
                    .and_then(|n| time::micros(n, *unit))
                    .ok_or(Misfit)?;
                clock(micros, out);
            }
            (Self::ZonedTime, Value::String(text)) => {
                let (micros, west) = time::zoned_time(text).ok_or(Misfit)?;
                clock((micros + i64::from(west) * 1_000_000).rem_euclid(DAY_MICROS), out);
            }
            (Self::Timestamp(unit, shift), value) => {
                let micros = value
                    .as_i64()
                    .and_then(|n| time::micros(n, *unit))
                    .ok_or(Misfit)?;
                timestamp(micros, shift, out)?;
            }
            (Self::ZonedTimestamp(shift), Value::String(text)) => match &**text {
                // As in Debezium, the last and first second that MySQL's TIMESTAMP knows.
                "infinity" => out.push_str("'2038-01-19 03:14:07'"),
                "-infinity" => out.push_str("'1970-01-01 00:00:01'"),
                text => timestamp(time::instant(text).ok_or(Misfit)?, shift, out)?,
            },
            (Self::Bits(length), Value::Bytes(bytes)) => bits(bytes, *length, out),
            (Self::Bits(_), Value::Boolean(b)) => out.push_str(if *b { "b'1'" } else { "b'0'" }),
            (Self::Geometry, Value::Struct(shape)) => hex(&geometry::internal(shape).ok_or(Misfit)?, out),
            (Self::Point, Value::Struct(point)) => hex(&geometry::point(point).ok_or(Misfit)?, out),
            (Self::Vector, Value::Array(items)) => vector(items, out)?,
            (Self::Json(schema), value @ (Value::Array(_) | Value::Map(_) | Value::Struct(_))) => {
                let mut rendered = String::new();
                json::push(value, Some(schema), &mut rendered);
                text(&rendered, out);
            }
            _ => return Err(Misfit),
        }
        Ok(())
    }
}

const DAY_MICROS: i64 = 86_400_000_000;
/// MySQL's most digits of an exact number; a longer literal would be a double.
const MAX_DIGITS: usize = 65;

fn print(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

/// A string literal.
pub(super) fn text(value: &str, out: &mut String) {
    out.push('\'');
    let mut rest = value;
    // All three are single bytes, wherever they stand.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\'' | b'\\' | 0)) {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        out.push_str(match behind.as_bytes().first() {
            Some(b'\'') => "''",
            Some(b'\\') => "\\\\",
            _ => "\\0",
        });
        rest = behind.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('\'');
}

fn hex(bytes: &[u8], out: &mut String) {
    out.push_str("x'");
    digits::hex(bytes, out);
    out.push('\'');
}

fn decimal(bytes: &[u8], scale: i32, out: &mut String) {
    let start = out.len();
    digits::decimal(bytes, scale, out);
    if out.len() - start > MAX_DIGITS {
        out.insert(start, '\'');
        out.push('\'');
    }
}

/// A TIME, which may be longer than a day and negative.
fn clock(micros: i64, out: &mut String) {
    out.push('\'');
    if micros < 0 {
        out.push('-');
    }
    time::push_time(micros.saturating_abs(), out);
    out.push('\'');
}

fn timestamp(micros: i64, shift: &Shift, out: &mut String) -> Result<(), Misfit> {
    if *shift != Shift::None {
        out.push_str("CONVERT_TZ(");
    }
    out.push('\'');
    time::push_iso_timestamp(micros, out).ok_or(Misfit)?;
    out.push('\'');
    match shift {
        Shift::None => {}
        Shift::ToLocal(zone) => print(out, format_args!(",'+00:00',{zone})")),
        Shift::FromLocal(zone) => print(out, format_args!(",{zone},'+00:00')")),
    }
    Ok(())
}

fn bits(bytes: &[u8], length: u32, out: &mut String) {
    out.push_str("b'");
    let width = digits::bit_width(bytes, length);
    out.extend(
        (0..width)
            .rev()
            .map(|i| if digits::bit(bytes, i) { '1' } else { '0' }),
    );
    out.push('\'');
}

/// Little-endian four-byte floats, as MySQL's VECTOR has them.
fn vector(items: &[Value], out: &mut String) -> Result<(), Misfit> {
    out.push_str("x'");
    for item in items {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a VECTOR has floats of four bytes"
        )]
        let n = match item {
            Value::Float32(n) => *n,
            Value::Float64(n) => *n as f32,
            _ => return Err(Misfit),
        };
        digits::hex(&n.to_le_bytes(), out);
    }
    out.push('\'');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn shown(form: &Form, value: Value) -> String {
        let mut out = String::new();
        match form.push(&value, &mut out) {
            Ok(()) => out,
            Err(Misfit) => "misfit".to_owned(),
        }
    }

    #[test]
    fn values_are_written_as_mysql_reads_them() {
        let bytes = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
        let local = || Shift::ToLocal("'+02:00'".to_owned());
        for (form, value, expected) in [
            (Form::Integer, Value::Int32(-7), "-7"),
            (Form::Unsigned, Value::Int64(-1), "18446744073709551615"),
            (Form::Float, Value::Float32(0.1), "1e-1"),
            (Form::Float, Value::Float64(f64::NAN), "misfit"),
            (Form::Text, "it's \\ \0ß".into(), "'it''s \\\\ \\0ß'"),
            (Form::Bytes, bytes(&[0, 255]), "x'00ff'"),
            (Form::Decimal(2), bytes(&[0x85]), "-1.23"),
            (Form::Date, Value::Int32(-1), "'1969-12-31'"),
            (Form::Date, Value::Int32(i32::MAX), "misfit"),
            (
                Form::Time(Unit::Micros),
                Value::Int64(-3_600_500_000),
                "'-01:00:00.500000'",
            ),
            (
                Form::Time(Unit::Micros),
                Value::Int64(360_000_000_000),
                "'100:00:00'",
            ),
            (Form::ZonedTime, "23:30:00-01:00".into(), "'00:30:00'"),
            (
                Form::Timestamp(Unit::Millis, Shift::None),
                Value::Int64(1500),
                "'1970-01-01 00:00:01.500000'",
            ),
            (
                Form::ZonedTimestamp(local()),
                "2020-01-01T01:00:00+01:00".into(),
                "CONVERT_TZ('2020-01-01 00:00:00','+00:00','+02:00')",
            ),
            (Form::Bits(5), bytes(&[0b110]), "b'00110'"),
            (
                Form::Vector,
                Value::Array(vec![Value::Float32(1.0)]),
                "x'0000803f'",
            ),
            (Form::Text, Value::Int32(1), "misfit"),
            (Form::Text, Value::Null, "NULL"),
        ] {
            assert_eq!(shown(&form, value), expected, "{form:?}");
        }
    }
}
