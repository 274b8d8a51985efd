//! Barlow Twins: the cross-correlation of two views of the points held to the identity.
//!
//! For a group of n points `a` and a second view `b` of them, with each dim standardised over the group,
//! `x = (a - mean) / sqrt(var + 1e-5)` and y likewise, var the biased variance, and `C = xᵀy / n`:
//! ```text
//! Σ_k (1 - C_kk)² + λ Σ_{k≠l} C_kl²
//! ```
//! The first sum makes views agree, dim by dim; the second keeps dims from telling the same.
//! Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021,
//! arXiv:2103.03230, with λ = 0.0051 as in the authors' code (the paper: 0.005); standardised as batch norm does there, whose ε
//! this is. Deviations: on hidden states themselves, without a projector; the second view is another dropout mask's, not
//! another distortion of the input. It is a sum over dims, as published, so a wider model has a larger penalty.
//!
//! # Shapes
//! points and view (g, n, d) -> scalar, by way of (g, d, d)
//!
//! # Errors
//! Of a cloud without a second view.

use regatta_core::kernels::{Float, Matrix, cross_gram, times};
use regatta_core::maths::{centred, diagonal, matmul, off_diagonal_sum_of_squares};
use regatta_core::number::NonNegative;
use regatta_core::simd::Simd;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag, vectorize};

/// Under the root of the variance: keeps the slope finite where a dim has collapsed.
const EPSILON: f64 = 1e-5;

regularizer! {
    name: "barlow_twins",
    summary: "two views agree in each dim, and dims do not repeat each other",
    paper: "Zbontar et al., \"Barlow Twins\", ICML 2021, arXiv:2103.03230",
    formula: "Σ_k (1 - C_kk)² + off_diagonal · Σ_{k≠l} C_kl², C the correlation of the dims of both views (needs train.dropout)",
    expects: "two views of all tokens of a batch, at any scale (points: batch; train.dropout)",
    /// Cross-correlation of two views held to the identity.
    pub struct BarlowTwins {
        /// Weight λ of the correlations between different dims (paper: 0.005; the authors' code: 0.0051).
        pub off_diagonal: NonNegative = NonNegative::new(0.0051),
    }
}

#[typetag::serde(name = "barlow_twins")]
impl Regularizer for BarlowTwins {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let views = cloud.both_views()?; // (g, n, d) each
        let (x, y) = (standardised(views[0])?, standardised(views[1])?);
        let c = (matmul(&x.transpose(1, 2)?, &y)? / cloud.count() as f64)?; // (g, d, d)
        let on = diagonal(&c)?.affine(-1.0, 1.0)?.sqr()?.sum(1)?; // (g)
        let off = (off_diagonal_sum_of_squares(&c)? * self.off_diagonal.get())?; // (g)
        Ok((on + off)?.mean_all()?)
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

/// Each dim with mean 0 and variance 1 over the points. (g, n, d) -> (g, n, d)
fn standardised(z: &Tensor) -> Result<Tensor> {
    let z = centred(z)?;
    let deviation = (z.sqr()?.mean_keepdim(1)? + EPSILON)?.sqrt()?; // (g, 1, d)
    Ok(z.broadcast_div(&deviation)?)
}

impl BarlowTwins {
    /// Value and gradients together, on the float32 points of one group. points, view and their gradients (n, d)
    ///
    /// In float64 where there are no more points than dims: then dims do repeat each other, and the gradient is what is left of
    /// large parts that cancel. With two points every correlation is 1 or -1, and nothing is left.
    fn fused(&self, views: [&[f32]; 2], d: usize, gradients: [&mut [f32]; 2]) -> f64 {
        match views[0].len() / d <= d {
            true => self.fused_in(|x| x, views, d, gradients),
            false => self.fused_in(|x| x as f32, views, d, gradients),
        }
    }

    fn fused_in<T: Float + Into<f64>>(
        &self,
        round: fn(f64) -> T,
        [a, b]: [&[f32]; 2],
        d: usize,
        [a_slope, b_slope]: [&mut [f32]; 2],
    ) -> f64 {
        let n = (a.len() / d) as f64;
        let (x, y) = (Standardised::new(a, d, round), Standardised::new(b, d, round));
        let c = cross_gram(&x.points, &y.points, d); // n·C

        // S, the slope along n·C, and Σ_l C_kl S_kl and Σ_k C_kl S_kl, which is what standardising takes back.
        let (mut slope, mut value) = (vec![T::default(); d * d], 0.0);
        let (mut of_rows, mut of_columns) = (vec![0f64; d], vec![0f64; d]);
        for (k, (row, slopes)) in c.chunks_exact(d).zip(slope.chunks_exact_mut(d)).enumerate() {
            let mut off = 0.0;
            for (l, (c, slope)) in row.iter().zip(slopes.iter_mut()).enumerate() {
                let c = (*c).into() / n;
                let along = if k == l { -2.0 * (1.0 - c) } else { 2.0 * self.off_diagonal.get() * c };
                off += if k == l { 0.0 } else { c * c };
                value += if k == l { (1.0 - c) * (1.0 - c) } else { 0.0 };
                *slope = round(along / n);
                of_rows[k] += c * along / n;
                of_columns[l] += c * along / n;
            }
            value += self.off_diagonal.get() * off;
        }
        let slope = Matrix::new(&slope, d, d);
        let mut gradient = vec![T::default(); a.len()];
        times(&y.points, slope.transposed(), &mut gradient, |_, _| {});
        x.backward(&gradient, &of_rows, a_slope);
        times(&x.points, slope, &mut gradient, |_, _| {});
        y.backward(&gradient, &of_columns, b_slope);
        value
    }
}

/// A view with each dim of mean 0 and variance 1, and what it was divided by.
struct Standardised<T> {
    points: Vec<T>,
    deviations: Vec<f64>,
}

impl<T: Float + Into<f64>> Standardised<T> {
    fn new(points: &[f32], d: usize, round: fn(f64) -> T) -> Self {
        let (n, first) = ((points.len() / d) as f64, &points[..d]);
        let mut means = vec![0f64; d]; // of what points are beyond the first: where all are equal, exactly 0
        add_beyond(&mut means, points, first);
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

    /// Turns a gradient of the standardised points into one of the points: less x times `along`, the mean over the points of
    /// gradient times x, and divided as the points were. Its mean over the points is 0 already, as that of the other view is.
    fn backward(&self, gradient: &[T], along: &[f64], out: &mut [f32]) {
        let d = self.deviations.len();
        for ((out, row), x) in out.chunks_exact_mut(d).zip(gradient.chunks_exact(d)).zip(self.points.chunks_exact(d)) {
            let dims = row.iter().zip(x).zip(along.iter().zip(&self.deviations));
            out.iter_mut().zip(dims).for_each(|(out, ((g, x), (along, deviation)))| {
                *out = (((*g).into() - along * (*x).into()) / deviation) as f32;
            });
        }
    }
}

vectorize! {
    /// Adds what each row is beyond `first`. points (n, d)
    fn add_beyond(sums: &mut [f64], points: &[f32], first: &[f32]) = add_beyond_with;

    /// Adds the squares of what each row is beyond the means. points (n, d)
    fn add_squares(sums: &mut [f64], points: &[f32], means: &[f64]) = add_squares_with;
}

#[inline(always)]
fn add_beyond_with<S: Simd>(sums: &mut [f64], points: &[f32], first: &[f32]) {
    for row in points.chunks_exact(first.len()) {
        sums.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += f64::from(*x) - f64::from(*first));
    }
}

#[inline(always)]
fn add_squares_with<S: Simd>(sums: &mut [f64], points: &[f32], means: &[f64]) {
    for row in points.chunks_exact(means.len()) {
        for ((sum, x), mean) in sums.iter_mut().zip(row).zip(means) {
            let off = f64::from(*x) - mean;
            *sum += off * off;
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

    /// Dims of variance 25 that have nothing to do with each other.
    const SQUARE: [[f64; 2]; 4] = [[5.0, 5.0], [5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]];

    /// What ε leaves of a correlation of 1 between dims of that variance.
    const ONE: f64 = 25.0 / (25.0 + EPSILON);

    #[test]
    fn equal_views_of_independent_dims_cost_nothing() {
        check(1.0, SQUARE, SQUARE, 0.0);
        check(1.0, SQUARE, SQUARE.map(|[a, b]| [a * 40.0 + 7.0, b * 3.0 - 1.0]), 0.0); // nor do scale and offset
    }

    #[test]
    fn opposite_and_exchanged_dims_by_hand() {
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [-a, b]), (1.0 + ONE).powi(2)); // C = diag(-1, 1)
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [b, a]), 2.0 + 0.5 * 2.0 * ONE.powi(2)); // C = [[0, 1], [1, 0]]
        check(0.5, SQUARE, SQUARE.map(|[a, _]| [a, a]), 1.0 + 0.5 * ONE.powi(2)); // C = [[1, 1], [0, 0]]
    }

    #[test]
    fn a_collapsed_view_agrees_with_nothing() {
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
