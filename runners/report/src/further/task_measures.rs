//! Perplexities and probability masses of tasks, for each arm and against the baseline.

use super::{Cell, Further, Row};
use crate::number::{brief, fixed, signed};
use crate::{Arm, Results, TaskMeasure};

/// A row for each measure and arm, sorted by task; `None` where the study names no such tasks.
pub fn measures(results: &Results) -> Option<Further> {
    let all = || results.arms.iter().flat_map(|arm| &arm.task_measures);
    let mut known: Vec<(&str, &str)> = Vec::new();
    all().for_each(|of| {
        if !known.contains(&(&of.task, &of.measure)) {
            known.push((&of.task, &of.measure));
        }
    });
    if known.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for (task, measure) in known {
        for arm in &results.arms {
            let own = arm.task_measures.iter().filter(|of| of.task == task && of.measure == measure);
            rows.extend(own.map(|of| row(arm, of)));
        }
    }
    let titles = [
        ("task", false),
        ("measure", false),
        ("better", false),
        ("arm", false),
        ("value", true),
        ("difference", true),
        ("95% interval", true),
        ("pairs", true),
    ];
    let compared = all().filter(|of| of.difference.is_some()).count();
    let remark = format!(
        "What tasks measure beside accuracy: mean ± standard deviation over seeds. Difference: from the baseline's, paired by seed. \
         The intervals are not corrected: of {compared} comparisons without a true difference, about {} would have an interval that \
         excludes 0. No verdict is read from them.",
        brief(compared as f64 * 0.05, 2)
    );
    Some(Further { title: "Perplexity and probability mass on tasks", plots: &[], remark, titles: titles.to_vec(), rows })
}

fn row(arm: &Arm, of: &TaskMeasure) -> Row {
    let decimals = if of.value.mean.abs() >= 100.0 { 1 } else { 3 };
    let spread = if of.value.sd.is_finite() { format!(" ± {}", fixed(of.value.sd, decimals)) } else { String::new() };
    let difference = of.difference.as_ref();
    Row {
        cells: vec![
            Cell::words(&of.task),
            Cell::words(&of.measure),
            Cell::words(if of.higher_is_better { "higher" } else { "lower" }),
            Cell::words(&arm.name),
            Cell::number(fixed(of.value.mean, decimals) + &spread, of.value.mean),
            difference.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, decimals), of.mean)),
            Cell::interval(difference.map(|of| of.interval), decimals),
            difference.map_or(Cell::words(""), |of| Cell::number(of.pairs.to_string(), of.pairs as f64)),
        ],
        marked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::{Interval, OverSeeds, PairedDifference, sample};

    #[test]
    fn the_arms_of_a_measure_stand_together() {
        let mut results = sample::results();
        assert!(measures(&results).is_none());
        let value = OverSeeds { mean: 2.5, sd: 0.25, low: 2.25, high: 2.75, count: 2 };
        let difference = PairedDifference { mean: -0.5, interval: Interval { low: -0.75, high: -0.25 }, pairs: 2 };
        for (index, arm) in results.arms.iter_mut().enumerate().take(2) {
            let difference = (index > 0).then_some(difference);
            let (task, measure) = ("wiki".to_owned(), "bits per byte".to_owned());
            arm.task_measures = vec![TaskMeasure { task, measure, higher_is_better: false, value, difference }];
        }
        let table = measures(&results).unwrap();
        assert_eq!(row(&table, 0)[..6], ["wiki", "bits per byte", "lower", "baseline", "2.500 ± 0.250", ""]);
        assert_eq!(row(&table, 1)[5..], ["-0.500", "-0.750 to -0.250", "2"]);
        assert!(table.remark.contains("of 1 comparisons"), "{}", table.remark);
    }
}
