//! The time of handling, in the three units of an envelope.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i64);

impl Instant {
    /// Reads the system's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// From microseconds since 1970.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1000))
    }

    /// Milliseconds since 1970, rounded towards the past as Java does.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Microseconds since 1970, rounded towards the past.
    pub fn micros(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Nanoseconds since 1970.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// As `java.time.Instant` prints itself.
    pub fn java_text(self) -> String {
        let nanos = self.0;
        let (days, rest) = (
            nanos.div_euclid(86_400_000_000_000),
            nanos.rem_euclid(86_400_000_000_000),
        );
        // Days since 0000-03-01, so that the leap day is a year's last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let moved = (5 * of_year + 2) / 153;
        let day = of_year - (153 * moved + 2) / 5 + 1;
        let month = if moved < 10 { moved + 3 } else { moved - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let seconds = rest / 1_000_000_000;
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            rest % 1_000_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_printed_as_java_prints_it() {
        let text = |micros| Instant::from_micros(micros).java_text();
        assert_eq!(text(1_795_407_079_485_949), "2026-11-23T04:11:19.485949000Z");
        assert_eq!(text(951_782_400_000_000), "2000-02-29T00:00:00.000000000Z");
    }

    #[test]
    fn units_are_of_one_instant() {
        let at = Instant::from_micros(1_795_406_797_038_069);
        assert_eq!(
            (at.millis(), at.micros(), at.nanos()),
            (
                1_795_406_797_038,
                1_795_406_797_038_069,
                1_795_406_797_038_069_000
            )
        );
        assert_eq!(Instant::from_micros(-1).millis(), -1);
    }
}
