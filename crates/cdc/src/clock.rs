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
}

#[cfg(test)]
mod tests {
    use super::*;

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
