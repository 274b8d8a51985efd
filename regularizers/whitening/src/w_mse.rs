//! Two views of the points, each whitened by the Cholesky factor of its covariance, and how far their directions are apart.
//!
//! For the kernel, one view alone: with K = `L⁻¹`, centred points c and covariance `C = cᵀc / (n - 1)`, `w = cKᵀ`. A gradient G of
//! w reaches c as `GK`, and by way of K, C and `(1 - ε)C` as `-κ w T K`, where `κ = (1 - ε) / (n - 1)` and T is symmetric with the
//! lower triangle of `Gᵀw`: what the gradient of a Cholesky factor comes down to when it is applied to the points that made it.
//! The mean over the points is taken from what reaches c.

use crate::kernels::{ROWS, centre, wide_mean};
use crate::{Whitening, triangular};
use rayon::prelude::*;
use regatta_core::candle::DType;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, product, vector, wide_gram, with_scratch};
use regatta_core::maths::{centred, covariance, inverse_cholesky, inverse_cholesky_of, matmul};
use regatta_core::simd::Simd;
use regatta_core::{Result, Tensor, vectorize};

/// Added to a whitened point's squared norm.
const SMALL_SQUARE: f64 = 1e-8;

impl Whitening {
    /// The penalty of two views. (g, n, d) each -> scalar
    pub(crate) fn w_mse(&self, views: [&Tensor; 2]) -> Result<Tensor> {
        let (u, v) = (self.directions(views[0])?, self.directions(views[1])?);
        let cosines = (u * v)?.sum(2)?.mean_all()?;
        Ok(cosines.affine(-2.0, 2.0)?.to_dtype(views[0].dtype())?)
    }

    /// Whitened points, scaled to norm 1: in float64, where a singular C keeps its digits. (g, n, d) -> (g, n, d)
    fn directions(&self, z: &Tensor) -> Result<Tensor> {
        let wide = z.to_dtype(DType::F64)?;
        let eye = Tensor::eye(z.dim(2)?, DType::F64, z.device())?;
        let c = (covariance(&wide)? * self.share())?.broadcast_add(&(eye * self.identity())?)?;
        let white = matmul(&centred(&wide)?, &inverse_cholesky(&c)?.transpose(1, 2)?)?;
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
    pub(crate) fn fused_w_mse(&self, [a, b]: [&[f32]; 2], d: usize, [a_slope, b_slope]: [&mut [f32]; 2]) -> Result<f64> {
        with_scratch(a.len() + b.len(), |room| {
            let (of_a, of_b) = room.split_at_mut(a.len());
            let (x, y) = rayon::join(|| White::new(self, a, d, of_a), || White::new(self, b, d, of_b));
            let (x, y) = (x?, y?);
            let (cosines, _) = rayon::join(|| x.backward(&y, a_slope), || y.backward(&x, b_slope));
            Ok(2.0 - 2.0 * cosines / (a.len() / d) as f64)
        })
    }
}

/// A whitened view.
struct White<'a> {
    d: usize,
    /// (1 - ε) / (n - 1).
    kappa: f64,
    /// L⁻¹. (d, d)
    inverse: Vec<f32>,
    /// Whitened points (n, d), and their norms.
    points: &'a [f32],
    norms: Vec<f32>,
}

/// What some rows of a view add up to.
struct Sums {
    cosines: f64,
    /// The lower triangle of `Gᵀw`. (d, d)
    cross: Vec<f32>,
    /// Of the rows of G, and of w. (d) each
    slope: Vec<f32>,
    white: Vec<f32>,
}

impl<'a> White<'a> {
    /// Covariance and factor are found in float64: the factor magnifies what was rounded in the covariance by its condition, and
    /// what is rounded in the whitened points, which are float32, by the root of that alone.
    ///
    /// points, white (n, d)
    fn new(whitening: &Whitening, points: &[f32], d: usize, white: &'a mut [f32]) -> Result<Self> {
        let mean = wide_mean(points, d);
        let n = points.len() / d;
        let kappa = whitening.share() / (n - 1) as f64;
        let mut c = wide_gram(points, &mean);
        c.iter_mut().for_each(|x| *x *= kappa);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += whitening.identity());
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

    /// The sum of the cosines with the other view's points; and the gradient of the mean of `-2 cos` with respect to the points.
    fn backward(&self, other: &White<'_>, out: &mut [f32]) -> f64 {
        let (d, n) = (self.d, self.norms.len());
        let rows = n.div_ceil(16).max(ROWS); // at most 16 parts, each added in its order
        let parts =
            out.par_chunks_mut(rows * d).enumerate().with_max_len(1).map(|(part, out)| self.sums(other, part * rows, out));
        let parts: Vec<Sums> = parts.collect();
        let total = |of: fn(&Sums) -> &[f32]| {
            parts.iter().fold(vec![0f64; of(&parts[0]).len()], |mut total, part| {
                total.iter_mut().zip(of(part)).for_each(|(total, x)| *total += f64::from(*x));
                total
            })
        };

        let mut t = total(|part| &part.cross);
        for k in 0..d {
            for l in 0..k {
                t[l * d + k] = t[k * d + l];
            }
        }
        let t: Vec<f32> = t.into_iter().map(|x| (-self.kappa * x) as f32).collect();
        let mut back = vec![0f32; d * d]; // -κ T K
        triangular::times(&t, &self.inverse, d, &mut back);
        let mut mean = vec![0f64; d]; // of GK - κ w T K
        for (sums, matrix) in [(total(|part| &part.slope), &self.inverse), (total(|part| &part.white), &back)] {
            for (sum, row) in sums.into_iter().zip(matrix.chunks_exact(d)) {
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += sum / n as f64 * f64::from(*x));
            }
        }
        let mean: Vec<f32> = mean.into_iter().map(|x| x as f32).collect();
        out.par_chunks_mut(ROWS * d).zip(self.points.par_chunks(ROWS * d)).with_max_len(1).for_each(|(out, white)| {
            let (white, back) = (Matrix::new(white, white.len() / d, d), Matrix::new(&back, d, d));
            product(MatrixMut::new(out, white.shape().0, d), Onto::Add, 1.0, white, back);
            take_mean(out, &mean);
        });
        parts.iter().map(|part| part.cosines).sum()
    }

    /// Writes GK of the rows from `first` on, as many as `out` has, for G the gradient with respect to the whitened points.
    fn sums(&self, other: &White<'_>, first: usize, out: &mut [f32]) -> Sums {
        let d = self.d;
        let mut sums = Sums { cosines: 0.0, cross: vec![0.0; d * d], slope: vec![0.0; d], white: vec![0.0; d] };
        let scale = -2.0 / self.norms.len() as f32;
        for (chunk, out) in out.chunks_mut(ROWS * d).enumerate() {
            let rows = first + chunk * ROWS..first + chunk * ROWS + out.len() / d;
            let [white, others] = [self, other].map(|view| &view.points[rows.start * d..rows.end * d]);
            with_scratch(out.len(), |slope| {
                along_cosines(slope, [white, others], [&self.norms[rows.clone()], &other.norms[rows]], scale, &mut sums);
                triangular::add_cross_gram(slope, white, d, &mut sums.cross);
                triangular::times(slope, &self.inverse, d, out);
            });
        }
        sums
    }
}

vectorize! {
    /// Takes the same from every row. rows (n, d)
    fn take_mean(rows: &mut [f32], mean: &[f32]) = take_mean_with;

    /// The gradient G of `scale/-2` times the sum of `-2 cos` with respect to one view's whitened points, and what its rows add up
    /// to.
    ///
    /// slope, views (n, d), norms (n)
    fn along_cosines(slope: &mut [f32], views: [&[f32]; 2], norms: [&[f32]; 2], scale: f32, sums: &mut Sums) =
        along_cosines_with;
}

#[inline(always)]
fn take_mean_with<S: Simd>(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

#[inline(always)]
fn along_cosines_with<S: Simd>(
    slope: &mut [f32],
    [white, others]: [&[f32]; 2],
    [norms, other_norms]: [&[f32]; 2],
    scale: f32,
    sums: &mut Sums,
) {
    let d = sums.slope.len();
    let rows = slope.chunks_exact_mut(d).zip(white.chunks_exact(d).zip(others.chunks_exact(d)));
    for ((g, (w, v)), (norm, other)) in rows.zip(norms.iter().zip(other_norms)) {
        let cosine = vector::dot_with::<S>(w, v) / (norm * other);
        sums.cosines += f64::from(cosine);
        let (across, along) = (scale / (norm * other), scale * cosine / (norm * norm));
        g.iter_mut().zip(w.iter().zip(v)).for_each(|(g, (w, v))| *g = across * v - along * w);
        vector::add_with::<S>(&mut sums.slope, g);
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

    /// More rows than a part takes at once, and more dims than a tile: clouds that are too large for float64's tensor operations in
    /// every conformance test.
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
