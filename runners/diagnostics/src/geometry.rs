//! The two measures that every trial records.

use crate::{Error, Points, Result, Spectrum, mean_cosine};
use regatta_core::Tensor;
use serde::{Deserialize, Serialize};

/// How the points of one cloud lie, in two numbers that take n·d² work; [`Anisotropy`](crate::Anisotropy) has all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// See [`mean_cosine`].
    pub mean_cosine: f64,
    /// See [`Spectrum::effective_rank`].
    pub effective_rank: f64,
}

impl Geometry {
    /// Both measures of `points` (n, d).
    ///
    /// # Errors
    /// When they are not points, not finite, or fewer than two.
    pub fn of(points: &Tensor) -> Result<Self> {
        let points = Points::of(points)?;
        let mean_cosine = mean_cosine(&points).ok_or(Error::TooFewPoints { found: points.count() })?;
        Ok(Self { mean_cosine, effective_rank: Spectrum::of(&points)?.effective_rank() })
    }
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
        assert_eq!(refused(Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap()), "expected at least two points, found 1");
        let nan = refused(Tensor::new(&[[f32::NAN, 2.0], [1.0, 1.0]], &Device::Cpu).unwrap());
        assert_eq!(nan, "expected finite numbers of the size of float32, found NaN in dim 0 of point 0");
    }

    #[test]
    fn written_as_users_read_it() {
        let geometry = Geometry { mean_cosine: 0.25, effective_rank: 2.0 };
        let text = serde_json::to_string(&geometry).unwrap();
        assert_eq!(text, r#"{"mean_cosine":0.25,"effective_rank":2.0}"#);
        assert_eq!(serde_json::from_str::<Geometry>(&text).unwrap(), geometry);
    }
}
