//! Barlow Twins: the cross-correlation of two views of the points held to the identity.
//!
//! For a group of n points `a` and a second view `b` of them, with each dim standardised over the group,
//! `x = (a - mean) / sqrt(var + 1e-5)` and y likewise, var the biased variance, and `C = xᵀy / n`:
//! ```text
//! Σ_k (1 - C_kk)² + λ Σ_{k≠l} C_kl²
//! ```
//! The first sum makes views agree, dim by dim; the second keeps dims from telling the same.
//! Zbontar, Jing, Misra, LeCun, Deny, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021,
//! arXiv:2103.03230, eqs. 1 and 2, with λ = 0.0051 as there; standardised as batch norm does in the authors' code, whose ε
//! this is. Deviations: on hidden states themselves, without a projector; the second view is another dropout mask's, not
//! another distortion of the input. It is a sum over dims, as published, so a wider model has a larger penalty.
//!
//! # Shapes
//! points and view (g, n, d) -> scalar, by way of (g, d, d)
//!
//! # Errors
//! Of a cloud without a second view.

use regatta_core::maths::{
    Matrix, centred, centred_rows, cross_gram, diagonal, mean_over_groups_of_views, off_diagonal_sum_of_squares, takes_kernels,
    times,
};
use regatta_core::number::NonNegative;
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, regularizer, typetag};

/// Under the root of the variance: keeps the slope finite where a dim has collapsed.
const EPSILON: f64 = 1e-5;

regularizer! {
    name: "barlow_twins",
    summary: "two views agree in each dim, and dims do not repeat each other",
    paper: "Zbontar et al., \"Barlow Twins\", ICML 2021, arXiv:2103.03230, eqs. 1 and 2",
    formula: "Σ_k (1 - C_kk)² + off_diagonal · Σ_{k≠l} C_kl², C the correlation of the dims of both views (needs train.dropout)",
    expects: "two views of all tokens of a batch, at any scale (points: batch; train.dropout)",
    /// Cross-correlation of two views held to the identity.
    pub struct BarlowTwins {
        /// Weight λ of the correlations between different dims (paper: 0.0051).
        pub off_diagonal: NonNegative = NonNegative::new(0.0051),
    }
}

#[typetag::serde(name = "barlow_twins")]
impl Regularizer for BarlowTwins {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let views = cloud.both_views()?; // (g, n, d) each
        let d = cloud.dims();
        if views.iter().all(|view| takes_kernels(view)) {
            return mean_over_groups_of_views(views, "barlow_twins", |views, gradients| Ok(self.fused(views, d, gradients)));
        }
        let (x, y) = (standardised(views[0])?, standardised(views[1])?);
        let c = (x.transpose(1, 2)?.matmul(&y)? / cloud.count() as f64)?; // (g, d, d)
        let on = diagonal(&c)?.affine(-1.0, 1.0)?.sqr()?.sum(1)?; // (g)
        let off = (off_diagonal_sum_of_squares(&c)? * self.off_diagonal.get())?; // (g)
        Ok((on + off)?.mean_all()?)
    }

    fn needs_view(&self) -> bool {
        true
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
    fn fused(&self, [a, b]: [&[f32]; 2], d: usize, [a_slope, b_slope]: [&mut [f32]; 2]) -> f64 {
        let n = (a.len() / d) as f64;
        let (x, y) = (Standardised::new(a, d), Standardised::new(b, d));
        let c = cross_gram(&x.points, &y.points, d); // n·C

        // S, the slope along n·C, and Σ_l C_kl S_kl and Σ_k C_kl S_kl, which is what standardising takes back.
        let (mut slope, mut value) = (vec![0f32; d * d], 0.0);
        let (mut of_rows, mut of_columns) = (vec![0f64; d], vec![0f64; d]);
        for (k, (row, slopes)) in c.chunks_exact(d).zip(slope.chunks_exact_mut(d)).enumerate() {
            let mut off = 0.0;
            for (l, (c, slope)) in row.iter().zip(slopes.iter_mut()).enumerate() {
                let c = f64::from(*c) / n;
                let along = if k == l { -2.0 * (1.0 - c) } else { 2.0 * self.off_diagonal.get() * c };
                off += if k == l { 0.0 } else { c * c };
                value += if k == l { (1.0 - c) * (1.0 - c) } else { 0.0 };
                *slope = (along / n) as f32;
                of_rows[k] += c * along / n;
                of_columns[l] += c * along / n;
            }
            value += self.off_diagonal.get() * off;
        }
        let slope = Matrix::new(&slope, d, d);
        times(&y.points, slope.transposed(), a_slope, |_, _| {});
        x.backward(a_slope, &of_rows);
        times(&x.points, slope, b_slope, |_, _| {});
        y.backward(b_slope, &of_columns);
        value
    }
}

/// A view with each dim of mean 0 and variance 1, and what it was divided by.
struct Standardised {
    points: Vec<f32>,
    deviations: Vec<f32>,
}

impl Standardised {
    fn new(points: &[f32], d: usize) -> Self {
        let mut points = centred_rows(points, d);
        let mut squares = vec![0f64; d];
        points.chunks_exact(d).for_each(|row| squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x * x)));
        let n = (points.len() / d) as f64;
        let deviations: Vec<f32> = squares.iter().map(|sum| (sum / n + EPSILON).sqrt() as f32).collect();
        points.chunks_exact_mut(d).for_each(|row| row.iter_mut().zip(&deviations).for_each(|(x, deviation)| *x /= deviation));
        Self { points, deviations }
    }

    /// Turns a gradient of the standardised points into one of the points: less x times `along`, the mean over the points of
    /// gradient times x, and divided as the points were. Its mean over the points is 0 already, as that of the other view is.
    fn backward(&self, gradient: &mut [f32], along: &[f64]) {
        let d = self.deviations.len();
        let along: Vec<f32> = along.iter().map(|x| *x as f32).collect();
        for (row, x) in gradient.chunks_exact_mut(d).zip(self.points.chunks_exact(d)) {
            let dims = row.iter_mut().zip(x).zip(along.iter().zip(&self.deviations));
            dims.for_each(|((g, x), (along, deviation))| *g = (*g - along * x) / deviation);
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
        assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}"); // ε is not in the numbers by hand
    }

    /// Dims of variance 25 that have nothing to do with each other.
    const SQUARE: [[f64; 2]; 4] = [[5.0, 5.0], [5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0]];

    #[test]
    fn equal_views_of_independent_dims_cost_nothing() {
        check(1.0, SQUARE, SQUARE, 0.0);
        check(1.0, SQUARE, SQUARE.map(|[a, b]| [a * 40.0 + 7.0, b * 3.0 - 1.0]), 0.0); // nor do scale and offset
    }

    #[test]
    fn opposite_and_exchanged_dims_by_hand() {
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [-a, b]), 4.0); // C = diag(-1, 1): (1 + 1)²
        check(0.5, SQUARE, SQUARE.map(|[a, b]| [b, a]), 2.0 + 0.5 * 2.0); // C = [[0, 1], [1, 0]]
        check(0.5, SQUARE, SQUARE.map(|[a, _]| [a, a]), 1.0 + 0.5); // C = [[1, 1], [0, 0]]
    }

    #[test]
    fn a_collapsed_view_agrees_with_nothing() {
        check(0.5, SQUARE, [[3.0, 4.0]; 4], 2.0); // C = 0
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::maths::agreement::float32_agrees(&BarlowTwins::default());
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<BarlowTwins>();
    }
}
