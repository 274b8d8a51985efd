//! The geometry of the last hidden state.

use super::{Cell, Further, Row};
use crate::number::{fixed, significant};
use crate::{Arm, OverSeeds, Results};

/// Columns of `results.csv` and their titles here.
const TITLES: [(&str, &str); 14] = [
    ("mean_cosine_within_last", "mean cosine, within"),
    ("mean_cosine_diagnosed_last", "mean cosine"),
    ("effective_rank_diagnosed_last", "effective rank"),
    ("stable_rank_last", "stable rank"),
    ("participation_ratio_last", "participation ratio"),
    ("top_variance_share_last", "top variance share"),
    ("isoscore_last", "IsoScore"),
    ("partition_isotropy_last", "partition isotropy"),
    ("uniformity_last", "uniformity"),
    ("differential_entropy_last", "differential entropy"),
    ("mean_norm_last", "norm"),
    ("outlier_dims_last", "outlier dims"),
    ("cosine_spearman", "Spearman over depth"),
    ("cosine_kendall", "Kendall over depth"),
];

/// A row for each arm, a column for each measure that some arm has; `None` without diagnoses.
pub fn measures(results: &Results) -> Option<Further> {
    let measure = |arm: &Arm, name: &str| -> Option<OverSeeds> {
        arm.geometry.as_ref()?.measures.iter().find(|(own, _)| own == name).and_then(|(_, over)| *over)
    };
    let known = |(name, _): &&(&str, &str)| results.arms.iter().any(|arm| measure(arm, name).is_some());
    let columns: Vec<&(&str, &str)> = TITLES.iter().filter(known).collect();
    if columns.is_empty() {
        return None;
    }
    let cell = |arm: &Arm, name: &str| {
        let digits = decimals(results.arms.iter().filter_map(|arm| measure(arm, name)));
        measure(arm, name).map_or(Cell::words(""), |of| Cell::number(with_deviation(&of, digits), of.mean))
    };
    let row = |arm: &Arm| Row {
        cells: std::iter::once(Cell::words(&arm.name)).chain(columns.iter().map(|(name, _)| cell(arm, name))).collect(),
        marked: false,
    };
    let remark = "The last hidden state at the end of training, on the held-out split: mean ± standard deviation over seeds. \
                  \"Within\" takes pairs of tokens of one sequence, as the heatmaps do; all else takes tokens of several sequences \
                  as one cloud. Outlier dims: more than three standard deviations above the others in magnitude or variance. \
                  Spearman and Kendall: whether the mean cosine within sequences rises from layer to layer (1) or falls (-1). Ranks \
                  and IsoScore are bounded by the number of points, differential entropy depends on it: compare within a study.";
    Some(Further {
        title: "The last hidden state",
        plots: &[],
        remark: remark.to_owned(),
        titles: std::iter::once(("arm", false)).chain(columns.iter().map(|(_, title)| (*title, true))).collect(),
        rows: results.arms.iter().filter(|arm| arm.geometry.is_some()).map(row).collect(),
    })
}

/// The decimals that give the largest mean of a column three digits.
fn decimals(column: impl Iterator<Item = OverSeeds>) -> usize {
    let largest = column.map(|of| of.mean.abs()).filter(|size| size.is_finite()).fold(0.0, f64::max);
    if largest < 1.0 { 3 } else { (2.0 - largest.log10().floor()).max(0.0) as usize }
}

/// `0.620 ± 0.010`. A deviation too small for these decimals has one digit; one seed has only the mean.
fn with_deviation(of: &OverSeeds, decimals: usize) -> String {
    let shows = of.sd == 0.0 || of.sd >= 0.5 * 0.1f64.powi(decimals as i32);
    let deviation = if shows { fixed(of.sd, decimals) } else { significant(of.sd, 1) };
    let mean = fixed(of.mean, decimals);
    if of.sd.is_finite() { format!("{mean} ± {deviation}") } else { mean }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn a_column_for_each_measure_that_is_known() {
        let table = measures(&sample::measured()).unwrap();
        assert_eq!(table.titles, [("arm", false), ("mean cosine", true), ("outlier dims", true)]);
        assert_eq!(row(&table, 0), ["baseline", "0.620 ± 0.010", "2.00 ± 0.01"]);
        assert!(measures(&sample::results()).is_none());
    }

    #[test]
    fn one_seed_has_no_deviation() {
        let over = |mean, sd| OverSeeds { mean, sd, low: mean, high: mean, count: 1 };
        assert_eq!(with_deviation(&over(21.34, f64::NAN), 1), "21.3");
        assert_eq!(with_deviation(&over(-0.5, 0.0), 3), "-0.500 ± 0.000");
        assert_eq!(with_deviation(&over(0.5, 0.00002), 3), "0.500 ± 0.00002");
        assert_eq!((decimals([over(0.0, 0.5), over(2.0, 0.5)].into_iter()), decimals([].into_iter())), (2, 3));
    }
}
