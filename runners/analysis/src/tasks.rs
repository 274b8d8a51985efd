//! Scores on tasks, over seeds.

use super::arm::ArmRecords;
use super::over::over;
use regatta_lm::tasks::TaskScore;
use regatta_lm::training::Worth;
use regatta_results::TaskResult;
use regatta_statistics::mean;

/// Each task that a trial of `arm` has, minimal pairs first, in the order written.
pub(super) fn tasks(arm: &ArmRecords) -> Vec<TaskResult> {
    let worths: Vec<&Worth> = arm.evaluations.values().map(|evaluation| &evaluation.measures.worth).collect();
    let pairs = of_kind(&worths, true, |worth| &worth.minimal_pairs);
    pairs.into_iter().chain(of_kind(&worths, false, |worth| &worth.multiple_choice)).collect()
}

fn of_kind(worths: &[&Worth], pairs: bool, scores: fn(&Worth) -> &Vec<TaskScore>) -> Vec<TaskResult> {
    let Some(first) = worths.first() else { return Vec::new() };
    let result = |named: &TaskScore| {
        let own = |worth: &&Worth| scores(worth).iter().find(|score| score.task == named.task).cloned();
        let found: Vec<TaskScore> = worths.iter().filter_map(own).collect();
        let all = |measure: fn(&TaskScore) -> f64| found.iter().map(measure).collect::<Vec<f64>>();
        Some(TaskResult {
            task: named.task.clone(),
            pairs,
            accuracy: over(&all(|score| score.accuracy))?,
            standard_error: mean(&all(|score| score.standard_error))?,
            normalised: over(&all(|score| score.accuracy_normalised))?,
            normalised_standard_error: mean(&all(|score| score.standard_error_normalised))?,
            items: named.items,
            truncated: named.truncated,
            judged: None,
        })
    };
    scores(first).iter().filter_map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_averaged_task_by_task() {
        let worth = |accuracy: f64| -> Worth {
            let score = serde_json::json!({"task": "agreement", "accuracy": accuracy, "standard_error": 0.25,
                "accuracy_normalised": 0.5, "standard_error_normalised": 0.125, "items": 4, "truncated": 1});
            serde_json::from_value(serde_json::json!({"multiple_choice": [score]})).unwrap()
        };
        let (one, other) = (worth(0.5), worth(0.75));
        let found = of_kind(&[&one, &other], false, |worth| &worth.multiple_choice);
        assert_eq!((found[0].task.as_str(), found[0].pairs, found[0].items), ("agreement", false, 4));
        assert_eq!((found[0].accuracy.mean, found[0].accuracy.count, found[0].standard_error), (0.625, 2, 0.25));
        assert!(of_kind(&[&one], true, |worth| &worth.minimal_pairs).is_empty());
        assert!(tasks(&ArmRecords::empty("none")).is_empty());
    }
}
