//! What the numbers say, in words.

use crate::further;
use crate::number::{brief, decimals_for, fixed};
use crate::text::{counted, listed, one_line, shortened};
use crate::{Arm, Difference, Results, Verdict};

/// Names that a sentence spells out before it counts the rest.
const MOST_NAMES: usize = 8;

/// A verdict for people to read.
pub trait VerdictWords {
    /// One or two words, for a column.
    fn label(self) -> &'static str;

    /// The verdict on a difference for a column: its label, and how few seeds it rests on where they are fewer than five.
    fn column(self, difference: Option<Difference>) -> String;

    /// The verdict on `arm` in words, with the figures that it rests on.
    fn words(self, arm: &Arm) -> String;
}

impl VerdictWords for Verdict {
    fn label(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "none detected",
            Self::Unknown => "unknown",
        }
    }

    fn column(self, difference: Option<Difference>) -> String {
        let few = difference.filter(|difference| few(difference.pairs) && self != Self::Unknown);
        few.map_or_else(|| self.label().to_owned(), |of| format!("{} ({})", self.label(), counted(of.pairs, "seed")))
    }

    fn words(self, arm: &Arm) -> String {
        match (self, &arm.difference) {
            (Self::Baseline, _) => "baseline".to_owned(),
            (Self::Better, Some(difference)) => format!("better: {}", sized(difference, -1.0, "lower")),
            (Self::Worse, Some(difference)) => format!("worse: {}", sized(difference, 1.0, "higher")),
            (Self::NoDifference, Some(difference)) => {
                let seeds =
                    if difference.pairs == 1 { "this seed".to_owned() } else { format!("these {} seeds", difference.pairs) };
                let few = if few(difference.pairs) { ", fewer than five," } else { "" };
                format!("no difference detected; {seeds}{few} could have detected {}", brief(difference.detectable, 2))
            }
            (Self::Better | Self::Worse, None) => self.label().to_owned(),
            (Self::NoDifference, None) => "no difference detected".to_owned(),
            (Self::Unknown, _) => "too few paired trials to say".to_owned(),
        }
    }
}

/// Whether so few seeds must be said beside a verdict: their spread is guessed from four numbers or less.
fn few(pairs: usize) -> bool {
    pairs < 5
}

/// `0.031 nats lower (95% interval 0.012 to 0.050, corrected for 3 comparisons; 3 seeds, fewer than five)`: the difference
/// times `sign`, its smaller end first.
fn sized(difference: &Difference, sign: f64, direction: &str) -> String {
    let decimals = difference_decimals([difference]);
    let ends = [difference.corrected.low * sign, difference.corrected.high * sign];
    let (near, far) = if sign < 0.0 { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
    format!(
        "{} nats {direction} (95% interval {} to {}{}; {}{})",
        fixed(difference.mean * sign, decimals),
        fixed(near, decimals),
        fixed(far, decimals),
        corrected_for(difference.comparisons).map(|of| format!(", {of}")).unwrap_or_default(),
        counted(difference.pairs, "seed"),
        if few(difference.pairs) { ", fewer than five" } else { "" }
    )
}

/// `corrected for 5 comparisons`; none where there is but one.
pub fn corrected_for(comparisons: usize) -> Option<String> {
    (comparisons > 1).then(|| format!("corrected for {comparisons} comparisons"))
}

/// The decimals that show two digits of the narrowest corrected interval's half-width.
pub fn difference_decimals<'a>(differences: impl IntoIterator<Item = &'a Difference>) -> usize {
    decimals_for(differences.into_iter().map(|difference| {
        let half = (difference.corrected.high - difference.corrected.low) / 2.0;
        if half.is_finite() && half > 0.0 { half } else { difference.mean }
    }))
}

/// The study's answer in one sentence: which arms were better, which worse, and which could not be told from the baseline.
pub fn answer(results: &Results) -> String {
    if results.arms.is_empty() {
        return "The study names no arms, so there is nothing to compare.".to_owned();
    }
    if results.arms.iter().all(|arm| arm.done == 0) {
        return "No trial has finished, so there is nothing to compare.".to_owned();
    }
    if results.arms.iter().all(|arm| arm.verdict == Verdict::Baseline) {
        return "Only the baseline was trained, so there is nothing to compare.".to_owned();
    }
    let named = |verdict| {
        let arms: Vec<&Arm> = results.arms.iter().filter(|arm| arm.verdict == verdict).collect();
        if results.has_many_rows() {
            names_by_arm(results, &arms)
        } else {
            names(arms.iter().map(|arm| shortened(&arm.name, 60)).collect())
        }
    };
    let (better, worse) = (named(Verdict::Better), named(Verdict::Worse));
    let reference = results.reference();
    let mut clauses = Vec::new();
    if let Some((names, verb)) = &better {
        clauses.push(format!("{names} {verb} better than {reference}"));
    }
    if let Some((names, verb)) = &worse {
        clauses
            .push(format!("{names} {verb} worse{}", if better.is_some() { String::new() } else { format!(" than {reference}") }));
    }
    if let Some((names, _)) = named(Verdict::NoDifference) {
        clauses.push(format!("no difference from {reference} was detected for {names}"));
    }
    if let Some((names, _)) = named(Verdict::Unknown) {
        clauses.push(format!("there are too few paired trials to judge {names}"));
    }
    format!("By {} loss, {}.", split(results).0, clauses.join("; "))
}

/// The split that is reported, and what there is to say about it: `validation`, `the study names no test data`.
pub fn split(results: &Results) -> (String, Option<String>) {
    match results.held_out.split_once(" (") {
        Some((split, remark)) => (one_line(split), Some(one_line(remark.strip_suffix(')').unwrap_or(remark)))),
        None => (one_line(&results.held_out), None),
    }
}

/// The arms' names with the verb that goes with them; none for no arms.
fn names(mut names: Vec<String>) -> Option<(String, &'static str)> {
    let count = names.len();
    if count > MOST_NAMES {
        names.truncate(MOST_NAMES);
        names.push(counted(count - MOST_NAMES, "other"));
    }
    (count > 0).then(|| (listed(&names), if count == 1 { "was" } else { "were" }))
}

/// The same for many rows of a sweep: `dispersion (at 12 of 12 points)`.
fn names_by_arm(results: &Results, rows: &[&Arm]) -> Option<(String, &'static str)> {
    let mut arms: Vec<&str> = Vec::new();
    for row in rows {
        if !arms.contains(&row.arm.as_str()) {
            arms.push(&row.arm);
        }
    }
    let count = |arm: &str, rows: &mut dyn Iterator<Item = &Arm>| rows.filter(|row| row.arm == arm).count();
    let name = |arm: &&str| {
        let (some, all) = (count(arm, &mut rows.iter().copied()), count(arm, &mut results.arms.iter()));
        format!("{} (at {some} of {})", shortened(arm, 60), counted(all, "point"))
    };
    names(arms.iter().map(name).collect())
}

/// The cautions that a reader needs before the numbers, a sentence each.
pub fn cautions(results: &Results) -> Vec<String> {
    let mut cautions = Vec::new();
    if let (split, Some(remark)) = split(results) {
        cautions.push(format!("Losses are on the {split} split: {remark}."));
    }
    let seeds = results.seeds.len();
    if (1..5).contains(&seeds) && results.arms.len() > 1 {
        cautions.push(match seeds {
            1 => "One seed gives no interval: nothing here separates an effect from chance.".to_owned(),
            _ => format!("{seeds} seeds are few: the intervals are wide and rough. Five or more make a firmer answer."),
        });
    }
    let lost: usize = results.arms.iter().map(|arm| arm.failures.len()).sum();
    if lost > 0 {
        let planned: usize = results.arms.iter().map(|arm| arm.planned).sum();
        cautions.push(format!(
            "{lost} of {} did not finish; the numbers of those arms rest on the seeds that did.",
            counted(planned.max(lost), "trial")
        ));
    }
    cautions.extend(further::cautions(results));
    cautions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn verdicts_in_words() {
        let check = |verdict, difference, expected: &str| assert_eq!(verdict_words(verdict, difference), expected);
        check(Verdict::Baseline, None, "baseline");
        check(
            Verdict::Better,
            Some([-0.031, -0.050, -0.012]),
            "better: 0.031 nats lower (95% interval 0.012 to 0.050, corrected for 3 comparisons; 3 seeds, fewer than five)",
        );
        check(
            Verdict::Worse,
            Some([0.2, 0.1, 0.3]),
            "worse: 0.200 nats higher (95% interval 0.100 to 0.300, corrected for 3 comparisons; 3 seeds, fewer than five)",
        );
        check(
            Verdict::NoDifference,
            Some([0.004, -0.015, 0.023]),
            "no difference detected; these 3 seeds, fewer than five, could have detected 0.04",
        );
        check(Verdict::Unknown, None, "too few paired trials to say");
    }

    fn verdict_words(verdict: Verdict, difference: Option<[f64; 3]>) -> String {
        verdict.words(&sample::arm("arm", verdict, difference))
    }

    #[test]
    fn five_seeds_are_not_few_and_one_comparison_is_not_corrected() {
        let mut arm = sample::arm("arm", Verdict::Better, Some([-0.031, -0.050, -0.012]));
        assert_eq!(Verdict::Better.column(arm.difference), "better (3 seeds)");
        assert_eq!(Verdict::Unknown.column(arm.difference), "unknown");
        arm.difference = arm.difference.map(|of| Difference { pairs: 5, comparisons: 1, ..of });
        assert_eq!(Verdict::Better.words(&arm), "better: 0.031 nats lower (95% interval 0.012 to 0.050; 5 seeds)");
        assert_eq!(Verdict::Better.column(arm.difference), "better");
        assert_eq!(Verdict::NoDifference.words(&arm), "no difference detected; these 5 seeds could have detected 0.04");
    }

    #[test]
    fn the_answer_names_every_arm() {
        let expected = "By test loss, dispersion was better than baseline; vicreg was worse; \
                        no difference from baseline was detected for infonce.";
        assert_eq!(answer(&sample::results()), expected);
    }

    #[test]
    fn many_rows_are_counted_by_their_arms() {
        let mut results = sample::sweep();
        results.arms = (0..4).flat_map(|_| results.arms.clone()).collect(); // sixteen rows
        results.arms[1].verdict = Verdict::NoDifference;
        let expected = "By test loss, dispersion (at 7 of 8 points) was better than baseline at the same point; \
                        no difference from baseline at the same point was detected for dispersion (at 1 of 8 points).";
        assert_eq!(answer(&results), expected);
    }

    #[test]
    fn what_weakens_the_answer_is_said() {
        let mut results = sample::results();
        results.held_out = "validation (the study names no test data)".into();
        let cautions = cautions(&results);
        assert_eq!(cautions[0], "Losses are on the validation split: the study names no test data.");
        assert!(cautions[1].starts_with("3 seeds are few"), "{cautions:?}");
        assert!(cautions[2].starts_with("1 of 12 trials did not finish"), "{cautions:?}");
        assert!(answer(&results).starts_with("By validation loss, "));
    }

    #[test]
    fn edges_end_in_a_sentence() {
        for (what, results) in sample::edges() {
            let answer = answer(&results);
            assert!(answer.ends_with('.') && answer.len() < 700, "{what}: {answer}");
        }
    }
}
