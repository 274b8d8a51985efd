//! Barlow Twins: pulls the cross-correlation matrix of two views of the points towards the identity.
//!
//! For a group of n points `a` and a second view `b` of them, each dim is standardised over the group:
//! `x = (a - mean) / sqrt(var + 1e-5)` with the biased variance, and y likewise for b. With `C = xᵀy / n`, the penalty is
//! ```text
//! Σ_k (1 - C_kk)² + λ Σ_{k≠l} C_kl²
//! ```
//! The first sum makes the views agree in each dim; the second decorrelates the dims.
//! Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021,
//! arXiv:2103.03230, equations 1 and 2, with λ = 0.0051 as in the authors' code (paper: 0.005). The code standardises with a batch
//! norm layer, whose ε is used here. As published, the penalty is a sum over dims, so it grows with the width of the model.
//!
//! # Deviations from the paper
//!
//! - The points are hidden states, without a projector.
//! - The second view comes from another dropout mask, not from an augmented input.
//!
//! # Shapes
//! points and view (g, n, d) -> scalar, through intermediates (g, d, d)
//!
//! # Units
//! Squared correlations, dimensionless.
//!
//! # Errors
//! Returns an error if the cloud has no second view.

use regatta_core::kernels::{Float, Matrix, cross_gram, times};
use regatta_core::maths::{centred, diagonal, matmul, off_diagonal_sum_of_squares};
use regatta_core::number::NonNegative;
use regatta_core::simd::Simd;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag, vectorize};

/// Added to the variance under the root, which keeps the gradient finite for a collapsed dim.
const EPSILON: f64 = 1e-5;

regularizer! {
    name: "barlow_twins",
    summary: "makes two views agree in each dim and decorrelates the dims",
    paper: "Zbontar et al., \"Barlow Twins\", ICML 2021, arXiv:2103.03230",
    formula: "Σ_k (1 - C_kk)² + off_diagonal · Σ_{k≠l} C_kl², C the cross-correlation of two views' dims (needs train.dropout)",
    expects: "two views of all tokens of a batch, at any scale (train.dropout)",
    /// Distance of the cross-correlation of two views from the identity.
    pub struct BarlowTwins {
        /// Weight λ of the off-diagonal correlations (paper: 0.005; authors' code: 0.0051).
        pub off_diagonal: NonNegative = NonNegative::new(0.0051),
    }
}

#[typetag::serde(name = "barlow_twins")]
impl Regularizer for BarlowTwins {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let views = cloud.both_views()?; // (g, n, d) each
        let (x, y) = (standardised(views[0])?, standardised(views[1])?);
        let c = (matmul(&x.transpose(1, 2)?, &y)? / cloud.count() as f64)?; // (g, d, d)
        let agreement = diagonal(&c)?.affine(-1.0, 1.0)?.sqr()?.sum(1)?; // (g)
        let redundancy = (off_diagonal_sum_of_squares(&c)? * self.off_diagonal.get())?; // (g)
        Ok((agreement + redundancy)?.mean_all()?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn needs_view(&self) -> bool {
        true
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for BarlowTwins {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group_of_views(|views, gradients| Ok(self.fused(views, d, gradients)))
    }
}

/// Scales each dim to mean 0 and variance 1 over the points. (g, n, d) -> (g, n, d)
fn standardised(z: &Tensor) -> Result<Tensor> {
    let z = centred(z)?;
    let deviation = (z.sqr()?.mean_keepdim(1)? + EPSILON)?.sqrt()?; // (g, 1, d)
    Ok(z.broadcast_div(&deviation)?)
}

impl BarlowTwins {
    /// Computes the value and the gradients for one group of float32 points. views and gradients (n, d)
    ///
    /// Uses float64 if there are no more points than dims. The dims are then linearly dependent, and the gradient is a small
    /// difference of large terms that cancel; with two points every correlation is 1 or -1, and they cancel exactly.
    fn fused(&self, views: [&[f32]; 2], d: usize, gradients: [&mut [f32]; 2]) -> f64 {
        if views[0].len() / d <= d {
            self.fused_in(|x| x, views, d, gradients)
        } else {
            self.fused_in(|x| x as f32, views, d, gradients)
        }
    }

    fn fused_in<T: Float + Into<f64>>(
        &self,
        round: fn(f64) -> T,
        [a, b]: [&[f32]; 2],
        d: usize,
        [grad_a, grad_b]: [&mut [f32]; 2],
    ) -> f64 {
        let n = (a.len() / d) as f64;
        let (x, y) = (Standardised::new(a, d, round), Standardised::new(b, d, round));
        let c = cross_gram(&x.points, &y.points, d); // n·C

        // S is the gradient with respect to n·C. The row sums Σ_l C_kl S_kl and column sums Σ_k C_kl S_kl are the parts of the
        // gradients along x and y, which the backward pass of the standardisation removes.
        let (mut s, mut value) = (vec![T::default(); d * d], 0.0);
        let (mut row_sums, mut column_sums) = (vec![0f64; d], vec![0f64; d]);
        for (k, (row, s)) in c.chunks_exact(d).zip(s.chunks_exact_mut(d)).enumerate() {
            let mut squares = 0.0; // off the diagonal
            for (l, (c, s)) in row.iter().zip(s.iter_mut()).enumerate() {
                let c = (*c).into() / n;
                let grad_c = if k == l { -2.0 * (1.0 - c) } else { 2.0 * self.off_diagonal.get() * c };
                squares += if k == l { 0.0 } else { c * c };
                value += if k == l { (1.0 - c) * (1.0 - c) } else { 0.0 };
                *s = round(grad_c / n);
                row_sums[k] += c * grad_c / n;
                column_sums[l] += c * grad_c / n;
            }
            value += self.off_diagonal.get() * squares;
        }
        let s = Matrix::new(&s, d, d);
        let mut gradient = vec![T::default(); a.len()];
        times(&y.points, s.transposed(), &mut gradient, |_, _| {});
        x.backward(&gradient, &row_sums, grad_a);
        times(&x.points, s, &mut gradient, |_, _| {});
        y.backward(&gradient, &column_sums, grad_b);
        value
    }
}

/// A view with each dim scaled to mean 0 and variance 1, and the standard deviations it was divided by.
struct Standardised<T> {
    points: Vec<T>,
    deviations: Vec<f64>,
}

impl<T: Float + Into<f64>> Standardised<T> {
    fn new(points: &[f32], d: usize, round: fn(f64) -> T) -> Self {
        let (n, first) = ((points.len() / d) as f64, &points[..d]);
        // Sums of differences from the first point are exactly 0 if all points are equal.
        let mut means = vec![0f64; d];
        add_differences(&mut means, points, first);
        means.iter_mut().zip(first).for_each(|(sum, first)| *sum = f64::from(*first) + *sum / n);
        let mut variances = vec![0f64; d];
        add_squares(&mut variances, points, &means);
        let deviations: Vec<f64> = variances.iter().map(|sum| (sum / n + EPSILON).sqrt()).collect();
        let mut standardised = vec![T::default(); points.len()];
        for (out, row) in standardised.chunks_exact_mut(d).zip(points.chunks_exact(d)) {
            let dims = row.iter().zip(means.iter().zip(&deviations));
            out.iter_mut().zip(dims).for_each(|(out, (x, (mean, deviation)))| *out = round((f64::from(*x) - mean) / deviation));
        }
        Self { points: standardised, deviations }
    }

    /// Converts the gradient with respect to the standardised points x into the gradient with respect to the points:
    /// `(gradient - projection·x) / deviation`, where `projection` is the mean over the points of gradient times x. The mean of
    /// `gradient` over the points needs no subtraction: it is 0, since the other view is centred.
    fn backward(&self, gradient: &[T], projection: &[f64], out: &mut [f32]) {
        let d = self.deviations.len();
        for ((out, row), x) in out.chunks_exact_mut(d).zip(gradient.chunks_exact(d)).zip(self.points.chunks_exact(d)) {
            let dims = row.iter().zip(x).zip(projection.iter().zip(&self.deviations));
            out.iter_mut().zip(dims).for_each(|(out, ((g, x), (projection, deviation)))| {
                *out = (((*g).into() - projection * (*x).into()) / deviation) as f32;
            });
        }
    }
}

vectorize! {
    /// Adds the difference of each row from `first`. points (n, d)
    fn add_differences(sums: &mut [f64], points: &[f32], first: &[f32]) = add_differences_with;

    /// Adds the squared differences of each row from the means. points (n, d)
    fn add_squares(sums: &mut [f64], points: &[f32], means: &[f64]) = add_squares_with;
}

#[inline(always)]
fn add_differences_with<S: Simd>(sums: &mut [f64], points: &[f32], first: &[f32]) {
    for row in points.chunks_exact(first.len()) {
        sums.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += f64::from(*x) - f64::from(*first));
    }
}

#[inline(always)]
fn add_squares_with<S: Simd>(sums: &mut [f64], points: &[f32], means: &[f64]) {
    for row in points.chunks_exact(means.len()) {
        for ((sum, x), mean) in sums.iter_mut().zip(row).zip(means) {
            let difference = f64::from(*x) - mean;
            *sum += difference * difference;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check(off_diagonal: f64, points: [[f64; 2]; 4], view: [[f64; 2]; 4], expected: f64) {
        let tensor = |points| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let twins = BarlowTwins { off_diagonal: NonNegative::new(off_diagonal) };
        let found = twins.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    /// Two uncorrelated dims of variance 25.
    const SQUARE: [[f64; 2]; 4] = [[5.0, 5.0], [5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]];

    /// A correlation of 1 between dims of variance 25, as reduced by ε.
    const ONE: f64 = 25.0 / (25.0 + EPSILON);

    #[test]
    fn equal_views_with_uncorrelated_dims_have_no_penalty() {
        check(1.0, SQUARE, SQUARE, 0.0);
        check(1.0, SQUARE, SQUARE.map(|[a, b]| [a * 40.0 + 7.0, b * 3.0 - 1.0]), 0.0); // scale and offset do not matter
    }

    #[test]
    fn flipped_and_swapped_dims_are_penalised() {
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [-a, b]), (1.0 + ONE).powi(2)); // C = diag(-1, 1)
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [b, a]), 2.0 + 0.5 * 2.0 * ONE.powi(2)); // C = [[0, 1], [1, 0]]
        check(0.5, SQUARE, SQUARE.map(|[a, _]| [a, a]), 1.0 + 0.5 * ONE.powi(2)); // C = [[1, 1], [0, 0]]
    }

    #[test]
    fn a_collapsed_view_correlates_with_nothing() {
        check(0.5, SQUARE, [[3.0, 4.0]; 4], 2.0); // C = 0
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&BarlowTwins::default(), 1e-5);
        regatta_core::conformance::kernel_agrees(&BarlowTwins { off_diagonal: NonNegative::new(1.0) }, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<BarlowTwins>();
    }
}
