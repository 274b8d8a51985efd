//! Dims that stand out from the others.

use crate::pairs::cosine_contributions;
use crate::points::Points;
use serde::{Deserialize, Serialize};

/// A dim whose magnitude or variance stands out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierDimension {
    /// Which dim, from 0.
    pub dim: usize,
    /// `Σ_i |z_ij| / n`
    pub magnitude: f64,
    /// By how many standard deviations of the dims' magnitudes it is above their mean.
    pub magnitude_deviations: f64,
    /// Variance of the points along the dim (n - 1); 0 of a single point.
    pub variance: f64,
    /// By how many standard deviations of the dims' variances it is above their mean.
    pub variance_deviations: f64,
    /// What the dim adds to the mean cosine, see [`cosine_contributions`]; `None` below two points.
    pub cosine_contribution: Option<f64>,
}

/// The dims whose mean magnitude or whose variance is more than `deviations` standard deviations above the mean of all dims, in
/// their order. The field takes 3.
///
/// The rule of three deviations is that of Kovaleva, Kulshreshtha, Rogers, Rumshisky, "BERT busters: outlier dimensions that
/// disrupt transformers", Findings of ACL 2021, arXiv:2105.06990, there of the weights of layer norms; of magnitudes of hidden
/// states, Luo et al., "Positional artefacts propagate through masked language model embeddings", ACL 2021, arXiv:2011.04393.
/// What such a dim does to the mean cosine is Timkey and van Schijndel's measure, beside it.
///
/// The deviation is that of all d dims, divided by d: one dim can be at most `√(d - 1)` above, so that with 3 nothing stands
/// out of ten dims or fewer. Where all dims are alike, none does.
///
/// # Shapes
/// points (n, d)
pub fn outlier_dimensions(points: &Points, deviations: f64) -> Vec<OutlierDimension> {
    let (n, d) = (points.count() as f64, points.dims());
    let mean = points.mean();
    let sums = points.sums(2 * d, |row, sums| {
        let (magnitudes, squares) = sums.split_at_mut(d);
        for (((x, mean), magnitude), square) in row.iter().zip(&mean).zip(magnitudes).zip(squares) {
            *magnitude += x.abs();
            *square += (x - mean) * (x - mean);
        }
    });
    let magnitudes: Vec<f64> = sums[..d].iter().map(|sum| sum / n).collect();
    let variances: Vec<f64> = sums[d..].iter().map(|sum| sum / (n - 1.0).max(1.0)).collect();
    let contributions = cosine_contributions(points);
    let (by_magnitude, by_variance) = (deviations_above(&magnitudes), deviations_above(&variances));
    let stands_out = |dim: &usize| by_magnitude[*dim] > deviations || by_variance[*dim] > deviations;
    let outlier = |dim: usize| OutlierDimension {
        dim,
        magnitude: magnitudes[dim],
        magnitude_deviations: by_magnitude[dim],
        variance: variances[dim],
        variance_deviations: by_variance[dim],
        cosine_contribution: contributions.as_ref().map(|contributions| contributions[dim]),
    };
    (0..d).filter(stands_out).map(outlier).collect()
}

/// By how many standard deviations each number is above the mean of all; 0 where all are alike.
fn deviations_above(numbers: &[f64]) -> Vec<f64> {
    let count = numbers.len() as f64;
    let mean = numbers[0] + numbers.iter().map(|x| x - numbers[0]).sum::<f64>() / count;
    let deviation = (numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
    numbers.iter().map(|x| if deviation > 0.0 { (x - mean) / deviation } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two points of 17 dims: ±1 but in dim 5.
    fn with_dim_5(first: f64, second: f64) -> Points {
        let row = |sign: f64, fifth: f64| (0..17).map(move |dim| if dim == 5 { fifth } else { sign });
        Points::new(row(1.0, first).chain(row(-1.0, second)).collect(), 17).unwrap()
    }

    #[test]
    fn one_dim_among_17() {
        // alone among its like, a dim is √(d - 1) = 4 deviations off: above in magnitude (9), below in variance (0 where the rest
        // have 2)
        let found = outlier_dimensions(&with_dim_5(9.0, 9.0), 3.0);
        let [one] = found[..] else { panic!("{found:?}") };
        assert_eq!((one.dim, one.magnitude, one.variance), (5, 9.0, 0.0));
        assert!((one.magnitude_deviations - 4.0).abs() < 1e-12, "{one:?}");
        assert!((one.variance_deviations + 4.0).abs() < 1e-12, "{one:?}");
        assert!((one.cosine_contribution.unwrap() - 81.0 / 97.0).abs() < 1e-12, "{one:?}"); // 81 of ‖z‖² = 81 + 16
    }

    #[test]
    fn a_dim_that_varies() {
        let found = outlier_dimensions(&with_dim_5(3.0, -3.0), 3.0);
        assert_eq!((found.len(), found[0].dim, found[0].variance), (1, 5, 18.0));
        assert!(outlier_dimensions(&with_dim_5(3.0, -3.0), 4.5).is_empty()); // no more than 4
    }

    #[test]
    fn nothing_stands_out_of_what_is_alike() {
        assert!(outlier_dimensions(&with_dim_5(1.0, -1.0), 0.0).is_empty());
        assert!(outlier_dimensions(&Points::new(vec![0.0; 40], 20).unwrap(), 0.0).is_empty());
        let lone = Points::new((0..17).map(|dim| if dim == 5 { 9.0 } else { 1.0 }).collect(), 17).unwrap();
        assert_eq!(outlier_dimensions(&lone, 3.0)[0].cosine_contribution, None);
        assert!(outlier_dimensions(&lone, f64::NAN).is_empty());
    }
}
