//! Cross-entropy of finding each point's own second view among those of all, a block of pairs at a time.
//!
//! Where there are few points, one block holds all pairs. Else points and views are cut into panels. The logarithms of the sums
//! over all views are each point's own; what then pulls at points and at views is found in rounds in which every panel of either is
//! in one block, so every sum has one order whatever the number of threads, and memory is linear in the points.
//!
//! What pulls is a sum of unit vectors whose weights cancel nearly or wholly. In a narrow cone it would be the small rest of large
//! parts, so it is summed over points and views less their mean. The weights of a point sum to 0, and its views' mean falls out;
//! those of a view do not, and their sum times the points' mean is added.

use rayon::prelude::*;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, Scaled, centred_rows, mean_point, product, vector, with_scratch};
use regatta_core::libm;
use regatta_core::simd::Simd;
use regatta_core::vectorize;

/// `mean_i (log Σ_j exp(rate·u_i·v_j) - rate·u_i·v_i)`, and its gradients with respect to the unit vectors, written over zeros.
///
/// # Shapes
/// u, v and their gradients (n, d)
pub(crate) fn contrastive([u, v]: [&Scaled; 2], d: usize, rate: f32, [u_slope, v_slope]: [&mut [f32]; 2]) -> f64 {
    // A row's differences are the same with the views centred, and in a narrow cone keep their digits.
    let (mean, apart, v) = (mean_point(u.points(), d), centred_rows(u.points(), d), centred_rows(v.points(), d));
    let pairs = Pairs { u: u.points(), mean: &mean, apart: &apart, v: &v, d, rate };
    let n = pairs.u.len() / d;
    let own: Vec<f32> = pairs.u.chunks_exact(d).zip(pairs.v.chunks_exact(d)).map(|(u, v)| rate * vector::dot(u, v)).collect();
    if n <= WHOLE {
        return pairs.whole(&own, u_slope, v_slope) / n as f64;
    }
    let panel = n.div_ceil(8).clamp(128, 512);
    let mut log_sums = vec![0f32; n]; // less the point's own exponent
    log_sums.par_chunks_mut(panel).enumerate().with_max_len(1).for_each(|(index, log_sums)| {
        pairs.log_sums(index * panel, panel, &own, log_sums);
    });

    let panels = n.div_ceil(panel);
    let mut u_panels: Vec<&mut [f32]> = u_slope.chunks_mut(panel * d).collect();
    let mut v_panels: Vec<&mut [f32]> = v_slope.chunks_mut(panel * d).collect();
    for round in 0..panels {
        v_panels.rotate_left(usize::from(round > 0)); // the panel of views beside points I is I + round
        let blocks = u_panels.par_iter_mut().zip(&mut v_panels).enumerate().with_max_len(1);
        blocks.for_each(|(index, (u_slope, v_slope))| {
            let columns = (index + round) % panels * panel;
            pairs.pull((index * panel, columns), &own, &log_sums, u_slope, v_slope);
        });
    }
    log_sums.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64
}

/// The most points of which one block holds all pairs: 1 MB.
const WHOLE: usize = 512;

struct Pairs<'a> {
    u: &'a [f32],
    /// The mean of u, and u less it.
    mean: &'a [f32],
    apart: &'a [f32],
    /// Less its mean.
    v: &'a [f32],
    d: usize,
    rate: f32,
}

impl Pairs<'_> {
    fn rows(numbers: &[f32], d: usize, first: usize, count: usize) -> &[f32] {
        &numbers[first * d..(first + count) * d]
    }

    /// `rate·(u_i·v_j - u_i·v_i)` of a block, exactly 0 at the point's own view: a sum that is nearly its own term keeps its
    /// digits.
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

    /// Log of the sum over all views, for the points from `first` on, less their own exponent.
    fn log_sums(&self, first: usize, panel: usize, own: &[f32], out: &mut [f32]) {
        let (n, count) = (own.len(), out.len());
        let mut sums = vec![(0f32, 0f32); count]; // the largest exponent, that of the own view or above, and Σ_{j≠i} exp(x - it)
        for column in (0..n).step_by(panel) {
            let columns = panel.min(n - column);
            with_scratch(count * columns, |x| {
                self.exponents((first, count), (column, columns), own, x);
                for ((i, row), (largest, sum)) in (first..).zip(x.chunks_exact_mut(columns)).zip(&mut sums) {
                    if (column..column + columns).contains(&i) {
                        row[i - column] = f32::NEG_INFINITY;
                    }
                    let most = vector::max(row).max(*largest);
                    *sum = *sum * vector::exp(*largest - most) + vector::sum_of_exponentials(row, most, 1.0);
                    *largest = most;
                }
            });
        }
        out.iter_mut().zip(sums).for_each(|(out, (largest, sum))| *out = log_sum(largest, sum) as f32);
    }

    /// All pairs at once: the sum of what the points pay, and what pulls.
    fn whole(&self, own: &[f32], u_slope: &mut [f32], v_slope: &mut [f32]) -> f64 {
        let n = own.len();
        with_scratch(n * n, |x| {
            self.exponents((0, n), (0, n), own, x);
            let mut total = 0.0;
            for (i, row) in x.chunks_exact_mut(n).enumerate() {
                row[i] = f32::NEG_INFINITY;
                let largest = vector::max(row).max(0.0);
                let all = log_sum(largest, vector::exponentials(row, largest));
                let share = libm::exp(f64::from(largest) - all) as f32;
                vector::scale(row, share);
                row[i] = libm::expm1(-all) as f32; // the softmax less 1
                total += all;
            }
            self.pull_by(x, (0, 0), u_slope, v_slope);
            total
        })
    }

    /// Adds what a block of pairs pulls: `(softmax - own) / n`, times the views for the points, and times the points for the views.
    fn pull(&self, (first, column): (usize, usize), own: &[f32], log_sums: &[f32], u_slope: &mut [f32], v_slope: &mut [f32]) {
        let (count, columns) = (u_slope.len() / self.d, v_slope.len() / self.d);
        with_scratch(count * columns, |x| {
            self.exponents((first, count), (column, columns), own, x);
            for (i, row) in (first..).zip(x.chunks_exact_mut(columns)) {
                vector::exponentials(row, log_sums[i]);
                if (column..column + columns).contains(&i) {
                    row[i - column] = libm::expm1(f64::from(-log_sums[i])) as f32; // the softmax less 1
                }
            }
            self.pull_by(x, (first, column), u_slope, v_slope);
        });
    }

    fn pull_by(&self, weights: &[f32], (first, column): (usize, usize), u_slope: &mut [f32], v_slope: &mut [f32]) {
        let d = self.d;
        let (count, columns) = (u_slope.len() / d, v_slope.len() / d);
        let scale = self.rate / (self.u.len() / d) as f32;
        let sums = column_sums(weights, columns);
        for (slope, sum) in v_slope.chunks_exact_mut(d).zip(&sums) {
            let factor = (f64::from(scale) * sum) as f32;
            vector::add_multiple(slope, factor, self.mean);
        }
        let weights = Matrix::new(weights, count, columns);
        let views = Matrix::new(Self::rows(self.v, d, column, columns), columns, d);
        product(MatrixMut::new(u_slope, count, d), Onto::Add, scale, weights, views);
        let points = Matrix::new(Self::rows(self.apart, d, first, count), count, d);
        product(MatrixMut::new(v_slope, columns, d), Onto::Add, scale, weights.transposed(), points);
    }
}

vectorize! {
    /// x (rows, columns) -> (columns)
    fn column_sums(x: &[f32], columns: usize) -> Vec<f64> = column_sums_with;
}

#[inline(always)]
fn column_sums_with<S: Simd>(x: &[f32], columns: usize) -> Vec<f64> {
    let mut sums = vec![0f64; columns];
    x.chunks_exact(columns).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    sums
}

/// `log(1 + exp(largest)·sum)`, where `sum` is that of `exp(x - largest)` over the other views and largest is 0 or above.
fn log_sum(largest: f32, sum: f32) -> f64 {
    let all = f64::from(sum) + if largest == 0.0 { 0.0 } else { libm::exp(f64::from(-largest)) - 1.0 }; // less 1, for ln_1p
    f64::from(largest) + libm::log1p(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_and_many_panels_by_hand() {
        check(100);
        check(WHOLE + 88); // five panels, the last smaller
    }

    /// Of unit axes, each with its own view: every sum is e^rate + n - 1.
    fn check(n: usize) {
        let d = n;
        let axes: Vec<f32> = (0..n * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect();
        let unit = Scaled::new(axes, d, 0.0);
        let (mut u_slope, mut v_slope) = (vec![0.0; n * d], vec![0.0; n * d]);
        let found = contrastive([&unit, &unit], d, 2.0, [&mut u_slope, &mut v_slope]);
        let others = (n - 1) as f64 * (-2f64).exp();
        assert!((found - (1.0 + others).ln()).abs() < 1e-5, "{found}");
        let softmax = (-2f64).exp() / (1.0 + others);
        let expected = [1.0 / (1.0 + others) - 1.0, softmax].map(|weight| weight * 2.0 / n as f64);
        for slope in [&u_slope, &v_slope] {
            assert!((f64::from(slope[0]) - expected[0]).abs() < 1e-8 && (f64::from(slope[1]) - expected[1]).abs() < 1e-8);
        }
    }
}
