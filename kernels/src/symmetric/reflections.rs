//! Applies the reflections that made a matrix tridiagonal to another matrix, in blocks, by matrix products (Schreiber and Van Loan,
//! "A storage-efficient WY representation for products of Householder transformations", SIAM Journal on Scientific and Statistical
//! Computing 10(1), 1989).

use super::{Tridiagonal, mirror};
use crate::{Matrix, MatrixMut, Onto, product};

/// Reflections per block.
const BLOCK: usize = 32;

/// `H_(b-1) ... H_a = I - Vᵀ S V`, which changes only the first `reach` coordinates.
struct Block<'a> {
    vectors: Matrix<'a, f64>,
    /// S, lower triangular. (count, count)
    factors: Vec<f64>,
    count: usize,
    reach: usize,
}

impl Tridiagonal {
    /// `F = Q F Qᵀ` in place, for a symmetric F. (d, d)
    pub fn conjugate(&self, function: &mut [f64]) {
        let d = self.diagonal.len();
        let (mut x, mut y, mut small) = (vec![0f64; BLOCK * d], vec![0f64; BLOCK * d], vec![0f64; BLOCK * BLOCK]);
        let mut mirrored = 0; // rows whose numbers below the diagonal are up to date; those above it always are
        for block in self.blocks() {
            let (k, n) = (block.count, block.reach);
            mirror(function, d, mirrored..n);
            mirrored = n;
            // (I - VᵀSV) F (I - VᵀSᵀV) = F - VᵀY - YᵀV with X = VF and Y = SX - S(XVᵀ)SᵀV / 2. Columns beyond the reach: F - VᵀSX
            let (x, y, small) = (&mut x[..k * d], &mut y[..k * d], &mut small[..k * k]);
            let factors = Matrix::new(&block.factors, k, k);
            let mut subtract_half = |x: &[f64], y: &mut [f64]| {
                let mut inner = vec![0f64; k * k];
                product(MatrixMut::new(small, k, k), Onto::Replace, 1.0, Matrix::part(x, k, n, d), block.vectors.transposed());
                product(MatrixMut::new(&mut inner, k, k), Onto::Replace, -0.5, factors, Matrix::new(small, k, k));
                product(MatrixMut::new(small, k, k), Onto::Replace, 1.0, Matrix::new(&inner, k, k), factors.transposed());
                product(MatrixMut::part(y, k, n, d), Onto::Add, 1.0, Matrix::new(small, k, k), block.vectors);
            };
            product(MatrixMut::new(x, k, d), Onto::Replace, 1.0, block.vectors, Matrix::new(&function[..n * d], n, d));
            product(MatrixMut::new(y, k, d), Onto::Replace, 1.0, factors, Matrix::new(x, k, d));
            subtract_half(x, y);
            let (out, right) = (MatrixMut::new(&mut function[..n * d], n, d), Matrix::new(y, k, d));
            product(out, Onto::Add, -1.0, block.vectors.transposed(), right);
            let (out, left) = (MatrixMut::part(function, n, n, d), Matrix::part(y, k, n, d));
            product(out, Onto::Add, -1.0, left.transposed(), block.vectors);
        }
        mirror(function, d, 1..d);
    }

    /// The orthogonal matrix Q. (d, d)
    pub fn basis(&self) -> Vec<f64> {
        let d = self.diagonal.len();
        let mut basis = vec![0f64; d * d];
        (0..d).for_each(|i| basis[i * d + i] = 1.0);
        let (mut x, mut y) = (vec![0f64; BLOCK * d], vec![0f64; BLOCK * d]);
        for block in self.blocks() {
            let (k, n) = (block.count, block.reach);
            let (x, y) = (&mut x[..k * n], &mut y[..k * n]);
            product(MatrixMut::new(x, k, n), Onto::Replace, 1.0, block.vectors, Matrix::part(&basis, n, n, d));
            product(MatrixMut::new(y, k, n), Onto::Replace, 1.0, Matrix::new(&block.factors, k, k), Matrix::new(x, k, n));
            let out = MatrixMut::part(&mut basis, n, n, d);
            product(out, Onto::Add, -1.0, block.vectors.transposed(), Matrix::new(y, k, n));
        }
        basis
    }

    /// The blocks of `Q = H_(d-1) ... H_2`, from the right.
    fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        let d = self.diagonal.len();
        (2..d).step_by(BLOCK).map(move |first| {
            let count = BLOCK.min(d - first);
            let reach = first + count - 1;
            let vectors = Matrix::part(&self.vectors[first * self.stride..], count, reach, self.stride);
            let factors = block_factors(vectors, &self.factors[first..][..count]);
            Block { vectors, factors, count, reach }
        })
    }
}

/// S of a block. One more reflection, `(I - τ v vᵀ)(I - Vᵀ S V)`, appends the row `-τ vᵀVᵀ S` with τ on the diagonal.
fn block_factors(vectors: Matrix<'_, f64>, factors: &[f64]) -> Vec<f64> {
    let k = factors.len();
    let mut gram = vec![0f64; k * k];
    product(MatrixMut::new(&mut gram, k, k), Onto::Replace, 1.0, vectors, vectors.transposed());
    let mut block = vec![0f64; k * k];
    for (m, factor) in factors.iter().enumerate() {
        let (before, row) = block.split_at_mut(m * k);
        for (earlier, along) in before.chunks_exact(k).zip(&gram[m * k..]) {
            row.iter_mut().zip(&earlier[..m]).for_each(|(s, earlier)| *s -= factor * along * earlier);
        }
        row[m] = *factor;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::{close, random_gram};

    /// Sizes below, at and above multiples of the block size; full rank, low rank and rank 0.
    #[test]
    fn conjugating_the_tridiagonal_form_restores_the_matrix() {
        for (d, rank) in [(1, 1), (2, 2), (3, 3), (8, 4), (33, 66), (34, 7), (35, 70), (100, 200), (131, 20)] {
            check(&random_gram(d, rank), d);
        }
        check(&[0.0; 25], 5);
        check(&[1e200, 2e200, 3e200, 2e200, 5e200, 6e200, 3e200, 6e200, 9e200], 3);
    }

    fn check(matrix: &[f64], d: usize) {
        let found = Tridiagonal::of(matrix, d);
        let mut tridiagonal = vec![0f64; d * d];
        for i in 0..d {
            tridiagonal[i * d + i] = found.diagonal[i];
            if i > 0 {
                (tridiagonal[i * d + i - 1], tridiagonal[(i - 1) * d + i]) =
                    (found.off_diagonal[i - 1], found.off_diagonal[i - 1]);
            }
        }
        let mut restored = tridiagonal.clone();
        found.conjugate(&mut restored);
        let tolerance = 1e-13 * matrix.iter().fold(0f64, |most, x| most.max(x.abs()));
        close(&restored, matrix, tolerance);

        let basis = found.basis();
        let times = |left: Matrix<'_, f64>, right: Matrix<'_, f64>| {
            let mut out = vec![0f64; d * d];
            product(MatrixMut::new(&mut out, d, d), Onto::Replace, 1.0, left, right);
            out
        };
        let q = Matrix::new(&basis, d, d);
        let half = times(q, Matrix::new(&tridiagonal, d, d));
        close(&times(Matrix::new(&half, d, d), q.transposed()), matrix, tolerance);
        let identity: Vec<f64> = (0..d * d).map(|place| f64::from(u8::from(place / d == place % d))).collect();
        close(&times(q, q.transposed()), &identity, 1e-13);
    }
}
