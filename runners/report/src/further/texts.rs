//! Losses on further texts, for each arm and against the baseline.

use super::{Cell, Further, Row};
use crate::number::{brief, decimals_for, fixed, signed};
use crate::{Arm, PairedDifference, Results, TextResult};

/// A row for each text and arm, sorted by text; `None` where the study names no texts.
pub fn losses(results: &Results) -> Option<Further> {
    let all = || results.arms.iter().flat_map(|arm| &arm.texts);
    all().next()?;
    let decimals = decimals_for(all().map(|text| text.loss.sd)).min(4);
    let width = |of: &PairedDifference| (of.interval.high - of.interval.low) / 2.0;
    let finer = decimals_for(all().filter_map(|text| text.difference.as_ref().map(width))).min(4);
    let row = |arm: &Arm, text: &TextResult| {
        let spread = if text.loss.sd.is_finite() { format!(" ± {}", fixed(text.loss.sd, decimals)) } else { String::new() };
        let difference = text.difference.as_ref();
        Row {
            cells: vec![
                Cell::words(&text.text),
                Cell::words(&arm.name),
                Cell::number(fixed(text.loss.mean, decimals) + &spread, text.loss.mean),
                text.bits_per_byte.as_ref().map_or(Cell::words(""), |of| Cell::number(fixed(of.mean, 3), of.mean)),
                difference.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, finer), of.mean)),
                Cell::interval(difference.map(|of| of.interval), finer),
                difference.map_or(Cell::words(""), |of| Cell::number(of.pairs.to_string(), of.pairs as f64)),
            ],
            marked: false,
        }
    };
    let mut names: Vec<&str> = Vec::new();
    all().for_each(|text| {
        if !names.contains(&text.text.as_str()) {
            names.push(&text.text)
        }
    });
    let mut rows = Vec::new();
    for name in names {
        for arm in &results.arms {
            rows.extend(arm.texts.iter().filter(|text| text.text == name).map(|text| row(arm, text)));
        }
    }
    let titles = [
        ("text", false),
        ("arm", false),
        ("loss", true),
        ("bits per byte", true),
        ("difference", true),
        ("95% interval", true),
        ("pairs", true),
    ];
    let compared = all().filter(|text| text.difference.is_some()).count();
    let remark = format!(
        "Loss of the trained model on texts beside the study's own data, in nats per token: mean ± standard deviation over seeds. \
         Difference: from the baseline's loss, paired by seed. The intervals are not corrected: of {compared} comparisons without a \
         true difference, about {} would have an interval that excludes 0. No verdict is read from them.",
        brief(compared as f64 * 0.05, 2)
    );
    Some(Further { title: "Further texts", plots: &[], remark, titles: titles.to_vec(), rows })
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn the_arms_of_a_text_stand_together() {
        let table = losses(&sample::measured()).unwrap();
        assert_eq!(row(&table, 0), ["wiki", "baseline", "4.000 ± 0.010", "2.000", "", "", ""]);
        assert_eq!(row(&table, 1)[..4], ["wiki", "dispersion", "3.980 ± 0.010", "2.000"]);
        assert_eq!(row(&table, 1)[4..], ["-0.020", "-0.030 to -0.010", "3"]);
        assert!(table.remark.contains("of 3 comparisons without a true difference"), "{}", table.remark);
        assert!(losses(&sample::results()).is_none());
    }
}
