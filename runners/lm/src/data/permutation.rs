//! A permutation that is computed place by place, so that it takes no memory.

use regatta_core::Draw;

/// Rounds of the network. Four make it hard to tell from a random permutation (Luby and Rackoff 1988); the rest is margin.
const ROUNDS: usize = 8;

/// A permutation of 0..size: a Feistel network over the next power of four, and cycle walking.
///
/// A round takes two halves (l, r) to (r, l ^ f(r)), which is a bijection whatever f is; here f mixes r with the round's key. Where
/// the result is not below `size` the network is applied again, at most four times on average, until it is: that is a bijection of
/// 0..size, since the network's cycles are only cut short.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    size: u64,
    /// Bits of a half.
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of 0..size that the `key` stream draws.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn new(size: usize, key: &mut Draw) -> Self {
        assert!(size > 0, "there is no number below 0");
        let size = size as u64;
        let half = (u64::BITS - (size - 1).leading_zeros()).div_ceil(2).max(1);
        Self { size, half, keys: std::array::from_fn(|_| u64::from(key.bits()) << 32 | u64::from(key.bits())) }
    }

    /// The number at `place`.
    ///
    /// # Panics
    /// When `place` is not below the size.
    pub fn at(&self, place: usize) -> usize {
        let mut number = place as u64;
        assert!(number < self.size, "place {place} of {}", self.size);
        loop {
            number = self.network(number);
            if number < self.size {
                return number as usize;
            }
        }
    }

    fn network(&self, number: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }
}

/// Each bit of the result depends on each of the argument (the finalizer of SplitMix64, Steele et al. 2014, its constants by
/// Stafford).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: usize, seed: u64) -> Permutation {
        Permutation::new(size, &mut Draw::new(seed, "test", 0, 0))
    }

    #[test]
    fn every_number_comes_once() {
        for size in [1, 2, 3, 4, 5, 16, 17, 1000, 65_536, 65_537, (1 << 20) + 1] {
            let permutation = of(size, 3);
            let mut seen = vec![false; size];
            (0..size).for_each(|place| assert!(!std::mem::replace(&mut seen[permutation.at(place)], true), "{place} of {size}"));
        }
    }

    #[test]
    fn huge_sizes_stay_in_range_and_differ_by_seed() {
        let size = (1 << 40) + 12_345;
        let [first, second] = [of(size, 0), of(size, 1)];
        let places = || (0..1000).map(|place| place * (size / 1000));
        assert!(places().all(|place| first.at(place) < size));
        assert_eq!(places().filter(|&place| first.at(place) == second.at(place)).count(), 0);
    }

    /// Pearson's statistic of cells that should hold the same number each: its mean is cells - 1, its variance twice that.
    fn chi_square(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
    }

    /// Five standard deviations each way: a fault of the network shows as hundreds.
    fn check(counts: &[u32], what: &str) {
        let (found, mean) = (chi_square(counts), counts.len() as f64 - 1.0);
        let deviations = (found - mean) / (2.0 * mean).sqrt();
        println!("{what}: chi-square {found:.0} with {mean:.0} degrees of freedom, {deviations:+.2} deviations");
        assert!(deviations.abs() < 5.0, "{what}: chi-square {found:.0} with {mean:.0} degrees of freedom");
    }

    #[test]
    fn places_and_numbers_have_nothing_to_do_with_each_other() {
        // the next power of four, one above it, and one that is far below the next
        for (size, seed) in [(1 << 20, 0), ((1 << 20) + 7, 1), (3_000_000, 2)] {
            let permutation = of(size, seed);
            let mut cells = vec![0; 64 * 64];
            // a sample: all places would fill every row and column evenly, which random cells do not
            let places = || (0..size).step_by(3);
            places().for_each(|place| cells[place * 64 / size * 64 + permutation.at(place) * 64 / size] += 1);
            check(&cells, &format!("place against number, of {size}"));
            let mut low = vec![0; 64 * 64];
            places().for_each(|place| low[place % 64 * 64 + permutation.at(place) % 64] += 1);
            check(&low, &format!("their last six bits, of {size}"));
        }
    }

    #[test]
    fn one_number_says_nothing_of_the_next() {
        for (size, seed) in [(1 << 20, 0), (3_000_000, 1)] {
            let permutation = of(size, seed);
            let mut differences = vec![0; 1000];
            for place in (0..size - 1).step_by(2) {
                let (one, next) = (permutation.at(place), permutation.at(place + 1));
                differences[(next + size - one) % size * 1000 / size] += 1;
            }
            check(&differences, &format!("differences of neighbours, of {size}"));
        }
    }

    #[test]
    fn seeds_say_nothing_of_each_other() {
        let mut cells = vec![0; 32 * 32];
        let size = 1 << 20;
        for seed in 0..2000 {
            let [one, next] = [of(size, seed), of(size, seed + 1)];
            (0..40).for_each(|place| cells[one.at(place) * 32 / size * 32 + next.at(place) * 32 / size] += 1);
        }
        check(&cells, "the same places under two seeds");
    }
}
