//! Functions of one symmetric matrix as sums of resolvents, `f(M) = c I + Σ_j w_j (M + s_j I)⁻¹`, in float64.
//!
//! The logarithm and the inverse root are integrals of resolvents over all shifts s > 0, and the trapezoid rule in log s, whose error
//! falls exponentially with the number of nodes, makes sums of them (Hale, Higham, Trefethen, "Computing A^α, log(A), and related
//! matrix functions by contour integrals", SIAM Journal on Numerical Analysis 46(5), 2008, has better nodes; these are simpler). With
//! `M = Q T Qᵀ`, T tridiagonal, by faer, an inverse of `T + s I` has entries that are products along its rows (Meurant, "A review
//! on the inverse of symmetric tridiagonal and block tridiagonal matrices", SIAM Journal on Matrix Analysis 13(3), 1992), so all
//! shifts together take less time than eigenvectors of T would.

use super::spectral::finite;
use crate::{Error, Result};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::{Conj, Mat, MatRef, Par};
use std::f64::consts::PI;

/// Step of the trapezoid rule in log s: the integrands are analytic within π of the real axis, so the rule's error is about
/// `exp(-2π² / STEP)`, 3e-10, relative to the function.
const STEP: f64 = 0.9;
/// How far beyond the spectrum the sum goes on, in log s, for tails that fall as `exp(-|log s|)`: they leave out 1e-8.
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
        let shifts = shifts(least.ln() - TAIL, TAIL);
        let weights: Vec<f64> = shifts.iter().map(|s| -STEP * s).collect();
        let constant = shifts.iter().map(|s| STEP * s / (1.0 + s)).sum();
        Self { constant, shifts, weights }
    }

    /// `1 / sqrt(x)` within 2e-8 relative of x from `least` to `most`: `1/π ∫ s^(-1/2) / (x + s) ds`.
    pub fn inverse_sqrt(least: f64, most: f64) -> Self {
        let shifts = shifts(least.ln() - 2.0 * TAIL, most.ln() + 2.0 * TAIL); // tails that fall as exp(-|log s| / 2)
        let weights = shifts.iter().map(|s| STEP * s.sqrt() / PI).collect();
        Self { constant: 0.0, shifts, weights }
    }

    /// `f(x + shift)`.
    pub fn shifted(mut self, shift: f64) -> Self {
        self.shifts.iter_mut().for_each(|s| *s += shift);
        self
    }

    /// `f(x) + c + w / (x + s)`.
    pub fn plus(mut self, c: f64, w: f64, s: f64) -> Self {
        self.constant += c;
        self.weights.push(w);
        self.shifts.push(s);
        self
    }

    /// `f(M)` of one symmetric matrix. (d, d) -> (d, d), row after row
    ///
    /// # Errors
    /// When the matrix is not finite, or a shifted one not positive definite.
    pub fn of(&self, matrix: &[f64], d: usize) -> Result<Vec<f64>> {
        let basis = Tridiagonal::of(finite(matrix, d)?);
        let mut function = self.of_tridiagonal(&basis.diagonal, &basis.beside)?;
        basis.turn_back(&mut function);
        Ok(function)
    }

    /// `f(T)`, some shifts at a time. -> (d, d)
    fn of_tridiagonal(&self, diagonal: &[f64], beside: &[f64]) -> Result<Vec<f64>> {
        const TOGETHER: usize = 4;
        let d = diagonal.len();
        let mut sum = vec![0f64; d * d]; // on and below the diagonal, row after row
        let mut entries = vec![[0f64; TOGETHER]; d]; // of one row of each weighted inverse
        let (mut ratios, mut ends) = (vec![[0f64; TOGETHER]; d], vec![[0f64; TOGETHER]; d]);
        for (shifts, weights) in self.shifts.chunks(TOGETHER).zip(self.weights.chunks(TOGETHER)) {
            for (lane, (shift, weight)) in shifts.iter().zip(weights).enumerate() {
                inverse_of_shifted(diagonal, beside, *shift, |row, ratio, end| {
                    ratios[row][lane] = ratio;
                    ends[row][lane] = weight * end;
                })?;
            }
            for lane in shifts.len()..TOGETHER {
                ends.iter_mut().for_each(|end| end[lane] = 0.0); // fewer are left: the other lanes add nothing
            }
            for (row, sums) in sum.chunks_exact_mut(d).enumerate() {
                let ratio = ratios[row];
                for (entry, sum) in entries[..row].iter_mut().zip(&mut *sums) {
                    (0..TOGETHER).for_each(|lane| entry[lane] *= ratio[lane]);
                    *sum += (entry[0] + entry[1]) + (entry[2] + entry[3]);
                }
                entries[row] = ends[row];
                sums[row] += ends[row].iter().sum::<f64>();
            }
        }
        for row in 0..d {
            sum[row * d + row] += self.constant;
            for column in 0..row {
                sum[column * d + row] = sum[row * d + column];
            }
        }
        Ok(sum)
    }
}

/// `exp(t)` for t from `first` to at least `last`.
fn shifts(first: f64, last: f64) -> Vec<f64> {
    let count = ((last - first) / STEP).ceil() as usize + 1;
    (0..count).map(|j| (first + STEP * j as f64).exp()).collect()
}

/// The inverse G of a tridiagonal matrix with `shift` on its diagonal: for each row i, in order, `G_ii` and the ratio of
/// `G_ik` to `G_(i-1)k`, which is the same for all k < i.
///
/// With the pivots from the first row on and from the last row back, `p_i = a_i - b_(i-1)² / p_(i-1)` and `q_i = a_i - b_i² / q_(i+1)`,
/// `G_ii = 1 / (p_i + q_i - a_i)`, and the ratio is `-b_(i-1) / q_i`.
fn inverse_of_shifted(diagonal: &[f64], beside: &[f64], shift: f64, mut give: impl FnMut(usize, f64, f64)) -> Result<()> {
    let d = diagonal.len();
    let mut back = vec![0f64; d];
    for i in (0..d).rev() {
        let taken = if i + 1 < d { beside[i] * beside[i] / back[i + 1] } else { 0.0 };
        back[i] = diagonal[i] + shift - taken;
    }
    let mut taken = 0.0; // from the diagonal by the rows before
    for i in 0..d {
        let left = back[i] - taken; // p + q - a
        let pivot = diagonal[i] + shift - taken;
        if !(left > 0.0 && back[i] > 0.0 && pivot > 0.0) {
            return Err(Error::Factorisation("a pivot is not above 0"));
        }
        give(i, if i > 0 { -beside[i - 1] / back[i] } else { 0.0 }, 1.0 / left);
        taken = if i + 1 < d { beside[i] * beside[i] / pivot } else { 0.0 };
    }
    Ok(())
}

/// `M = Q T Qᵀ`, T tridiagonal, Q a product of reflections.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// Below the diagonal: one fewer.
    beside: Vec<f64>,
    /// The reflections, below the places of T, and their block factors.
    reflections: Mat<f64>,
    factors: Mat<f64>,
}

impl Tridiagonal {
    fn of(matrix: MatRef<'_, f64>) -> Self {
        let d = matrix.nrows();
        let mut reflections = matrix.to_owned();
        let mut factors = Mat::zeros(recommended_block_size::<f64>(d, d), d.saturating_sub(1));
        if d > 1 {
            let mut room = MemBuffer::new(tridiag_in_place_scratch::<f64>(d, Par::Seq, Default::default()));
            let room = MemStack::new(&mut room);
            tridiag_in_place(reflections.as_mut(), factors.as_mut(), Par::Seq, room, Default::default());
        }
        let diagonal = (0..d).map(|i| reflections[(i, i)]).collect();
        let beside = (1..d).map(|i| reflections[(i, i - 1)]).collect();
        Self { diagonal, beside, reflections, factors }
    }

    /// `Q F Qᵀ` of a symmetric F, in place: Q times F, turned, and Q times that.
    fn turn_back(&self, function: &mut [f64]) {
        let d = self.diagonal.len();
        if d < 2 {
            return;
        }
        let block = self.factors.nrows();
        let need: StackReq = apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(d - 1, block, d);
        let mut room = MemBuffer::new(need);
        let mut turned = Mat::from_fn(d, d, |i, j| function[j * d + i]);
        for side in 0..2 {
            if side == 1 {
                turned = turned.transpose().to_owned();
            }
            apply_block_householder_sequence_on_the_left_in_place_with_conj(
                self.reflections.submatrix(1, 0, d - 1, d - 1),
                self.factors.as_ref(),
                Conj::No,
                turned.as_mut().subrows_mut(1, d - 1),
                Par::Seq,
                MemStack::new(&mut room),
            );
        }
        function.chunks_exact_mut(d).enumerate().for_each(|(j, column)| column.copy_from_slice(turned.col_as_slice(j)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::maths::symmetric_eigen_of;

    /// Of one number, f(M) is f(x).
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

    /// `V f(Λ) Vᵀ` by eigenvectors, of matrices of full rank and of less, of repeated eigenvalues, and of several sizes.
    #[test]
    fn the_same_as_by_eigenvectors() {
        for (d, rank) in [(2, 2), (3, 1), (7, 7), (64, 64), (64, 5), (131, 131)] {
            let mut draw = Draw::new(0, "resolvents", 0, d as u64);
            let points: Vec<f64> = (0..rank * d).map(|_| draw.normal()).collect();
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
        let (values, vectors) = symmetric_eigen_of(matrix, d).unwrap();
        let by_vectors = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let term = |i: usize, j: usize, k: usize| vectors[i * d + k] * vectors[j * d + k] * f(values[k].max(0.0) + least);
            (0..d * d).map(|place| (0..d).map(|k| term(place / d, place % d, k)).sum()).collect()
        };
        let log = (Resolvents::ln(least).shifted(least), by_vectors(&f64::ln));
        let root = (Resolvents::inverse_sqrt(least, 2.0).shifted(least), by_vectors(&|x| x.powf(-0.5)));
        for (f, expected) in [log, root] {
            let largest = expected.iter().fold(0f64, |most, x| most.max(x.abs()));
            // A zero eigenvalue is rounded by 1e-16 beside the least of 1e-9.
            for (found, expected) in f.of(matrix, d).unwrap().iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6 * largest, "{d}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let f = Resolvents::ln(1e-3);
        assert!(f.of(&[1.0, 2.0, 2.0, 1.0], 2).is_err() && f.of(&[f64::NAN], 1).is_err());
    }
}
