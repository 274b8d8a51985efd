//! How even the partition function is over the directions of a cloud.

use crate::Result;
use crate::points::{Points, ROWS};
use crate::spectrum::Spectrum;
use rayon::prelude::*;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, product};
use regatta_core::libm;

/// `min F(c) / max F(c)`, `F(c) = Σ_i exp(c·z_i)`, over c the unit eigenvectors of `zᵀ z` of both signs: 1 where no direction is
/// preferred, near 0 where one is. Points of large norm give small numbers, 0 among them.
///
/// Mu, Viswanath, "All-but-the-top: simple and effective postprocessing for word representations", ICLR 2018,
/// arXiv:1702.01417, section 2; F is the partition function of Arora et al., TACL 2016. An eigenvector has no sign of its own, so
/// both count. Directions that no point has, as there are where n < d, have `F = n`.
///
/// # Shapes
/// points (n, d) -> number
///
/// # Errors
/// When the eigenvectors do not converge.
pub fn partition_isotropy(points: &Points) -> Result<f64> {
    let (spectrum, vectors) = Spectrum::with_vectors(points)?;
    Ok(along_eigenvectors(points, &spectrum, &vectors))
}

/// As [`partition_isotropy`], of a spectrum with its vectors.
pub(crate) fn along_eigenvectors(points: &Points, spectrum: &Spectrum, vectors: &[f64]) -> f64 {
    let (n, d) = (points.count(), points.dims());
    let sums = if n >= d {
        log_sums(points.numbers(), d, vectors)
    } else {
        // The points along the right singular vectors are the left ones times the singular values.
        let increasing: Vec<f64> = spectrum.singular_values().into_iter().rev().collect();
        let along: Vec<f64> = vectors.chunks_exact(n).flat_map(|row| row.iter().zip(&increasing).map(|(u, s)| u * s)).collect();
        let unit: Vec<f64> = (0..n * n).map(|at| if at % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        log_sums(&along, n, &unit)
    };
    let nowhere = (n < d).then(|| libm::log(n as f64));
    let all = sums.iter().flat_map(|sums| sums.map(Exponentials::log)).chain(nowhere);
    let (least, most) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| (least.min(x), most.max(x)));
    libm::exp(least - most)
}

/// `Σ exp(x)` as `sum·exp(largest)`: no x is too large.
#[derive(Clone, Copy)]
struct Exponentials {
    largest: f64,
    sum: f64,
}

impl Exponentials {
    const NONE: Self = Self { largest: f64::NEG_INFINITY, sum: 0.0 };

    fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let largest = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
        Self { largest, sum: numbers.map(|x| libm::exp(x - largest)).sum() }
    }

    fn and(self, other: Self) -> Self {
        let largest = self.largest.max(other.largest);
        let shifted = |part: Self| if part.sum > 0.0 { part.sum * libm::exp(part.largest - largest) } else { 0.0 };
        Self { largest, sum: shifted(self) + shifted(other) }
    }

    fn log(self) -> f64 {
        self.largest + libm::log(self.sum)
    }
}

/// For each column of `rows·matrix` the sums of its exponentials, and of those of its negative. (n, d), (d, d) -> (d)
fn log_sums(rows: &[f64], dims: usize, matrix: &[f64]) -> Vec<[Exponentials; 2]> {
    let part = |rows: &[f64]| {
        let count = rows.len() / dims;
        let mut along = vec![0.0; rows.len()]; // (d, count): each direction's numbers lie together
        let (left, right) = (Matrix::new(matrix, dims, dims).transposed(), Matrix::new(rows, count, dims).transposed());
        product(MatrixMut::new(&mut along, dims, count), Onto::Replace, 1.0, left, right);
        let both = |x: &[f64]| [Exponentials::of(x.iter().copied()), Exponentials::of(x.iter().map(|x| -x))];
        along.chunks_exact(count).map(both).collect()
    };
    let parts: Vec<Vec<[Exponentials; 2]>> = rows.par_chunks(ROWS * dims).map(part).collect();
    let mut total = vec![[Exponentials::NONE; 2]; dims];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, [plus, minus])| *total = [total[0].and(plus), total[1].and(minus)]);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn check(numbers: &[f64], dims: usize, expected: f64) {
        let found = partition_isotropy(&Points::new(numbers.to_vec(), dims).unwrap()).unwrap();
        assert!((found - expected).abs() < 1e-12, "{numbers:?}: {found}, expected {expected}");
    }

    #[test]
    fn by_hand() {
        let e = std::f64::consts::E;
        // along ±(1, 0): e² + 1, e⁻² + 1; along ±(0, 1): 1 + e, 1 + 1/e
        check(&[2.0, 0.0, 0.0, 1.0], 2, (1.0 + e.powi(-2)) / (1.0 + e * e));
        check(&[2.0, 0.0, 0.0], 3, e.powi(-2) / e.powi(2)); // where it is not: 1, in between
        check(&[1.0, 0.0, 0.0, -1.0, 0.0, 0.0], 3, 2.0 / (e + 1.0 / e)); // where they are not: 2, the least
        check(&[0.0; 4], 2, 1.0);
        check(&[1e30, 0.0, 0.0, 1.0], 2, 0.0);
    }

    #[test]
    fn threads_change_nothing() {
        let points = normals(2_000, 30);
        same_on_all_threads(|| partition_isotropy(&points).unwrap());
    }
}
