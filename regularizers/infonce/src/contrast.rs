//! The kernel of the `contrastive` form.
//!
//! A small group is computed as one block of pairs. A large group is cut into panels of points and of views, and a block is a pair
//! of panels. A first pass computes the log-sum-exp of each point over all views. The gradients follow in rounds. In each round,
//! every panel of points and every panel of views is in exactly one block. Blocks of a round can therefore run in parallel while
//! the order of every sum stays fixed, and memory is linear in the number of points.
//!
//! The gradient of a point is a weighted sum of unit vectors whose weights sum to 0. If the points lie in a narrow cone, large
//! terms cancel in this sum, so it is computed from centred vectors. Centring the views changes nothing for the points, whose
//! weights sum to exactly 0. The weights of a view do not sum to 0; for the views, that sum times the mean of the points is added
//! back.

use rayon::prelude::*;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, Scaled, centred_rows, mean_point, product, vector, with_scratch};
use regatta_core::libm;
use regatta_core::simd::Simd;
use regatta_core::vectorize;

/// Returns `mean_i (log Σ_j exp(rate·u_i·v_j) - rate·u_i·v_i)` and adds its gradients with respect to the unit vectors.
///
/// # Shapes
/// u, v and their gradients (n, d); the gradients are initially zeros
pub(crate) fn contrastive([u, v]: [&Scaled; 2], d: usize, rate: f32, [grad_u, grad_v]: [&mut [f32]; 2]) -> f64 {
    // Centring the views shifts all exponents of a row by the same amount, and loses fewer digits in a narrow cone.
    let (mean, centred, v) = (mean_point(u.points(), d), centred_rows(u.points(), d), centred_rows(v.points(), d));
    let pairs = Pairs { u: u.points(), mean: &mean, centred: &centred, v: &v, d, rate };
    let n = pairs.u.len() / d;
    let own: Vec<f32> = pairs.u.chunks_exact(d).zip(pairs.v.chunks_exact(d)).map(|(u, v)| rate * vector::dot(u, v)).collect();
    if n <= WHOLE {
        return pairs.whole(&own, grad_u, grad_v) / n as f64;
    }
    let panel = n.div_ceil(8).clamp(128, 512);
    let mut log_sums = vec![0f32; n]; // log-sum-exps minus the exponent of the positive pair
    log_sums.par_chunks_mut(panel).enumerate().with_max_len(1).for_each(|(index, log_sums)| {
        pairs.log_sums(index * panel, panel, &own, log_sums);
    });

    let panels = n.div_ceil(panel);
    let mut u_panels: Vec<&mut [f32]> = grad_u.chunks_mut(panel * d).collect();
    let mut v_panels: Vec<&mut [f32]> = grad_v.chunks_mut(panel * d).collect();
    for round in 0..panels {
        v_panels.rotate_left(usize::from(round > 0)); // panel I of points meets panel I + round of views
        let blocks = u_panels.par_iter_mut().zip(&mut v_panels).enumerate().with_max_len(1);
        blocks.for_each(|(index, (grad_u, grad_v))| {
            let columns = (index + round) % panels * panel;
            pairs.add_gradients((index * panel, columns), &own, &log_sums, grad_u, grad_v);
        });
    }
    log_sums.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64
}

/// Largest number of points that is computed as one block, of 1 MB.
const WHOLE: usize = 512;

struct Pairs<'a> {
    u: &'a [f32],
    /// The mean of u. (d)
    mean: &'a [f32],
    /// u minus its mean. (n, d)
    centred: &'a [f32],
    /// The views minus their mean. (n, d)
    v: &'a [f32],
    d: usize,
    rate: f32,
}

impl Pairs<'_> {
    fn rows(numbers: &[f32], d: usize, first: usize, count: usize) -> &[f32] {
        &numbers[first * d..(first + count) * d]
    }

    /// `rate·(u_i·v_j - u_i·v_i)` of a block. It is exactly 0 for the positive pair, which preserves precision if that pair
    /// dominates the sum.
    fn exponents(&self, (first, count): (usize, usize), (column, columns): (usize, usize), own: &[f32], out: &mut [f32]) {
        let (u, v) = (Self::rows(self.u, self.d, first, count), Self::rows(self.v, self.d, column, columns));
        let (u, v) = (Matrix::new(u, count, self.d), Matrix::new(v, columns, self.d).transposed());
        product(MatrixMut::new(out, count, columns), Onto::Replace, self.rate, u, v);
        for (i, row) in (first..).zip(out.chunks_exact_mut(columns)) {
            vector::shift(row, -own[i]);
            if (column..column + columns).contains(&i) {
                row[i - column] = 0.0;
            }
        }
    }

    /// The log-sum-exp over all views minus the exponent of the positive pair, for the points from `first` on.
    fn log_sums(&self, first: usize, panel: usize, own: &[f32], out: &mut [f32]) {
        let (n, count) = (own.len(), out.len());
        // Of each point: the largest exponent so far, starting at 0 for the positive pair, and Σ_{j≠i} exp(x - largest).
        let mut sums = vec![(0f32, 0f32); count];
        for column in (0..n).step_by(panel) {
            let columns = panel.min(n - column);
            with_scratch(count * columns, |x| {
                self.exponents((first, count), (column, columns), own, x);
                for ((i, row), (largest, sum)) in (first..).zip(x.chunks_exact_mut(columns)).zip(&mut sums) {
                    if (column..column + columns).contains(&i) {
                        row[i - column] = f32::NEG_INFINITY;
                    }
                    let new = vector::max(row).max(*largest);
                    *sum = *sum * vector::exp(*largest - new) + vector::sum_of_exponentials(row, new, 1.0);
                    *largest = new;
                }
            });
        }
        out.iter_mut().zip(sums).for_each(|(out, (largest, sum))| *out = log_sum(largest, sum) as f32);
    }

    /// Computes all pairs as one block: returns the sum of the points' losses and adds the gradients.
    fn whole(&self, own: &[f32], grad_u: &mut [f32], grad_v: &mut [f32]) -> f64 {
        let n = own.len();
        with_scratch(n * n, |x| {
            self.exponents((0, n), (0, n), own, x);
            let mut total = 0.0;
            for (i, row) in x.chunks_exact_mut(n).enumerate() {
                row[i] = f32::NEG_INFINITY;
                let largest = vector::max(row).max(0.0);
                let log_sum = log_sum(largest, vector::exponentials(row, largest));
                let normaliser = libm::exp(f64::from(largest) - log_sum) as f32;
                vector::scale(row, normaliser);
                row[i] = libm::expm1(-log_sum) as f32; // softmax - 1
                total += log_sum;
            }
            self.add_weighted(x, (0, 0), grad_u, grad_v);
            total
        })
    }

    /// Adds a block's gradients. The weight of a pair is its softmax, minus 1 for the positive pair.
    fn add_gradients(
        &self,
        (first, column): (usize, usize),
        own: &[f32],
        log_sums: &[f32],
        grad_u: &mut [f32],
        grad_v: &mut [f32],
    ) {
        let (count, columns) = (grad_u.len() / self.d, grad_v.len() / self.d);
        with_scratch(count * columns, |x| {
            self.exponents((first, count), (column, columns), own, x);
            for (i, row) in (first..).zip(x.chunks_exact_mut(columns)) {
                vector::exponentials(row, log_sums[i]);
                if (column..column + columns).contains(&i) {
                    row[i - column] = libm::expm1(f64::from(-log_sums[i])) as f32; // softmax - 1
                }
            }
            self.add_weighted(x, (first, column), grad_u, grad_v);
        });
    }

    /// Adds `rate / n` times the weighted sums of views to the points' gradients, and of points to the views' gradients.
    fn add_weighted(&self, weights: &[f32], (first, column): (usize, usize), grad_u: &mut [f32], grad_v: &mut [f32]) {
        let d = self.d;
        let (count, columns) = (grad_u.len() / d, grad_v.len() / d);
        let scale = self.rate / (self.u.len() / d) as f32;
        let sums = column_sums(weights, columns);
        for (row, sum) in grad_v.chunks_exact_mut(d).zip(&sums) {
            let factor = (f64::from(scale) * sum) as f32;
            vector::add_multiple(row, factor, self.mean);
        }
        let weights = Matrix::new(weights, count, columns);
        let views = Matrix::new(Self::rows(self.v, d, column, columns), columns, d);
        product(MatrixMut::new(grad_u, count, d), Onto::Add, scale, weights, views);
        let points = Matrix::new(Self::rows(self.centred, d, first, count), count, d);
        product(MatrixMut::new(grad_v, columns, d), Onto::Add, scale, weights.transposed(), points);
    }
}

vectorize! {
    /// Sums of columns in float64. x (rows, columns) -> (columns)
    fn column_sums(x: &[f32], columns: usize) -> Vec<f64> = column_sums_with;
}

#[inline(always)]
fn column_sums_with<S: Simd>(x: &[f32], columns: usize) -> Vec<f64> {
    let mut sums = vec![0f64; columns];
    x.chunks_exact(columns).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    sums
}

/// `log(1 + exp(largest)·sum)`, where `sum` is `Σ exp(x - largest)` over the other views and largest is at least 0.
fn log_sum(largest: f32, sum: f32) -> f64 {
    // exp(-largest)·(1 + exp(largest)·sum) - 1, the argument of log1p
    let excess = f64::from(sum) + if largest == 0.0 { 0.0 } else { libm::exp(f64::from(-largest)) - 1.0 };
    f64::from(largest) + libm::log1p(excess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_and_many_panels_agree_with_the_formula() {
        check(100);
        check(WHOLE + 88); // five panels, the last smaller
    }

    /// Points and views are the unit axes, so the sum of each point over all views is exp(rate) + n - 1.
    fn check(n: usize) {
        let d = n;
        let axes: Vec<f32> = (0..n * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let unit = Scaled::new(axes, d, 0.0);
        let (mut grad_u, mut grad_v) = (vec![0.0; n * d], vec![0.0; n * d]);
        let found = contrastive([&unit, &unit], d, 2.0, [&mut grad_u, &mut grad_v]);
        let others = (n - 1) as f64 * (-2f64).exp();
        assert!((found - (1.0 + others).ln()).abs() < 1e-5, "{found}");
        let softmax = (-2f64).exp() / (1.0 + others);
        let expected = [1.0 / (1.0 + others) - 1.0, softmax].map(|weight| weight * 2.0 / n as f64);
        for gradient in [&grad_u, &grad_v] {
            assert!((f64::from(gradient[0]) - expected[0]).abs() < 1e-8 && (f64::from(gradient[1]) - expected[1]).abs() < 1e-8);
        }
    }
}
