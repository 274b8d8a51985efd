//! What is measured on a trained model. It knows no regularizer: the accused never meets the judge.
//!
//! Everything here is a number of one cloud `[n, d]`, computed in float64 and without gradients.

use regatta_core::maths::{symmetric_eigenvalues, unit};
use regatta_core::{Cloud, Result, Tensor, candle::DType};
use serde::{Deserialize, Serialize};

/// How the points of one cloud lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// See [`mean_cosine`].
    pub mean_cosine: f64,
    /// See [`effective_rank`].
    pub effective_rank: f64,
}

impl Geometry {
    /// Every measure of `points` (n, d).
    ///
    /// # Errors
    /// When the points are not a cloud, or not finite.
    pub fn of(points: &Tensor) -> Result<Self> {
        Ok(Self { mean_cosine: mean_cosine(points)?, effective_rank: effective_rank(points)? })
    }
}

/// Mean cosine over pairs i≠j: 0 for points in all directions, 1 for points that share one (condensation).
///
/// With unit vectors u it is `(‖Σ_i u_i‖² - Σ_i ‖u_i‖²) / (n(n-1))`: n·d work, not n²·d. A zero vector has cosine 0 with all.
///
/// # Shapes
/// points (n, d) -> number
///
/// # Errors
/// When the points are not a cloud.
pub fn mean_cosine(points: &Tensor) -> Result<f64> {
    let cloud = float64_cloud(points)?; // (1, n, d)
    let u = unit(cloud.points())?;
    let n = cloud.count() as f64;
    let all_pairs = u.sum(1)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
    let own = u.sqr()?.sum_all()?.to_scalar::<f64>()?;
    Ok((all_pairs - own) / (n * (n - 1.0)))
}

/// Effective rank: exp of the entropy of the singular values of the uncentred matrix, scaled to sum to 1. From 1, all points on
/// one line through the origin, to min(n, d), all directions alike; 0 for a cloud of zeros.
///
/// Roy, Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007. The singular values are roots of
/// the eigenvalues of the smaller of `z zᵀ` and `zᵀ z`.
///
/// # Shapes
/// points (n, d) -> number
///
/// # Errors
/// When the points are not a cloud, or not finite.
pub fn effective_rank(points: &Tensor) -> Result<f64> {
    let cloud = float64_cloud(points)?;
    let z = cloud.points().squeeze(0)?; // (n, d)
    let gram = if cloud.count() < cloud.dims() { z.matmul(&z.t()?)? } else { z.t()?.matmul(&z)? };
    let eigenvalues = symmetric_eigenvalues(&gram)?;
    // What lies below the rounding of the Gram matrix is zero; its root would not be small.
    let largest = eigenvalues.last().copied().unwrap_or(0.0);
    let rounding = largest * eigenvalues.len() as f64 * f64::EPSILON;
    let singular: Vec<f64> = eigenvalues.into_iter().filter(|&e| e > rounding).map(f64::sqrt).collect();
    if singular.is_empty() {
        return Ok(0.0);
    }
    let total: f64 = singular.iter().sum();
    let entropy: f64 = singular.iter().map(|s| s / total).map(|p| -p * p.ln()).sum();
    Ok(entropy.exp())
}

/// (n, d) -> cloud (1, n, d)
fn float64_cloud(points: &Tensor) -> Result<Cloud> {
    Cloud::new(points.detach().to_dtype(DType::F64)?.unsqueeze(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize, const D: usize>(points: [[f32; D]; N], mean_cosine: f64, effective_rank: f64) {
        let found = Geometry::of(&Tensor::new(&points, &Device::Cpu).unwrap()).unwrap();
        assert!((found.mean_cosine - mean_cosine).abs() < 1e-12, "{points:?}: {found:?}, expected mean cosine {mean_cosine}");
        assert!((found.effective_rank - effective_rank).abs() < 1e-7, "{points:?}: {found:?}, expected rank {effective_rank}");
    }

    #[test]
    fn one_direction() {
        check([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], 1.0, 1.0);
        check([[1.0, 2.0], [-2.0, -4.0]], -1.0, 1.0);
    }

    #[test]
    fn all_directions_alike() {
        check([[2.0, 0.0], [0.0, 2.0]], 0.0, 2.0);
        check([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], -1.0 / 3.0, 2.0); // two of six pairs are opposite: 2·(-1)/6
    }

    #[test]
    fn unequal_directions() {
        // singular values 3 and 1: exp(-(3/4 ln 3/4 + 1/4 ln 1/4)) = 4 / 3^(3/4); more dims than points, so the Gram is of points
        check([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 0.0, 4.0 / 3f64.powf(0.75));
        check([[3.0], [4.0]], 1.0, 1.0);
    }

    #[test]
    fn zeros_have_no_direction() {
        check([[0.0, 0.0], [0.0, 0.0]], 0.0, 0.0);
        check([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], 1.0 / 3.0, 1.0); // one of three pairs has cosine 1
    }

    #[test]
    fn what_is_not_a_cloud_is_refused() {
        let refused = |points: Tensor| Geometry::of(&points).unwrap_err().to_string();
        let lone = refused(Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap());
        assert_eq!(lone, "expected a cloud [groups, points, dims] with at least two points, found [1, 1, 2]");
        let nan = refused(Tensor::new(&[[f32::NAN, 2.0], [1.0, 1.0]], &Device::Cpu).unwrap());
        assert_eq!(nan, "expected a finite, positive definite matrix: it holds a NaN or an infinity");
    }

    #[test]
    fn written_as_users_read_it() {
        let geometry = Geometry { mean_cosine: 0.25, effective_rank: 2.0 };
        let text = serde_json::to_string(&geometry).unwrap();
        assert_eq!(text, r#"{"mean_cosine":0.25,"effective_rank":2.0}"#);
        assert_eq!(serde_json::from_str::<Geometry>(&text).unwrap(), geometry);
    }
}
