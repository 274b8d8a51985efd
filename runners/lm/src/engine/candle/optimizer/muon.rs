//! Muon, many matrices at a time; formulas at [`crate::optimizer`]'s `muon` and `orthogonal`.

use super::adamw::{average, clipped, scaled};
use crate::optimizer::{COEFFICIENTS, LEAST_NORM};
use crate::spec::MuonSpec;
use candle_core::{D, DType, Device, Result, Tensor};
use std::ops::Range;

/// The numbers of an update.
pub(super) struct Update<'a> {
    pub spec: &'a MuonSpec,
    pub lr: f64,
    pub decay: f64,
    /// The factor of clipping.
    pub clip: f64,
    /// The columns of each linear map.
    pub maps: &'a [Range<usize>],
    pub newton_schulz: &'a NewtonSchulz,
}

impl Update<'_> {
    /// -> the weights, updated
    ///
    /// # Shapes
    /// all (n, inputs, outputs)
    pub fn make(&self, weights: &Tensor, gradient: Tensor, momentum: &mut Tensor) -> Result<Tensor> {
        let ahead = look_ahead(self.spec, &clipped(gradient, self.clip as f32)?, momentum)?;
        let inputs = weights.dim(1)?;
        let step = |columns: &Range<usize>| {
            let size = self.lr * self.spec.scale.factor(inputs, columns.len());
            let map = ahead.narrow(2, columns.start, columns.len())?;
            self.newton_schulz.orthogonal(&map, self.spec.steps.get())?.affine(f64::from(size as f32), 0.0)
        };
        let steps: Vec<Tensor> = self.maps.iter().map(step).collect::<Result<_>>()?;
        scaled(weights, (1.0 - self.lr * self.decay) as f32)? - Tensor::cat(&steps, 2)?
    }
}

/// Moves the momentum. -> the matrices that are to be made orthogonal
fn look_ahead(spec: &MuonSpec, gradient: &Tensor, momentum: &mut Tensor) -> Result<Tensor> {
    let beta = spec.momentum.get() as f32;
    *momentum = average(momentum, gradient, beta)?;
    if spec.nesterov { average(momentum, gradient, beta) } else { Ok(momentum.clone()) }
}

/// Newton-Schulz steps, with the constant that they need on the device.
#[derive(Debug)]
pub(super) struct NewtonSchulz {
    /// What a norm is divided by at least. -> (1, 1, 1)
    least_norm: Tensor,
}

impl NewtonSchulz {
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self { least_norm: Tensor::full(LEAST_NORM as f32, (1, 1, 1), device)?.to_dtype(DType::F32)? })
    }

    /// Nearly the orthogonal factor of each matrix, by so many steps.
    ///
    /// # Shapes
    /// (n, inputs, outputs) -> (n, inputs, outputs)
    fn orthogonal(&self, matrices: &Tensor, steps: usize) -> Result<Tensor> {
        let (_, inputs, outputs) = matrices.dims3()?;
        let is_wide = outputs > inputs; // the smaller side makes the smaller product
        let x = if is_wide { matrices.transpose(1, 2)? } else { matrices.clone() }.contiguous()?;
        let norms = x.sqr()?.sum_keepdim(D::Minus1)?.sum_keepdim(1)?.sqrt()?; // rows first: one long sum loses digits
        let mut x = x.broadcast_div(&norms.broadcast_maximum(&self.least_norm)?)?;
        let [linear, cubic, quintic] = COEFFICIENTS.map(f64::from);
        for _ in 0..steps {
            let a = x.transpose(1, 2)?.contiguous()?.matmul(&x)?;
            let polynomial = (a.affine(cubic, 0.0)? + a.matmul(&a)?.affine(quintic, 0.0)?)?;
            x = (x.affine(linear, 0.0)? + x.matmul(&polynomial)?)?;
        }
        if is_wide { x.transpose(1, 2)?.contiguous() } else { Ok(x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(s: f64) -> f64 {
        3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5)
    }

    /// Two matrices of one call, (3, 0; 0, -4) of norm 5 and zeros beside them in rows or columns; the second a tenth of the first.
    #[test]
    fn singular_values_follow_the_polynomial() {
        let newton_schulz = NewtonSchulz::new(&Device::Cpu).unwrap();
        for (shape, second) in [((2, 3, 2), 3), ((2, 2, 3), 4)] {
            let mut numbers = vec![0.0f32; 12];
            for (start, scale) in [(0, 1.0), (6, 0.1)] {
                (numbers[start], numbers[start + second]) = (3.0 * scale, -4.0 * scale);
            }
            let matrices = Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap();
            for steps in 0..=5 {
                let found = newton_schulz.orthogonal(&matrices, steps).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let expected = [0.6, 0.8].map(|s| (0..steps).fold(s, |s, _| step(s)));
                for start in [0, 6] {
                    let found = [found[start], -found[start + second]].map(f64::from);
                    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5), "{shape:?}, {steps}: {found:?}");
                }
                assert_eq!(found.iter().filter(|&&x| x == 0.0).count(), 8, "{found:?}");
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        let zeros = Tensor::zeros((2, 3, 2), DType::F32, &Device::Cpu).unwrap();
        let found = NewtonSchulz::new(&Device::Cpu).unwrap().orthogonal(&zeros, 5).unwrap();
        assert_eq!(found.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0; 12]);
    }
}
