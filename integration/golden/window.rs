//! The time that a run took: a moment inside it is told apart from a date that the SQL names.

/// From the first to the last moment, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Window(pub i64, pub i64);

/// How far a server's clock and ours may be apart, and how much earlier the set-up began.
const SLACK: i64 = 120_000;

impl Window {
    /// Whether a number is a moment of the run: in seconds, milliseconds, microseconds or nanoseconds, or its day.
    pub fn holds(&self, number: i64) -> bool {
        let (from, to) = (self.0 - SLACK, self.1 + SLACK);
        let within = |unit: i64| number / unit >= from && number / unit <= to;
        within(1)
            || within(1_000)
            || within(1_000_000)
            || (number.saturating_mul(1_000) >= from && number.saturating_mul(1_000) <= to)
            || (number >= from / 86_400_000 && number <= to / 86_400_000)
    }

    /// Whether an instant in ISO 8601, in UTC, is a moment of the run.
    pub fn holds_text(&self, text: &str) -> bool {
        let part = |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<i64>().ok());
        let parts = (
            part(0..4),
            part(5..7),
            part(8..10),
            part(11..13),
            part(14..16),
            part(17..19),
        );
        let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = parts else {
            return false;
        };
        // days from civil: http://howardhinnant.github.io/date_algorithms.html
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let yoe = y - era * 400;
        let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
        self.holds(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000)
    }
}
