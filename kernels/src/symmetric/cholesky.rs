//! Inverses of symmetric positive definite matrices by the Cholesky factorisation `M = L Lᵀ`, one block of rows at a time.

use super::FactorisationError;
use super::lanes::{Chunk, LANES};
use super::mirror;
use crate::simd::{Doubles, Simd};
use crate::vectorize;
use crate::{Matrix, MatrixMut, Onto, product};

/// Rows per block.
const BLOCK: usize = 32;

/// The inverse `L⁻¹` of the Cholesky factor of `M = L Lᵀ`. (d, d)
#[derive(Debug)]
pub struct InverseFactor {
    /// Row-major, with zeros above the diagonal.
    pub numbers: Vec<f64>,
    /// `ln det M`.
    pub log_det: f64,
}

impl InverseFactor {
    /// Factorises a finite symmetric matrix. (d, d), row-major
    ///
    /// # Errors
    /// When the matrix is not positive definite.
    pub fn of(matrix: &[f64], d: usize) -> Result<Self, FactorisationError> {
        let mut lower = vec![0f64; d * d]; // L, below the diagonal blocks
        let mut inverse = vec![0f64; d * d]; // rows not yet reached hold -L L⁻¹ of the columns done
        let mut work = vec![0f64; BLOCK * d];
        let mut log_det = 0.0;
        for first in (0..d).step_by(BLOCK) {
            let (k, next) = (BLOCK.min(d - first), (first + BLOCK).min(d));
            let column = &mut work[..(d - first) * k]; // a column of blocks: M - L Lᵀ of the columns done
            column
                .chunks_exact_mut(k)
                .zip(matrix[first * d..].chunks_exact(d))
                .for_each(|(to, row)| to.copy_from_slice(&row[first..next]));
            if first > 0 {
                let rows = Matrix::part(&lower[first * d..], d - first, first, d);
                let own = Matrix::part(&lower[first * d..], k, first, d);
                product(MatrixMut::new(column, d - first, k), Onto::Add, -1.0, rows, own.transposed());
            }
            let (own, below) = column.split_at(k * k);
            let (square, log) = invert_block(own, k)?;
            log_det += log;
            let square = Matrix::part(square.as_flattened().as_flattened(), k, k, BLOCK);
            if next < d {
                let out = MatrixMut::part(&mut lower[next * d + first..], d - next, k, d);
                product(out, Onto::Replace, 1.0, Matrix::new(below, d - next, k), square.transposed());
            }

            let (above, below) = inverse.split_at_mut(next * d);
            let own = &mut above[first * d..];
            (0..k).for_each(|i| own[i * d + first + i] = 1.0);
            let copy = &mut work[..k * next];
            copy.chunks_exact_mut(next).zip(own.chunks_exact(d)).for_each(|(to, row)| to.copy_from_slice(&row[..next]));
            product(MatrixMut::part(own, k, next, d), Onto::Replace, 1.0, square, Matrix::new(copy, k, next));
            if next < d {
                let left = Matrix::part(&lower[next * d + first..], d - next, k, d);
                product(MatrixMut::part(below, d - next, next, d), Onto::Add, -1.0, left, Matrix::part(own, k, next, d));
            }
        }
        Ok(Self { numbers: inverse, log_det })
    }

    /// `M⁻¹ = L⁻ᵀ L⁻¹`. (d, d)
    pub fn inverse(&self, d: usize) -> Vec<f64> {
        const COLUMNS: usize = 32;
        let mut inverse = vec![0f64; d * d];
        for first in (0..d).step_by(COLUMNS) {
            let next = (first + COLUMNS).min(d); // L⁻¹ is zero above the diagonal
            let left = Matrix::part(&self.numbers[first * d..], d - first, next, d).transposed();
            let right = Matrix::part(&self.numbers[first * d + first..], d - first, next - first, d);
            product(MatrixMut::part(&mut inverse[first..], next, next - first, d), Onto::Replace, 1.0, left, right);
        }
        mirror(&mut inverse, d, 0..d);
        inverse
    }
}

/// A block, whose rows are split into chunks.
type Square = [[Chunk; BLOCK / LANES]; BLOCK];

/// `L⁻¹` of a (k, k) block, and the logarithm of the block's determinant.
fn invert_block(block: &[f64], k: usize) -> Result<(Square, f64), FactorisationError> {
    let mut rest = [[[0f64; LANES]; BLOCK / LANES]; BLOCK]; // padded with ones on the diagonal
    let mut inverse = rest;
    for i in 0..BLOCK {
        (rest[i][i / LANES][i % LANES], inverse[i][i / LANES][i % LANES]) = (1.0, 1.0);
    }
    rest.iter_mut().zip(block.chunks_exact(k)).for_each(|(to, row)| to.as_flattened_mut()[..k].copy_from_slice(row));
    let mut pivots = [0f64; BLOCK];
    eliminate(&mut rest, &mut inverse, &mut pivots);
    if !pivots.iter().all(|pivot| *pivot > 0.0) {
        return Err(FactorisationError("a Cholesky pivot is not above 0"));
    }
    Ok((inverse, pivots[..k].iter().map(|&pivot| libm::log(pivot)).sum()))
}

vectorize! {
    /// Replaces `rest` by `Lᵀ`, on and above the chunks of the diagonal, and `inverse`, the identity at first, by `L⁻¹`. A pivot
    /// that is not above 0 makes its row NaN.
    fn eliminate(rest: &mut Square, inverse: &mut Square, pivots: &mut [f64; BLOCK]) = eliminate_with;
}

#[inline(always)]
fn eliminate_with<S: Simd>(rest: &mut Square, inverse: &mut Square, pivots: &mut [f64; BLOCK]) {
    for i in 0..BLOCK {
        let own = i / LANES;
        for c in own..BLOCK / LANES {
            let mut sums = Doubles::<S>::from(rest[i][c]);
            for row in &rest[..i] {
                sums = Doubles::splat(-row[own][i % LANES]).mul_add(Doubles::from(row[c]), sums);
            }
            rest[i][c] = sums.to_array();
        }
        pivots[i] = rest[i][own][i % LANES];
        let scale = 1.0 / pivots[i].sqrt();
        for x in rest[i][own..].as_flattened_mut() {
            *x *= scale;
        }
        let (before, after) = inverse.split_at_mut(i);
        for (c, chunk) in after[0][..=own].iter_mut().enumerate() {
            let mut sums = Doubles::<S>::from(*chunk);
            for (row, inverse) in rest.iter().zip(&*before).skip(c * LANES) {
                sums = Doubles::splat(-row[own][i % LANES]).mul_add(Doubles::from(inverse[c]), sums);
            }
            *chunk = (sums * Doubles::splat(scale)).to_array();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::{close, random_gram};
    use faer::linalg::solvers::{DenseSolveCore, Llt};
    use faer::{MatRef, Side};

    #[test]
    fn a_matrix_of_two_rows_by_hand() {
        let factor = InverseFactor::of(&[4.0, 2.0, 2.0, 10.0], 2).unwrap(); // L = [[2, 0], [1, 3]]
        close(&factor.numbers, &[0.5, 0.0, -1.0 / 6.0, 1.0 / 3.0], 1e-15);
        close(&[factor.log_det], &[36f64.ln()], 1e-15);
        close(&factor.inverse(2), &[10.0 / 36.0, -2.0 / 36.0, -2.0 / 36.0, 4.0 / 36.0], 1e-15);
        let one = InverseFactor::of(&[0.25], 1).unwrap();
        assert_eq!((one.numbers[0], one.inverse(1)[0], one.log_det), (2.0, 4.0, -(4f64.ln())));
    }

    /// Sizes below, at and above multiples of the block size.
    #[test]
    fn agrees_with_faer() {
        for d in [2, 7, 31, 32, 33, 64, 100, 131] {
            let matrix = random_gram(d, 2 * d);
            let factor = InverseFactor::of(&matrix, d).unwrap();
            let expected = Llt::new(MatRef::from_row_major_slice(&matrix, d, d), Side::Lower).unwrap();
            let log_det = 2.0 * (0..d).map(|k| expected.L()[(k, k)].ln()).sum::<f64>();
            let inverse = expected.inverse();
            let rows: Vec<f64> = (0..d * d).map(|place| inverse[(place / d, place % d)]).collect();
            close(&[factor.log_det], &[log_det], 1e-12 * d as f64);
            close(&factor.inverse(d), &rows, 1e-11);
        }
    }

    /// If D holds powers of two, the inverse factor of `D M D` is that of M times `D⁻¹`, to the last bit.
    #[test]
    fn scaling_by_powers_of_two_is_exact() {
        let d = 40;
        let matrix = random_gram(d, 80);
        let scale = |i: usize| 2f64.powi((i as i32 * 37) % 80 - 40);
        let scaled: Vec<f64> = (0..d * d).map(|place| matrix[place] * scale(place / d) * scale(place % d)).collect();
        let found = InverseFactor::of(&scaled, d).unwrap().numbers;
        let expected = InverseFactor::of(&matrix, d).unwrap().numbers;
        (0..d * d).for_each(|place| assert_eq!(found[place], expected[place] / scale(place % d)));
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_refused() {
        assert!(InverseFactor::of(&[0.0], 1).is_err() && InverseFactor::of(&[1.0, 2.0, 2.0, 1.0], 2).is_err());
        let mut matrix = random_gram(50, 100);
        matrix[40 * 50 + 40] = -1.0;
        assert!(InverseFactor::of(&matrix, 50).is_err());
    }
}
