//! From a column's raw value to a Connect value, as its type and the options want it. Pure.

pub(crate) mod charset;
mod decimal;
pub(crate) mod json;
mod json_diff;
pub(crate) mod text;
mod time;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::{SchemaRef, Struct, Value};

use crate::binlog::image::Raw;
use crate::binlog::payload;
use charset::Charset;

pub(crate) use decimal::{rounded_text, unscaled_of_text};

/// `binary.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryMode {
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// How times of day and points in time are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Millis,
    Micros,
    Nanos,
    Iso,
}

/// What becomes of a column's values.
#[derive(Debug, Clone)]
pub(crate) enum Convert {
    Int16,
    Int32,
    Int64,
    /// Unsigned 64-bit numbers as a Decimal without digits after the point.
    Unsigned,
    /// True unless zero.
    Boolean,
    /// True above zero, as `TinyIntOneToBooleanConverter` has it.
    Positive,
    Float32,
    Float64,
    DecimalBytes {
        scale: u32,
    },
    DecimalDouble {
        scale: u32,
    },
    DecimalText {
        scale: u32,
    },
    BitBoolean,
    /// So many bytes, the lowest first.
    Bits {
        bytes: usize,
    },
    Year,
    Days {
        adjust: bool,
    },
    DateText {
        adjust: bool,
    },
    Time(TimeUnit),
    DateTime {
        unit: TimeUnit,
        adjust: bool,
    },
    /// Digits of the second's fraction that are always written.
    Timestamp {
        digits: u8,
    },
    Text(Charset),
    /// `BINARY(n)` is filled up with zeros, which the log leaves out.
    Bytes {
        mode: BinaryMode,
        fill: usize,
    },
    Enum(Arc<[ByteString]>),
    Set(Arc<[ByteString]>),
    Json,
    Point(SchemaRef),
    Geometry(SchemaRef),
    Vector,
    Uuid,
    Inet4,
    Inet6,
    /// MariaDB's JSON is text.
    JsonText,
}

/// Why a value can't be converted.
pub(crate) type Failed = String;

/// What converting needs beside the value.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What ranges refer to.
    pub(crate) bytes: &'a Bytes,
    /// Where produced bytes go.
    pub(crate) arena: &'a mut BytesMut,
    /// The document that a JSON difference changes.
    pub(crate) before: Option<&'a [u8]>,
}

impl Context<'_> {
    fn slice(&self, at: &Range<usize>) -> &[u8] {
        self.bytes.get(at.clone()).unwrap_or_default()
    }

    /// Takes what was written to the arena as text.
    fn take_text(&mut self) -> Value {
        // Only ASCII and what was checked is ever written.
        ByteString::try_from(self.arena.split().freeze()).map_or(Value::Null, Value::String)
    }

    fn text(&mut self, write: impl FnOnce(&mut BytesMut)) -> Value {
        write(self.arena);
        self.take_text()
    }

    /// See [`borrow_text`].
    fn borrow_text(&self, at: &Range<usize>) -> Value {
        borrow_text(self.bytes, at)
    }
}

/// A range that is UTF-8, borrowed; other bytes become replacement characters.
#[inline]
pub(crate) fn borrow_text(bytes: &Bytes, at: &Range<usize>) -> Value {
    Value::String(match ByteString::try_from(bytes.slice(at.clone())) {
        Ok(text) => text,
        Err(_) => {
            let bytes = bytes.get(at.clone()).unwrap_or_default();
            ByteString::from(String::from_utf8_lossy(bytes).into_owned())
        }
    })
}

impl Convert {
    /// Converts a value. `Ok(Null)` is also what a zero date becomes.
    #[inline]
    pub(crate) fn apply(&self, raw: &Raw, cx: &mut Context<'_>) -> Result<Value, Failed> {
        Ok(match (self, raw) {
            (_, Raw::Null) => Value::Null,
            (Self::Int32, Raw::Int(n)) => Value::Int32(narrow(*n)?),
            (Self::Int64, Raw::Int(n)) => Value::Int64(*n),
            (Self::Int64, Raw::UInt(n)) => Value::Int64(n.cast_signed()),
            (Self::Int16, Raw::Int(n)) => Value::Int16(narrow(*n)?),
            (Self::Text(charset), Raw::Bytes(at)) => charset.decode(cx, at)?,
            (Self::Text(_) | Self::Json | Self::JsonText, Raw::Text(at)) => cx.borrow_text(at),
            (Self::Boolean, Raw::Int(n)) => Value::Boolean(*n != 0),
            (Self::Positive, Raw::Int(n)) => Value::Boolean(*n > 0),
            (Self::Unsigned, Raw::UInt(n)) => decimal::bytes_of_i128((*n).into(), cx.arena),
            (Self::Float32, Raw::Float(n)) => Value::Float32(*n),
            #[expect(clippy::cast_possible_truncation, reason = "the column's own width")]
            (Self::Float32, Raw::Double(n)) => Value::Float32(*n as f32),
            (Self::Float64, Raw::Float(n)) => Value::Float64((*n).into()),
            (Self::Float64, Raw::Double(n)) => Value::Float64(*n),
            (
                Self::DecimalBytes { .. } | Self::DecimalDouble { .. } | Self::DecimalText { .. },
                Raw::Decimal { .. } | Raw::Digits(_),
            ) => decimal::convert(self, raw, cx)?,
            (Self::BitBoolean, Raw::Bits(n)) => Value::Boolean(*n != 0),
            (Self::Bits { bytes }, Raw::Bits(n)) => {
                let all = n.to_le_bytes();
                cx.arena.put_slice(all.get(..*bytes).unwrap_or(&all));
                Value::Bytes(cx.arena.split().freeze())
            }
            (Self::Year, Raw::Year(n)) => Value::Int32((*n).into()),
            (Self::Days { .. } | Self::DateText { .. }, Raw::Date { .. })
            | (Self::Time(_), Raw::Time(_))
            | (Self::DateTime { .. }, Raw::DateTime { .. })
            | (Self::Timestamp { .. }, Raw::Timestamp { .. }) => time::convert(self, raw, cx)?,
            (Self::Bytes { mode, fill }, Raw::Bytes(at)) => binary(*mode, *fill, at, cx),
            (Self::Text(charset), Raw::CompressedBytes(at)) => {
                let bytes = inflated(cx, at)?;
                let range = 0..bytes.len();
                charset.decode(
                    &mut Context {
                        bytes: &bytes,
                        arena: cx.arena,
                        before: None,
                    },
                    &range,
                )?
            }
            (Self::Bytes { mode, fill }, Raw::CompressedBytes(at)) => {
                let bytes = inflated(cx, at)?;
                let range = 0..bytes.len();
                binary(
                    *mode,
                    *fill,
                    &range,
                    &mut Context {
                        bytes: &bytes,
                        arena: cx.arena,
                        before: None,
                    },
                )
            }
            (Self::Enum(values), Raw::Enum(n)) => match n.checked_sub(1) {
                // What is not in the list is stored as number 0, and read as nothing.
                None => Value::from(""),
                Some(n) => match usize::try_from(n).ok().and_then(|n| values.get(n)) {
                    Some(value) => Value::String(value.clone()),
                    None => return Err(format!("value {} is not in the list of {}", n + 1, values.len())),
                },
            },
            (Self::Set(values), Raw::Set(bits)) => set(values, *bits, cx),
            (Self::Enum(_) | Self::Set(_), Raw::Text(at)) => cx.borrow_text(at),
            (Self::Json, Raw::Json(at)) => {
                let (document, arena) = (cx.bytes.get(at.clone()).unwrap_or_default(), &mut *cx.arena);
                json::print(document, arena)?;
                cx.take_text()
            }
            (Self::Json, Raw::JsonDiff(at)) => {
                let before = cx
                    .before
                    .ok_or("a partial update came without the document that it changes")?;
                let diff = cx.bytes.get(at.clone()).unwrap_or_default();
                json_diff::apply(before, diff, cx.arena)?;
                cx.take_text()
            }
            (Self::JsonText, Raw::Bytes(at)) => cx.borrow_text(at),
            (Self::Point(schema), Raw::Bytes(at)) => geometry(schema, true, at, cx)?,
            (Self::Geometry(schema), Raw::Bytes(at)) => geometry(schema, false, at, cx)?,
            (Self::Vector, Raw::Bytes(at)) => {
                let (numbers, rest) = cx.slice(at).as_chunks::<4>();
                if !rest.is_empty() {
                    return Err("a vector is no row of 4-byte numbers".to_owned());
                }
                Value::Array(
                    numbers
                        .iter()
                        .map(|n| Value::Float32(f32::from_le_bytes(*n)))
                        .collect(),
                )
            }
            (Self::Uuid | Self::Inet4 | Self::Inet6, Raw::Text(at)) => cx.borrow_text(at),
            (Self::Uuid, Raw::Bytes(at)) => uuid(at, cx),
            (Self::Inet4, Raw::Bytes(at)) => {
                let mut address = [0u8; 4];
                copy(cx.slice(at), &mut address);
                Value::from(std::net::Ipv4Addr::from(address).to_string())
            }
            (Self::Inet6, Raw::Bytes(at)) => {
                let mut address = [0u8; 16];
                copy(cx.slice(at), &mut address);
                Value::from(std::net::Ipv6Addr::from(address).to_string())
            }
            (_, raw) => return Err(format!("the log has {}, which its type does not", describe(raw))),
        })
    }
}

fn narrow<T: TryFrom<i64>>(n: i64) -> Result<T, Failed> {
    T::try_from(n).map_err(|_| format!("{n} is out of the type's range"))
}

/// What the log leaves off at the end is zeros.
fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn inflated(cx: &Context<'_>, at: &Range<usize>) -> Result<Bytes, Failed> {
    payload::mariadb_column(cx.slice(at))
        .map(Bytes::from)
        .map_err(|e| e.to_string())
}

fn describe(raw: &Raw) -> &'static str {
    match raw {
        Raw::Null => "nothing",
        Raw::Int(_) | Raw::UInt(_) => "an integer",
        Raw::Float(_) | Raw::Double(_) => "a floating-point number",
        Raw::Decimal { .. } | Raw::Digits(_) => "a decimal number",
        Raw::Year(_) => "a year",
        Raw::Date { .. } | Raw::Time(_) | Raw::DateTime { .. } | Raw::Timestamp { .. } => "a time",
        Raw::Bytes(_) | Raw::CompressedBytes(_) | Raw::Text(_) => "bytes",
        Raw::Bits(_) => "bits",
        Raw::Enum(_) | Raw::Set(_) => "a member of a list",
        Raw::Json(_) | Raw::JsonDiff(_) => "JSON",
    }
}

fn set(values: &[ByteString], bits: u64, cx: &mut Context<'_>) -> Value {
    let mut first = true;
    for (index, value) in values.iter().enumerate().take(64) {
        if bits >> index & 1 != 0 {
            if !first {
                cx.arena.put_u8(b',');
            }
            first = false;
            cx.arena.put_slice(value.as_bytes());
        }
    }
    cx.take_text()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], alphabet: &[u8; 64], out: &mut BytesMut) {
    for chunk in bytes.chunks(3) {
        let n = chunk
            .iter()
            .chain(std::iter::repeat(&0))
            .take(3)
            .fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        for index in 0..4 {
            let letter = alphabet.get(n >> (18 - 6 * index) & 63).copied().unwrap_or(b'=');
            out.put_u8(if index > chunk.len() { b'=' } else { letter });
        }
    }
}

fn binary(mode: BinaryMode, fill: usize, at: &Range<usize>, cx: &mut Context<'_>) -> Value {
    let missing = fill.saturating_sub(at.len());
    if mode == BinaryMode::Bytes {
        if missing == 0 {
            return Value::Bytes(cx.bytes.slice(at.clone()));
        }
        cx.arena.put_slice(cx.bytes.get(at.clone()).unwrap_or_default());
        cx.arena.put_bytes(0, missing);
        return Value::Bytes(cx.arena.split().freeze());
    }
    let mut filled;
    let mut bytes = cx.bytes.get(at.clone()).unwrap_or_default();
    if missing > 0 {
        filled = bytes.to_vec();
        filled.resize(fill, 0);
        bytes = &filled;
    }
    match mode {
        BinaryMode::Base64 => base64(bytes, BASE64, cx.arena),
        BinaryMode::Base64UrlSafe => base64(bytes, BASE64_URL, cx.arena),
        _ => {
            for byte in bytes {
                // Writing to memory does not fail.
                let _ = write!(cx.arena, "{byte:02x}");
            }
        }
    }
    cx.take_text()
}

fn uuid(at: &Range<usize>, cx: &mut Context<'_>) -> Value {
    let mut uuid = [0u8; 16];
    copy(cx.slice(at), &mut uuid);
    // MariaDB orders the parts of versions 1 and 2 for indexing: time high, time middle, time low at the end.
    cx.text(|out| {
        for (index, byte) in uuid.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.put_u8(b'-');
            }
            let _ = write!(out, "{byte:02x}");
        }
    })
}

/// MySQL's own form: the spatial reference id, then WKB.
fn geometry(
    schema: &SchemaRef,
    point: bool,
    at: &Range<usize>,
    cx: &mut Context<'_>,
) -> Result<Value, Failed> {
    let bytes = cx.bytes.slice(at.clone());
    let Some((srid, wkb)) = bytes.split_first_chunk::<4>() else {
        return Err("a geometry has no reference system".to_owned());
    };
    let srid = match u32::from_le_bytes(*srid) {
        0 => Value::Null,
        n => Value::Int32(n.cast_signed()),
    };
    let mut values = Vec::with_capacity(4);
    if point {
        let number = |at: usize| wkb.get(at..).and_then(|rest| rest.first_chunk::<8>());
        let (Some(x), Some(y)) = (number(5), number(13)) else {
            return Err("a point has no coordinates".to_owned());
        };
        values.push(Value::Float64(f64::from_le_bytes(*x)));
        values.push(Value::Float64(f64::from_le_bytes(*y)));
    }
    values.push(Value::Bytes(bytes.slice(4..)));
    values.push(srid);
    Ok(Value::Struct(Struct::new(schema.clone(), values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(convert: &Convert, raw: &Raw, bytes: &'static [u8]) -> Value {
        let (bytes, mut arena) = (Bytes::from_static(bytes), BytesMut::new());
        let mut cx = Context {
            bytes: &bytes,
            arena: &mut arena,
            before: None,
        };
        convert.apply(raw, &mut cx).unwrap()
    }

    fn text(text: &str) -> Value {
        Value::from(text.to_owned())
    }

    #[test]
    fn binary_is_written_as_the_mode_says_and_filled_up() {
        let of = |mode, fill| apply(&Convert::Bytes { mode, fill }, &Raw::Bytes(0..2), b"ab");
        assert_eq!(of(BinaryMode::Bytes, 0), Value::Bytes(Bytes::from_static(b"ab")));
        assert_eq!(
            of(BinaryMode::Bytes, 5),
            Value::Bytes(Bytes::from_static(b"ab\0\0\0"))
        );
        assert_eq!(of(BinaryMode::Hex, 3), text("616200"));
        assert_eq!(of(BinaryMode::Base64, 0), text("YWI="));
        let url = Convert::Bytes {
            mode: BinaryMode::Base64UrlSafe,
            fill: 0,
        };
        assert_eq!(apply(&url, &Raw::Bytes(0..3), b"\xfb\xff\xfe"), text("-__-"));
    }

    #[test]
    fn members_of_lists_are_their_texts() {
        let values: Arc<[ByteString]> = ["x", "y", "z"].map(ByteString::from_static).into();
        assert_eq!(
            apply(&Convert::Set(values.clone()), &Raw::Set(0b101), b""),
            text("x,z")
        );
        assert_eq!(apply(&Convert::Set(values.clone()), &Raw::Set(0), b""), text(""));
        assert_eq!(
            apply(&Convert::Enum(values.clone()), &Raw::Enum(2), b""),
            text("y")
        );
        assert_eq!(apply(&Convert::Enum(values), &Raw::Enum(0), b""), text(""));
    }

    #[test]
    fn bits_come_lowest_byte_first() {
        let bits = Convert::Bits { bytes: 2 };
        assert_eq!(
            apply(&bits, &Raw::Bits(0x0102), b""),
            Value::Bytes(Bytes::from_static(&[2, 1]))
        );
        assert_eq!(
            apply(&Convert::BitBoolean, &Raw::Bits(1), b""),
            Value::Boolean(true)
        );
    }
}
