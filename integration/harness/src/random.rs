//! Random numbers that a seed repeats.

/// splitmix64.
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A seed: `$SEED`, else of the clock. Print it.
    ///
    /// # Panics
    /// When `$SEED` is not a number.
    pub fn seed() -> u64 {
        let now = || {
            std::time::UNIX_EPOCH
                .elapsed()
                .map_or(0, |t| u64::from(t.subsec_nanos()) ^ t.as_secs())
        };
        std::env::var("SEED").map_or_else(|_| now(), |seed| seed.parse().expect("SEED is a number"))
    }

    /// Any number.
    #[allow(
        clippy::should_implement_trait,
        reason = "an endless sequence has no use for Option"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least `low`, below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low).max(1)
    }

    /// At least 0, below 1.
    pub fn part(&mut self) -> f64 {
        self.between(0, 1 << 30) as f64 / f64::from(1 << 30)
    }
}
