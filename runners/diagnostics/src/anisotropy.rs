//! All measures of the anisotropy of one cloud.

use crate::pairs::PairCosines;
use crate::points::Points;
use crate::spectrum::Spectrum;
use crate::{Result, entropy, partition};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// The anisotropy of one cloud: whether its points share a direction, and how many directions they use. A measure that is undefined
/// for the cloud is `None`, for the reason that its function gives; no measure is NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anisotropy {
    /// See [`mean_cosine`](crate::mean_cosine). `None` below two points.
    pub mean_cosine: Option<f64>,
    /// See [`PairCosines::std`]. `None` below two points.
    pub cosine_std: Option<f64>,
    /// See [`Spectrum::effective_rank`].
    pub effective_rank: f64,
    /// See [`Spectrum::stable_rank`].
    pub stable_rank: f64,
    /// See [`Spectrum::participation_ratio`]. `None` where all points are equal.
    pub participation_ratio: Option<f64>,
    /// See [`Spectrum::top_share`]. `None` where all points are equal.
    pub top_variance_share: Option<f64>,
    /// See [`Spectrum::isoscore`]. `None` where all points are equal, and of one dim.
    pub isoscore: Option<f64>,
    /// See [`partition_isotropy`](crate::partition_isotropy).
    pub partition_isotropy: f64,
    /// See [`PairCosines::uniformity`]. `None` below two points.
    pub uniformity: Option<f64>,
    /// See [`differential_entropy`](crate::differential_entropy).
    pub differential_entropy: Option<f64>,
    /// Mean of the points' norms.
    pub mean_norm: f64,
    /// See [`PairCosines::histogram`]. Empty below two points.
    pub cosine_histogram: Vec<f64>,
    /// See [`Spectrum::normalised`]: min(n, d) fractions, largest first.
    pub spectrum: Vec<f64>,
}

impl Anisotropy {
    /// Every measure of `points`: 3/2 n²·d products for pairs and neighbours, and 4 n·d² for the spectra.
    ///
    /// # Shapes
    /// points (n, d); the histogram is (bins)
    ///
    /// # Errors
    /// When singular values do not converge.
    pub fn of(points: &Points, bins: NonZeroUsize) -> Result<Self> {
        let (spectrum, vectors) = Spectrum::with_vectors(points)?;
        let variances = Spectrum::of(&points.centred())?;
        let pairs = PairCosines::of(points, bins);
        Ok(Self {
            mean_cosine: pairs.as_ref().map(|pairs| pairs.mean),
            cosine_std: pairs.as_ref().map(|pairs| pairs.std),
            effective_rank: spectrum.effective_rank(),
            stable_rank: spectrum.stable_rank(),
            participation_ratio: variances.participation_ratio(),
            top_variance_share: variances.top_share(),
            isoscore: variances.isoscore(),
            partition_isotropy: partition::along_eigenvectors(points, &spectrum, &vectors),
            uniformity: pairs.as_ref().map(|pairs| pairs.uniformity),
            differential_entropy: entropy::spread(points, &spectrum),
            mean_norm: points.norms().iter().sum::<f64>() / points.count() as f64,
            cosine_histogram: pairs.map(|pairs| pairs.histogram).unwrap_or_default(),
            spectrum: spectrum.normalised(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn measured(numbers: &[f64], dims: usize) -> Anisotropy {
        let found = Anisotropy::of(&Points::new(numbers.to_vec(), dims).unwrap(), NonZeroUsize::new(4).unwrap()).unwrap();
        let written = serde_json::to_string(&found).unwrap(); // what is not finite would be written as null
        assert_eq!(serde_json::from_str::<Anisotropy>(&written).unwrap(), found);
        found
    }

    #[test]
    fn four_points_by_hand() {
        let found = measured(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0], 2);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
        near(found.mean_cosine.unwrap(), -1.0 / 3.0); // of six pairs two are opposite
        near(found.cosine_std.unwrap(), 2f64.sqrt() / 3.0);
        near(found.effective_rank, 2.0);
        near(found.isoscore.unwrap(), 1.0);
        near(found.partition_isotropy, 1.0);
        near(found.mean_norm, 1.0);
        near(found.uniformity.unwrap(), ((4.0 * (-4f64).exp() + 2.0 * (-8f64).exp()) / 6.0).ln());
        assert_eq!(found.cosine_histogram, [1.0 / 3.0, 0.0, 2.0 / 3.0, 0.0]);
    }

    #[test]
    fn degenerate_clouds_are_defined() {
        let lone = measured(&[3.0, 4.0], 2);
        assert_eq!((lone.mean_cosine, lone.uniformity, lone.isoscore, lone.differential_entropy), (None, None, None, None));
        assert_eq!((lone.mean_norm, lone.cosine_histogram.len()), (5.0, 0));
        assert!((lone.effective_rank - 1.0).abs() < 1e-12);

        let equal = measured(&[0.1, 0.2].repeat(5), 2);
        assert_eq!((equal.participation_ratio, equal.top_variance_share, equal.differential_entropy), (None, None, None));
        assert!((equal.mean_cosine.unwrap() - 1.0).abs() < 1e-12 && equal.cosine_std.unwrap() < 1e-12);

        let zeros = measured(&[0.0; 10], 2);
        assert_eq!((zeros.mean_cosine, zeros.cosine_std, zeros.uniformity), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!((zeros.effective_rank, zeros.partition_isotropy, zeros.spectrum), (0.0, 1.0, vec![0.0, 0.0]));

        let line = measured(&[-1.0, 2.0, 5.0, 3.0, 1.0], 1);
        assert_eq!((line.isoscore, line.participation_ratio), (None, Some(1.0)));
        assert!(line.differential_entropy.is_some());

        let wide = measured(&[1.0, 0.0, 0.0, 0.0, 2.0, 0.0], 3);
        assert_eq!(wide.differential_entropy, None);
        measured(&[3.4e38, -3.4e38, 1e38, 3.4e38], 2); // the largest and the smallest that float32 has
        measured(&[1e-45, 0.0, 2e-45, 1e-45], 2);
        measured(&[1e-300, 0.0, 2e-300, 1e-300], 2); // whose squares are 0: taken for zeros
    }

    #[test]
    fn threads_change_nothing() {
        let points = normals(600, 20);
        same_on_all_threads(|| Anisotropy::of(&points, NonZeroUsize::MIN).unwrap());
    }
}
