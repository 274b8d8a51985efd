//! Random numbers as pure functions of (seed, purpose, step, layer).

use crate::Result;
use crate::simd::Simd;
use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::{FRAC_PI_2, LN_2, TAU};

/// Pairs of normals per batch.
const PAIRS: usize = 64;

/// The only source of randomness: a stream of numbers that is a pure function of (seed, purpose, step, layer).
///
/// Two purposes never share a stream, so an arm's draws cannot change another arm's data order. A resumed trial draws the same
/// numbers at a step as an uninterrupted one. candle's own CPU generator cannot be seeded and is never used.
#[derive(Debug, Clone)]
pub struct Draw {
    stream: ChaCha8Rng,
}

impl Draw {
    /// The stream of (`seed`, `purpose`, `step`, `layer`): ChaCha8 keyed by their BLAKE3 hash.
    pub fn new(seed: u64, purpose: &str, step: u64, layer: u64) -> Self {
        let mut hash = blake3::Hasher::new();
        for number in [seed, step, layer] {
            hash.update(&number.to_le_bytes());
        }
        hash.update(purpose.as_bytes());
        Self { stream: ChaCha8Rng::from_seed(*hash.finalize().as_bytes()) }
    }

    /// Stream number `index` of this one's key, whatever this one has drawn so far: for work that is split over threads.
    pub fn split(&self, index: u64) -> Self {
        let mut stream = ChaCha8Rng::from_seed(self.stream.get_seed());
        stream.set_stream(index + 1);
        Self { stream }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        unit_interval(self.stream.next_u64())
    }

    /// Uniform in 0..bound, without bias (Lemire's multiply and reject).
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number is below 0");
        let bound = bound as u64;
        let reject = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.stream.next_u64()) * u128::from(bound);
            if wide as u64 >= reject {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Standard normal (Box-Muller; the second number of each pair is discarded, to keep the stream simple).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(TAU * self.uniform())
    }

    /// A tensor of standard normals. It uses both numbers of each Box-Muller pair, so it takes half the time of as many calls of
    /// [`Self::normal`].
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn normals(&mut self, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let mut numbers = vec![0f64; shape.iter().product()];
        self.fill(&mut numbers, |normal| normal);
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }

    /// Overwrites `numbers` with the normals that [`Self::normals`] would draw in float32, without a tensor.
    pub fn fill_normals(&mut self, numbers: &mut [f32]) {
        self.fill(numbers, |normal| normal as f32);
    }

    fn fill<T>(&mut self, numbers: &mut [T], of: impl Fn(f64) -> T) {
        for chunk in numbers.chunks_mut(2 * PAIRS) {
            let mut bytes = [[0u8; 8]; 2 * PAIRS]; // the bytes of as many calls of `uniform`
            self.stream.fill_bytes(bytes[..2 * chunk.len().div_ceil(2)].as_flattened_mut());
            let mut pairs = bytes.map(|bytes| unit_interval(u64::from_le_bytes(bytes)));
            to_normals(&mut pairs);
            chunk.iter_mut().zip(pairs).for_each(|(number, normal)| *number = of(normal));
        }
    }

    /// `count` of the numbers 0..total without replacement, in increasing order (Floyd's algorithm).
    ///
    /// # Panics
    /// When `count` exceeds `total`.
    pub fn sample(&mut self, total: usize, count: usize) -> Vec<usize> {
        assert!(count <= total, "cannot draw {count} of {total} without replacement");
        let mut chosen = std::collections::BTreeSet::new();
        for last in total - count..total {
            let pick = self.below(last + 1);
            if !chosen.insert(pick) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }

    /// The numbers 0..total in random order (Fisher-Yates).
    pub fn permutation(&mut self, total: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..total).collect();
        for last in (1..total).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

crate::vectorize! {
    /// Replaces pairs of uniform numbers in [0, 1) by pairs of standard normals (Box-Muller).
    fn to_normals(pairs: &mut [f64; 2 * PAIRS]) = to_normals_with;
}

#[inline(always)]
fn to_normals_with<S: Simd>(pairs: &mut [f64; 2 * PAIRS]) {
    let uniforms: [[f64; PAIRS]; 2] = std::array::from_fn(|of| std::array::from_fn(|pair| pairs[2 * pair + of]));
    let mut normals = [[0f64; PAIRS]; 2];
    for pair in 0..PAIRS {
        let radius = (-2.0 * ln(1.0 - uniforms[0][pair])).sqrt();
        let (sine, cosine) = sine_cosine_of_turns(uniforms[1][pair]);
        (normals[0][pair], normals[1][pair]) = (radius * cosine, radius * sine);
    }
    pairs.as_chunks_mut::<2>().0.iter_mut().enumerate().for_each(|(pair, out)| *out = [normals[0][pair], normals[1][pair]]);
}

/// Adding 1.5·2⁵² rounds a float64 to an integer, which is then in the lowest bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `ln(x)` of a normal x in (0, 1], within 3e-16 relative or, near 1, absolute. It has no branch, so that a loop over it is
/// vectorized.
///
/// Splits x into 2ⁿ·m with m in [sqrt(1/2), sqrt(2)]. With s = (m - 1)/(m + 1), ln m = 2 (s + s³/3 + s⁵/5 + ...), whose terms fall
/// by a factor of at least 34.
#[inline(always)]
fn ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let above = x.to_bits().wrapping_sub(SQRT_HALF); // exponent and mantissa, as if sqrt(1/2) were 1
    let exponent = above & 0xfff0_0000_0000_0000;
    let m = f64::from_bits(x.to_bits().wrapping_sub(exponent));
    // The exponent as a float: added to the bits of 1.5·2⁵², which is then subtracted.
    let n = f64::from_bits(((exponent.cast_signed() >> 52).cast_unsigned()).wrapping_add(ROUND.to_bits())) - ROUND;
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    const SERIES: [f64; 10] =
        [1.0 / 21.0, 1.0 / 19.0, 1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0];
    let mut tail = SERIES[0];
    for coefficient in &SERIES[1..] {
        tail = tail.mul_add(square, *coefficient);
    }
    n.mul_add(LN_2, (2.0 * s).mul_add(tail * square, 2.0 * s))
}

/// Sine and cosine of `2π·turns`, for turns in [0, 1], within 3e-16. Like [`ln`], it has no branch.
///
/// Taylor series after reduction to the nearest quarter turn.
#[inline(always)]
fn sine_cosine_of_turns(turns: f64) -> (f64, f64) {
    let shifted = turns.mul_add(4.0, ROUND);
    let quarters = shifted.to_bits();
    let angle = turns.mul_add(4.0, -(shifted - ROUND)) * FRAC_PI_2; // from -π/4 to π/4; the difference is exact
    let square = angle * angle;
    const SINE: [f64; 8] = [
        -1.0 / 355_687_428_096_000.0, // -1/17!
        1.0 / 1_307_674_368_000.0,
        -1.0 / 6_227_020_800.0,
        1.0 / 39_916_800.0,
        -1.0 / 362_880.0,
        1.0 / 5_040.0,
        -1.0 / 120.0,
        1.0 / 6.0,
    ];
    const COSINE: [f64; 9] = [
        1.0 / 6_402_373_705_728_000.0, // 1/18!
        -1.0 / 20_922_789_888_000.0,
        1.0 / 87_178_291_200.0,
        -1.0 / 479_001_600.0,
        1.0 / 3_628_800.0,
        -1.0 / 40_320.0,
        1.0 / 720.0,
        -1.0 / 24.0,
        0.5,
    ];
    let (mut s, mut c) = (SINE[0], COSINE[0]);
    for coefficient in &SINE[1..] {
        s = s.mul_add(square, *coefficient);
    }
    for coefficient in &COSINE[1..] {
        c = c.mul_add(square, *coefficient);
    }
    let (sine, cosine) = ((-s * square).mul_add(angle, angle), (-c).mul_add(square, 1.0));
    // Sine and cosine are exchanged after an odd number of quarters; bit 1 of the number, and of the number plus 1, is their sign.
    let odd = quarters & 1 == 1;
    let (sine, cosine) = if odd { (cosine, sine) } else { (sine, cosine) };
    let sign = |quarters: u64| (quarters & 2) << 62;
    (f64::from_bits(sine.to_bits() ^ sign(quarters)), f64::from_bits(cosine.to_bits() ^ sign(quarters.wrapping_add(1))))
}

/// 53 of 64 random bits as a number in [0, 1).
fn unit_interval(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_equal_if_and_only_if_their_keys_are() {
        let first = |seed, purpose, step, layer| Draw::new(seed, purpose, step, layer).bits();
        let one = first(0, "data", 3, 1);
        assert_eq!(one, first(0, "data", 3, 1));
        for other in [first(1, "data", 3, 1), first(0, "init", 3, 1), first(0, "data", 4, 1), first(0, "data", 3, 2)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn splits_do_not_depend_on_the_parents_position() {
        let parent = Draw::new(7, "dropout", 0, 0);
        let mut moved = parent.clone();
        moved.bits();
        assert_eq!(parent.split(5).bits(), moved.split(5).bits());
        assert_ne!(parent.split(5).bits(), parent.split(6).bits());
    }

    #[test]
    fn normals_have_mean_0_and_variance_1() {
        let mut draw = Draw::new(0, "test", 0, 0);
        let numbers: Vec<f64> = (0..100_000).map(|_| draw.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 4.0 / 1e5f64.sqrt(), "{mean}");
        assert!((variance - 1.0).abs() < 4.0 * (2.0 / 1e5f64).sqrt(), "{variance}");
    }

    #[test]
    fn normals_of_a_tensor_are_box_muller_pairs_of_the_stream() {
        let mut draw = Draw::new(3, "test", 0, 0);
        draw.bits(); // so that the stream is not at a multiple of 64 bits
        let mut plain = draw.clone();
        let found = draw.normals(&[21], DType::F64, &Device::Cpu).unwrap().to_vec1::<f64>().unwrap();
        for pair in found.chunks(2) {
            let (radius, angle) = ((-2.0 * (1.0 - plain.uniform()).ln()).sqrt(), std::f64::consts::TAU * plain.uniform());
            for (found, expected) in pair.iter().zip([radius * angle.cos(), radius * angle.sin()]) {
                assert!((found - expected).abs() < 1e-14, "{found}, expected {expected}");
            }
        }
        assert_eq!(draw.bits(), plain.bits());
    }

    #[test]
    fn normals_fill_a_slice_as_a_tensor() {
        let (mut of_slice, mut of_tensor) = (Draw::new(3, "test", 0, 0), Draw::new(3, "test", 0, 0));
        let mut found = [0.0; 131]; // more than one batch, and an odd number
        of_slice.fill_normals(&mut found);
        assert_eq!(found.to_vec(), of_tensor.normals(&[131], DType::F32, &Device::Cpu).unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(of_slice.bits(), of_tensor.bits());
    }

    #[test]
    fn a_sample_has_no_repeats_and_is_uniform() {
        let mut hits = [0; 5];
        for seed in 0..10_000 {
            let sample = Draw::new(seed, "test", 0, 0).sample(5, 2);
            assert!(sample[0] < sample[1]);
            sample.iter().for_each(|&i| hits[i] += 1);
        }
        assert!(hits.iter().all(|&h| (3_800..4_200).contains(&h)), "{hits:?}"); // 4000 expected, standard deviation 49
    }

    #[test]
    fn a_permutation_holds_each_number_once() {
        let mut order = Draw::new(0, "test", 0, 0).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
