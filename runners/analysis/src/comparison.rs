//! The difference between two arms, and the verdict on it, corrected for all comparisons that are judged together.

use super::arm::ArmRecords;
use super::equal_time::at_equal_time;
use super::over::ends;
use regatta_results::{Difference, EqualTime, Verdict};
use regatta_statistics::{Paired, bootstrap_interval, holm, probability_of_improvement, wilcoxon_p};

/// Comparisons that are judged together: a verdict on one must hold for all.
pub(super) struct Family<'a> {
    pairs: Vec<[&'a str; 2]>,
    /// p of each pair after Holm; 1 where it has none. An arm that never finished was tried, and counts.
    adjusted: Vec<f64>,
}

impl<'a> Family<'a> {
    /// Every row with its own baseline.
    pub fn with_baselines(arms: &'a [ArmRecords]) -> Self {
        let others = arms.iter().enumerate().filter(|(index, arm)| arm.baseline != *index);
        Self::of(others.map(|(_, arm)| [arm, &arms[arm.baseline]]).collect())
    }

    /// Every arm with every other: any of these pairs might have been picked.
    pub fn all_pairs(arms: &'a [ArmRecords]) -> Self {
        Self::of(arms.iter().enumerate().flat_map(|(index, arm)| arms[..index].iter().map(move |other| [arm, other])).collect())
    }

    fn of(pairs: Vec<[&'a ArmRecords; 2]>) -> Self {
        let p = |[arm, other]: &[&ArmRecords; 2]| paired(arm, other).map_or(1.0, |paired| paired.p);
        let adjusted = holm(&pairs.iter().map(p).collect::<Vec<_>>());
        Self { pairs: pairs.into_iter().map(|[arm, other]| [arm.name.as_str(), other.name.as_str()]).collect(), adjusted }
    }

    /// The number of comparisons.
    pub fn comparisons(&self) -> usize {
        self.pairs.len()
    }

    /// Holm's p of two arms, whichever is named first.
    fn adjusted(&self, arm: &str, other: &str) -> f64 {
        let index = self.pairs.iter().position(|pair| *pair == [arm, other] || *pair == [other, arm]);
        index.map_or(f64::NAN, |index| self.adjusted[index])
    }

    /// The difference of `arm` from `reference`, and the verdict on it; `None` below two seeds that both finished.
    pub fn difference(&self, arm: &ArmRecords, reference: &ArmRecords) -> (Option<Difference>, Verdict) {
        let comparisons = self.comparisons();
        let Some(paired) = paired(arm, reference) else { return (None, Verdict::Unknown) };
        let differences = differences(arm, reference);
        let corrected = paired.interval(comparisons);
        let equal_time = at_equal_time(arm, reference).map(|(paired, seconds)| EqualTime {
            mean: paired.mean,
            corrected: ends(paired.interval(comparisons)),
            pairs: paired.pairs,
            seconds,
        });
        let difference = Difference {
            mean: paired.mean,
            interval: ends(paired.interval(1)),
            corrected: ends(corrected),
            comparisons,
            bootstrap: bootstrap_interval(&differences).map(ends),
            pairs: paired.pairs,
            detectable: paired.detectable(comparisons),
            p: paired.p,
            p_holm: self.adjusted(&arm.name, &reference.name),
            p_wilcoxon: wilcoxon_p(&differences),
            effect_size: paired.effect_size,
            improvement: probability_of_improvement(&arm.losses(), &reference.losses()),
            equal_time,
        };
        (Some(difference), verdict_of(regatta_statistics::verdict(Some(corrected))))
    }
}

/// Held-out loss of `arm` minus that of `reference`, over the seeds that both finished.
fn differences(arm: &ArmRecords, reference: &ArmRecords) -> Vec<f64> {
    let loss = |arm: &ArmRecords, seed: &u64| arm.evaluations.get(seed).map(|evaluation| evaluation.measures.loss);
    arm.evaluations.keys().filter_map(|seed| Some(loss(arm, seed)? - loss(reference, seed)?)).collect()
}

fn paired(arm: &ArmRecords, reference: &ArmRecords) -> Option<Paired> {
    Paired::of(&differences(arm, reference))
}

/// The same verdict as a value of the results. The types differ, since a row may also be the baseline, and since results and
/// statistics do not depend on each other.
fn verdict_of(verdict: regatta_statistics::Verdict) -> Verdict {
    match verdict {
        regatta_statistics::Verdict::Better => Verdict::Better,
        regatta_statistics::Verdict::Worse => Verdict::Worse,
        regatta_statistics::Verdict::NoDifference => Verdict::NoDifference,
        regatta_statistics::Verdict::Unknown => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    fn all(losses: [f64; 3]) -> Vec<Option<f64>> {
        losses.map(Some).to_vec()
    }

    #[test]
    fn a_verdict_is_that_of_all_comparisons() {
        // differences 0.9, 1.0, 1.1: 1 ± 4.303·0.0577 alone, and of 45 comparisons 1 ± 29.98·0.0577
        let mut arms = vec![arm("baseline", &all([3.0; 3])), arm("odd", &all([3.9, 4.0, 4.1]))];
        let judge = |arms: &[ArmRecords]| Family::with_baselines(arms).difference(&arms[1], &arms[0]);
        let (alone, verdict) = judge(&arms);
        let alone = alone.unwrap();
        assert_eq!((verdict, alone.comparisons, alone.interval), (Verdict::Worse, 1, alone.corrected));
        assert!((alone.p_holm - alone.p).abs() < 1e-15 && alone.improvement == Some(0.0));

        arms.extend((0..44).map(|index| arm(&format!("arm-{index}"), &[]))); // none of their trials finished, yet all were tried
        let (among, verdict) = judge(&arms);
        let among = among.unwrap();
        assert_eq!((verdict, among.comparisons), (Verdict::NoDifference, 45));
        assert_eq!(among.interval, alone.interval);
        assert!(among.corrected.low < 0.0 && among.corrected.high > 2.0, "{among:?}");
        assert!((among.p_holm - 45.0 * alone.p).abs() < 1e-12, "{among:?}");
        assert!(among.detectable > 4.0 * alone.detectable);
    }

    #[test]
    fn rows_of_a_sweep_have_baselines_of_their_own_and_one_family() {
        // at each of two points the arm is 1 above its own baseline, which are 5 apart
        let mut arms = [
            arm("baseline x=1", &all([3.0; 3])),
            arm("odd x=1", &all([3.9, 4.0, 4.1])),
            arm("baseline x=2", &all([8.0; 3])),
            arm("odd x=2", &all([8.9, 9.0, 9.1])),
        ];
        (arms[2].baseline, arms[3].baseline) = (2, 2);
        let family = Family::with_baselines(&arms);
        assert_eq!(family.comparisons(), 2);
        for (odd, baseline) in [(1, 0), (3, 2)] {
            let difference = family.difference(&arms[odd], &arms[baseline]).0.unwrap();
            assert!((difference.mean - 1.0).abs() < 1e-12 && (difference.p_holm - 2.0 * difference.p).abs() < 1e-9);
        }
    }

    #[test]
    fn any_pair_might_have_been_picked() {
        let arms = [arm("a", &all([1.0, 2.0, 3.0])), arm("b", &all([1.1, 2.0, 3.4])), arm("c", &all([1.2, 2.1, 3.1]))];
        let family = Family::all_pairs(&arms);
        assert_eq!(family.comparisons(), 3);
        let (forth, back) = (family.difference(&arms[0], &arms[2]).0.unwrap(), family.difference(&arms[2], &arms[0]).0.unwrap());
        assert_eq!((forth.mean, forth.p_holm), (-back.mean, back.p_holm));
        assert!(forth.p_holm > forth.p && forth.p_holm.is_finite(), "{forth:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_unknown() {
        let baseline = arm("baseline", &all([3.0, 3.1, 3.2]));
        for losses in [&[][..], &[Some(3.0)], &[None, Some(3.0), None], &[Some(3.0), Some(f64::NAN), Some(3.1)]] {
            let arms = [arm("baseline", &all([3.0, 3.1, 3.2])), arm("odd", losses)];
            let (difference, verdict) = Family::with_baselines(&arms).difference(&arms[1], &baseline);
            assert!(difference.is_none() && verdict == Verdict::Unknown, "{losses:?}");
        }
        assert_eq!(Family::with_baselines(&[]).comparisons(), 0);
    }

    #[test]
    fn equal_losses_are_no_difference() {
        let arms = [arm("baseline", &all([3.0, 3.1, 3.2])), arm("same", &all([3.0, 3.1, 3.2]))];
        let (difference, verdict) = Family::with_baselines(&arms).difference(&arms[1], &arms[0]);
        let difference = difference.unwrap();
        assert_eq!((verdict, difference.mean, difference.p, difference.effect_size), (Verdict::NoDifference, 0.0, 1.0, 0.0));
        assert_eq!((difference.p_wilcoxon, difference.improvement), (None, Some(0.5)));
        assert!(difference.equal_time.is_none());
    }
}
