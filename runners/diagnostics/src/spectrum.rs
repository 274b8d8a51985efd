//! Singular values: how many directions the points use, and how evenly.

use crate::Result;
use crate::points::{Points, dot};
use regatta_core::kernels::gram;
use regatta_core::libm;
use regatta_core::maths::{symmetric_eigen_of, symmetric_eigenvalues_of};

/// The singular values σ of a matrix of points, largest first: `min(n, d)` of them.
///
/// Of the points as they are it says how many directions they use ([`effective_rank`](Self::effective_rank),
/// [`stable_rank`](Self::stable_rank)); of the centred points, `λ = σ²/(n-1)` are the variances along their principal
/// components ([`participation_ratio`](Self::participation_ratio), [`top_share`](Self::top_share), [`isoscore`](Self::isoscore)).
///
/// They are roots of the eigenvalues of the smaller of `z zᵀ` and `zᵀ z`, so that those below 1e-8 of the largest are rounding;
/// eigenvalues below `min(n, d)·2⁻⁵²` of the largest are taken for 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// σ², largest first.
    squares: Vec<f64>,
    dims: usize,
}

impl Spectrum {
    /// The spectrum of the points as they are; give it [`Points::centred`] for that of their covariance.
    ///
    /// # Shapes
    /// points (n, d)
    ///
    /// # Errors
    /// When the eigenvalues do not converge.
    pub fn of(points: &Points) -> Result<Self> {
        let (gram, side) = smaller_gram(points);
        Ok(Self::from_eigenvalues(&symmetric_eigenvalues_of(&gram, side)?, points.dims()))
    }

    /// The spectrum with its eigenvectors (m, m) in columns, smallest first: of `zᵀ z` where n ≥ d, else of `z zᵀ`.
    pub(crate) fn with_vectors(points: &Points) -> Result<(Self, Vec<f64>)> {
        let (gram, side) = smaller_gram(points);
        let (values, vectors) = symmetric_eigen_of(&gram, side)?;
        Ok((Self::from_eigenvalues(&values, points.dims()), vectors))
    }

    /// Eigenvalues in increasing order; those that are rounding become 0, since their roots would not be small.
    fn from_eigenvalues(eigenvalues: &[f64], dims: usize) -> Self {
        let rounding = eigenvalues.last().map_or(0.0, |largest| largest * eigenvalues.len() as f64 * f64::EPSILON);
        Self { squares: eigenvalues.iter().rev().map(|&e| if e > rounding { e } else { 0.0 }).collect(), dims }
    }

    /// σ, largest first.
    pub fn singular_values(&self) -> Vec<f64> {
        self.squares.iter().map(|square| square.sqrt()).collect()
    }

    /// `σ_k / Σ σ`, largest first; all 0 for a cloud of zeros.
    pub fn normalised(&self) -> Vec<f64> {
        let values = self.singular_values();
        let total: f64 = values.iter().sum();
        values.iter().map(|value| if total > 0.0 { value / total } else { 0.0 }).collect()
    }

    /// `exp(-Σ p_k ln p_k)`, `p_k = σ_k / Σ σ`: from 1, all points on one line through the origin, to min(n, d), all directions
    /// alike; 0 for a cloud of zeros.
    ///
    /// Roy, Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007, section 2.
    pub fn effective_rank(&self) -> f64 {
        let shares = self.normalised();
        let entropy: f64 = shares.iter().filter(|p| **p > 0.0).map(|p| -p * libm::log(*p)).sum();
        if self.squares[0] > 0.0 { libm::exp(entropy) } else { 0.0 }
    }

    /// `Σ σ² / σ_1²`: from 1 to min(n, d), and never above the rank; 0 for a cloud of zeros.
    ///
    /// Rudelson, Vershynin, "Sampling from large matrices", Journal of the ACM 54, 2007, section 1.
    pub fn stable_rank(&self) -> f64 {
        if self.squares[0] > 0.0 { self.total() / self.squares[0] } else { 0.0 }
    }

    /// `(Σ λ)² / Σ λ²`: over how many principal components the variance is spread, from 1 to d. Of centred points; `None` where all are
    /// equal.
    ///
    /// Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", 2017, bioRxiv 214262.
    pub fn participation_ratio(&self) -> Option<f64> {
        let top = Some(self.squares[0]).filter(|&top| top > 0.0)?;
        let shares: Vec<f64> = self.squares.iter().map(|square| square / top).collect(); // whose squares do not underflow
        Some(shares.iter().sum::<f64>().powi(2) / dot(&shares, &shares))
    }

    /// `λ_1 / Σ λ`: the fraction of the variance along the first principal component. Of centred points; `None` where all are equal.
    pub fn top_share(&self) -> Option<f64> {
        (self.squares[0] > 0.0).then(|| self.squares[0] / self.total())
    }

    /// IsoScore: 1 where the variance is the same in all directions, 0 where it is all in one. Of centred points; `None` where
    /// all are equal, and of one dim.
    ///
    /// Rudman, Gillman, Rayne, Eickhoff, "IsoScore: measuring the uniformity of embedding space utilization", Findings of ACL
    /// 2022, arXiv:2108.07344, algorithm 1. With `λ̂ = √d λ/‖λ‖` its defect `δ = ‖λ̂ - 1‖ / √(2(d - √d))` has
    /// `δ²(d - √d) = d - Σ λ̂ = d - √(d P)`, P the participation ratio, so that `φ = (d - δ²(d - √d))²/d² = P/d` and the score
    /// `(d φ - 1)/(d - 1)` is
    /// ```text
    /// (P - 1) / (d - 1)
    /// ```
    pub fn isoscore(&self) -> Option<f64> {
        let ratio = self.participation_ratio()?;
        (self.dims > 1).then(|| (ratio - 1.0) / (self.dims as f64 - 1.0))
    }

    /// Whether the points span all dims, beyond what rounding them to float32 can make: `σ_d > 2⁻²³ √Σ σ²`. Rounding moves
    /// each number by at most 2⁻²⁴ of itself, and so no singular value by more than half of that bound.
    pub fn spans(&self) -> bool {
        self.squares.get(self.dims - 1).is_some_and(|&least| least > rounding_of_float32(self.total()))
    }

    /// `Σ σ²`, which is `Σ ‖z_i‖²`.
    fn total(&self) -> f64 {
        self.squares.iter().sum()
    }
}

/// The largest σ² that the rounding of points of `Σ ‖z_i‖² = total` to float32 can make where there is none, four times over.
pub(crate) fn rounding_of_float32(total: f64) -> f64 {
    f64::from(f32::EPSILON).powi(2) * total
}

/// The smaller of `zᵀ z` and `z zᵀ`, and how many rows it has.
fn smaller_gram(points: &Points) -> (Vec<f64>, usize) {
    let (n, d) = (points.count(), points.dims());
    if n >= d {
        return (gram(points.numbers(), d), d);
    }
    let mut across = vec![0.0; n * d]; // (d, n)
    for (i, row) in points.rows().enumerate() {
        across.iter_mut().skip(i).step_by(n).zip(row).for_each(|(to, x)| *to = *x);
    }
    (gram(&across, n), n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn spectrum(numbers: &[f64], dims: usize) -> Spectrum {
        Spectrum::of(&Points::new(numbers.to_vec(), dims).unwrap()).unwrap()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "found {found:?}, expected {expected:?}");
    }

    #[test]
    fn singular_values_three_and_one() {
        let found = spectrum(&[3.0, 0.0, 0.0, 0.0, 1.0, 0.0], 3); // more dims than points
        close(&found.singular_values(), &[3.0, 1.0]);
        close(&found.normalised(), &[0.75, 0.25]);
        close(&[found.effective_rank(), found.stable_rank()], &[4.0 / 3f64.powf(0.75), 10.0 / 9.0]);
        close(&[found.participation_ratio().unwrap(), found.top_share().unwrap()], &[100.0 / 82.0, 0.9]);
        close(&[found.isoscore().unwrap()], &[(100.0 / 82.0 - 1.0) / 2.0]); // of three dims, though two points span no more than two
        assert!(!found.spans());
    }

    #[test]
    fn all_directions_alike() {
        let found = spectrum(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0], 2);
        close(&[found.effective_rank(), found.stable_rank(), found.participation_ratio().unwrap()], &[2.0; 3]);
        close(&[found.isoscore().unwrap(), found.top_share().unwrap()], &[1.0, 0.5]);
        assert!(found.spans());
    }

    #[test]
    fn clouds_without_directions() {
        let zeros = spectrum(&[0.0; 6], 2);
        close(&[zeros.effective_rank(), zeros.stable_rank()], &[0.0, 0.0]);
        close(&zeros.normalised(), &[0.0, 0.0]);
        assert_eq!((zeros.participation_ratio(), zeros.top_share(), zeros.isoscore()), (None, None, None));
        let line = spectrum(&[3.0, 4.0], 1);
        assert_eq!((line.participation_ratio(), line.isoscore()), (Some(1.0), None));
        let lone = spectrum(&[3.0, 4.0], 2);
        close(&[lone.effective_rank(), lone.stable_rank()], &[1.0, 1.0]);
    }

    #[test]
    fn what_float32_rounds_away_is_not_spanned() {
        let normal = normals(50, 3);
        let third = |x: &[f64]| f64::from((0.3 * x[0] - 0.7 * x[1]) as f32);
        let flat = normal.rows().flat_map(|x| [x[0], x[1], third(x)]).collect();
        let flat = Spectrum::of(&Points::new(flat, 3).unwrap()).unwrap();
        assert!(Spectrum::of(&normal).unwrap().spans() && !flat.spans(), "{flat:?}");
    }

    #[test]
    fn threads_change_nothing() {
        let (tall, wide) = (normals(5_000, 40), normals(40, 300));
        same_on_all_threads(|| (Spectrum::of(&tall).unwrap(), Spectrum::of(&wide).unwrap()));
    }
}
