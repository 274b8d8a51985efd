//! The form `w_mse`: whitens each of two views by the Cholesky factor of its covariance and compares the directions of the results.
//!
//! # The gradient of a view
//!
//! Let `K = L⁻¹`, c be the centred points and `C = cᵀc / (n - 1)`, so `w = cKᵀ`. For a gradient G with respect to w, the gradient
//! with respect to c has two terms: `GK` directly, and `-κ w T K` through the covariance and its factor. Here
//! `κ = (1 - ε) / (n - 1)`, and T is the symmetric matrix with the lower triangle of `Gᵀw`. The second term is the usual gradient
//! of a Cholesky factor; it takes this simple form because the factor is applied to the points that it was computed from. The
//! backward pass of the centring subtracts the mean over the points.

use crate::kernels::{ROWS, centre, wide_mean};
use crate::{Whitening, triangular};
use rayon::prelude::*;
use regatta_core::candle::DType;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, product, vector, wide_gram, with_scratch};
use regatta_core::maths::{centred, covariance, inverse_cholesky, inverse_cholesky_of, matmul};
use regatta_core::simd::Simd;
use regatta_core::{Result, Tensor, vectorize};

/// Added to the squared norm of a whitened point.
const SMALL_SQUARE: f64 = 1e-8;

impl Whitening {
    /// The penalty of two views. (g, n, d) each -> scalar
    pub(crate) fn w_mse(&self, views: [&Tensor; 2]) -> Result<Tensor> {
        let (u, v) = (self.directions(views[0])?, self.directions(views[1])?);
        let cosines = (u * v)?.sum(2)?.mean_all()?;
        Ok(cosines.affine(-2.0, 2.0)?.to_dtype(views[0].dtype())?)
    }

    /// Whitened points scaled to norm 1. Computed in float64, since C may be singular. (g, n, d) -> (g, n, d)
    fn directions(&self, z: &Tensor) -> Result<Tensor> {
        let wide = z.to_dtype(DType::F64)?;
        let eye = Tensor::eye(z.dim(2)?, DType::F64, z.device())?;
        let c = (covariance(&wide)? * self.covariance_weight())?.broadcast_add(&(eye * self.identity_weight())?)?;
        let white = matmul(&centred(&wide)?, &inverse_cholesky(&c)?.transpose(1, 2)?)?;
        Ok(white.broadcast_div(&(white.sqr()?.sum_keepdim(2)? + SMALL_SQUARE)?.sqrt()?)?)
    }

    fn covariance_weight(&self) -> f64 {
        1.0 - self.identity_weight()
    }

    /// ε, at most 1.
    fn identity_weight(&self) -> f64 {
        self.epsilon.get().min(1.0)
    }

    /// Computes the value and the gradients for one group of float32 points. views and gradients (n, d)
    pub(crate) fn fused_w_mse(&self, [a, b]: [&[f32]; 2], d: usize, [grad_a, grad_b]: [&mut [f32]; 2]) -> Result<f64> {
        with_scratch(a.len() + b.len(), |scratch| {
            let (white_a, white_b) = scratch.split_at_mut(a.len());
            let (x, y) = rayon::join(|| White::new(self, a, d, white_a), || White::new(self, b, d, white_b));
            let (x, y) = (x?, y?);
            let (cosines, _) = rayon::join(|| x.backward(&y, grad_a), || y.backward(&x, grad_b));
            Ok(2.0 - 2.0 * cosines / (a.len() / d) as f64)
        })
    }
}

/// A whitened view.
struct White<'a> {
    d: usize,
    /// `(1 - ε) / (n - 1)`
    kappa: f64,
    /// `K = L⁻¹` (d, d)
    inverse: Vec<f32>,
    /// The whitened points. (n, d)
    points: &'a [f32],
    /// Their norms. (n)
    norms: Vec<f32>,
}

/// Sums over some rows of a view.
struct Sums {
    cosines: f64,
    /// The lower triangle of `Gᵀw`. (d, d)
    cross: Vec<f32>,
    /// The sum of the rows of G. (d)
    gradient: Vec<f32>,
    /// The sum of the rows of w. (d)
    white: Vec<f32>,
}

/// Adds up one field over all parts, in float64 and in the order of the parts.
fn total(parts: &[Sums], field: fn(&Sums) -> &[f32]) -> Vec<f64> {
    parts.iter().fold(vec![0f64; field(&parts[0]).len()], |mut total, part| {
        total.iter_mut().zip(field(part)).for_each(|(total, x)| *total += f64::from(*x));
        total
    })
}

impl<'a> White<'a> {
    /// Whitens `points` into `white`. (n, d) each
    ///
    /// The covariance and its factor are computed in float64: an error in the covariance is amplified by the covariance's condition
    /// number. An error in the whitened points, which are float32, is amplified only by its square root.
    fn new(whitening: &Whitening, points: &[f32], d: usize, white: &'a mut [f32]) -> Result<Self> {
        let mean = wide_mean(points, d);
        let n = points.len() / d;
        let kappa = whitening.covariance_weight() / (n - 1) as f64;
        let mut c = wide_gram(points, &mean);
        c.iter_mut().for_each(|x| *x *= kappa);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += whitening.identity_weight());
        let inverse: Vec<f32> = inverse_cholesky_of(&c, d)?.into_iter().map(|x| x as f32).collect();
        let mut norms = vec![0f32; n];
        let out = white.par_chunks_mut(ROWS * d).zip(norms.par_chunks_mut(ROWS));
        out.zip(points.par_chunks(ROWS * d)).with_max_len(1).for_each(|((white, norms), points)| {
            with_scratch(points.len(), |centred| {
                centre(points, &mean, centred);
                triangular::times_transposed(centred, &inverse, d, white);
            });
            for (white, norm) in white.chunks_exact(d).zip(norms) {
                *norm = (vector::dot(white, white) + SMALL_SQUARE as f32).sqrt();
            }
        });
        Ok(Self { d, kappa, inverse, points: white, norms })
    }

    /// Returns the sum of the cosines with the other view's points and writes the gradient of the mean of `-2 cos` with respect to
    /// the points.
    fn backward(&self, other: &White<'_>, out: &mut [f32]) -> f64 {
        let (d, n) = (self.d, self.norms.len());
        let rows = n.div_ceil(16).max(ROWS); // at most 16 parts, summed in a fixed order
        let parts =
            out.par_chunks_mut(rows * d).enumerate().with_max_len(1).map(|(part, out)| self.sums(other, part * rows, out));
        let parts: Vec<Sums> = parts.collect();
        let indirect = self.indirect_factor(total(&parts, |part| &part.cross));
        let mut mean = vec![0f64; d]; // of the rows of GK - κ w T K
        for (sums, matrix) in
            [(total(&parts, |part| &part.gradient), &self.inverse), (total(&parts, |part| &part.white), &indirect)]
        {
            for (sum, row) in sums.into_iter().zip(matrix.chunks_exact(d)) {
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += sum / n as f64 * f64::from(*x));
            }
        }
        let mean: Vec<f32> = mean.into_iter().map(|x| x as f32).collect();
        out.par_chunks_mut(ROWS * d).zip(self.points.par_chunks(ROWS * d)).with_max_len(1).for_each(|(out, white)| {
            let (white, indirect) = (Matrix::new(white, white.len() / d, d), Matrix::new(&indirect, d, d));
            product(MatrixMut::new(out, white.shape().0, d), Onto::Add, 1.0, white, indirect);
            subtract_mean(out, &mean);
        });
        parts.iter().map(|part| part.cosines).sum()
    }

    /// `-κ T K`, by which w is multiplied in the gradient through the covariance. cross: the lower triangle of `Gᵀw`. (d, d)
    fn indirect_factor(&self, cross: Vec<f64>) -> Vec<f32> {
        let (d, mut t) = (self.d, cross);
        for k in 0..d {
            for l in 0..k {
                t[l * d + k] = t[k * d + l];
            }
        }
        let t: Vec<f32> = t.into_iter().map(|x| (-self.kappa * x) as f32).collect();
        let mut factor = vec![0f32; d * d];
        triangular::times(&t, &self.inverse, d, &mut factor);
        factor
    }

    /// Writes `GK` for the rows of `out`, which start at row `first` of the view, and returns their sums. G is the gradient with
    /// respect to the whitened points.
    fn sums(&self, other: &White<'_>, first: usize, out: &mut [f32]) -> Sums {
        let d = self.d;
        let mut sums = Sums { cosines: 0.0, cross: vec![0.0; d * d], gradient: vec![0.0; d], white: vec![0.0; d] };
        let scale = -2.0 / self.norms.len() as f32;
        for (chunk, out) in out.chunks_mut(ROWS * d).enumerate() {
            let rows = first + chunk * ROWS..first + chunk * ROWS + out.len() / d;
            let [white, others] = [self, other].map(|view| &view.points[rows.start * d..rows.end * d]);
            with_scratch(out.len(), |gradient| {
                cosine_gradients(gradient, [white, others], [&self.norms[rows.clone()], &other.norms[rows]], scale, &mut sums);
                triangular::add_cross_gram(gradient, white, d, &mut sums.cross);
                triangular::times(gradient, &self.inverse, d, out);
            });
        }
        sums
    }
}

vectorize! {
    /// Subtracts the mean from every row. rows (n, d), mean (d)
    fn subtract_mean(rows: &mut [f32], mean: &[f32]) = subtract_mean_with;

    /// Writes the gradient of `scale·Σ cos` with respect to the whitened points of the first view, and adds its rows, the points
    /// and the cosines to the sums.
    ///
    /// gradient, views (n, d), norms (n)
    fn cosine_gradients(gradient: &mut [f32], views: [&[f32]; 2], norms: [&[f32]; 2], scale: f32, sums: &mut Sums) =
        cosine_gradients_with;
}

#[inline(always)]
fn subtract_mean_with<S: Simd>(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

#[inline(always)]
fn cosine_gradients_with<S: Simd>(
    gradient: &mut [f32],
    [white, others]: [&[f32]; 2],
    [norms, other_norms]: [&[f32]; 2],
    scale: f32,
    sums: &mut Sums,
) {
    let d = sums.gradient.len();
    let rows = gradient.chunks_exact_mut(d).zip(white.chunks_exact(d).zip(others.chunks_exact(d)));
    for ((g, (w, v)), (norm, other)) in rows.zip(norms.iter().zip(other_norms)) {
        let cosine = vector::dot_with::<S>(w, v) / (norm * other);
        sums.cosines += f64::from(cosine);
        let (across, along) = (scale / (norm * other), scale * cosine / (norm * norm));
        g.iter_mut().zip(w.iter().zip(v)).for_each(|(g, (w, v))| *g = across * v - along * w);
        vector::add_with::<S>(&mut sums.gradient, g);
        vector::add_with::<S>(&mut sums.white, w);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Form, Whitening};
    use regatta_core::candle::{DType, Device};
    use regatta_core::number::Positive;
    use regatta_core::{Cloud, Draw, Regularizer, Tensor};

    fn check(points: [[f64; 2]; 4], view: [[f64; 2]; 4], expected: f64) {
        let tensor = |points| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let whitening = Whitening { form: Form::WMse, epsilon: Positive::new(1e-9) };
        let found = whitening.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}"); // the expected values ignore ε
    }

    const SQUARE: [[f64; 2]; 4] = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];

    #[test]
    fn views_that_whiten_to_the_same_points_have_no_penalty() {
        check(SQUARE, SQUARE, 0.0);
        // whitening removes scale, offset, and the part of a dim that depends on earlier dims
        check(SQUARE, SQUARE.map(|[a, b]| [5.0 * a + 3.0, 0.1 * b + 2.0 * a]), 0.0);
    }

    #[test]
    fn swapped_and_flipped_dims_are_penalised() {
        check(SQUARE, SQUARE.map(|[a, b]| [b, a]), 2.0); // cosines 1, -1, -1, 1
        check(SQUARE, SQUARE.map(|[a, b]| [-a, b]), 2.0); // cosines 0
        check(SQUARE, SQUARE.map(|[a, b]| [-a, -b]), 4.0); // cosines -1
    }

    #[test]
    fn a_collapsed_view_has_cosine_0() {
        check(SQUARE, [[3.0, 4.0]; 4], 2.0);
    }

    /// Several chunks of rows per part, and more dims than a tile. The conformance tests use smaller clouds, since float64's tensor
    /// operations are slow.
    #[test]
    fn the_kernel_agrees_on_large_clouds() {
        for shape in [[1, 4_400, 3], [2, 90, 70]] {
            let normal = |seed| Draw::new(seed, "test", 0, 0).normals(&shape, DType::F32, &Device::Cpu).unwrap();
            let (points, near) = (normal(0), normal(1));
            let view = (&points + near * 0.3).unwrap();
            let whitening = Whitening { form: Form::WMse, ..Default::default() };
            let cloud = Cloud::with_view(points, view).unwrap();
            regatta_core::conformance::kernel_agrees_on(&whitening, &format!("{shape:?}"), &cloud, 1e-5);
        }
    }
}
