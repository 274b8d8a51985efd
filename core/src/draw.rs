//! Randomness as a value: everything random derives from (seed, purpose, step, layer).

use crate::Result;
use candle_core::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wide::f64x8;

/// Pairs of normals made together.
const PAIRS: usize = 8;

/// The only source of randomness: a stream of numbers that is a pure function of (seed, purpose, step, layer).
///
/// Two purposes never share a stream, so one arm's draws cannot move another's data order; and a resumed trial draws at step
/// s what an uninterrupted one would have drawn. candle's own generator on the CPU cannot be seeded and is never used.
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

    /// A fresh stream numbered `index` under this one's key, wherever this one stands: for work that is split over threads.
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
        assert!(bound > 0, "nothing lies below 0");
        let bound = bound as u64;
        let reject = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.stream.next_u64()) * u128::from(bound);
            if wide as u64 >= reject {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Standard normal (Box and Muller; the second number of each pair is dropped to keep the stream simple).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A tensor of standard normals; here both numbers of each pair count, so it costs half of as many calls of
    /// [`Self::normal`].
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn normals(&mut self, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let mut numbers = vec![0f64; shape.iter().product()];
        for chunk in numbers.chunks_mut(2 * PAIRS) {
            let mut bytes = [[0u8; 8]; 2 * PAIRS]; // those of as many calls of `uniform`, at once
            self.stream.fill_bytes(bytes[..2 * chunk.len().div_ceil(2)].as_flattened_mut());
            let uniforms = bytes.map(|bytes| unit_interval(u64::from_le_bytes(bytes)));
            let sizes: [f64; PAIRS] = std::array::from_fn(|pair| 1.0 - uniforms[2 * pair]);
            let angles: [f64; PAIRS] = std::array::from_fn(|pair| std::f64::consts::TAU * uniforms[2 * pair + 1]);
            let radius = (f64x8::from(sizes).ln() * f64x8::splat(-2.0)).sqrt();
            let (sine, cosine) = f64x8::from(angles).sin_cos();
            let (firsts, seconds) = ((radius * cosine).to_array(), (radius * sine).to_array());
            for (pair, normals) in chunk.chunks_mut(2).zip(firsts.into_iter().zip(seconds)) {
                pair.iter_mut().zip([normals.0, normals.1]).for_each(|(number, normal)| *number = normal);
            }
        }
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
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

    /// The numbers 0..total in random order (Fisher and Yates).
    pub fn permutation(&mut self, total: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..total).collect();
        for last in (1..total).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// 53 of 64 random bits as a number in [0, 1).
fn unit_interval(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_draw_equal_numbers_and_others_do_not() {
        let first = |seed, purpose, step, layer| Draw::new(seed, purpose, step, layer).bits();
        let one = first(0, "data", 3, 1);
        assert_eq!(one, first(0, "data", 3, 1));
        for other in [first(1, "data", 3, 1), first(0, "init", 3, 1), first(0, "data", 4, 1), first(0, "data", 3, 2)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn splits_do_not_depend_on_how_far_the_parent_is() {
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
    fn normals_of_a_tensor_are_those_of_as_many_uniform_numbers() {
        let mut draw = Draw::new(3, "test", 0, 0);
        draw.bits(); // not at the start of 64 bits
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
    fn a_sample_has_no_repeats_and_every_number_is_as_likely() {
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
