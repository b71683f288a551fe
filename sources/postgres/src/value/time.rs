//! Dates and times: Postgres' ISO text to days and microseconds since 1970, and those to Java's ISO forms.
//!
//! By integers alone, because neither Java's nor Rust's calendars span Postgres' years -4712 to 294276 at this price.

use bytes::{BufMut, BytesMut};

use super::Malformed;

/// `infinity` in microseconds, as Debezium has it (pgjdbc's milliseconds taken for microseconds).
pub(super) const INFINITY: i64 = 9_223_372_036_825_200_000;
/// `-infinity`.
pub(super) const NEGATIVE_INFINITY: i64 = -9_223_372_036_832_400_000;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Reads ASCII digits and the marks between them.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn number(&mut self) -> Result<i64, Malformed> {
        let (mut value, mut read) = (0i64, 0);
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            value = value * 10 + i64::from(digit - b'0');
            read += 1;
            // Far more than any year, far less than an overflow.
            if read > 12 {
                return Err(Malformed);
            }
            self.0 = rest;
        }
        if read == 0 { Err(Malformed) } else { Ok(value) }
    }

    fn skip(&mut self, mark: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == mark => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, mark: u8) -> Result<(), Malformed> {
        if self.skip(mark) { Ok(()) } else { Err(Malformed) }
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// `2024-02-29`, without the era.
    fn date(&mut self) -> Result<(i64, i64, i64), Malformed> {
        let year = self.number()?;
        self.expect(b'-')?;
        let month = self.number()?;
        self.expect(b'-')?;
        Ok((year, month, self.number()?))
    }

    /// `12:34:56.789012` in microseconds.
    fn time(&mut self) -> Result<i64, Malformed> {
        let hours = self.number()?;
        self.expect(b':')?;
        let minutes = self.number()?;
        let seconds = if self.skip(b':') { self.number()? } else { 0 };
        let mut micros = 0;
        if self.skip(b'.') {
            let mut unit = MICROS_PER_SECOND / 10;
            while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
                micros += i64::from(digit - b'0') * unit;
                unit /= 10;
                self.0 = rest;
            }
        }
        Ok(((hours * 60 + minutes) * 60 + seconds) * MICROS_PER_SECOND + micros)
    }

    /// `+05:30` in microseconds east of UTC; nothing means UTC.
    fn offset(&mut self) -> Result<i64, Malformed> {
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Ok(0),
        };
        self.0 = self.0.get(1..).unwrap_or_default();
        let mut seconds = self.number()? * 3600;
        if self.skip(b':') {
            seconds += self.number()? * 60;
        }
        if self.skip(b':') {
            seconds += self.number()?;
        }
        Ok(sign * seconds * MICROS_PER_SECOND)
    }

    /// Whether the year was before Christ.
    fn era(&mut self) -> Result<bool, Malformed> {
        match self.0 {
            b" BC" => {
                self.0 = &[];
                Ok(true)
            }
            _ => self.end().map(|()| false),
        }
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Result<i64, Malformed> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 10_000_000 {
        return Err(Malformed);
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// A `date` in days since 1970; infinities are the type's ends.
pub(super) fn date(text: &[u8]) -> Result<i32, Malformed> {
    match text {
        b"infinity" => return Ok(i32::MAX),
        b"-infinity" => return Ok(i32::MIN),
        _ => {}
    }
    let mut scanner = Scanner(text);
    let (year, month, day) = scanner.date()?;
    let year = if scanner.era()? { 1 - year } else { year };
    i32::try_from(days(year, month, day)?).map_err(|_| Malformed)
}

/// A `time` in microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Result<i64, Malformed> {
    let mut scanner = Scanner(text);
    let micros = scanner.time()?;
    scanner.end()?;
    Ok(micros)
}

/// A `timetz` in microseconds since midnight, UTC.
pub(super) fn time_utc(text: &[u8]) -> Result<i64, Malformed> {
    let mut scanner = Scanner(text);
    let micros = scanner.time()?;
    let offset = scanner.offset()?;
    scanner.end()?;
    Ok((micros - offset).rem_euclid(MICROS_PER_DAY))
}

/// A moment in UTC: days since 1970, and microseconds of the day. Microseconds since 1970 would not hold the last decades
/// before Postgres' end of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    days: i64,
    micros: i64,
}

impl Moment {
    fn new(days: i64, micros: i64) -> Self {
        Self {
            days: days + micros.div_euclid(MICROS_PER_DAY),
            micros: micros.rem_euclid(MICROS_PER_DAY),
        }
    }

    pub(super) fn millis(self) -> i64 {
        self.days * (MICROS_PER_DAY / 1000) + self.micros / 1000
    }

    fn exact(self) -> i128 {
        i128::from(self.days) * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    /// What does not fit is taken as the largest number.
    pub(super) fn micros(self) -> i64 {
        let micros = self.exact();
        i64::try_from(micros).unwrap_or(if micros > 0 { i64::MAX } else { i64::MIN })
    }

    /// Nothing, where it does not fit, as in Debezium; infinities are the type's ends.
    pub(super) fn nanos(self) -> Result<i64, Malformed> {
        const BEFORE: i128 = NEGATIVE_INFINITY as i128;
        const AFTER: i128 = INFINITY as i128;
        match self.exact() {
            BEFORE => Ok(i64::MIN),
            AFTER => Ok(i64::MAX),
            micros => i64::try_from(micros * 1000).map_err(|_| Malformed),
        }
    }
}

/// A `timestamp` or `timestamptz`.
pub(super) fn timestamp(text: &[u8]) -> Result<Moment, Malformed> {
    match text {
        b"infinity" => return Ok(Moment::new(0, INFINITY)),
        b"-infinity" => return Ok(Moment::new(0, NEGATIVE_INFINITY)),
        _ => {}
    }
    let mut scanner = Scanner(text);
    let (year, month, day) = scanner.date()?;
    // A timestamp default may be a bare date.
    let micros = if scanner.skip(b' ') || scanner.skip(b'T') {
        scanner.time()?
    } else {
        0
    };
    let offset = scanner.offset()?;
    let year = if scanner.era()? { 1 - year } else { year };
    Ok(Moment::new(days(year, month, day)?, micros - offset))
}

/// How many digits stand after the seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    /// As many as it takes.
    Shortest,
    /// So many, zeros included.
    Digits(usize),
}

/// `2024-02-29`, with Java's signs for years outside 0 to 9999.
pub(super) fn write_date(out: &mut BytesMut, days: i64) {
    let (year, month, day) = civil(days);
    match year {
        ..0 => out.put_u8(b'-'),
        0..=9999 => {}
        _ => out.put_u8(b'+'),
    }
    put_digits(out, year.unsigned_abs(), 4);
    out.put_u8(b'-');
    put_digits(out, month.unsigned_abs(), 2);
    out.put_u8(b'-');
    put_digits(out, day.unsigned_abs(), 2);
}

/// `12:34:56.789`, of microseconds that are not negative.
pub(super) fn write_time(out: &mut BytesMut, micros: i64, fraction: Fraction) {
    let micros = micros.unsigned_abs();
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    put_digits(out, seconds / 3600, 2);
    out.put_u8(b':');
    put_digits(out, seconds / 60 % 60, 2);
    out.put_u8(b':');
    put_digits(out, seconds % 60, 2);
    let digits = match fraction {
        Fraction::Shortest if micros == 0 => 0,
        Fraction::Shortest => {
            let zeros = (1..6)
                .take_while(|zeros| micros.is_multiple_of(10u64.pow(*zeros)))
                .count();
            6 - zeros
        }
        Fraction::Digits(count) => count.min(6),
    };
    if digits > 0 {
        out.put_u8(b'.');
        let surplus = u32::try_from(6 - digits).unwrap_or(0);
        put_digits(out, micros / 10u64.pow(surplus), digits);
    }
}

/// `2024-02-29T12:34:56.789012Z`.
pub(super) fn write_timestamp(out: &mut BytesMut, at: Moment, fraction: Fraction) {
    write_date(out, at.days);
    out.put_u8(b'T');
    write_time(out, at.micros, fraction);
    out.put_u8(b'Z');
}

/// At least `width` digits, zeros before. By hand, because this is done for every time of every row.
fn put_digits(out: &mut BytesMut, mut number: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut used = 0;
    for place in buffer.iter_mut().rev() {
        if number == 0 && used >= width {
            break;
        }
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
    }
    out.put_slice(buffer.get(buffer.len() - used..).unwrap_or_default());
}

/// An `interval` in its parts, as `IntervalStyle=postgres` prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interval {
    years: i64,
    months: i64,
    days: i64,
    /// The hours to microseconds part, whole.
    micros: i64,
}

impl Interval {
    /// Reads `1 year 2 mons -3 days +04:05:06.789`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut interval = Self::default();
        let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let (sign, digits) = match word {
                [b'-', rest @ ..] => (-1, rest),
                [b'+', rest @ ..] => (1, rest),
                _ => (1, word),
            };
            if word.contains(&b':') {
                interval.micros = sign * time(digits)?;
                continue;
            }
            let mut scanner = Scanner(digits);
            let number = sign * scanner.number()?;
            scanner.end()?;
            match words.next() {
                Some(b"year" | b"years") => interval.years = number,
                Some(b"mon" | b"mons") => interval.months = number,
                Some(b"day" | b"days") => interval.days = number,
                _ => return Err(Malformed),
            }
        }
        Ok(interval)
    }

    /// `io.debezium.time.MicroDuration`: a month has 365.25 / 12 days; too much is the largest number.
    pub(super) fn micros(self) -> i64 {
        let months = self.years.saturating_mul(12).saturating_add(self.months);
        // 30.4375 days, in microseconds.
        const MONTH: i128 = 2_629_800_000_000;
        let total = i128::from(months) * MONTH
            + i128::from(self.days) * i128::from(MICROS_PER_DAY)
            + i128::from(self.micros);
        i64::try_from(total).unwrap_or(if total > 0 { i64::MAX } else { i64::MIN })
    }

    /// `io.debezium.time.Interval`: `P1Y2M3DT4H5M6.789S`.
    pub(super) fn to_iso(self) -> String {
        let seconds = self.micros / MICROS_PER_SECOND;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let rest = self.micros - (hours * 3600 + minutes * 60) * MICROS_PER_SECOND;
        let digits = format!("{:06}", (rest % MICROS_PER_SECOND).abs());
        let fraction = digits.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if rest < 0 { "-" } else { "" };
        format!(
            "P{}Y{}M{}DT{hours}H{minutes}M{sign}{}{point}{fraction}S",
            self.years,
            self.months,
            self.days,
            (rest / MICROS_PER_SECOND).abs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn iso(micros: i64, fraction: Fraction) -> String {
        let mut out = BytesMut::new();
        write_timestamp(&mut out, Moment::new(0, micros), fraction);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn values_are_those_that_debezium_recorded() {
        assert_eq!(date(b"2024-02-29"), Ok(19_782));
        assert_eq!(date(b"0001-01-01"), Ok(-719_162));
        assert_eq!(date(b"0044-03-15 BC"), Ok(-735_160));
        assert_eq!(date(b"10000-01-01"), Ok(2_932_897));
        assert_eq!(time(b"12:34:56.789012"), Ok(45_296_789_012));
        assert_eq!(time(b"24:00:00"), Ok(86_400_000_000));
        let micros = |text: &str| timestamp(text.as_bytes()).unwrap().micros();
        assert_eq!(micros("1582-10-04 00:00:00"), -12_220_243_200_000_000);
        assert_eq!(micros("0044-03-15 12:00:00 BC"), -63_517_780_800_000_000);
        assert_eq!(micros("2024-02-29 12:34:56.789012+05:30"), 1_709_190_296_789_012);
        assert_eq!(time_utc(b"23:59:59.999999-15:59"), Ok(57_539_999_999));
        assert_eq!(
            (micros("infinity"), micros("-infinity")),
            (INFINITY, NEGATIVE_INFINITY)
        );
        assert_eq!(timestamp(b"-infinity").unwrap().nanos(), Ok(i64::MIN));
        let last = timestamp(b"294276-12-31 23:59:59.9").unwrap();
        assert_eq!(last.millis(), 9_224_318_015_999_900);
        assert_eq!((last.micros(), last.nanos()), (i64::MAX, Err(Malformed)));
    }

    #[test]
    fn texts_are_those_of_java() {
        assert_eq!(iso(0, Fraction::Digits(6)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(iso(-1, Fraction::Shortest), "1969-12-31T23:59:59.999999Z");
        assert_eq!(iso(1_500_000, Fraction::Shortest), "1970-01-01T00:00:01.5Z");
        let read = |text: &str| timestamp(text.as_bytes()).unwrap().micros();
        assert_eq!(
            iso(read("200000-01-01 00:00:00"), Fraction::Digits(0)),
            "+200000-01-01T00:00:00Z"
        );
        assert_eq!(
            iso(read("0044-03-15 12:00:00 BC"), Fraction::Shortest),
            "-0043-03-15T12:00:00Z"
        );
    }

    #[test]
    fn intervals_are_those_that_debezium_recorded() {
        let read = |text: &str| Interval::parse(text.as_bytes()).unwrap();
        let one = read("1 year 2 mons 3 days 04:05:06.789012");
        assert_eq!(
            (one.micros(), one.to_iso().as_str()),
            (37_091_106_789_012, "P1Y2M3DT4H5M6.789012S")
        );
        let two = read("-1 years -2 mons +3 days -04:05:06.5");
        assert_eq!(
            (two.micros(), two.to_iso().as_str()),
            (-36_572_706_500_000, "P-1Y-2M3DT-4H-5M-6.5S")
        );
        let three = read("100000:00:00");
        assert_eq!(
            (three.micros(), three.to_iso().as_str()),
            (360_000_000_000_000, "P0Y0M0DT100000H0M0S")
        );
        assert_eq!(read("178000000 years").micros(), i64::MAX);
        assert_eq!(read("-1 days -00:00:01").micros(), -86_401_000_000);
        assert!(Interval::parse(b"1 fortnight").is_err());
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(number in -2_440_588i64..100_000_000) {
            let (year, month, day) = civil(number);
            prop_assert_eq!(days(year, month, day), Ok(number));
        }

        #[test]
        fn no_bytes_make_it_panic(text in "[-+0-9:. TBCinfityears]{0,40}") {
            let text = text.as_bytes();
            let _ = (date(text), time(text), time_utc(text), timestamp(text));
            if let Ok(interval) = Interval::parse(text) {
                let _ = (interval.micros(), interval.to_iso());
            }
        }
    }
}
