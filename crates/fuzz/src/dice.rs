//! Chance that can be repeated, for tests that interrupt at random moments.

/// Numbers from a seed: the multiplier is Knuth's, for MMIX.
pub struct Dice(u64);

impl Dice {
    /// From `CAMLOCK_SEED`, or a new seed; says which, so that it can be repeated.
    pub fn seeded() -> Dice {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let given = std::env::var("CAMLOCK_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or(now.as_nanos() as u64);
        println!("CAMLOCK_SEED={seed}");
        Dice(seed)
    }

    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next one, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
