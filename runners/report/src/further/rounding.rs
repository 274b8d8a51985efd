//! The increase of loss by rounding, for each arm and against the baseline.

use super::{Cell, Further, Row};
use crate::number::{brief, decimals_for, fixed, signed};
use crate::plot::rounding::granularities;
use crate::{Arm, PairedDifference, Results, Rounding};

/// A row for each arm and rounding; `None` where the study does not round.
pub fn increases(results: &Results) -> Option<Further> {
    let all = || results.arms.iter().flat_map(|arm| &arm.roundings);
    all().next()?;
    let decimals = decimals_for(all().map(|rounding| rounding.increase.sd)).min(4);
    let width = |of: &PairedDifference| (of.interval.high - of.interval.low) / 2.0;
    let finer = decimals_for(all().filter_map(|rounding| rounding.difference.as_ref().map(width))).min(4);
    let row = |arm: &Arm, rounding: &Rounding| {
        let increase = &rounding.increase;
        let deviation = if increase.sd.is_finite() { format!(" ± {}", fixed(increase.sd, decimals)) } else { String::new() };
        let difference = rounding.difference.as_ref();
        Row {
            cells: vec![
                Cell::words(&arm.name),
                Cell::words(&rounding.granularity),
                Cell::words(&rounding.bits),
                Cell::number(fixed(increase.mean, decimals) + &deviation, increase.mean),
                difference.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, finer), of.mean)),
                Cell::interval(difference.map(|of| of.interval), finer),
                difference.map_or(Cell::words(""), |of| Cell::number(of.pairs.to_string(), of.pairs as f64)),
            ],
            marked: false,
        }
    };
    let mut rows = Vec::new();
    for granularity in granularities(results) {
        for arm in &results.arms {
            rows.extend(arm.roundings.iter().filter(|of| of.granularity == granularity).map(|rounding| row(arm, rounding)));
        }
    }
    let titles = [
        ("arm", false),
        ("one scale for", false),
        ("bits", false),
        ("increase of loss", true),
        ("difference", true),
        ("95% interval", true),
        ("pairs", true),
    ];
    let compared = all().filter(|rounding| rounding.difference.is_some()).count();
    let remark = format!(
        "Held-out loss with rounded weights minus that with the weights as trained, in nats per token: mean ± standard deviation over \
         seeds; no training follows the rounding. Difference: from the baseline's increase, paired by seed. The intervals are not \
         corrected: of {compared} comparisons without a \
         true difference, about {} would have an interval that excludes 0. No verdict is read from \
         them.",
        brief(compared as f64 * 0.05, 2)
    );
    Some(Further { title: "Robustness to rounding", plots: &["rounding_"], remark, titles: titles.to_vec(), rows })
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn increases_stand_beside_their_difference_from_the_baselines() {
        let table = increases(&sample::measured()).unwrap();
        assert_eq!(table.rows.len(), 4 * 5);
        assert_eq!(row(&table, 0), ["baseline", "channel", "8", "0.000 ± 0.010", "", "", ""]);
        let of_arm = ["dispersion", "channel", "8", "-0.020 ± 0.010", "-0.020", "-0.030 to -0.010", "3"];
        assert_eq!(row(&table, 3), of_arm);
        assert!(table.remark.contains("of 15 comparisons without a true difference, about 0.75"), "{}", table.remark);
        assert!(increases(&sample::results()).is_none());
    }
}
