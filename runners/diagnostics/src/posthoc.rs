//! What the maps after training do to a cloud, side by side.

use crate::{Anisotropy, Points, Result, Transform, similarity_correlation};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// A cloud after a map that was fitted on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mapped {
    /// Which map: `as it is`, `centred`, `all but the top 1`, `PCA to 64 dims of variance 1`, `ZCA to variance 1`.
    pub map: String,
    /// How the points lie after it.
    pub anisotropy: Anisotropy,
    /// See [`similarity_correlation`]; `None` where no pairs were given, too.
    pub correlation: Option<f64>,
}

/// Pairs of points, by their numbers, and the score that people gave each.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The pairs.
    pub pairs: &'a [(usize, usize)],
    /// A score for each.
    pub scores: &'a [f64],
}

/// A cloud as it is and after each map of [`Transform`]; PCA to all dims, and to `dims` where that is given.
///
/// # Shapes
/// points (n, d)
///
/// # Errors
/// When `dims` exceeds d or is 0, there is not one score a pair, or a decomposition does not converge.
pub fn after_training(points: &Points, dims: Option<usize>, scored: Option<Scored<'_>>) -> Result<Vec<Mapped>> {
    let d = points.dims();
    let mapped = |map: String, points: &Points| -> Result<Mapped> {
        let correlation = scored.map(|of| similarity_correlation(points, of.pairs, of.scores)).transpose()?.flatten();
        Ok(Mapped { map, anisotropy: Anisotropy::of(points, NonZeroUsize::MIN)?, correlation })
    };
    let mut all = vec![mapped("as it is".into(), points)?];
    let maps = [
        ("centred".to_owned(), Ok(Transform::centre(points))),
        (format!("all but the top {}", d.div_ceil(100)), Transform::all_but_the_top(points, None)),
    ];
    let scaled = [Some(d), dims.filter(|&dims| dims != d)].into_iter().flatten();
    let scaled = scaled.map(|k| (format!("PCA to {k} dims of variance 1"), Transform::pca_whiten(points, Some(k))));
    let zca = ("ZCA to variance 1".to_owned(), Transform::zca_whiten(points));
    for (name, map) in maps.into_iter().chain(scaled).chain([zca]) {
        all.push(mapped(name, &map?.apply(points)?)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corners of a long rectangle far from the origin: (10 ± 3, ± 1).
    fn rectangle() -> Points {
        Points::new(vec![13.0, 1.0, 13.0, -1.0, 7.0, 1.0, 7.0, -1.0], 2).unwrap()
    }

    #[test]
    fn maps_take_the_cone_away() {
        let (pairs, scores) = ([(0, 1), (0, 2), (0, 3)], [2.0, 1.0, 0.0]);
        let found = after_training(&rectangle(), Some(1), Some(Scored { pairs: &pairs, scores: &scores })).unwrap();
        let names: Vec<&str> = found.iter().map(|mapped| mapped.map.as_str()).collect();
        let pca = ["PCA to 2 dims of variance 1", "PCA to 1 dims of variance 1"];
        assert_eq!(names, ["as it is", "centred", "all but the top 1", pca[0], pca[1], "ZCA to variance 1"]);
        assert!(found[0].anisotropy.mean_cosine.unwrap() > 0.9);
        // centred, each corner has one opposite, and the cosines with the other two are ±(9 - 1)/10: -1/3 in the mean
        assert!((found[1].anisotropy.mean_cosine.unwrap() + 1.0 / 3.0).abs() < 1e-12);
        assert!((found[5].anisotropy.isoscore.unwrap() - 1.0).abs() < 1e-9, "equal variances");
        // centred: 0.8, -0.8, -1 for neighbour along the short side, along the long side, and opposite
        assert_eq!((found[1].correlation, found[0].correlation.is_some()), (Some(1.0), true));
    }

    #[test]
    fn without_scores_there_is_no_correlation() {
        let found = after_training(&rectangle(), None, None).unwrap();
        assert!(found.len() == 5 && found.iter().all(|mapped| mapped.correlation.is_none()));
        assert!(after_training(&rectangle(), Some(3), None).is_err() && after_training(&rectangle(), Some(0), None).is_err());
    }
}
