//! Dates and times. A date that the calendar does not have (all zero, or a part of it) is null.

use bytes::{BufMut, BytesMut};
use tapline_api::Value;

use super::{Context, Convert, Failed, TimeUnit};
use crate::binlog::image::Raw;

const DAY: i64 = 86_400_000_000;

pub(super) fn convert(to: &Convert, raw: &Raw, cx: &mut Context<'_>) -> Result<Value, Failed> {
    Ok(match (to, raw) {
        (Convert::Days { adjust }, Raw::Date { year, month, day }) => {
            match days(adjusted(*year, *adjust), *month, *day) {
                Some(days) => Value::Int32(days),
                None => Value::Null,
            }
        }
        (Convert::DateText { adjust }, Raw::Date { year, month, day }) => {
            match days(adjusted(*year, *adjust), *month, *day) {
                Some(days) => cx.text(|out| put_date(out, days)),
                None => Value::Null,
            }
        }
        (Convert::Time(unit), Raw::Time(micros)) => match unit {
            TimeUnit::Micros => Value::Int64(*micros),
            TimeUnit::Nanos => Value::Int64(micros * 1000),
            TimeUnit::Millis => i32::try_from(micros / 1000).map_or(Value::Null, Value::Int32),
            TimeUnit::Iso if (0..DAY).contains(micros) => cx.text(|out| put_time(out, *micros)),
            TimeUnit::Iso => return Err("a time of day is between 00:00 and 24:00".to_owned()),
        },
        (
            Convert::DateTime { unit, adjust },
            Raw::DateTime {
                year,
                month,
                day,
                micros,
            },
        ) => {
            let Some(days) = days(adjusted(*year, *adjust), *month, *day) else {
                return Ok(Value::Null);
            };
            let at = i64::from(days) * DAY + micros;
            match unit {
                TimeUnit::Millis => Value::Int64(at.div_euclid(1000)),
                TimeUnit::Micros => Value::Int64(at),
                TimeUnit::Nanos => Value::Int64(
                    at.checked_mul(1000)
                        .ok_or("a time outside the years 1677 to 2262 has no nanoseconds")?,
                ),
                TimeUnit::Iso => cx.text(|out| put_instant(out, at, None)),
            }
        }
        (Convert::Timestamp { digits }, Raw::Timestamp { seconds, micros }) => {
            if *seconds == 0 && *micros == 0 {
                // 0000-00-00 00:00:00
                return Ok(Value::Null);
            }
            let at = seconds * 1_000_000 + micros;
            // A query's answer tells no width; the log's column does.
            let digits = (*digits > 0).then_some(*digits);
            cx.text(|out| put_instant(out, at, digits))
        }
        _ => return Err("no time".to_owned()),
    })
}

/// `enable.time.adjuster`: a year of two digits is one near 2000.
fn adjusted(year: i32, adjust: bool) -> i32 {
    match year {
        0..=69 if adjust => year + 2000,
        70..=99 if adjust => year + 1900,
        year => year,
    }
}

/// Days since 1970, of a date that there is.
pub(super) fn days(year: i32, month: u8, day: u8) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > longest || !(0..=9999).contains(&year) {
        return None;
    }
    // Years that begin in March, so that the leap day is their last.
    let (month, year) = (i32::from(month), if month <= 2 { year - 1 } else { year });
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i32::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn date_of(days: i32) -> (i32, i32, i32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i32::from(month <= 2);
    (year, month, day)
}

/// What a date and time is written into, before it goes to the arena in one piece.
struct Text {
    bytes: [u8; 40],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self {
            bytes: [b'0'; 40],
            length: 0,
        }
    }

    fn mark(&mut self, mark: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = mark;
            self.length += 1;
        }
    }

    /// At least `width` digits of what is not negative.
    fn number(&mut self, n: i64, width: usize) {
        let (mut width, mut power) = (width, 10i64.pow(u32::try_from(width).unwrap_or(1)));
        while n >= power {
            power = power.saturating_mul(10);
            width += 1;
        }
        let mut rest = n;
        let room = self.bytes.get_mut(self.length..self.length + width);
        for place in room.into_iter().flatten().rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        self.length = (self.length + width).min(self.bytes.len());
    }

    fn date(&mut self, days: i32) {
        let (year, month, day) = date_of(days);
        self.number(year.into(), 4);
        self.mark(b'-');
        self.number(month.into(), 2);
        self.mark(b'-');
        self.number(day.into(), 2);
    }

    /// A time of day; its fraction has `digits`, or as many as it needs.
    fn time(&mut self, micros: i64, digits: Option<u8>) {
        let seconds = micros / 1_000_000;
        self.number(seconds / 3600, 2);
        self.mark(b':');
        self.number(seconds / 60 % 60, 2);
        self.mark(b':');
        self.number(seconds % 60, 2);
        let (mut fraction, mut width) = (micros % 1_000_000, 6);
        match digits {
            Some(digits) => {
                while width > usize::from(digits) {
                    fraction /= 10;
                    width -= 1;
                }
            }
            None if fraction == 0 => return,
            None => {
                while fraction % 10 == 0 {
                    fraction /= 10;
                    width -= 1;
                }
            }
        }
        self.mark(b'.');
        self.number(fraction, width);
    }

    /// Ends it, in UTC.
    fn put(mut self, out: &mut BytesMut) {
        self.mark(b'Z');
        out.put_slice(self.bytes.get(..self.length).unwrap_or_default());
    }
}

fn put_date(out: &mut BytesMut, days: i32) {
    let mut text = Text::new();
    text.date(days);
    text.put(out);
}

fn put_time(out: &mut BytesMut, micros: i64) {
    let mut text = Text::new();
    text.time(micros, None);
    text.put(out);
}

fn put_instant(out: &mut BytesMut, micros: i64, digits: Option<u8>) {
    let mut text = Text::new();
    text.date(i32::try_from(micros.div_euclid(DAY)).unwrap_or(0));
    text.mark(b'T');
    text.time(micros.rem_euclid(DAY), digits);
    text.put(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn apply(to: &Convert, raw: &Raw) -> Result<Value, Failed> {
        let (bytes, mut arena) = (Bytes::new(), BytesMut::new());
        let mut cx = Context {
            bytes: &bytes,
            arena: &mut arena,
            before: None,
        };
        to.apply(raw, &mut cx)
    }

    fn text(text: &str) -> Value {
        Value::from(text.to_owned())
    }

    const LEAP: Raw = Raw::DateTime {
        year: 2024,
        month: 2,
        day: 29,
        micros: 45_296_789_012,
    };

    #[test]
    fn a_point_in_time_has_the_recorded_numbers() {
        let of = |unit| apply(&Convert::DateTime { unit, adjust: true }, &LEAP).unwrap();
        assert_eq!(of(TimeUnit::Millis), Value::Int64(1_709_210_096_789));
        assert_eq!(of(TimeUnit::Micros), Value::Int64(1_709_210_096_789_012));
        assert_eq!(of(TimeUnit::Iso), text("2024-02-29T12:34:56.789012Z"));
        let old = Raw::Date {
            year: 1000,
            month: 1,
            day: 1,
        };
        assert_eq!(
            apply(&Convert::Days { adjust: true }, &old),
            Ok(Value::Int32(-354_285))
        );
        assert_eq!(
            apply(&Convert::DateText { adjust: true }, &old),
            Ok(text("1000-01-01Z"))
        );
    }

    #[test]
    fn a_zero_date_is_null() {
        for (month, day) in [(0, 0), (2, 30), (13, 1), (1, 0)] {
            let raw = Raw::Date {
                year: 2023,
                month,
                day,
            };
            assert_eq!(apply(&Convert::Days { adjust: true }, &raw), Ok(Value::Null));
        }
        let zero = Raw::Timestamp {
            seconds: 0,
            micros: 0,
        };
        assert_eq!(apply(&Convert::Timestamp { digits: 0 }, &zero), Ok(Value::Null));
    }

    #[test]
    fn a_timestamp_from_the_log_keeps_its_columns_width() {
        let raw = Raw::Timestamp {
            seconds: 1,
            micros: 0,
        };
        assert_eq!(
            apply(&Convert::Timestamp { digits: 3 }, &raw),
            Ok(text("1970-01-01T00:00:01.000Z"))
        );
        assert_eq!(
            apply(&Convert::Timestamp { digits: 0 }, &raw),
            Ok(text("1970-01-01T00:00:01Z"))
        );
    }

    #[test]
    fn an_iso_time_outside_the_day_can_not_be_written() {
        assert!(apply(&Convert::Time(TimeUnit::Iso), &Raw::Time(-1)).is_err());
        assert_eq!(
            apply(&Convert::Time(TimeUnit::Iso), &Raw::Time(45_296_500_000)),
            Ok(text("12:34:56.5Z"))
        );
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days_since in -719_528i32..2_932_896) {
            let (year, month, day) = date_of(days_since);
            prop_assert_eq!(days(year, u8::try_from(month).unwrap(), u8::try_from(day).unwrap()), Some(days_since));
        }
    }
}
