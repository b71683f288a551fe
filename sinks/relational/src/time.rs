//! Dates and times: from Connect's and Debezium's numbers and texts to what databases take.
//!
//! Postgres counts days and microseconds from 2000-01-01, the others are given text; the calendar is Gregorian throughout.

use crate::digits::padded;

/// Sub-units of a second that a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// From 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY_MICROS;

/// What Debezium's Postgres source gives for infinite timestamps, in milliseconds and microseconds alike (pgjdbc's
/// constants); in nanoseconds it is the greatest and the least number.
const INFINITIES: [(i64, i64); 4] = [
    (9_223_372_036_825_200_000, i64::MAX),
    (-9_223_372_036_832_400_000, i64::MIN),
    (i64::MAX, i64::MAX),
    (i64::MIN, i64::MIN),
];

/// Postgres' first day, 4714-11-24 BC. What is before it becomes -infinity, as pgjdbc has it: Debezium's Postgres source
/// gives such numbers for infinite dates.
const FIRST_DAY: i32 = -2_451_545;

/// Days since 1970 as Postgres' date; the greatest and least number are infinity and -infinity.
pub(crate) fn date(days: i32) -> Option<i32> {
    if days == i32::MAX {
        return Some(days);
    }
    let days = days.saturating_sub(EPOCH_DAYS);
    Some(if days < FIRST_DAY { i32::MIN } else { days })
}

/// What is before the first day becomes -infinity.
fn from_first_day(micros: i64) -> i64 {
    if micros < i64::from(FIRST_DAY) * DAY_MICROS {
        i64::MIN
    } else {
        micros
    }
}

/// Units since midnight as Postgres' time.
pub(crate) fn time(n: i64, unit: Unit) -> Option<i64> {
    let micros = micros(n, unit)?;
    (0..=DAY_MICROS).contains(&micros).then_some(micros)
}

/// Units since 1970 as Postgres' timestamp.
pub(crate) fn timestamp(n: i64, unit: Unit) -> Option<i64> {
    if let Some((_, infinity)) = INFINITIES.iter().find(|(from, _)| *from == n) {
        return Some(*infinity);
    }
    Some(from_first_day(micros(n, unit)?.saturating_sub(EPOCH_MICROS)))
}

/// `2020-01-01T12:00:00.5+01:00` or `infinity` as Postgres' timestamptz.
pub(crate) fn zoned_timestamp(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (date, rest) = text.split_once('T')?;
    let (micros, offset) = clock(rest)?;
    let days = parse_date(date)?;
    days.checked_mul(DAY_MICROS)?
        .checked_add(micros)?
        .checked_sub(i64::from(offset) * 1_000_000)?
        .checked_sub(EPOCH_MICROS)
        .map(from_first_day)
}

/// `12:00:00.5+01:00` as Postgres' timetz: microseconds, and seconds west of Greenwich.
pub(crate) fn zoned_time(text: &str) -> Option<(i64, i32)> {
    let (micros, offset) = clock(text)?;
    Some((micros, -offset))
}

/// Microseconds since midnight, and the offset in seconds east; a missing one is UTC.
fn clock(text: &str) -> Option<(i64, i32)> {
    let zone_at = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at_checked(zone_at)?;
    let mut parts = clock.splitn(3, ':');
    let hour = digits(parts.next()?)?;
    let minute = digits(parts.next()?)?;
    let (second, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        // Java leaves out :00.
        None => ("0", ""),
    };
    let second = digits(second)?;
    if hour > 24 || minute > 59 || second > 60 || fraction.len() > 9 {
        return None;
    }
    let mut nanos = 0;
    for i in 0..9 {
        let digit = match fraction.as_bytes().get(i) {
            Some(byte @ b'0'..=b'9') => i64::from(byte - b'0'),
            Some(_) => return None,
            None => 0,
        };
        nanos = nanos * 10 + digit;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some((seconds * 1_000_000 + (nanos + 500) / 1000, offset(zone)?))
}

fn offset(zone: &str) -> Option<i32> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+')?),
    };
    let mut seconds = 0;
    for (part, unit) in rest.splitn(3, ':').zip([3600, 60, 1]) {
        seconds += i32::try_from(digits(part)?).ok()? * unit;
    }
    Some(sign * seconds)
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days since 1970 of `2020-01-31`, `-0043-03-15` or `+12345-01-01`.
fn parse_date(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = rest.splitn(3, '-');
    let year = sign * digits(parts.next()?)?;
    let month = digits(parts.next()?)?;
    let day = digits(parts.next()?)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 999_999_999 {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Postgres' date as text that Postgres reads.
pub(crate) fn push_date(date: i32, out: &mut String) {
    match date {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        date => {
            let before_christ = push_day(i64::from(date) + i64::from(EPOCH_DAYS), out);
            out.push_str(before_christ);
        }
    }
}

/// Returns what must stand at the end.
fn push_day(days: i64, out: &mut String) -> &'static str {
    let (year, month, day) = civil_from_days(days);
    let (year, end) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    push_civil(year, month, day, out);
    end
}

fn push_civil(year: i64, month: i64, day: i64, out: &mut String) {
    padded(year, 4, out);
    out.push('-');
    padded(month, 2, out);
    out.push('-');
    padded(day, 2, out);
}

/// Days since 1970 as `2020-01-31`; `None` outside the years 0001 to 9999, which ISO 8601 and MySQL agree on.
pub(crate) fn push_iso_date(days: i64, out: &mut String) -> Option<()> {
    let (year, month, day) = civil_from_days(days);
    (1..=9999).contains(&year).then_some(())?;
    push_civil(year, month, day, out);
    Some(())
}

/// Microseconds since 1970 as `2020-01-31 12:00:00.5`; `None` outside the years 0001 to 9999.
pub(crate) fn push_iso_timestamp(micros: i64, out: &mut String) -> Option<()> {
    push_iso_date(micros.div_euclid(DAY_MICROS), out)?;
    out.push(' ');
    push_time(micros.rem_euclid(DAY_MICROS), out);
    Some(())
}

/// A number of units as microseconds, rounded.
pub(crate) fn micros(n: i64, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Millis => n.checked_mul(1000),
        Unit::Micros => Some(n),
        Unit::Nanos => Some(n.checked_add(500)?.div_euclid(1000)),
    }
}

/// `2020-01-01T12:00:00.5+01:00` as microseconds since 1970.
pub(crate) fn instant(text: &str) -> Option<i64> {
    zoned_timestamp(text)
        .filter(|n| !matches!(*n, i64::MAX | i64::MIN))?
        .checked_add(EPOCH_MICROS)
}

/// Postgres' time as text that Postgres reads.
pub(crate) fn push_time(micros: i64, out: &mut String) {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    padded(hour, 2, out);
    out.push(':');
    padded(minute, 2, out);
    out.push(':');
    padded(second, 2, out);
    if fraction != 0 {
        out.push('.');
        padded(fraction, 6, out);
    }
}

/// Postgres' timestamp as text that Postgres reads.
pub(crate) fn push_timestamp(timestamp: i64, out: &mut String) {
    match timestamp {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        timestamp => {
            let days = timestamp.div_euclid(DAY_MICROS) + i64::from(EPOCH_DAYS);
            let end = push_day(days, out);
            out.push(' ');
            push_time(timestamp.rem_euclid(DAY_MICROS), out);
            out.push_str(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(timestamp: Option<i64>) -> String {
        let mut out = String::new();
        match timestamp {
            Some(timestamp) => push_timestamp(timestamp, &mut out),
            None => out.push_str("none"),
        }
        out
    }

    #[test]
    fn iso_texts_are_read() {
        for (text, expected) in [
            ("2000-01-01T00:00:00Z", "2000-01-01 00:00:00"),
            ("2020-02-29T23:59:59.123456Z", "2020-02-29 23:59:59.123456"),
            ("2020-01-01T01:00+01:00", "2020-01-01 00:00:00"),
            ("1969-12-31T23:00:00-01:30:15", "1970-01-01 00:30:15"),
            ("-0043-03-15T00:00:00Z", "0044-03-15 00:00:00 BC"),
            ("+12345-06-07T00:00:00.9999996Z", "12345-06-07 00:00:01"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
            ("2020-13-01T00:00:00Z", "none"),
            ("2020-01-01", "none"),
            ("2020-01-01T0a:00:00Z", "none"),
            ("", "none"),
        ] {
            assert_eq!(shown(zoned_timestamp(text)), expected, "{text}");
        }
        assert_eq!(zoned_time("12:30:00.5+02:00"), Some((45_000_500_000, -7200)));
        assert_eq!(zoned_time("24:00:00Z"), Some((DAY_MICROS, 0)));
    }

    #[test]
    fn numbers_count_from_1970_and_infinities_stay_infinite() {
        assert_eq!(shown(timestamp(0, Unit::Millis)), "1970-01-01 00:00:00");
        assert_eq!(shown(timestamp(1_500, Unit::Nanos)), "1970-01-01 00:00:00.000002");
        assert_eq!(shown(timestamp(-1, Unit::Micros)), "1969-12-31 23:59:59.999999");
        assert_eq!(
            shown(timestamp(9_223_372_036_825_200_000, Unit::Micros)),
            "infinity"
        );
        assert_eq!(shown(timestamp(i64::MIN, Unit::Nanos)), "-infinity");
        assert_eq!(timestamp(i64::MAX - 1, Unit::Millis), None);
        assert_eq!((date(0), date(i32::MAX)), (Some(-EPOCH_DAYS), Some(i32::MAX)));
        // As the recorded source has infinity, -infinity and infinity again.
        for days in [-622_191_234, i32::MIN, -2_147_472_692] {
            assert_eq!(date(days), Some(i32::MIN));
        }
        assert_eq!(date(FIRST_DAY + EPOCH_DAYS), Some(FIRST_DAY));
        assert_eq!(shown(timestamp(-300_000_000_000_000, Unit::Millis)), "-infinity");
        assert_eq!(shown(zoned_timestamp("-5000-01-01T00:00:00Z")), "-infinity");
        assert_eq!(
            (time(86_400_000, Unit::Millis), time(-1, Unit::Micros)),
            (Some(DAY_MICROS), None)
        );
    }

    proptest! {
        #[test]
        fn days_and_dates_are_the_same_thing(days in -800_000_000i64..800_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
        }

        #[test]
        fn no_text_is_a_panic(text in "[-+0-9TZ:.]{0,30}") {
            let _ = (zoned_timestamp(&text), zoned_time(&text));
        }
    }
}
