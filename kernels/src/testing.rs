//! Random numbers for tests.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// `count` random numbers with mean 0 and variance 1: the sum of twelve uniform numbers, minus 6.
pub fn random(seed: u64, count: usize) -> Vec<f64> {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || f64::from(stream.next_u32()) / f64::from(u32::MAX);
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}
