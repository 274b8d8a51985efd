//! Losses along training, over seeds.

use crate::records::{RecordError, TrialFolder};
use regatta_report::CurvePoint;
use std::collections::BTreeMap;
use std::path::Path;

/// Points of a curve: more cannot be told apart on a page.
const POINTS: usize = 300;

/// Training loss of the seeds that are done. Long runs are cut into stretches of equal length, each shown by its mean.
pub(super) fn training_curve(folder: &Path, arm: &str, seeds: &[u64]) -> Result<Vec<CurvePoint>, RecordError> {
    let mut runs = Vec::new();
    for &seed in seeds {
        let records = TrialFolder::of(folder, arm, seed).metrics()?;
        let stretch = records.len().div_ceil(POINTS).max(1);
        let mean = |records: &[regatta_lm::training::StepRecord]| {
            let middle = records[records.len() / 2].step;
            (middle, records.iter().map(|record| record.loss).sum::<f64>() / records.len() as f64)
        };
        runs.push(records.chunks(stretch).map(mean).collect());
    }
    Ok(over_seeds(runs))
}

/// Validation loss of the seeds that are done.
pub(super) fn validation_curve(folder: &Path, arm: &str, seeds: &[u64]) -> Result<Vec<CurvePoint>, RecordError> {
    let mut runs = Vec::new();
    for &seed in seeds {
        let validations = TrialFolder::of(folder, arm, seed).validations()?;
        runs.push(validations.iter().map(|validation| (validation.step, validation.loss)).collect());
    }
    Ok(over_seeds(runs))
}

/// Mean and range at each step that every run has.
fn over_seeds(runs: Vec<Vec<(usize, f64)>>) -> Vec<CurvePoint> {
    let count = runs.len();
    let mut by_step: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (step, loss) in runs.into_iter().flatten() {
        by_step.entry(step).or_default().push(loss);
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
        let points = over_seeds(vec![vec![(0, 4.0), (1, 2.0)], vec![(0, 6.0)]]);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].step, points[0].mean, points[0].low, points[0].high), (0, 5.0, 4.0, 6.0));
    }
}
