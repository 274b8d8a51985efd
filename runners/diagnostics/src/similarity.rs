//! Whether points that people find alike are alike.

use crate::points::{Points, dot, norm, to_unit};
use crate::ranks::spearman;
use crate::{Error, Result};

/// Spearman's correlation of the cosines of pairs of points with scores for those pairs, as similarity benchmarks take it: 1
/// where the points order the pairs as the scores do. A zero vector has cosine 0 with all. `None` as for [`spearman`].
///
/// # Shapes
/// points (n, d), pairs (m), scores (m) -> number
///
/// # Errors
/// When there is not one score a pair, or a pair names a point that is not there.
pub fn similarity_correlation(points: &Points, pairs: &[(usize, usize)], scores: &[f64]) -> Result<Option<f64>> {
    if pairs.len() != scores.len() {
        return Err(Error::Unequal { what: "scores, one a pair", expected: pairs.len(), found: scores.len() });
    }
    let most = points.count() - 1;
    if let Some(&found) = pairs.iter().flat_map(|(i, j)| [i, j]).find(|&&i| i > most) {
        return Err(Error::TooLarge { what: "a point's number", most, found });
    }
    let cosine = |&(i, j): &(usize, usize)| {
        let (x, y) = (points.row(i), points.row(j));
        to_unit(norm(x)) * to_unit(norm(y)) * dot(x, y)
    };
    Ok(spearman(&pairs.iter().map(cosine).collect::<Vec<_>>(), scores))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_pairs_by_hand() {
        let points = Points::new(vec![1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.0, 0.0], 2).unwrap();
        let pairs = [(0, 0), (0, 1), (0, 2)]; // cosines 1, √½, 0
        assert_eq!(similarity_correlation(&points, &pairs, &[5.0, 3.0, 0.5]).unwrap(), Some(1.0));
        assert_eq!(similarity_correlation(&points, &pairs, &[0.0, 1.0, 2.0]).unwrap(), Some(-1.0));
        assert_eq!(similarity_correlation(&points, &[(0, 3), (1, 2)], &[0.0, 1.0]).unwrap(), Some(1.0)); // a zero has cosine 0
        assert_eq!(similarity_correlation(&points, &pairs[..1], &[1.0]).unwrap(), None);
        assert_eq!(similarity_correlation(&points, &pairs, &[f64::NAN, 1.0, 2.0]).unwrap(), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let points = Points::new(vec![1.0, 2.0], 1).unwrap();
        let refused =
            |pairs: &[(usize, usize)], scores: &[f64]| similarity_correlation(&points, pairs, scores).unwrap_err().to_string();
        assert_eq!(refused(&[(0, 1)], &[]), "expected 1 scores, one a pair, found 0");
        assert_eq!(refused(&[(0, 2)], &[1.0]), "expected a point's number of at most 1, found 2");
    }
}
