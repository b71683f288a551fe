//! Row images: which columns they have, and each column's value as it is packed.
//!
//! What a value means is the schema's business; here it becomes a [`Raw`], and text and bytes become ranges of the event.

use std::ops::Range;

use super::Malformed;
use super::event::code;
use super::reader::Reader;
use super::table_map::{Packed, column_type as t};

/// What a rows event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Write,
    Update,
    Delete,
}

/// The head of a rows event.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    pub(crate) change: Change,
    /// Whether values of JSON columns may be differences.
    pub(crate) partial: bool,
    pub(crate) columns: usize,
    /// Which columns the (first) image has.
    pub(crate) present: &'a [u8],
    /// Which columns an update's second image has.
    pub(crate) present_after: &'a [u8],
    /// Where the rows begin.
    pub(crate) start: usize,
    /// Whether what begins there is compressed, as MariaDB does it.
    pub(crate) compressed: bool,
}

/// The table that a rows event is of.
pub(crate) fn table_id(body: &[u8]) -> Result<u64, Malformed> {
    Reader::new(body, "a rows event").uint(6)
}

impl<'a> Rows<'a> {
    /// Reads the head; `None` of an event that is none.
    pub(crate) fn read(kind: u8, body: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let (change, second) = match kind {
            code::WRITE_ROWS_V1 | code::WRITE_ROWS_COMPRESSED_V1 => (Change::Write, false),
            code::UPDATE_ROWS_V1 | code::UPDATE_ROWS_COMPRESSED_V1 => (Change::Update, false),
            code::DELETE_ROWS_V1 | code::DELETE_ROWS_COMPRESSED_V1 => (Change::Delete, false),
            code::WRITE_ROWS | code::WRITE_ROWS_COMPRESSED => (Change::Write, true),
            code::UPDATE_ROWS | code::UPDATE_ROWS_COMPRESSED | code::PARTIAL_UPDATE_ROWS => {
                (Change::Update, true)
            }
            code::DELETE_ROWS | code::DELETE_ROWS_COMPRESSED => (Change::Delete, true),
            _ => return Ok(None),
        };
        let mut r = Reader::new(body, "a rows event");
        r.skip(8)?;
        if second {
            let extra = usize::from(r.u16()?);
            r.skip(extra.checked_sub(2).ok_or(Malformed::Short("a rows event"))?)?;
        }
        let columns = usize::try_from(r.lenenc()?).unwrap_or(usize::MAX);
        let size = columns.div_ceil(8);
        let present = r.take(size)?;
        let present_after = if change == Change::Update {
            r.take(size)?
        } else {
            present
        };
        Ok(Some(Self {
            change,
            partial: kind == code::PARTIAL_UPDATE_ROWS,
            columns,
            present,
            present_after,
            start: r.at(),
            compressed: kind >= code::WRITE_ROWS_COMPRESSED_V1,
        }))
    }
}

/// Whether bit `index` of a bitmap is set.
#[inline]
pub(crate) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 != 0)
}

/// How many of the first `columns` bits are set.
pub(crate) fn count(bits: &[u8], columns: usize) -> usize {
    (0..columns).filter(|index| bit(bits, *index)).count()
}

/// How a column's values are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpack {
    /// Bytes, and whether negative numbers are none.
    Int {
        size: u8,
        unsigned: bool,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    /// Bytes, big-endian.
    Bit {
        size: u8,
    },
    Date,
    /// Digits of the second's fraction.
    Time {
        digits: u8,
    },
    OldTime,
    DateTime {
        digits: u8,
    },
    OldDateTime,
    Timestamp {
        digits: u8,
    },
    OldTimestamp,
    /// A length of so many bytes, and what it counts.
    Bytes {
        length: u8,
    },
    /// An index of so many bytes.
    Enum {
        size: u8,
    },
    Set {
        size: u8,
    },
    Json {
        length: u8,
    },
    CompressedBytes {
        length: u8,
    },
    Null,
}

/// A value as it was packed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    Null,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    /// Where the packed digits lie.
    Decimal {
        at: Range<usize>,
        precision: u8,
        scale: u8,
    },
    Year(u16),
    Date {
        year: i32,
        month: u8,
        day: u8,
    },
    /// Microseconds.
    Time(i64),
    DateTime {
        year: i32,
        month: u8,
        day: u8,
        micros: i64,
    },
    /// Seconds since 1970, and microseconds.
    Timestamp {
        seconds: i64,
        micros: i64,
    },
    Bytes(Range<usize>),
    Bits(u64),
    /// Counted from 1; 0 is no value of the list.
    Enum(u64),
    Set(u64),
    Json(Range<usize>),
    /// Changes to the value that the column had before.
    JsonDiff(Range<usize>),
    CompressedBytes(Range<usize>),
    /// Text in UTF-8, as a query's answer has it: of text columns, of JSON, of ENUM and SET.
    Text(Range<usize>),
    /// A number's digits, as a query's answer has them.
    Digits(Range<usize>),
}

impl Unpack {
    /// For a column; `unsigned` is the schema's.
    pub(crate) fn new(packed: Packed, unsigned: bool) -> Result<Self, Malformed> {
        let meta = packed.meta;
        let small = u8::try_from(meta).unwrap_or(u8::MAX);
        let int = |size| Self::Int { size, unsigned };
        let length = |longest: u16| Self::Bytes {
            length: if longest > 255 { 2 } else { 1 },
        };
        Ok(match packed.code {
            t::TINY => int(1),
            t::SHORT => int(2),
            t::INT24 => int(3),
            t::LONG => int(4),
            t::LONGLONG => int(8),
            t::FLOAT => Self::Float,
            t::DOUBLE => Self::Double,
            t::NEWDECIMAL => Self::Decimal {
                precision: u8::try_from(meta & 0xff).unwrap_or(0),
                scale: u8::try_from(meta >> 8).unwrap_or(0),
            },
            t::YEAR => Self::Year,
            t::BIT => {
                let bits = (meta >> 8) * 8 + (meta & 0xff);
                Self::Bit {
                    size: u8::try_from(bits.div_ceil(8)).unwrap_or(u8::MAX),
                }
            }
            t::DATE | t::NEWDATE => Self::Date,
            t::TIME => Self::OldTime,
            t::TIME2 => Self::Time { digits: small },
            t::DATETIME => Self::OldDateTime,
            t::DATETIME2 => Self::DateTime { digits: small },
            t::TIMESTAMP => Self::OldTimestamp,
            t::TIMESTAMP2 => Self::Timestamp { digits: small },
            t::VARCHAR | t::VAR_STRING | t::STRING => length(meta),
            t::VARCHAR_COMPRESSED => Self::CompressedBytes {
                length: if meta > 255 { 2 } else { 1 },
            },
            t::BLOB | t::TINY_BLOB | t::MEDIUM_BLOB | t::LONG_BLOB | t::GEOMETRY | t::VECTOR => {
                Self::Bytes { length: small }
            }
            t::BLOB_COMPRESSED => Self::CompressedBytes { length: small },
            t::JSON => Self::Json { length: small },
            t::ENUM => Self::Enum { size: small },
            t::SET => Self::Set { size: small },
            t::NULL => Self::Null,
            other => return Err(Malformed::bad(format!("column type {other} is not known"))),
        })
    }

    /// The next value. `diff` says that a JSON value is a difference.
    #[inline]
    pub(crate) fn read(self, r: &mut Reader<'_>, diff: bool) -> Result<Raw, Malformed> {
        Ok(match self {
            Self::Int {
                size: 4,
                unsigned: false,
            } => Raw::Int(r.i32()?.into()),
            Self::Int {
                size: 8,
                unsigned: false,
            } => Raw::Int(r.i64()?),
            Self::Int {
                size: 8,
                unsigned: true,
            } => Raw::UInt(r.u64()?),
            Self::Int { size, unsigned } => {
                let n = r.uint(size.into())?.cast_signed();
                let shift = 64 - u32::from(size) * 8;
                Raw::Int(if unsigned { n } else { n << shift >> shift })
            }
            Self::Float => Raw::Float(r.f32()?),
            Self::Double => Raw::Double(r.f64()?),
            Self::Decimal { precision, scale } => Raw::Decimal {
                at: r.range(decimal_size(precision, scale)?)?,
                precision,
                scale,
            },
            Self::Year => {
                let n = u16::from(r.u8()?);
                Raw::Year(if n == 0 { 0 } else { 1900 + n })
            }
            Self::Bit { size } => Raw::Bits(r.uint_be(size.into())?),
            Self::Date => {
                let n = r.uint(3)?;
                Raw::Date {
                    year: part(n >> 9),
                    month: small(n >> 5 & 15),
                    day: small(n & 31),
                }
            }
            Self::Time { digits } => time2(r, digits)?,
            Self::OldTime => {
                let n = r.uint(3)?.cast_signed() << 40 >> 40;
                let (sign, n) = (n.signum(), n.abs());
                let seconds = n / 10_000 * 3600 + n / 100 % 100 * 60 + n % 100;
                Raw::Time(sign * seconds * 1_000_000)
            }
            Self::DateTime { digits } => {
                let n = r.uint_be(5)?.cast_signed() - (1 << 39);
                let micros = fraction(r, digits)?;
                let n = n.unsigned_abs();
                let (date, time) = (n >> 17, n & 0x1ffff);
                let (months, day) = (date >> 5, date & 31);
                let seconds = (time >> 12) * 3600 + (time >> 6 & 63) * 60 + (time & 63);
                Raw::DateTime {
                    year: part(months / 13),
                    month: small(months % 13),
                    day: small(day),
                    micros: seconds.cast_signed() * 1_000_000 + micros,
                }
            }
            Self::OldDateTime => {
                let n = r.u64()?;
                let (date, time) = (n / 1_000_000, n % 1_000_000);
                let seconds = time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100;
                Raw::DateTime {
                    year: part(date / 10_000),
                    month: small(date / 100 % 100),
                    day: small(date % 100),
                    micros: seconds.cast_signed() * 1_000_000,
                }
            }
            Self::Timestamp { digits } => {
                let seconds = r.uint_be(4)?.cast_signed();
                let micros = fraction(r, digits)?;
                Raw::Timestamp { seconds, micros }
            }
            Self::OldTimestamp => Raw::Timestamp {
                seconds: r.u32()?.into(),
                micros: 0,
            },
            Self::Bytes { length } => Raw::Bytes(counted(r, length)?),
            Self::CompressedBytes { length } => Raw::CompressedBytes(counted(r, length)?),
            Self::Json { length } => {
                let at = counted(r, length)?;
                if diff { Raw::JsonDiff(at) } else { Raw::Json(at) }
            }
            Self::Enum { size } => Raw::Enum(r.uint(size.into())?),
            Self::Set { size } => Raw::Set(r.uint(size.into())?),
            Self::Null => Raw::Null,
        })
    }
}

/// Where the bytes lie that a length of so many bytes counts.
#[inline]
pub(crate) fn counted(r: &mut Reader<'_>, length: u8) -> Result<Range<usize>, Malformed> {
    let size = match length {
        1 => u64::from(r.u8()?),
        2 => u64::from(r.u16()?),
        n => r.uint(n.into())?,
    };
    r.range(usize::try_from(size).unwrap_or(usize::MAX))
}

/// A part of a date; what a corrupt event holds is cut, and found to be no date later.
fn part(n: u64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn small(n: u64) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

/// The fraction of a second, in microseconds: a byte for every two digits.
fn fraction(r: &mut Reader<'_>, digits: u8) -> Result<i64, Malformed> {
    let size = usize::from(digits.div_ceil(2));
    let scale = match size {
        0 => return Ok(0),
        1 => 10_000,
        2 => 100,
        3 => 1,
        _ => {
            return Err(Malformed::bad(format!(
                "a time can't have {digits} digits of a second"
            )));
        }
    };
    Ok(r.uint_be(size)?.cast_signed() * scale)
}

/// TIME2: three bytes of hours, minutes and seconds and the fraction's, as one number around a middle.
fn time2(r: &mut Reader<'_>, digits: u8) -> Result<Raw, Malformed> {
    let size = usize::from(digits.div_ceil(2));
    let scale = match size {
        0 | 3 => 1,
        1 => 10_000,
        2 => 100,
        _ => {
            return Err(Malformed::bad(format!(
                "a time can't have {digits} digits of a second"
            )));
        }
    };
    let bits = size * 8;
    let n = r.uint_be(3 + size)?.cast_signed() - (0x80_0000 << bits);
    let (sign, n) = (n.signum(), n.abs());
    let (hms, fraction) = (n >> bits, n & ((1 << bits) - 1));
    let seconds = (hms >> 12 & 0x3ff) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    Ok(Raw::Time(sign * (seconds * 1_000_000 + fraction * scale)))
}

/// Bytes that hold so many digits, nine to four.
const DIGITS_TO_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// The same with the power of ten that makes room for them.
const GROUPS: [(u8, i64); 10] = [
    (0, 1),
    (1, 10),
    (1, 100),
    (2, 1000),
    (2, 10_000),
    (3, 100_000),
    (3, 1_000_000),
    (4, 10_000_000),
    (4, 100_000_000),
    (4, 1_000_000_000),
];

/// How many bytes a DECIMAL takes.
pub(crate) fn decimal_size(precision: u8, scale: u8) -> Result<usize, Malformed> {
    let whole = precision
        .checked_sub(scale)
        .ok_or_else(|| Malformed::bad("a DECIMAL has more digits after the point than digits"))?;
    let part = |digits: u8| {
        let rest = DIGITS_TO_BYTES.get(usize::from(digits % 9)).copied().unwrap_or(0);
        usize::from(digits / 9) * 4 + rest
    };
    Ok(part(whole) + part(scale))
}

/// A packed DECIMAL of so few digits that it fits a machine number, without its point.
pub(crate) fn decimal_small(packed: &[u8], precision: u8, scale: u8) -> Option<i64> {
    const FITS: u8 = 18;
    let whole = precision.checked_sub(scale).filter(|_| precision <= FITS)?;
    // The highest bit is inverted; a negative number's bits all are.
    let (first, rest) = packed.split_first()?;
    let negative = first & 0x80 == 0;
    let mask = if negative { 0xff } else { 0 };
    let mut bytes = std::iter::once(first ^ 0x80).chain(rest.iter().copied());
    let mut n = 0i64;
    let mut group = |digits: u8| {
        let (size, power) = *GROUPS.get(usize::from(digits))?;
        let mut part = 0i64;
        for _ in 0..size {
            part = part << 8 | i64::from(bytes.next()? ^ mask);
        }
        // What a corrupt event holds may be more than its digits.
        n = n.checked_mul(power)?.checked_add(part)?;
        Some(())
    };
    group(whole % 9)?;
    for _ in 0..whole / 9 + scale / 9 {
        group(9)?;
    }
    group(scale % 9)?;
    Some(if negative { -n } else { n })
}

/// The digits of a packed DECIMAL, without leading zeros and point, and whether it is negative.
pub(crate) fn decimal_digits(
    packed: &[u8],
    precision: u8,
    scale: u8,
    out: &mut Vec<u8>,
) -> Result<bool, Malformed> {
    // The highest bit is inverted; a negative number's bits all are.
    let negative = packed.first().is_some_and(|byte| byte & 0x80 == 0);
    let mask = if negative { 0xff } else { 0 };
    let mut at = 0;
    let mut group = |digits: usize, out: &mut Vec<u8>| -> Result<(), Malformed> {
        let size = DIGITS_TO_BYTES.get(digits).copied().unwrap_or(4);
        let mut n = 0u32;
        for _ in 0..size {
            let byte = packed.get(at).ok_or(Malformed::Short("a DECIMAL"))?;
            let byte = if at == 0 { byte ^ 0x80 } else { *byte };
            n = n << 8 | u32::from(byte ^ mask);
            at += 1;
        }
        let mut text = [0u8; 9];
        for digit in text.iter_mut().rev() {
            *digit = b'0' + u8::try_from(n % 10).unwrap_or(0);
            n /= 10;
        }
        out.extend_from_slice(text.get(9 - digits..).unwrap_or_default());
        Ok(())
    };
    let whole = usize::from(precision.saturating_sub(scale));
    let scale = usize::from(scale);
    if whole % 9 > 0 {
        group(whole % 9, out)?;
    }
    for _ in 0..whole / 9 {
        group(9, out)?;
    }
    for _ in 0..scale / 9 {
        group(9, out)?;
    }
    if scale % 9 > 0 {
        group(scale % 9, out)?;
    }
    Ok(negative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(code: u8, meta: u16, unsigned: bool, bytes: &[u8]) -> Raw {
        let unpack = Unpack::new(Packed { code, meta }, unsigned).unwrap();
        let mut r = Reader::new(bytes, "a row");
        let raw = unpack.read(&mut r, false).unwrap();
        assert!(r.is_empty(), "{raw:?}");
        raw
    }

    #[test]
    fn integers_have_the_schemas_sign() {
        assert_eq!(read(t::TINY, 0, false, &[0x80]), Raw::Int(-128));
        assert_eq!(read(t::TINY, 0, true, &[0x80]), Raw::Int(128));
        assert_eq!(read(t::INT24, 0, false, &[0, 0, 0x80]), Raw::Int(-8_388_608));
        assert_eq!(read(t::LONG, 0, true, &[255; 4]), Raw::Int(4_294_967_295));
        assert_eq!(read(t::LONGLONG, 0, true, &[255; 8]), Raw::UInt(u64::MAX));
    }

    #[test]
    fn times_are_around_a_middle() {
        // -838:59:59 and -01:02:03.000004
        assert_eq!(
            read(t::TIME2, 0, false, &[0x4b, 0x91, 0x05]),
            Raw::Time(-3_020_399_000_000)
        );
        let n = 0x8000_0000_0000i64 - ((1i64 << 12 | 2 << 6 | 3) << 24 | 4);
        assert_eq!(
            read(t::TIME2, 6, false, &n.to_be_bytes()[2..]),
            Raw::Time(-3_723_000_004)
        );
        let n = 0x80_0000i64 << 16 | (12i64 << 12 | 34 << 6 | 56) << 16 | 7890;
        assert_eq!(
            read(t::TIME2, 3, false, &n.to_be_bytes()[3..]),
            Raw::Time(45_296_789_000)
        );
    }

    #[test]
    fn dates_and_times_may_be_zero() {
        let zero = Raw::DateTime {
            year: 0,
            month: 0,
            day: 0,
            micros: 0,
        };
        assert_eq!(read(t::DATETIME2, 0, false, &[0x80, 0, 0, 0, 0]), zero);
        let day = Raw::Date {
            year: 2024,
            month: 2,
            day: 29,
        };
        let n = (2024u32 << 9 | 2 << 5 | 29).to_le_bytes();
        assert_eq!(read(t::DATE, 0, false, &n[..3]), day);
        assert_eq!(read(t::YEAR, 0, false, &[0]), Raw::Year(0));
        assert_eq!(read(t::YEAR, 0, false, &[255]), Raw::Year(2155));
    }

    #[test]
    fn a_decimal_is_groups_of_nine_digits() {
        // The manual's example: 1234567890.1234 as DECIMAL(14,4)
        let packed = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(decimal_size(14, 4).unwrap(), packed.len());
        let mut digits = Vec::new();
        assert!(!decimal_digits(&packed, 14, 4, &mut digits).unwrap());
        assert_eq!(digits, b"12345678901234");
        let negative: Vec<u8> = packed.iter().map(|byte| !byte).collect();
        digits.clear();
        assert!(decimal_digits(&negative, 14, 4, &mut digits).unwrap());
        assert_eq!(digits, b"12345678901234");
        assert_eq!(decimal_small(&packed, 14, 4), Some(12_345_678_901_234));
        assert_eq!(decimal_small(&negative, 14, 4), Some(-12_345_678_901_234));
    }

    /// As the server packs it: see `decimal2bin`.
    fn packed(n: i64, precision: u8, scale: u8) -> Vec<u8> {
        let text = format!("{:0width$}", n.unsigned_abs(), width = usize::from(precision));
        let (whole, fraction) = text.split_at(usize::from(precision - scale));
        let mut out: Vec<u8> = Vec::new();
        let mut put = |digits: &str| {
            if !digits.is_empty() {
                let bytes = digits.parse::<u32>().unwrap().to_be_bytes();
                out.extend(&bytes[4 - DIGITS_TO_BYTES[digits.len()]..]);
            }
        };
        let (first, rest) = whole.split_at(whole.len() % 9);
        put(first);
        for group in rest.as_bytes().chunks(9).chain(fraction.as_bytes().chunks(9)) {
            put(std::str::from_utf8(group).unwrap());
        }
        if n < 0 {
            out.iter_mut().for_each(|byte| *byte = !*byte);
        }
        out[0] ^= 0x80;
        out
    }

    proptest! {
        #[test]
        fn a_small_decimal_is_its_digits((precision, scale) in (1u8..=18).prop_flat_map(|p| (Just(p), 0..=p)), n in any::<i64>()) {
            let n = n % 10i64.pow(precision.into());
            let bytes = packed(n, precision, scale);
            prop_assert_eq!(bytes.len(), decimal_size(precision, scale).unwrap());
            prop_assert_eq!(decimal_small(&bytes, precision, scale), Some(n));
        }

        #[test]
        fn no_bytes_make_it_panic(kind in any::<u8>(), code in any::<u8>(), meta in any::<u16>(), bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Rows::read(kind, &bytes);
            if let Ok(unpack) = Unpack::new(Packed { code, meta }, false)
                && let Ok(Raw::Decimal { at, precision, scale }) = unpack.read(&mut Reader::new(&bytes, "a row"), true) {
                    let _ = decimal_digits(&bytes[at.clone()], precision, scale, &mut Vec::new());
                    let _ = decimal_small(&bytes[at], precision, scale);
                }
        }
    }
}
