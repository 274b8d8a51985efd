//! Steps, tokens and time until a target loss is reached.

use super::{Cell, Further, Row};
use crate::number::{fixed, grouped, significant};
use crate::{Arm, Interval, OverSeeds, PairedRatio, Results, ToTarget};

/// What is added to the remark where trials ran on several kinds of machine.
const MIXED: &str = " Seconds are those of the machines that trained an arm; their ratio has only pairs on one kind of machine.";

/// A row for each target and arm, sorted by target; `None` where the study names no target.
pub fn targets(results: &Results) -> Option<Further> {
    let mut targets: Vec<f64> = results.arms.iter().flat_map(|arm| &arm.to_target).map(|of| of.target).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    let mut rows = Vec::new();
    for target in targets.into_iter().rev() {
        for arm in &results.arms {
            rows.extend(arm.to_target.iter().filter(|of| of.target.total_cmp(&target).is_eq()).map(|of| row(arm, of)));
        }
    }
    if rows.is_empty() {
        return None;
    }
    let first = results.arms.iter().flat_map(|arm| &arm.to_target).next()?;
    let comparisons = results.arms.iter().flat_map(|arm| &arm.to_target).find_map(|of| of.steps_ratio).map(|of| of.comparisons);
    let which = if first.of_baseline { "the baseline's final one with the same seed" } else { "the target" };
    let remark = format!(
        "What an arm's training takes until its validation loss is first at most {which}: mean ± standard deviation over the seeds \
         that reach it, on straight lines between measurements. Ratios are to the baseline, paired by seed: below 1 is quicker, and \
         an interval{} that excludes 1 indicates a difference. There is no ratio where a seed of either does not reach the target.{}",
        comparisons.filter(|&count| count > 1).map_or_else(String::new, |count| format!(", corrected for {count} comparisons,")),
        if results.has_mixed_machines() { MIXED } else { "" }
    );
    let titles = [
        ("target loss", true),
        ("arm", false),
        ("seeds that reach it", true),
        ("steps", true),
        ("tokens", true),
        ("seconds", true),
        ("steps / baseline's", true),
        ("seconds / baseline's", true),
    ];
    Some(Further { title: "Time to a target loss", plots: &[], remark, titles: titles.to_vec(), rows })
}

fn row(arm: &Arm, of: &ToTarget) -> Row {
    let measure = |over: Option<OverSeeds>, text: fn(f64) -> String| {
        let spread = |over: &OverSeeds| if over.sd.is_finite() { format!(" ± {}", text(over.sd)) } else { String::new() };
        over.map_or(Cell::words(""), |over| Cell::number(text(over.mean) + &spread(&over), over.mean))
    };
    let fewer = |pairs: usize| if pairs < of.tried { format!(", {pairs} pairs") } else { String::new() };
    let ratio = |of: Option<PairedRatio>| {
        let text = |of: &PairedRatio| {
            let Interval { low, high } = of.corrected;
            let interval = if low.is_finite() && high.is_finite() {
                format!(" ({} to {})", fixed(low, 2), fixed(high, 2))
            } else {
                " (interval unknown)".to_owned()
            };
            format!("{}×{interval}{}", fixed(of.mean, 2), fewer(of.pairs))
        };
        of.map_or(Cell::words(""), |of| Cell::number(text(&of), of.mean))
    };
    Row {
        cells: vec![
            Cell::number(fixed(of.target, 3), of.target),
            Cell::words(&arm.name),
            Cell::number(format!("{} of {}", of.reached, of.tried), of.reached as f64),
            measure(of.steps, grouped),
            measure(of.tokens, grouped),
            measure(of.seconds, |seconds| significant(seconds, 3)),
            ratio(of.steps_ratio),
            ratio(of.seconds_ratio),
        ],
        marked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn each_target_has_a_row_for_each_arm() {
        let mut results = sample::results();
        assert!(targets(&results).is_none());
        let over = |mean, sd| Some(OverSeeds { mean, sd, low: mean, high: mean, count: 2 });
        let reached = ToTarget {
            target: 3.6,
            of_baseline: false,
            tried: 3,
            reached: 2,
            steps: over(1200.0, 50.0),
            tokens: over(1.2e6, f64::NAN),
            seconds: over(14.6, 0.5),
            steps_ratio: Some(PairedRatio { mean: 0.8, corrected: Interval { low: 0.7, high: 0.91 }, comparisons: 1, pairs: 3 }),
            seconds_ratio: None,
        };
        let missed = ToTarget { reached: 0, steps: None, tokens: None, seconds: None, steps_ratio: None, ..reached.clone() };
        results.arms[0].to_target = vec![missed];
        results.arms[1].to_target = vec![reached];
        let table = targets(&results).unwrap();
        assert_eq!(row(&table, 0), ["3.600", "baseline", "0 of 3", "", "", "", "", ""]);
        assert_eq!(
            row(&table, 1),
            ["3.600", "dispersion", "2 of 3", "1,200 ± 50", "1,200,000", "14.6 ± 0.500", "0.80× (0.70 to 0.91)", ""]
        );
        assert!(!table.remark.contains("machine"), "{}", table.remark);
        let mut mixed = Results { arms: results.arms, ..sample::mixed() };
        let steps = mixed.arms[1].to_target[0].steps_ratio;
        mixed.arms[1].to_target[0].seconds_ratio = steps.map(|of| PairedRatio { pairs: 2, ..of });
        mixed.arms[1].to_target[0].steps_ratio =
            steps.map(|of| PairedRatio { corrected: Interval { low: f64::NAN, high: f64::NAN }, ..of });
        let table = targets(&mixed).unwrap();
        assert_eq!(row(&table, 1)[6], "0.80× (interval unknown)");
        assert_eq!(row(&table, 1).last(), Some(&"0.80× (0.70 to 0.91), 2 pairs"));
        assert!(table.remark.ends_with(MIXED), "{}", table.remark);
    }
}
