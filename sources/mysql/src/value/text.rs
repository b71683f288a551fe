//! Values of a query's answer: the text that the server prints, by the column's type.

use std::ops::Range;

use crate::binlog::image::Raw;
use crate::schema::Kind;

/// What the text at `at` of `bytes` means in a column of `kind`; `unsigned` is the column's.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(kind: Kind, unsigned: bool, bytes: &[u8], at: Range<usize>) -> Result<Raw, String> {
    let field = bytes.get(at.clone()).unwrap_or_default();
    let bad = || format!("'{}' is no value of its type", String::from_utf8_lossy(field));
    Ok(match kind {
        Kind::BigInt if unsigned => Raw::UInt(number(field).ok_or_else(bad)?),
        Kind::Boolean | Kind::TinyInt | Kind::SmallInt | Kind::MediumInt | Kind::Int | Kind::BigInt => {
            Raw::Int(number(field).ok_or_else(bad)?)
        }
        Kind::Float | Kind::Double => Raw::Double(number(field).ok_or_else(bad)?),
        Kind::Decimal => Raw::Digits(at),
        Kind::Bit => Raw::Bits(field.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))),
        Kind::Year => Raw::Year(number(field).ok_or_else(bad)?),
        Kind::Date => {
            let (year, month, day) = date(field).ok_or_else(bad)?;
            Raw::Date { year, month, day }
        }
        Kind::Time => Raw::Time(time(field).ok_or_else(bad)?),
        Kind::DateTime | Kind::Timestamp => {
            let (year, month, day) = field.get(..10).and_then(date).ok_or_else(bad)?;
            let micros = match field.get(11..) {
                Some(rest) => time(rest).ok_or_else(bad)?,
                None => 0,
            };
            if kind == Kind::Timestamp {
                match super::time::days(year, month, day) {
                    Some(days) => {
                        let at = i64::from(days) * 86_400_000_000 + micros;
                        Raw::Timestamp {
                            seconds: at.div_euclid(1_000_000),
                            micros: at.rem_euclid(1_000_000),
                        }
                    }
                    None => Raw::Null,
                }
            } else {
                Raw::DateTime {
                    year,
                    month,
                    day,
                    micros,
                }
            }
        }
        Kind::Char
        | Kind::VarChar
        | Kind::TinyText
        | Kind::Text
        | Kind::MediumText
        | Kind::LongText
        | Kind::Enum
        | Kind::Set
        | Kind::Json
        | Kind::Uuid
        | Kind::Inet4
        | Kind::Inet6 => Raw::Text(at),
        Kind::Binary
        | Kind::VarBinary
        | Kind::TinyBlob
        | Kind::Blob
        | Kind::MediumBlob
        | Kind::LongBlob
        | Kind::Point
        | Kind::Geometry
        | Kind::Vector
        | Kind::Unknown => Raw::Bytes(at),
    })
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn date(field: &[u8]) -> Option<(i32, u8, u8)> {
    let mut parts = std::str::from_utf8(field).ok()?.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    Some((year, month, day))
}

/// `[-]hours:minutes:seconds[.fraction]` in microseconds.
fn time(field: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(field).ok()?;
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let mut parts = text.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds = parts.next()?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let mut micros = 0;
    for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(6) {
        micros = micros * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    let seconds = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?;
    Some(sign * seconds.checked_mul(1_000_000)?.checked_add(micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, text: &str) -> Raw {
        parse(kind, false, text.as_bytes(), 0..text.len()).unwrap()
    }

    #[test]
    fn text_is_read_as_the_log_would_have_it() {
        assert_eq!(of(Kind::Time, "-838:59:59.000"), Raw::Time(-3_020_399_000_000));
        assert_eq!(of(Kind::Time, "12:34:56.789012"), Raw::Time(45_296_789_012));
        assert_eq!(
            of(Kind::Timestamp, "2024-02-29 12:34:56.5"),
            Raw::Timestamp {
                seconds: 1_709_210_096,
                micros: 500_000
            }
        );
        assert_eq!(of(Kind::Timestamp, "0000-00-00 00:00:00"), Raw::Null);
        assert_eq!(of(Kind::Year, "0000"), Raw::Year(0));
        assert_eq!(of(Kind::Int, "-7"), Raw::Int(-7));
        assert_eq!(of(Kind::Bit, "\u{1}\u{2}"), Raw::Bits(0x102));
        let big = u64::MAX.to_string();
        assert_eq!(
            parse(Kind::BigInt, true, big.as_bytes(), 0..big.len()),
            Ok(Raw::UInt(u64::MAX))
        );
        assert!(parse(Kind::Date, false, b"today", 0..5).is_err());
    }
}
