//! Numbers over seeds.

use regatta_results::{Interval, OverSeeds};
use regatta_statistics::{mean, standard_deviation};

/// Mean, spread and range; `None` of nothing.
pub(super) fn over(values: &[f64]) -> Option<OverSeeds> {
    Some(OverSeeds {
        mean: mean(values)?,
        sd: standard_deviation(values).unwrap_or(f64::NAN),
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        count: values.len(),
    })
}

/// An interval as a row of the results has it.
pub(super) fn ends(interval: regatta_statistics::Interval) -> Interval {
    Interval { low: interval.low, high: interval.high }
}

/// Means over rows, as long as the shortest of them.
pub(super) fn means(rows: &[&[f64]]) -> Vec<f64> {
    let length = rows.iter().map(|row| row.len()).min().unwrap_or(0);
    (0..length).filter_map(|index| mean(&rows.iter().map(|row| row[index]).collect::<Vec<_>>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_has_mean_spread_and_range() {
        let found = over(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((found.mean, found.sd, found.low, found.high, found.count), (2.0, 1.0, 1.0, 3.0, 3));
        assert!(over(&[1.0]).unwrap().sd.is_nan() && over(&[]).is_none());
        assert_eq!(means(&[&[1.0, 2.0], &[3.0, 4.0, 5.0]]), [2.0, 3.0]);
        assert!(means(&[]).is_empty());
    }
}
