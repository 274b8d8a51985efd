//! Dropout whose masks are values: a pure function of their draw; Srivastava et al. 2014.

use regatta_core::Draw;
use regatta_kernels::model::DropoutMasks;
use regatta_kernels::simd::Simd;
use regatta_kernels::vectorize;

/// A rate and the draw that its masks come from.
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f64,
    draw: Draw,
}

impl Dropout {
    /// Zeroes a share `rate` of the numbers, from 0 to below 1, and scales the others by 1 / (1 - rate).
    pub fn new(rate: f64, draw: Draw) -> Self {
        Self { rate, draw }
    }

    /// The same rate with a draw of its own, for the `index`-th place of a model.
    pub(crate) fn at(&self, index: u64) -> Self {
        let mut parent = self.draw.split(index);
        let seed = u64::from(parent.bits()) << 32 | u64::from(parent.bits());
        Self { rate: self.rate, draw: Draw::new(seed, "dropout mask", 0, index) }
    }

    /// Multiplies sequences of `length` numbers by their masks, the first from the stream numbered `first`.
    pub(crate) fn apply(&self, x: &mut [f32], length: usize, first: usize, mask: &mut Vec<f32>) {
        mask.resize(length, 0.0);
        for (sequence, x) in x.chunks_exact_mut(length).enumerate() {
            self.fill((first + sequence) as u64, mask);
            multiply(x, mask);
        }
    }
}

impl DropoutMasks for Dropout {
    fn fill(&self, part: u64, mask: &mut [f32]) {
        let mut draw = self.draw.split(part);
        let threshold = (self.rate * f64::from(u32::MAX)) as u32;
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        mask.iter_mut().for_each(|m| *m = if draw.bits() < threshold { 0.0 } else { kept });
    }
}

vectorize! {
    /// `x *= y`
    fn multiply(x: &mut [f32], y: &[f32]) = multiply_with;
}

#[inline(always)]
fn multiply_with<S: Simd>(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x *= y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let all = Dropout::new(0.25, Draw::new(0, "test", 0, 0));
        let applied = |dropout: &Dropout, first| {
            let mut x = vec![1f32; 100_000];
            dropout.apply(&mut x, 50_000, first, &mut Vec::new());
            x
        };
        let out = applied(&all, 0);
        let zeros = out.iter().filter(|&&x| x == 0.0).count();
        assert!((24_450..25_550).contains(&zeros), "{zeros}"); // 25000 expected, standard deviation 137
        assert!(out.iter().all(|&x| x == 0.0 || x == 4.0 / 3.0));
        assert_ne!(out, applied(&all.at(1), 0));
        assert_eq!(out, applied(&all, 0));
        assert_eq!(out[50_000..], applied(&all, 1)[..50_000], "a sequence's mask is its own, whatever stands before it");
    }
}
