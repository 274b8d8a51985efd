//! Functions of one symmetric matrix as sums of resolvents, `f(M) = c I + Σ_j w_j (M + s_j I)⁻¹`, in float64.
//!
//! The logarithm and the inverse square root are integrals of resolvents over all shifts s > 0. The trapezoid rule in log s
//! approximates them by sums; its error falls exponentially with the number of nodes. Hale, Higham, Trefethen, "Computing A^α,
//! log(A), and related matrix functions by contour integrals", SIAM Journal on Numerical Analysis 46(5), 2008, give better nodes;
//! these are simpler.
//!
//! With `M = Q T Qᵀ`, T tridiagonal, the entries of the inverse of `T + s I` are products along its rows (Meurant, "A review on the
//! inverse of symmetric tridiagonal and block tridiagonal matrices", SIAM Journal on Matrix Analysis 13(3), 1992). All shifts
//! together therefore take less time than the eigenvectors of T.

use super::FactorisationError;
use super::{Tridiagonal, finite};
use crate::simd::{DOUBLES as LANES, Doubles, Simd};
use crate::vectorize;
use std::f64::consts::PI;

/// Step of the trapezoid rule in log s. The integrands are analytic within π of the real axis, so the error of the rule is about
/// `exp(-2π² / STEP)` = 3e-10, relative to the function.
const STEP: f64 = 0.9;
/// How far the sum extends beyond the spectrum, in log s, for tails that fall as `exp(-|log s|)`. The truncation error is 1e-8.
const TAIL: f64 = 18.5;

/// `f(x) = c + Σ_j w_j / (x + s_j)`.
#[derive(Debug, Clone)]
pub struct Resolvents {
    constant: f64,
    shifts: Vec<f64>,
    weights: Vec<f64>,
}

impl Resolvents {
    /// `ln x` within 2e-8 of x from `least` to 1: `∫ [1 / (1 + s) - 1 / (x + s)] ds`.
    pub fn ln(least: f64) -> Self {
        let shifts = shifts(libm::log(least) - TAIL, TAIL);
        let weights: Vec<f64> = shifts.iter().map(|s| -STEP * s).collect();
        let constant = shifts.iter().map(|s| STEP * s / (1.0 + s)).sum();
        Self { constant, shifts, weights }
    }

    /// `1 / sqrt(x)` within 2e-8 relative of x from `least` to `most`: `1/π ∫ s^(-1/2) / (x + s) ds`.
    pub fn inverse_sqrt(least: f64, most: f64) -> Self {
        let shifts = shifts(libm::log(least) - 2.0 * TAIL, libm::log(most) + 2.0 * TAIL); // tails that fall as exp(-|log s| / 2)
        let weights = shifts.iter().map(|s| STEP * s.sqrt() / PI).collect();
        Self { constant: 0.0, shifts, weights }
    }

    /// The function `f(x + shift)`.
    pub fn shifted(mut self, shift: f64) -> Self {
        self.shifts.iter_mut().for_each(|s| *s += shift);
        self
    }

    /// The function `f(x) + c + w / (x + s)`.
    pub fn plus(mut self, c: f64, w: f64, s: f64) -> Self {
        self.constant += c;
        self.weights.push(w);
        self.shifts.push(s);
        self
    }

    /// `f(M)` of one symmetric matrix. (d, d) -> (d, d), row-major
    ///
    /// # Errors
    /// When the matrix is not finite, or `M + s_j I` is not positive definite for a shift.
    pub fn of(&self, matrix: &[f64], d: usize) -> Result<Vec<f64>, FactorisationError> {
        let basis = Tridiagonal::of(finite(matrix)?, d);
        let mut function = self.of_tridiagonal(&basis.diagonal, &basis.off_diagonal)?;
        basis.conjugate(&mut function);
        Ok(function)
    }

    /// `f(T)`, for eight shifts at a time. (d), (d - 1) -> (d, d)
    fn of_tridiagonal(&self, diagonal: &[f64], off_diagonal: &[f64]) -> Result<Vec<f64>, FactorisationError> {
        let d = diagonal.len();
        let chunks = d.div_ceil(LANES);
        let mut sum = vec![[0f64; LANES]; d * chunks]; // on and below the diagonal, row-major
        let mut inverses = Inverses { ratios: vec![[0f64; LANES]; d], diagonal: vec![[0f64; LANES]; d] };
        for (shifts, weights) in self.shifts.chunks(LANES).zip(self.weights.chunks(LANES)) {
            let mut lanes = [[shifts[0]; LANES], [0f64; LANES]]; // unused lanes have weight 0
            lanes[0][..shifts.len()].copy_from_slice(shifts);
            lanes[1][..weights.len()].copy_from_slice(weights);
            if !inverses_of_shifted(diagonal, off_diagonal, lanes, &mut inverses) {
                return Err(FactorisationError("a pivot is not above 0"));
            }
            add_inverses(&inverses, &mut sum);
        }
        let mut function = vec![0f64; d * d];
        for (row, sums) in sum.chunks_exact(chunks.max(1)).enumerate() {
            let sums = sums.as_flattened();
            function[row * d..][..=row].copy_from_slice(&sums[..=row]);
            function[row * d + row] += self.constant;
            (0..row).for_each(|column| function[column * d + row] = sums[column]);
        }
        Ok(function)
    }
}

/// `exp(t)` for t from `first` to at least `last`.
fn shifts(first: f64, last: f64) -> Vec<f64> {
    let count = ((last - first) / STEP).ceil() as usize + 1;
    (0..count).map(|j| libm::exp(first + STEP * j as f64)).collect()
}

/// One weighted inverse G per lane.
struct Inverses {
    /// `G_ik / G_(i-1)k` of each row i, which is the same for all k < i.
    ratios: Vec<[f64; LANES]>,
    /// `G_ii` of each row i.
    diagonal: Vec<[f64; LANES]>,
}

vectorize! {
    /// The inverse of a tridiagonal matrix plus each lane's shift, times the lane's weight. Returns whether all pivots are above 0.
    ///
    /// The pivots from the first row on are `p_i = a_i - b_(i-1)² / p_(i-1)`, those from the last row back
    /// `q_i = a_i - b_i² / q_(i+1)`. Then `G_ii = 1 / (p_i + q_i - a_i)`, and the ratio of row i is `-b_(i-1) / q_i`.
    fn inverses_of_shifted(diagonal: &[f64], off_diagonal: &[f64], lanes: [[f64; LANES]; 2], to: &mut Inverses) -> bool =
        inverses_of_shifted_with;

    /// Adds the inverses to `sum`, one chunk of columns at a time, whose entries stay in registers from row to row.
    fn add_inverses(inverses: &Inverses, sum: &mut [[f64; LANES]]) = add_inverses_with;
}

#[inline(always)]
fn inverses_of_shifted_with<S: Simd>(
    diagonal: &[f64],
    off_diagonal: &[f64],
    [shifts, weights]: [[f64; LANES]; 2],
    to: &mut Inverses,
) -> bool {
    let d = diagonal.len();
    let mut positive = true;
    let mut taken = [0f64; LANES]; // subtracted from the diagonal by the eliminated row
    for i in (0..d).rev() {
        let before = if i > 0 { off_diagonal[i - 1] } else { 0.0 };
        for lane in 0..LANES {
            let back = diagonal[i] + shifts[lane] - taken[lane];
            to.diagonal[i][lane] = back;
            to.ratios[i][lane] = -before / back;
            taken[lane] = before * before / back;
            positive &= back > 0.0;
        }
    }
    taken = [0f64; LANES]; // by the rows before
    for i in 0..d {
        let after = if i + 1 < d { off_diagonal[i] } else { 0.0 };
        for lane in 0..LANES {
            let left = to.diagonal[i][lane] - taken[lane]; // p + q - a
            let pivot = diagonal[i] + shifts[lane] - taken[lane];
            to.diagonal[i][lane] = weights[lane] / left;
            taken[lane] = after * after / pivot;
            positive &= left > 0.0 && pivot > 0.0;
        }
    }
    positive
}

#[inline(always)]
fn add_inverses_with<S: Simd>(Inverses { ratios, diagonal }: &Inverses, sum: &mut [[f64; LANES]]) {
    let d = diagonal.len();
    let chunks = d.div_ceil(LANES);
    for chunk in 0..chunks {
        let first = chunk * LANES;
        let mut entries = [[0f64; LANES]; LANES]; // the current row of each inverse, up to the diagonal
        for i in first..(first + LANES).min(d) {
            let mut total = [0f64; LANES];
            for (entries, (ratio, end)) in entries.iter_mut().zip(ratios[i].iter().zip(&diagonal[i])) {
                entries.iter_mut().for_each(|entry| *entry *= ratio);
                entries[i - first] = *end;
                for lane in 0..LANES {
                    total[lane] += entries[lane];
                }
            }
            for lane in 0..LANES {
                sum[i * chunks + chunk][lane] += total[lane];
            }
        }
        let mut entries = entries.map(Doubles::<S>::from);
        for i in first + LANES..d {
            for j in 0..LANES {
                entries[j] = entries[j] * Doubles::splat(ratios[i][j]);
            }
            let [a, b, c, d, e, f, g, h] = entries;
            let sums = &mut sum[i * chunks + chunk];
            *sums = (Doubles::from(*sums) + (((a + b) + (c + d)) + ((e + f) + (g + h)))).to_array();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::eigen;
    use crate::testing::random;

    /// Evaluates f at the (1, 1) matrix x.
    fn check(f: &Resolvents, x: f64, expected: f64, tolerance: f64) {
        let found = f.of(&[x], 1).unwrap()[0];
        assert!((found - expected).abs() < tolerance * expected.abs().max(1.0), "{x}: {found}, expected {expected}");
    }

    #[test]
    fn functions_of_numbers() {
        for power in 0..=48 {
            let x = 10f64.powf(-12.0 + f64::from(power) / 4.0); // from 1e-12 to 1
            check(&Resolvents::ln(1e-12), x, x.ln(), 2e-8);
            check(&Resolvents::ln(1e-12).shifted(0.5), x / 2.0, (x / 2.0 + 0.5).ln(), 2e-8);
            check(&Resolvents::inverse_sqrt(1e-12, 1.0), x, x.powf(-0.5), 2e-8);
            check(&Resolvents::inverse_sqrt(1e-5, 1e7), 1e7 * x, (1e7 * x).powf(-0.5), 2e-8);
        }
        check(&Resolvents::ln(0.1).plus(2.0, 3.0, 0.5), 1.0, 2.0 + 3.0 / 1.5, 2e-8);
    }

    #[test]
    fn an_inverse_by_hand() {
        let f = Resolvents { constant: 0.0, shifts: vec![1.0], weights: vec![5.0] };
        let found = f.of(&[1.0, 1.0, 1.0, 2.0], 2).unwrap(); // 5 times that of [[2, 1], [1, 3]]
        assert!(found.iter().zip([3.0, -1.0, -1.0, 2.0]).all(|(found, expected)| (found - expected).abs() < 1e-14), "{found:?}");
    }

    /// Matrices of several sizes, of full and of low rank, and with repeated eigenvalues.
    #[test]
    fn agrees_with_functions_by_eigenvectors() {
        for (d, rank) in [(2, 2), (3, 1), (7, 7), (64, 64), (64, 5), (131, 131)] {
            let points = random(d as u64, rank * d);
            let mut matrix = vec![0f64; d * d];
            for point in points.chunks_exact(d) {
                let square: f64 = point.iter().map(|x| x * x).sum();
                for i in 0..d {
                    (0..d).for_each(|j| matrix[i * d + j] += point[i] * point[j] / square / rank as f64);
                }
            }
            same(&matrix, d);
        }
        same(&[0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.5], 3);
        same(&[0.0; 9], 3);
    }

    fn same(matrix: &[f64], d: usize) {
        let least = 1e-9;
        let (values, vectors) = eigen(matrix, d).unwrap();
        let by_vectors = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let term = |i: usize, j: usize, k: usize| vectors[i * d + k] * vectors[j * d + k] * f(values[k].max(0.0) + least);
            (0..d * d).map(|place| (0..d).map(|k| term(place / d, place % d, k)).sum()).collect()
        };
        let log = (Resolvents::ln(least).shifted(least), by_vectors(&f64::ln));
        let root = (Resolvents::inverse_sqrt(least, 2.0).shifted(least), by_vectors(&|x| x.powf(-0.5)));
        for (f, expected) in [log, root] {
            let largest = expected.iter().fold(0f64, |most, x| most.max(x.abs()));
            // A zero eigenvalue has an error of 1e-16, relative to the least of 1e-9.
            for (found, expected) in f.of(matrix, d).unwrap().iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6 * largest, "{d}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_refused() {
        let f = Resolvents::ln(1e-3);
        assert!(f.of(&[1.0, 2.0, 2.0, 1.0], 2).is_err() && f.of(&[f64::NAN], 1).is_err());
    }
}
