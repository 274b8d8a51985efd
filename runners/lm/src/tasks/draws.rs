//! Python's `random.Random(seed).sample`, by which lm-evaluation-harness draws its examples: the same seed draws the same.
//!
//! The generator is MT19937 (Matsumoto & Nishimura 1998, "Mersenne Twister", ACM TOMACS 8), seeded by an array. It draws nothing
//! that a model is trained on; everything else in Regatta draws from [`regatta_core::Draw`].

use std::collections::HashSet;

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// A generator whose draws go on from call to call.
pub(super) struct PythonRandom {
    state: [u32; WORDS],
    /// Words of `state` that were given out.
    used: usize,
}

impl PythonRandom {
    /// As `random.Random(seed)`.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        let mut state = [0u32; WORDS];
        state[0] = 19_650_218;
        for i in 1..WORDS {
            state[i] = mixed(state[i - 1], 1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        // the first word is the last one's copy whenever the end is reached
        let advance = |state: &mut [u32; WORDS], i: usize| {
            if i + 1 < WORDS {
                return i + 1;
            }
            state[0] = state[WORDS - 1];
            1
        };
        for round in 0..WORDS.max(key.len()) {
            let j = round % key.len();
            state[i] = (state[i] ^ mixed(state[i - 1], 1_664_525)).wrapping_add(key[j]).wrapping_add(j as u32);
            i = advance(&mut state, i);
        }
        for _ in 1..WORDS {
            state[i] = (state[i] ^ mixed(state[i - 1], 1_566_083_941)).wrapping_sub(i as u32);
            i = advance(&mut state, i);
        }
        state[0] = 1 << 31;
        Self { state, used: WORDS }
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.used == WORDS {
            for i in 0..WORDS {
                let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
                let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + MIDDLE) % WORDS] ^ (joined >> 1) ^ odd;
            }
            self.used = 0;
        }
        let mut word = self.state[self.used];
        self.used += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number below `end`, which is above 0 and below 2³².
    fn below(&mut self, end: usize) -> usize {
        let bits = usize::BITS - end.leading_zeros();
        loop {
            let drawn = (self.word() >> (32 - bits)) as usize;
            if drawn < end {
                return drawn;
            }
        }
    }

    /// `count` different numbers below `population`, in the order drawn, as `sample(range(population), count)`.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn sample(&mut self, population: usize, count: usize) -> Vec<usize> {
        assert!(count <= population, "{count} of {population}");
        // Python shuffles a list where it is shorter than the table that a set of the drawn would take
        let mut table = 21;
        if count > 5 {
            table += (1..).map(|power| 4usize.pow(power)).find(|&size| size >= 3 * count).unwrap_or(usize::MAX);
        }
        if population <= table {
            let mut pool: Vec<usize> = (0..population).collect();
            let draw = |taken: usize| {
                let left = population - taken;
                let index = self.below(left);
                let drawn = pool[index];
                pool[index] = pool[left - 1];
                drawn
            };
            return (0..count).map(draw).collect();
        }
        let mut drawn = HashSet::new();
        let fresh = |_| loop {
            let number = self.below(population);
            if drawn.insert(number) {
                return number;
            }
        };
        (0..count).map(fresh).collect()
    }
}

fn mixed(word: u32, factor: u32) -> u32 {
    (word ^ (word >> 30)).wrapping_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Printed by CPython 3.11: r = random.Random(seed); [r.getrandbits(32) for _ in range(3)], and so on.

    #[test]
    fn words_are_pythons() {
        let first = |seed: u64| {
            let mut random = PythonRandom::new(seed);
            [random.word(), random.word(), random.word()]
        };
        assert_eq!(first(0), [3_626_764_237, 1_654_615_998, 3_255_389_356]);
        assert_eq!(first(1234), [4_150_886_329, 3_342_196_574, 1_892_932_127]);
        assert_eq!(first((1 << 40) + 5), [2_166_296_868, 2_220_160_828, 1_153_647_273], "two words of seed");
        let mut random = PythonRandom::new(1234);
        (0..WORDS).for_each(|_| _ = random.word());
        assert_eq!(random.word(), 3_715_477_445, "after a whole state");
    }

    #[test]
    fn samples_are_pythons_and_go_on() {
        let check = |population, expected: [&[usize]; 2]| {
            let mut random = PythonRandom::new(1234);
            for expected in expected {
                assert_eq!(random.sample(population, expected.len()), expected, "{population}");
            }
        };
        check(20, [&[14, 3, 0, 2, 1], &[2, 3, 11, 7, 0]]); // from a list
        check(22, [&[14, 3, 0, 2, 18], &[1, 21, 2, 3, 11]]); // from a set
        check(200, [&[199, 112, 29, 1, 23, 149], &[8, 171, 177, 21, 25, 196]]);
        check(1, [&[0], &[0]]);
        check(30, [&[24, 14, 3], &[0, 2, 29]]);
        let all = [14, 3, 0, 2, 1, 17, 16, 12, 5, 19, 18, 10, 9, 13, 7, 4, 11, 6, 8, 15, 20];
        assert_eq!(PythonRandom::new(1234).sample(21, 21), all);
        let mut random = PythonRandom::new(7);
        (0..99).for_each(|_| _ = random.sample(100, 6));
        assert_eq!(random.sample(100, 6), [50, 64, 39, 88, 27, 29], "the hundredth");
    }
}
