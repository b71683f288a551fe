//! From Postgres' text to Connect values, by a plan made once per table version.
//!
//! COPY rows and streamed rows have the same text, so snapshot and stream can't differ. What is plain text stays a slice
//! of the block it came in; what must be built (decimals, bytes, formatted times) is carved from an arena, so that many
//! values share one allocation. Dispatch is by an enum: nothing is looked up by name for a row.

mod array;
mod decimal;
mod special;
mod time;

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::{SchemaRef, Struct, Value};

use decimal::Decimal;
pub(crate) use special::{hex, write_wkb_point};
use time::Fraction;

/// The text is not of the form that the type's output function writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How bytes appear (`binary.handling.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BinaryMode {
    #[default]
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// The unit of a date or time since its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
    /// ISO text, UTC.
    Iso,
}

/// How one column's text becomes a value.
#[derive(Debug, Clone)]
pub(crate) enum Decoder {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// Text as it is: `text`, `varchar`, `json`, `uuid`, enums, network addresses, ranges, …
    Text,
    Bytes(BinaryMode),
    /// `numeric(p,s)`, precise.
    Decimal {
        scale: u32,
    },
    /// `numeric`, precise: VariableScaleDecimal.
    VariableDecimal(SchemaRef),
    /// `numeric` as text, in `BigDecimal.toPlainString`'s form.
    DecimalText {
        scale: Option<u32>,
    },
    /// `numeric` as floating point.
    DecimalDouble,
    /// `money`.
    Money {
        scale: u32,
    },
    MoneyText,
    MoneyDouble,
    /// Days.
    Date,
    DateIso,
    Time(Unit),
    /// `time` within an array: pgjdbc has cut it to milliseconds of a day when Debezium sees it.
    TimeInArray(Unit),
    TimeUtc,
    /// `timetz` within an array: pgjdbc has cut it to seconds.
    TimeUtcInArray,
    Timestamp(Unit),
    TimestampUtc {
        digits: usize,
    },
    /// Microseconds, a month being 30.4375 days.
    Interval,
    IntervalIso,
    /// `bit(1)`.
    Bit,
    Bits,
    Point(SchemaRef),
    HstoreJson,
    HstoreMap,
    /// PostGIS: extended well-known binary, and its SRID.
    Geometry(SchemaRef),
    /// pgvector.
    Vector,
    HalfVector,
    SparseVector(SchemaRef),
    /// A type without a mapping: its text as bytes.
    Opaque(BinaryMode),
    /// The same of a geometric type, its numbers as Java prints them.
    Shape(BinaryMode),
    /// Null, whatever was sent.
    Null,
    /// Elements with blanks between them: `int2vector`, `oidvector`.
    Words(Box<Decoder>),
    Array {
        element: Box<Decoder>,
        /// Whether an array with a null in it has a value.
        nullable: bool,
        delimiter: u8,
    },
}

/// Where a value's text lies.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a> {
    pub(crate) block: &'a Bytes,
    pub(crate) range: Range<usize>,
}

impl<'a> Text<'a> {
    /// A text that is a block of its own.
    pub(crate) fn whole(block: &'a Bytes) -> Self {
        Self {
            block,
            range: 0..block.len(),
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.block.get(self.range.clone()).unwrap_or_default()
    }

    fn str(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()).map_err(|_| Malformed)
    }

    fn shared(&self) -> Result<ByteString, Malformed> {
        if self.range.end > self.block.len() {
            return Err(Malformed);
        }
        ByteString::try_from(self.block.slice(self.range.clone())).map_err(|_| Malformed)
    }
}

impl Decoder {
    /// Decodes one value that is not null. `arena` is where new bytes are written and split off.
    #[inline]
    pub(crate) fn decode(&self, text: &Text<'_>, arena: &mut BytesMut) -> Result<Value, Malformed> {
        match self {
            Self::Text => Ok(Value::String(text.shared()?)),
            Self::Int32 => Ok(Value::Int32(
                i32::try_from(integer(text.bytes())?).map_err(|_| Malformed)?,
            )),
            Self::Int64 => Ok(Value::Int64(integer(text.bytes())?)),
            Self::Int16 => Ok(Value::Int16(
                i16::try_from(integer(text.bytes())?).map_err(|_| Malformed)?,
            )),
            Self::Boolean => match text.bytes() {
                b"t" | b"true" => Ok(Value::Boolean(true)),
                b"f" | b"false" => Ok(Value::Boolean(false)),
                _ => Err(Malformed),
            },
            Self::Float32 => text.str()?.parse().map(Value::Float32).map_err(|_| Malformed),
            Self::Float64 => text.str()?.parse().map(Value::Float64).map_err(|_| Malformed),
            Self::Decimal { scale } => precise(text.bytes(), *scale, arena),
            Self::Timestamp(unit) => instant(time::timestamp(text.bytes())?, *unit, arena),
            Self::TimestampUtc { digits } => timestamp_utc(text, *digits, arena),
            _ => self.decode_rare(text, arena),
        }
    }

    /// Puts the schema of the column in the place of the one that structs were planned with, so that all values share it.
    pub(crate) fn bind(self, schema: &SchemaRef) -> Self {
        match self {
            Self::VariableDecimal(_) => Self::VariableDecimal(schema.clone()),
            Self::Point(_) => Self::Point(schema.clone()),
            Self::Geometry(_) => Self::Geometry(schema.clone()),
            Self::SparseVector(_) => Self::SparseVector(schema.clone()),
            Self::Array {
                element,
                nullable,
                delimiter,
            } => {
                let of = schema.value_schema().unwrap_or(schema);
                Self::Array {
                    element: Box::new(element.bind(of)),
                    nullable,
                    delimiter,
                }
            }
            other => other,
        }
    }

    /// Kept apart, so that the common types stay small enough to be inlined.
    fn decode_rare(&self, text: &Text<'_>, arena: &mut BytesMut) -> Result<Value, Malformed> {
        let bytes = text.bytes();
        match self {
            Self::Bytes(mode) => binary(bytes, *mode, arena),
            Self::VariableDecimal(schema) => {
                let number = Decimal::parse(bytes)?.stripped();
                number.write(arena);
                let scale = Value::Int32(i32::try_from(number.scale()).map_err(|_| Malformed)?);
                let unscaled = Value::Bytes(arena.split().freeze());
                Ok(Value::Struct(Struct::new(schema.clone(), vec![scale, unscaled])))
            }
            Self::DecimalText { scale } => Ok(decimal_text(text, *scale)?),
            Self::Money { scale } => {
                Decimal::parse(&special::money(bytes))?
                    .rounded(*scale)?
                    .write(arena);
                Ok(Value::Bytes(arena.split().freeze()))
            }
            Self::MoneyText => Ok(Decimal::parse(&special::money(bytes))?.to_plain_string().into()),
            Self::MoneyDouble => {
                let plain = special::money(bytes);
                let text = std::str::from_utf8(&plain).map_err(|_| Malformed)?;
                text.parse().map(Value::Float64).map_err(|_| Malformed)
            }
            Self::Date => Ok(Value::Int32(time::date(bytes)?)),
            Self::DateIso => {
                time::write_date(arena, time::date(bytes)?.into());
                arena.put_u8(b'Z');
                Ok(written(arena))
            }
            Self::Time(unit) => Ok(time_of_day(time::time(bytes)?, *unit, arena)),
            Self::TimeInArray(unit) => {
                let millis = time::time(bytes)? % time::MICROS_PER_DAY / 1000;
                Ok(time_of_day(millis * 1000, *unit, arena))
            }
            Self::TimeUtc => Ok(time_of_day(time::time_utc(bytes)?, Unit::Iso, arena)),
            Self::TimeUtcInArray => {
                let seconds = time::time_utc(bytes)? / 1_000_000;
                Ok(time_of_day(seconds * 1_000_000, Unit::Iso, arena))
            }
            Self::Interval => Ok(Value::Int64(time::Interval::parse(bytes)?.micros())),
            Self::IntervalIso => Ok(time::Interval::parse(bytes)?.to_iso().into()),
            Self::Bit => match bytes {
                b"1" | b"0" => Ok(Value::Boolean(bytes == b"1")),
                _ => Err(Malformed),
            },
            Self::Bits => {
                special::bits(bytes, arena)?;
                Ok(Value::Bytes(arena.split().freeze()))
            }
            Self::Point(schema) => {
                let (x, y) = special::point(bytes)?;
                special::write_wkb_point(arena, x, y);
                let wkb = Value::Bytes(arena.split().freeze());
                let values = vec![Value::Float64(x), Value::Float64(y), wkb, Value::Null];
                Ok(Value::Struct(Struct::new(schema.clone(), values)))
            }
            Self::Geometry(schema) => {
                special::hex(bytes, arena)?;
                let wkb = arena.split().freeze();
                let srid = special::srid(&wkb)?.map_or(Value::Null, Value::Int32);
                let values = vec![Value::Bytes(wkb), srid];
                Ok(Value::Struct(Struct::new(schema.clone(), values)))
            }
            Self::Vector => special::vector(text.str()?, Value::Float64),
            Self::HalfVector => special::vector(text.str()?, Value::Float32),
            Self::SparseVector(schema) => {
                let (dimensions, entries) = special::sparse_vector(text.str()?)?;
                let values = vec![Value::Int16(dimensions), Value::Map(entries)];
                Ok(Value::Struct(Struct::new(schema.clone(), values)))
            }
            Self::HstoreJson => Ok(special::hstore_json(special::hstore(text.str()?)?).into()),
            Self::HstoreMap => {
                let pairs = special::hstore(text.str()?)?;
                let entry = |(key, value): (String, Option<String>)| {
                    (Value::from(key), value.map_or(Value::Null, Value::from))
                };
                Ok(Value::Map(pairs.into_iter().map(entry).collect()))
            }
            Self::Words(element) => {
                let words = bytes.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
                let value = |word: &[u8]| {
                    let word = Bytes::copy_from_slice(word);
                    element.decode(&Text::whole(&word), arena)
                };
                words.map(value).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Array {
                element,
                nullable,
                delimiter,
            } => array(array::elements(bytes, *delimiter)?, element, *nullable, arena),
            Self::DecimalDouble => text.str()?.parse().map(Value::Float64).map_err(|_| Malformed),
            Self::Opaque(mode) => Ok(binary_value(Bytes::copy_from_slice(bytes), *mode)),
            Self::Shape(mode) => {
                special::shape(text.str()?, arena)?;
                Ok(binary_value(arena.split().freeze(), *mode))
            }
            Self::Null => Ok(Value::Null),
            // The others are in `decode`.
            _ => Err(Malformed),
        }
    }
}

/// Whole numbers as Postgres writes them: no blanks, no plus.
#[inline]
fn integer(text: &[u8]) -> Result<i64, Malformed> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Nineteen digits may not fit; the last is checked.
    if digits.is_empty() || digits.len() > 19 {
        return Err(Malformed);
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Malformed);
        }
        value = value * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(value).ok_or(Malformed)
    } else {
        i64::try_from(value).map_err(|_| Malformed)
    }
}

fn precise(text: &[u8], scale: u32, arena: &mut BytesMut) -> Result<Value, Malformed> {
    Decimal::parse(text)?.with_scale(scale)?.write(arena);
    Ok(Value::Bytes(arena.split().freeze()))
}

fn decimal_text(text: &Text<'_>, scale: Option<u32>) -> Result<Value, Malformed> {
    Ok(match text.bytes() {
        // The names of Debezium's SpecialValueDecimal.
        b"NaN" => "NAN".into(),
        b"Infinity" => "POSITIVE_INFINITY".into(),
        b"-Infinity" => "NEGATIVE_INFINITY".into(),
        bytes => {
            let number = Decimal::parse(bytes)?;
            match scale {
                Some(scale) if scale != number.scale() => number.with_scale(scale)?.to_plain_string().into(),
                _ => Value::String(text.shared()?),
            }
        }
    })
}

fn time_of_day(micros: i64, unit: Unit, arena: &mut BytesMut) -> Value {
    match unit {
        Unit::Millis => Value::Int32(i32::try_from(micros / 1000).unwrap_or(i32::MAX)),
        Unit::Micros => Value::Int64(micros),
        Unit::Nanos => Value::Int64(micros.saturating_mul(1000)),
        Unit::Iso => {
            // Java's clock has no 24:00.
            let micros = micros.rem_euclid(time::MICROS_PER_DAY);
            time::write_time(arena, micros, Fraction::Shortest);
            arena.put_u8(b'Z');
            written(arena)
        }
    }
}

fn instant(at: time::Moment, unit: Unit, arena: &mut BytesMut) -> Result<Value, Malformed> {
    Ok(match unit {
        Unit::Millis => Value::Int64(at.millis()),
        Unit::Micros => Value::Int64(at.micros()),
        Unit::Nanos => Value::Int64(at.nanos()?),
        Unit::Iso => {
            time::write_timestamp(arena, at, Fraction::Shortest);
            written(arena)
        }
    })
}

fn timestamp_utc(text: &Text<'_>, digits: usize, arena: &mut BytesMut) -> Result<Value, Malformed> {
    let bytes = text.bytes();
    if matches!(bytes, b"infinity" | b"-infinity") {
        return Ok(Value::String(text.shared()?));
    }
    time::write_timestamp(arena, time::timestamp(bytes)?, Fraction::Digits(digits));
    Ok(written(arena))
}

/// What has been written to the arena, which is ASCII, as text.
fn written(arena: &mut BytesMut) -> Value {
    ByteString::try_from(arena.split().freeze()).map_or(Value::Null, Value::String)
}

/// `\xdeadbeef`.
fn binary(text: &[u8], mode: BinaryMode, arena: &mut BytesMut) -> Result<Value, Malformed> {
    let digits = text.strip_prefix(b"\\x").ok_or(Malformed)?;
    if mode == BinaryMode::Hex {
        let digits = Bytes::copy_from_slice(digits);
        return Ok(Value::String(
            ByteString::try_from(digits).map_err(|_| Malformed)?,
        ));
    }
    special::hex(digits, arena)?;
    Ok(binary_value(arena.split().freeze(), mode))
}

/// Bytes as `binary.handling.mode` says.
pub(crate) fn binary_value(bytes: Bytes, mode: BinaryMode) -> Value {
    match mode {
        BinaryMode::Bytes => Value::Bytes(bytes),
        BinaryMode::Base64 => base64(&bytes, b'+', b'/').into(),
        BinaryMode::Base64UrlSafe => base64(&bytes, b'-', b'_').into(),
        BinaryMode::Hex => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
    }
}

/// Base64 with padding, as both of Java's encoders write it.
fn base64(bytes: &[u8], plus: u8, slash: u8) -> String {
    let letter = |sextet: u32| {
        char::from(match u8::try_from(sextet & 63).unwrap_or(0) {
            n @ 0..=25 => b'A' + n,
            n @ 26..=51 => b'a' + n - 26,
            n @ 52..=61 => b'0' + n - 52,
            62 => plus,
            _ => slash,
        })
    };
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let padding = index > chunk.len();
            out.push(if padding {
                '='
            } else {
                letter(group >> (18 - 6 * index))
            });
        }
    }
    out
}

/// An array of the elements' values. One with a null in it is null where Debezium's converter of the elements knows none.
/// An array of arrays, for which its schema has no room, has their texts where elements are text, and nulls elsewhere.
fn array(
    elements: Vec<array::Element>,
    element: &Decoder,
    nullable: bool,
    arena: &mut BytesMut,
) -> Result<Value, Malformed> {
    let mut values = Vec::with_capacity(elements.len());
    for item in elements {
        match item {
            array::Element::Text(item) => {
                let item = Bytes::from(item);
                values.push(match element.decode(&Text::whole(&item), arena) {
                    // A moment that nanoseconds can't tell; of other types the array is null.
                    Err(Malformed) if matches!(element, Decoder::Timestamp(_)) => Value::Null,
                    value => value?,
                });
            }
            array::Element::Inner(item) if matches!(element, Decoder::Text) => {
                values.push(element.decode(&Text::whole(&Bytes::from(item)), arena)?);
            }
            _ if nullable => values.push(Value::Null),
            _ => return Ok(Value::Null),
        }
    }
    Ok(Value::Array(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(decoder: &Decoder, text: &str) -> Result<Value, Malformed> {
        decoder.decode(
            &Text::whole(&Bytes::copy_from_slice(text.as_bytes())),
            &mut BytesMut::new(),
        )
    }

    fn bytes(value: &[u8]) -> Result<Value, Malformed> {
        Ok(Value::Bytes(Bytes::copy_from_slice(value)))
    }

    #[test]
    fn integers_keep_within_their_type() {
        assert_eq!(decode(&Decoder::Int16, "-32768"), Ok(Value::Int16(-32_768)));
        assert_eq!(decode(&Decoder::Int16, "32768"), Err(Malformed));
        assert_eq!(
            decode(&Decoder::Int64, "-9223372036854775808"),
            Ok(Value::Int64(i64::MIN))
        );
        assert_eq!(decode(&Decoder::Int64, "9223372036854775808"), Err(Malformed));
        assert_eq!(decode(&Decoder::Int64, ""), Err(Malformed));
        assert_eq!(decode(&Decoder::Int64, "1e3"), Err(Malformed));
    }

    #[test]
    fn numbers_that_are_none_fail_or_are_named() {
        // A failure that `event.converting.failure.handling.mode` is about.
        assert_eq!(decode(&Decoder::Decimal { scale: 2 }, "NaN"), Err(Malformed));
        assert_eq!(
            decode(&Decoder::DecimalText { scale: None }, "NaN"),
            Ok("NAN".into())
        );
        let Ok(Value::Float64(nan)) = decode(&Decoder::Float64, "NaN") else {
            panic!()
        };
        assert!(nan.is_nan());
        assert_eq!(
            decode(&Decoder::Float32, "-Infinity"),
            Ok(Value::Float32(f32::NEG_INFINITY))
        );
    }

    #[test]
    fn bytes_come_in_four_forms() {
        let mode = |mode| decode(&Decoder::Bytes(mode), "\\xfbff00");
        assert_eq!(mode(BinaryMode::Bytes), bytes(&[0xFB, 0xFF, 0]));
        assert_eq!(mode(BinaryMode::Base64), Ok("+/8A".into()));
        assert_eq!(mode(BinaryMode::Base64UrlSafe), Ok("-_8A".into()));
        assert_eq!(mode(BinaryMode::Hex), Ok("fbff00".into()));
        assert_eq!(
            decode(&Decoder::Bytes(BinaryMode::Base64), "\\xfb"),
            Ok("+w==".into())
        );
        assert_eq!(decode(&Decoder::Bytes(BinaryMode::Bytes), "\\x0"), Err(Malformed));
        assert_eq!(decode(&Decoder::Bytes(BinaryMode::Bytes), "abc"), Err(Malformed));
    }

    #[test]
    fn times_come_in_the_configured_unit() {
        let at = "2024-02-29 12:34:56.789012";
        assert_eq!(
            decode(&Decoder::Timestamp(Unit::Millis), at),
            Ok(Value::Int64(1_709_210_096_789))
        );
        assert_eq!(
            decode(&Decoder::Timestamp(Unit::Millis), "1969-12-31 23:59:59.999"),
            Ok(Value::Int64(-1))
        );
        assert_eq!(
            decode(&Decoder::Timestamp(Unit::Iso), at),
            Ok("2024-02-29T12:34:56.789012Z".into())
        );
        let zoned = Decoder::TimestampUtc { digits: 3 };
        assert_eq!(
            decode(&zoned, "2024-02-29 12:34:56.7+00"),
            Ok("2024-02-29T12:34:56.700Z".into())
        );
        assert_eq!(decode(&zoned, "-infinity"), Ok("-infinity".into()));
        assert_eq!(
            decode(&Decoder::Time(Unit::Iso), "24:00:00"),
            Ok("00:00:00Z".into())
        );
        assert_eq!(
            decode(&Decoder::Time(Unit::Millis), "24:00:00"),
            Ok(Value::Int32(86_400_000))
        );
        assert_eq!(
            decode(&Decoder::TimeUtc, "12:34:56.789012+02"),
            Ok("10:34:56.789012Z".into())
        );
        assert_eq!(
            decode(&Decoder::DateIso, "10000-01-01"),
            Ok("+10000-01-01Z".into())
        );
    }

    #[test]
    fn an_array_with_a_null_that_its_schema_forbids_is_null() {
        let of = |nullable| Decoder::Array {
            element: Box::new(Decoder::Int32),
            nullable,
            delimiter: b',',
        };
        assert_eq!(
            decode(&of(true), "{NULL,1}"),
            Ok(Value::Array(vec![Value::Null, Value::Int32(1)]))
        );
        assert_eq!(decode(&of(false), "{NULL,1}"), Ok(Value::Null));
        assert_eq!(
            decode(&of(true), "{{1},{2}}"),
            Ok(Value::Array(vec![Value::Null, Value::Null]))
        );
        assert_eq!(decode(&of(false), "{{1}}"), Ok(Value::Null));
    }

    proptest! {
        #[test]
        fn every_integer_reads_back(number in any::<i64>()) {
            prop_assert_eq!(decode(&Decoder::Int64, &number.to_string()), Ok(Value::Int64(number)));
        }

        #[test]
        fn no_text_makes_any_decoder_panic(text in ".{0,30}") {
            let schema = tapline_api::Schema::structure().build();
            for decoder in [
                Decoder::Boolean, Decoder::Int16, Decoder::Int32, Decoder::Int64, Decoder::Float32, Decoder::Float64,
                Decoder::Text, Decoder::Bytes(BinaryMode::Bytes), Decoder::Decimal { scale: 5 },
                Decoder::VariableDecimal(schema.clone()), Decoder::DecimalText { scale: Some(2) },
                Decoder::Money { scale: 2 }, Decoder::MoneyText, Decoder::MoneyDouble, Decoder::Date,
                Decoder::DateIso, Decoder::Time(Unit::Iso), Decoder::TimeUtc, Decoder::Timestamp(Unit::Iso),
                Decoder::TimestampUtc { digits: 6 }, Decoder::Interval, Decoder::IntervalIso, Decoder::Bit,
                Decoder::Bits, Decoder::Point(schema.clone()), Decoder::Geometry(schema.clone()), Decoder::Vector,
                Decoder::HalfVector, Decoder::SparseVector(schema), Decoder::Shape(BinaryMode::Bytes), Decoder::HstoreJson, Decoder::HstoreMap,
                Decoder::Array { element: Box::new(Decoder::Text), nullable: true, delimiter: b',' },
            ] {
                let _ = decode(&decoder, &text);
            }
        }
    }
}
