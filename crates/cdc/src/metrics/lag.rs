//! How far behind the source events were: least, most, mean, and percentiles within a hundredth of their value. Pure.

use std::collections::BTreeMap;

/// The border between two buckets is this times the one before: a bucket's middle is within a hundredth of what is in it.
const STEP: f64 = 1.02;

/// What was measured since the start. Bounded: the milliseconds of a century fall into 1,500 buckets.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// How many values, by the number of their bucket; 0 is for zero.
    buckets: BTreeMap<u32, u64>,
    count: u64,
    sum: u128,
    least: Option<u64>,
    most: u64,
}

impl Lag {
    /// `times` events were this many milliseconds behind.
    pub(super) fn add(&mut self, millis: u64, times: u64) {
        *self.buckets.entry(bucket(millis)).or_default() += times;
        self.count += times;
        self.sum += u128::from(millis) * u128::from(times);
        self.least = Some(self.least.map_or(millis, |least| least.min(millis)));
        self.most = self.most.max(millis);
    }

    /// Least, most and mean.
    pub(super) fn summary(&self) -> (u64, u64, u64) {
        let mean = self.sum.checked_div(self.count.into()).unwrap_or_default();
        (
            self.least.unwrap_or_default(),
            self.most,
            u64::try_from(mean).unwrap_or(u64::MAX),
        )
    }

    /// What so many percent of the values are not above.
    pub(super) fn percentile(&self, percent: u64) -> u64 {
        let rank = u128::from(self.count) * u128::from(percent);
        let mut seen = 0u128;
        for (bucket, times) in &self.buckets {
            seen += u128::from(*times);
            if seen * 100 >= rank {
                return middle(*bucket).clamp(self.least.unwrap_or_default(), self.most);
            }
        }
        self.most
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of what is not negative; exact to a hundredth is enough"
)]
fn bucket(millis: u64) -> u32 {
    match millis {
        0 => 0,
        _ => 1 + ((millis as f64).ln() / STEP.ln()).ceil() as u32,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; nothing is negative"
)]
fn middle(bucket: u32) -> u64 {
    match bucket {
        0 => 0,
        _ => (2.0 * STEP.powf(f64::from(bucket - 1)) / (STEP + 1.0)).round() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_hundredth() {
        let mut lag = Lag::default();
        for millis in 0..=10_000 {
            lag.add(millis, 1);
        }
        assert_eq!(lag.summary(), (0, 10_000, 5_000));
        for percent in [1, 50, 95, 99, 100] {
            let (found, exact) = (lag.percentile(percent), percent * 100);
            assert!(found.abs_diff(exact) * 50 <= exact, "{percent} %: {found}");
        }
    }

    #[test]
    fn events_of_a_batch_count_each() {
        let mut lag = Lag::default();
        lag.add(1000, 99);
        lag.add(u64::MAX, 1);
        assert!(lag.percentile(99).abs_diff(1000) <= 10);
        assert_eq!(lag.percentile(100), u64::MAX);
        assert_eq!(lag.summary().0, 1000);
        assert!(lag.buckets.len() == 2);
    }
}
