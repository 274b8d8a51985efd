//! Two views of the points, each whitened by the Cholesky factor of its covariance, and how far their directions are apart.
//!
//! For the kernel, one view alone: with K = `L⁻¹`, centred points c and covariance `C = cᵀc / (n - 1)`, `w = cKᵀ`. A gradient G of w
//! reaches c as `GK`, and by way of K, C and `(1 - ε)C` as `-κ w T K`, where `κ = (1 - ε) / (n - 1)` and T is symmetric with the
//! lower triangle of `Gᵀw`: what the gradient of a Cholesky factor comes down to when it is applied to the points that made it.
//! The mean over the points is taken from what reaches c.

use crate::Whitening;
use crate::kernels::wide_and_centred;
use rayon::prelude::*;
use regatta_core::candle::DType;
use regatta_core::maths::{
    Matrix, MatrixMut, Onto, centred, covariance, cross_gram, gram, inverse_cholesky, inverse_cholesky_of,
    mean_over_groups_of_views, product, takes_kernels, times, vector,
};
use regatta_core::{Result, Tensor};

/// Added to a whitened point's squared norm.
const SMALL_SQUARE: f64 = 1e-8;

impl Whitening {
    /// The penalty of two views. (g, n, d) each -> scalar
    pub(crate) fn w_mse(&self, views: [&Tensor; 2]) -> Result<Tensor> {
        if views.iter().all(|view| takes_kernels(view)) {
            let d = views[0].dim(2)?;
            return mean_over_groups_of_views(views, "whitening", |views, slopes| self.fused_w_mse(views, d, slopes));
        }
        let (u, v) = (self.directions(views[0])?, self.directions(views[1])?);
        let cosines = (u * v)?.sum(2)?.mean_all()?;
        Ok(cosines.affine(-2.0, 2.0)?.to_dtype(views[0].dtype())?)
    }

    /// Whitened points, scaled to norm 1: in float64, where a singular C keeps its digits. (g, n, d) -> (g, n, d)
    fn directions(&self, z: &Tensor) -> Result<Tensor> {
        let wide = z.to_dtype(DType::F64)?;
        let eye = Tensor::eye(z.dim(2)?, DType::F64, z.device())?;
        let c = (covariance(&wide)? * self.share())?.broadcast_add(&(eye * self.identity())?)?;
        let white = centred(&wide)?.matmul(&inverse_cholesky(&c)?.transpose(1, 2)?.contiguous()?)?;
        Ok(white.broadcast_div(&(white.sqr()?.sum_keepdim(2)? + SMALL_SQUARE)?.sqrt()?)?)
    }

    /// What of the covariance is left beside the identity.
    fn share(&self) -> f64 {
        1.0 - self.identity()
    }

    fn identity(&self) -> f64 {
        self.epsilon.get().min(1.0)
    }

    /// Value and gradients together, on the float32 points of one group. points, view and their gradients (n, d)
    fn fused_w_mse(&self, [a, b]: [&[f32]; 2], d: usize, [a_slope, b_slope]: [&mut [f32]; 2]) -> Result<f64> {
        let (x, y) = rayon::join(|| White::new(self, a, d), || White::new(self, b, d));
        let (x, y) = (x?, y?);
        let n = (a.len() / d) as f64;
        let cosines = x.units.par_chunks(d).zip(y.units.par_chunks(d)).map(|(u, v)| f64::from(vector::dot(u, v)));
        let cosines: Vec<f64> = cosines.collect();
        rayon::join(|| x.backward(&y.units, a_slope), || y.backward(&x.units, b_slope));
        Ok(2.0 - 2.0 * cosines.iter().sum::<f64>() / n)
    }
}

/// A whitened view.
struct White {
    d: usize,
    /// (1 - ε) / (n - 1).
    kappa: f64,
    /// L⁻¹. (d, d)
    inverse: Vec<f64>,
    /// Whitened points (n, d), the same of norm 1, and their norms.
    white: Vec<f32>,
    units: Vec<f32>,
    norms: Vec<f32>,
}

impl White {
    /// Covariance, factor and whitened points are found in float64, since the factor magnifies what was rounded in them.
    fn new(whitening: &Whitening, points: &[f32], d: usize) -> Result<Self> {
        let (z, _) = wide_and_centred(points, d);
        let n = points.len() / d;
        let kappa = whitening.share() / (n - 1) as f64;
        let mut c = gram(&z, d);
        c.iter_mut().for_each(|x| *x *= kappa);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += whitening.identity());
        let inverse = inverse_cholesky_of(&c, d)?;
        let mut wide = vec![0f64; z.len()];
        times(&z, Matrix::new(&inverse, d, d).transposed(), &mut wide, |_, _| {});
        let white: Vec<f32> = wide.into_iter().map(|x| x as f32).collect();
        let norms = white.chunks_exact(d).map(|w| (vector::dot(w, w) + SMALL_SQUARE as f32).sqrt()).collect::<Vec<f32>>();
        let mut units = white.clone();
        units.chunks_exact_mut(d).zip(&norms).for_each(|(u, norm)| u.iter_mut().for_each(|x| *x /= norm));
        Ok(Self { d, kappa, inverse, white, units, norms })
    }

    /// The gradient of the mean of `-2 cos` with respect to the points; `others` are the directions of the other view.
    fn backward(&self, others: &[f32], out: &mut [f32]) {
        let d = self.d;
        let scale = -2.0 / self.norms.len() as f32;
        let mut slope = Vec::with_capacity(others.len()); // G
        for ((u, v), norm) in self.units.chunks_exact(d).zip(others.chunks_exact(d)).zip(&self.norms) {
            let cosine = vector::dot(u, v);
            slope.extend(u.iter().zip(v).map(|(u, v)| scale / norm * (v - cosine * u)));
        }
        // -κ T K, for K the inverse factor, and K itself in float32: these products magnify nothing that was rounded.
        let mut t: Vec<f64> = cross_gram(&slope, &self.white, d).into_iter().map(f64::from).collect();
        for k in 0..d {
            for l in 0..k {
                t[l * d + k] = t[k * d + l];
            }
        }
        let mut back = vec![0f64; d * d];
        let (t, inverse) = (Matrix::new(&t, d, d), Matrix::new(&self.inverse, d, d));
        product(MatrixMut::new(&mut back, d, d), Onto::Replace, -self.kappa, t, inverse);
        let narrow = |wide: &[f64]| wide.iter().map(|x| *x as f32).collect::<Vec<f32>>();
        let (back, inverse) = (narrow(&back), narrow(&self.inverse));
        times(&slope, Matrix::new(&inverse, d, d), out, |_, _| {});
        let rows = out.par_chunks_mut(ROWS * d).zip(self.white.par_chunks(ROWS * d)).with_max_len(1);
        rows.for_each(|(out, white)| {
            let count = white.len() / d;
            let (white, back) = (Matrix::new(white, count, d), Matrix::new(&back, d, d));
            product(MatrixMut::new(out, count, d), Onto::Add, 1.0, white, back);
        });
        let mut mean = vec![0f64; d];
        out.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
        let mean: Vec<f32> = mean.iter().map(|sum| (sum / self.norms.len() as f64) as f32).collect();
        out.chunks_exact_mut(d).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean));
    }
}

/// Rows that one task takes.
const ROWS: usize = 256;

#[cfg(test)]
mod tests {
    use crate::{Form, Whitening};
    use regatta_core::candle::Device;
    use regatta_core::number::Positive;
    use regatta_core::{Cloud, Draw, Regularizer, Tensor};

    fn check(points: [[f64; 2]; 4], view: [[f64; 2]; 4], expected: f64) {
        let tensor = |points| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let whitening = Whitening { form: Form::WMse, epsilon: Positive::new(1e-9) };
        let found = whitening.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}"); // ε is not in the numbers by hand
    }

    const SQUARE: [[f64; 2]; 4] = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];

    #[test]
    fn what_whitening_takes_away_costs_nothing() {
        check(SQUARE, SQUARE, 0.0);
        // L takes away scale, offset, and what of an earlier dim is in a later one
        check(SQUARE, SQUARE.map(|[a, b]| [5.0 * a + 3.0, 0.1 * b + 2.0 * a]), 0.0);
    }

    #[test]
    fn directions_that_turn_by_hand() {
        check(SQUARE, SQUARE.map(|[a, b]| [b, a]), 2.0); // cosines 1, -1, -1, 1
        check(SQUARE, SQUARE.map(|[a, b]| [-a, b]), 2.0); // cosines 0
        check(SQUARE, SQUARE.map(|[a, b]| [-a, -b]), 4.0); // cosines -1
    }

    #[test]
    fn a_collapsed_view_has_no_direction() {
        check(SQUARE, [[3.0, 4.0]; 4], 2.0);
    }
}
