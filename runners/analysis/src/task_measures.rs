//! Perplexities and probability masses of tasks, over seeds and against the baseline.

use super::arm::ArmRecords;
use super::over::over;
use super::paired::paired;
use regatta_records::TrialEvaluation;
use regatta_results::TaskMeasure;

/// Measures that a table shows, by their names in the records: in words, and whether more is better.
const SHOWN: [(&str, &str, bool); 5] = [
    ("perplexity", "perplexity of the last word", false),
    ("probability_mass", "probability mass of true answers", true),
    ("word_perplexity", "perplexity per word", false),
    ("byte_perplexity", "perplexity per byte", false),
    ("bits_per_byte", "bits per byte", false),
];

/// Each such measure that a trial of `arm` has, task by task. `reference` is the arm that it is compared with, the baseline itself
/// for the baseline.
pub(super) fn measures(arm: &ArmRecords, reference: &ArmRecords) -> Vec<TaskMeasure> {
    let Some(first) = arm.evaluations.values().next() else { return Vec::new() };
    let tasks = first.measures.worth.tasks.iter();
    let result = |task: &str, (name, words, higher_is_better): (&str, &str, bool)| {
        let own = |evaluation: &TrialEvaluation| {
            evaluation.measures.worth.tasks.iter().find(|score| score.task == task)?.measures.get(name).copied()
        };
        Some(TaskMeasure {
            task: task.to_owned(),
            measure: words.to_owned(),
            higher_is_better,
            value: over(&arm.evaluations.values().filter_map(own).collect::<Vec<_>>())?,
            difference: paired(arm, reference, own),
        })
    };
    tasks.flat_map(|score| SHOWN.into_iter().filter_map(|shown| result(&score.task, shown))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    #[test]
    fn measures_are_averaged_and_paired_task_by_task() {
        let with = |name: &str, bits: [f64; 2]| {
            let mut arm = arm(name, &[Some(3.0), Some(3.0)]);
            for (evaluation, bits) in arm.evaluations.values_mut().zip(bits) {
                let score = serde_json::json!({"task": "wiki", "form": "rolling", "items": 2, "truncated": 0,
                    "measures": {"bits_per_byte": bits, "words": 9}});
                evaluation.measures.worth.tasks = vec![serde_json::from_value(score).unwrap()];
            }
            arm
        };
        let (baseline, other) = (with("baseline", [2.0, 2.5]), with("other", [1.5, 1.75]));
        let found = measures(&other, &baseline);
        assert_eq!((found.len(), found[0].measure.as_str(), found[0].value.mean), (1, "bits per byte", 1.625));
        assert_eq!((found[0].difference.unwrap().mean, found[0].higher_is_better), (-0.625, false));
        assert!(
            measures(&baseline, &baseline)[0].difference.is_none() && measures(&ArmRecords::empty("a"), &baseline).is_empty()
        );
    }
}
