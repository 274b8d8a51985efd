//! Arms that learnt no more than token frequencies.

use super::arm::ArmRecords;
use regatta_records::TrialEvaluation;

/// Most arms that are named; more are counted.
const MOST_NAMED: usize = 6;

/// The arms that ended no better than a model of token frequencies alone; `None` where all are better.
pub(super) fn nothing(arms: &[&ArmRecords]) -> Option<String> {
    let above = |evaluation: &&TrialEvaluation| evaluation.measures.loss >= evaluation.measures.unigram_entropy;
    let named = |arm: &&ArmRecords| {
        let count = arm.evaluations.values().filter(above).count();
        let entropy = arm.evaluations.values().find(above)?.measures.unigram_entropy;
        let of = arm.evaluations.len();
        Some(format!("{} (unigram entropy {entropy:.4}; {count} of {of} seeds)", arm.name))
    };
    let mut names: Vec<String> = arms.iter().filter_map(named).collect();
    if names.is_empty() {
        return None;
    }
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "Has not learnt: the held-out loss is no better than that of token frequencies alone for {}{more}. A difference to or from \
         such an arm says little.",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    #[test]
    fn only_arms_above_the_unigram_entropy_are_named() {
        // of the sample trials it is 5
        let (good, bad) = (arm("good", &[Some(4.9), Some(3.0)]), arm("bad", &[Some(4.9), Some(5.0), Some(7.0)]));
        assert_eq!(nothing(&[&good]), None);
        let note = nothing(&[&good, &bad]).unwrap();
        assert!(note.contains("for bad (unigram entropy 5.0000; 2 of 3 seeds). A"), "{note}");
        let all: Vec<ArmRecords> = (0..8).map(|index| arm(&format!("arm-{index}"), &[Some(6.0)])).collect();
        let note = nothing(&all.iter().collect::<Vec<_>>()).unwrap();
        assert!(note.contains("arm-5") && !note.contains("arm-6") && note.contains(" and 2 more."), "{note}");
    }
}
