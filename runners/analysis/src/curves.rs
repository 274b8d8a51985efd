//! Curves of several trials, over seeds.

use regatta_results::CurvePoint;
use std::collections::BTreeMap;

/// Mean and range at each step that all curves have.
pub(super) fn over_seeds<'a>(curves: impl IntoIterator<Item = &'a Vec<(usize, f64)>>) -> Vec<CurvePoint> {
    let mut count = 0;
    let mut by_step: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for curve in curves {
        count += 1;
        for &(step, loss) in curve {
            by_step.entry(step).or_default().push(loss);
        }
    }
    let whole = by_step.into_iter().filter(|(_, losses)| losses.len() == count);
    let point = |(step, losses): (usize, Vec<f64>)| CurvePoint {
        step: step as u64,
        mean: losses.iter().sum::<f64>() / losses.len() as f64,
        low: losses.iter().copied().fold(f64::INFINITY, f64::min),
        high: losses.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    whole.map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_mean_and_range_where_all_seeds_have_a_value() {
        let points = over_seeds(&[vec![(0, 4.0), (1, 2.0)], vec![(0, 6.0)]]);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].step, points[0].mean, points[0].low, points[0].high), (0, 5.0, 4.0, 6.0));
    }
}
