//! Two views of the points, each whitened by the Cholesky factor of its covariance, and how far their directions are apart.
//!
//! For the kernel, one view alone: with K = `L⁻¹`, centred points c and covariance `C = cᵀc / (n - 1)`, `w = cKᵀ`. A gradient G of w
//! reaches c as `GK`, and by way of K, C and `(1 - ε)C` as `-κ w T K`, where `κ = (1 - ε) / (n - 1)` and T is symmetric with the
//! lower triangle of `Gᵀw`: what the gradient of a Cholesky factor comes down to when it is applied to the points that made it.
//! The mean over the points is taken from what reaches c.

use crate::kernels::{ROWS, wide_mean};
use crate::{Whitening, triangular};
use rayon::prelude::*;
use regatta_core::candle::DType;
use regatta_core::maths::{
    Matrix, MatrixMut, Onto, centred, covariance, inverse_cholesky, inverse_cholesky_of, mean_over_groups_of_views, mean_point,
    product, takes_kernels, vector, wide_gram, widened,
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
        let mean = wide_mean(points, d);
        let n = points.len() / d;
        let kappa = whitening.share() / (n - 1) as f64;
        let mut c = wide_gram(points, &mean);
        c.iter_mut().for_each(|x| *x *= kappa);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += whitening.identity());
        let inverse = inverse_cholesky_of(&c, d)?;
        let (mut white, mut units, mut norms) = (vec![0f32; n * d], vec![0f32; n * d], vec![0f32; n]);
        let out = white.par_chunks_mut(ROWS * d).zip(units.par_chunks_mut(ROWS * d)).zip(norms.par_chunks_mut(ROWS));
        out.zip(points.par_chunks(ROWS * d)).with_max_len(1).for_each(|(((white, units), norms), points)| {
            let mut wide = vec![0f64; points.len()];
            triangular::times_transposed(&widened(points, &mean), &inverse, d, &mut wide);
            white.iter_mut().zip(wide).for_each(|(narrow, wide)| *narrow = wide as f32);
            for ((white, unit), norm) in white.chunks_exact(d).zip(units.chunks_exact_mut(d)).zip(norms) {
                *norm = (vector::dot(white, white) + SMALL_SQUARE as f32).sqrt();
                unit.iter_mut().zip(white).for_each(|(u, w)| *u = w / *norm);
            }
        });
        Ok(Self { d, kappa, inverse, white, units, norms })
    }

    /// The gradient of the mean of `-2 cos` with respect to the points; `others` are the directions of the other view.
    fn backward(&self, others: &[f32], out: &mut [f32]) {
        let d = self.d;
        let slope = self.slope(others);
        let t = self.symmetric_cross_gram(&slope);
        // -κ T K, for K the inverse factor, and K itself in float32: these products magnify nothing that was rounded.
        let mut back = vec![0f64; d * d];
        triangular::times(&t, &self.inverse, d, &mut back);
        let back: Vec<f32> = back.iter().map(|x| (-self.kappa * x) as f32).collect();
        let inverse: Vec<f32> = self.inverse.iter().map(|x| *x as f32).collect();
        let rows = out.par_chunks_mut(ROWS * d).zip(slope.par_chunks(ROWS * d)).zip(self.white.par_chunks(ROWS * d));
        rows.with_max_len(1).for_each(|((out, slope), white)| {
            let count = white.len() / d;
            triangular::times(slope, &inverse, d, out);
            let (white, back) = (Matrix::new(white, count, d), Matrix::new(&back, d, d));
            product(MatrixMut::new(out, count, d), Onto::Add, 1.0, white, back);
        });
        let mean = mean_point(out, d);
        out.par_chunks_mut(ROWS * d).for_each(|rows| {
            rows.chunks_exact_mut(d).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean));
        });
    }

    /// G, the gradient with respect to the whitened points. (n, d)
    fn slope(&self, others: &[f32]) -> Vec<f32> {
        let d = self.d;
        let scale = -2.0 / self.norms.len() as f32;
        let mut slope = vec![0f32; others.len()];
        let rows = slope.par_chunks_mut(ROWS * d).zip(self.units.par_chunks(ROWS * d)).zip(others.par_chunks(ROWS * d));
        rows.zip(self.norms.par_chunks(ROWS)).for_each(|(((slope, units), others), norms)| {
            let rows = slope.chunks_exact_mut(d).zip(units.chunks_exact(d)).zip(others.chunks_exact(d)).zip(norms);
            for (((row, u), v), norm) in rows {
                let (cosine, factor) = (vector::dot(u, v), scale / norm);
                row.iter_mut().zip(u.iter().zip(v)).for_each(|(g, (u, v))| *g = factor * (v - cosine * u));
            }
        });
        slope
    }

    /// T, symmetric with the lower triangle of `Gᵀw`: that of parts of rows, which are added in their order. (d, d)
    fn symmetric_cross_gram(&self, slope: &[f32]) -> Vec<f64> {
        let d = self.d;
        let rows = self.norms.len().div_ceil(16).max(ROWS);
        let parts = slope.par_chunks(rows * d).zip(self.white.par_chunks(rows * d)).with_max_len(1).map(|(slope, white)| {
            let mut part = vec![0f32; d * d];
            triangular::cross_gram(slope, white, d, &mut part);
            part
        });
        let mut t = vec![0f64; d * d];
        for part in parts.collect::<Vec<_>>() {
            t.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x));
        }
        for k in 0..d {
            for l in 0..k {
                t[l * d + k] = t[k * d + l];
            }
        }
        t
    }
}

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
