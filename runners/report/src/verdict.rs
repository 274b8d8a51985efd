//! Verdicts in words, with their figures.

use crate::number::{brief, decimals_for, fixed};
use crate::text::{counted, one_line};
use crate::{Arm, Difference, Results, Verdict};

/// A verdict for people to read.
pub trait VerdictWords {
    /// One or two words, for a column.
    fn label(self) -> &'static str;

    /// The verdict on a difference for a column: its label, with the number of seeds below five.
    fn column(self, difference: Option<Difference>) -> String;

    /// The verdict on `arm` in words, with its figures.
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
                if !difference.detectable.is_finite() {
                    let alike = difference.mean == 0.0;
                    let why = if alike { "have the baseline's own losses" } else { "do not tell what they could have detected" };
                    return format!("no difference detected; {seeds}{few} {why}");
                }
                format!("no difference detected; {seeds}{few} could have detected {}", brief(difference.detectable, 2))
            }
            (Self::Better | Self::Worse, None) => self.label().to_owned(),
            (Self::NoDifference, None) => "no difference detected".to_owned(),
            (Self::Unknown, _) => "too few paired trials to say".to_owned(),
        }
    }
}

/// Whether a verdict states its number of seeds, because their spread is estimated from four numbers or fewer.
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

/// `corrected for 5 comparisons`; `None` for one comparison.
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

/// The reported split and its remark: `validation`, `the study names no test data`.
pub fn split(results: &Results) -> (String, Option<String>) {
    match results.held_out.split_once(" (") {
        Some((split, remark)) => (one_line(split), Some(one_line(remark.strip_suffix(')').unwrap_or(remark)))),
        None => (one_line(&results.held_out), None),
    }
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
}
