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

/// The digits at the beginning as a number, and what is behind them.
fn digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text
        .split_at_checked(count)
        .filter(|_| (1..=9).contains(&count))?;
    let n = digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
    Some((n, rest))
}

/// The same, with `mark` behind them.
fn digits_before(text: &[u8], mark: u8) -> Option<(i64, &[u8])> {
    let (n, rest) = digits(text)?;
    Some((n, rest.strip_prefix(&[mark])?))
}

fn date(field: &[u8]) -> Option<(i32, u8, u8)> {
    let (year, rest) = digits_before(field, b'-')?;
    let (month, rest) = digits_before(rest, b'-')?;
    let (day, rest) = digits(rest)?;
    let date = (
        i32::try_from(year).ok()?,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
    );
    rest.is_empty().then_some(date)
}

/// `[-]hours:minutes:seconds[.fraction]` in microseconds.
fn time(field: &[u8]) -> Option<i64> {
    let (sign, text) = match field.strip_prefix(b"-") {
        Some(text) => (-1, text),
        None => (1, field),
    };
    let (hours, rest) = digits_before(text, b':')?;
    let (minutes, rest) = digits_before(rest, b':')?;
    let (seconds, rest) = digits(rest)?;
    let fraction = match rest {
        [] => rest,
        [b'.', fraction @ ..] => fraction,
        _ => return None,
    };
    let mut micros = 0;
    for digit in fraction.iter().chain(std::iter::repeat(&b'0')).take(6) {
        micros = micros * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(sign * ((hours * 3600 + minutes * 60 + seconds) * 1_000_000 + micros))
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
        for bad in ["today", "2024-02", "2024-02-2x", "", "-", "99999999999-1-1"] {
            assert!(
                parse(Kind::Date, false, bad.as_bytes(), 0..bad.len()).is_err(),
                "{bad}"
            );
        }
        for bad in ["12", "12:34", "12:34:5x", "12:34:56.7x", "", "-"] {
            assert!(
                parse(Kind::Time, false, bad.as_bytes(), 0..bad.len()).is_err(),
                "{bad}"
            );
        }
    }
}
