//! Dropout whose mask is a value: a pure function of its draw.

use candle_core::{Result, Tensor};
use rayon::prelude::*;
use regatta_core::Draw;

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
    pub fn at(&self, index: u64) -> Self {
        let mut parent = self.draw.split(index);
        let seed = u64::from(parent.bits()) << 32 | u64::from(parent.bits());
        Self { rate: self.rate, draw: Draw::new(seed, "dropout mask", 0, index) }
    }

    /// Fills `mask` with 0 or 1 / (1 - rate), from the stream numbered `part`.
    pub(super) fn fill(&self, part: u64, mask: &mut [f32]) {
        let mut draw = self.draw.split(part);
        let threshold = (self.rate * f64::from(u32::MAX)) as u32;
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        mask.iter_mut().for_each(|m| *m = if draw.bits() < threshold { 0.0 } else { kept });
    }
}

/// `x` with a share of its numbers zeroed, scaled so that the mean stays; Srivastava et al. 2014. Any shape.
///
/// # Errors
/// When the tensor is not float32.
pub fn dropout(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    const PART: usize = 16_384;
    let mut mask = vec![0f32; x.elem_count()];
    mask.par_chunks_mut(PART).enumerate().for_each(|(part, mask)| dropout.fill(part as u64, mask));
    x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let ones = Tensor::full(1f32, 100_000, &Device::Cpu).unwrap();
        let all = Dropout::new(0.25, Draw::new(0, "test", 0, 0));
        let out = dropout(&ones, &all).unwrap().to_vec1::<f32>().unwrap();
        let zeros = out.iter().filter(|&&x| x == 0.0).count();
        assert!((24_450..25_550).contains(&zeros), "{zeros}"); // 25000 expected, standard deviation 137
        assert!(out.iter().all(|&x| x == 0.0 || x == 4.0 / 3.0));
        assert_ne!(out, dropout(&ones, &all.at(1)).unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(out, dropout(&ones, &all).unwrap().to_vec1::<f32>().unwrap());
    }
}
