//! Factorisations of symmetric matrices in float64. All sums have a fixed order, so the bytes are the same on every machine.

mod cholesky;
mod eigen;
mod lanes;
mod reflections;
mod resolvents;
mod tridiagonal;

pub use cholesky::InverseFactor;
pub use eigen::{eigen, eigenvalues};
pub use resolvents::Resolvents;
pub use tridiagonal::Tridiagonal;

use std::ops::Range;

/// A matrix could not be factorised, usually because it holds numbers that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a finite, positive definite matrix: {0}")]
pub struct FactorisationError(pub &'static str);

/// Checks that all numbers are finite, and returns the matrix.
///
/// # Errors
/// When the matrix holds a NaN or an infinity.
pub fn finite(matrix: &[f64]) -> Result<&[f64], FactorisationError> {
    if matrix.iter().any(|x| !x.is_finite()) {
        return Err(FactorisationError("it holds a NaN or an infinity"));
    }
    Ok(matrix)
}

/// Copies the numbers above the diagonal to below it, for the given rows. It works in tiles that stay in the cache.
fn mirror(matrix: &mut [f64], d: usize, rows: Range<usize>) {
    const TILE: usize = 16;
    let end = rows.end;
    for first in rows.step_by(TILE) {
        for column in (0..first + TILE).step_by(TILE) {
            for i in first..(first + TILE).min(end) {
                (column..(column + TILE).min(i)).for_each(|j| matrix[i * d + j] = matrix[j * d + i]);
            }
        }
    }
}

/// `XᵀX / rank` of random normal X (rank, d). -> (d, d)
#[cfg(test)]
fn random_gram(d: usize, rank: usize) -> Vec<f64> {
    use crate::{Matrix, MatrixMut, Onto, product};
    let points = crate::testing::random(d as u64, rank * d);
    let (mut gram, points) = (vec![0f64; d * d], Matrix::new(&points, rank, d));
    product(MatrixMut::new(&mut gram, d, d), Onto::Replace, 1.0 / rank as f64, points.transposed(), points);
    (0..d * d).for_each(|place| gram[place] = gram[place % d * d + place / d]);
    gram
}

#[cfg(test)]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{place}: {found}, expected {expected}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resolvents;

    /// The digest is the same at every level that `REGATTA_INSTRUCTIONS` selects. Lehmer's matrix is `min(i, j) / max(i, j)`.
    #[test]
    fn factorisations_of_lehmers_matrix_have_the_same_bytes_everywhere() {
        let d = 131;
        let ratio = |i: usize, j: usize| (i.min(j) + 1) as f64 / (i.max(j) + 1) as f64;
        let matrix: Vec<f64> = (0..d * d).map(|place| ratio(place / d, place % d)).collect();
        let factor = InverseFactor::of(&matrix, d).unwrap();
        let (values, vectors) = eigen(&matrix, d).unwrap();
        let function = Resolvents::ln(1e-6).shifted(1e-6).of(&matrix, d).unwrap();
        let mut digest = blake3::Hasher::new();
        for numbers in [&factor.numbers, &factor.inverse(d), &vec![factor.log_det], &values, &vectors, &function] {
            numbers.iter().for_each(|x| _ = digest.update(&x.to_le_bytes()));
        }
        assert_eq!(digest.finalize().to_hex()[..16], *"4a5eb053200ca5b8");
    }
}
