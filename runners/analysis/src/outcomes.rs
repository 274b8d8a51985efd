//! Which items of its tasks each trial has right: whether the records fit together, and can be compared.

use super::arm::ArmRecords;
use regatta_lm::tasks::{Kind, Outcomes, TaskScore};
use regatta_lm::training::Worth;
use regatta_records::{RecordError, TrialFolder};
use std::path::Path;

/// The outcomes of a trial's tasks, which must be those that its `evaluation.json` counts; `None` where it has no tasks, and in
/// folders from before outcomes were recorded.
pub(super) fn read(trial: &TrialFolder, worth: &Worth) -> Result<Option<Vec<Outcomes>>, RecordError> {
    let path = trial.outcomes_file();
    if (worth.minimal_pairs.is_empty() && worth.multiple_choice.is_empty()) || !path.exists() {
        return Ok(None);
    }
    let outcomes = trial.outcomes()?;
    fit(&outcomes, worth).map_err(|message| RecordError::new(&path, message))?;
    Ok(Some(outcomes))
}

/// Whether there is a line for each task of the evaluation, with as many items and as many of them right.
fn fit(outcomes: &[Outcomes], worth: &Worth) -> Result<(), String> {
    let kinds = [(Kind::MinimalPairs, &worth.minimal_pairs), (Kind::MultipleChoice, &worth.multiple_choice)];
    let scores: Vec<(Kind, &TaskScore)> =
        kinds.into_iter().flat_map(|(kind, scores)| scores.iter().map(move |of| (kind, of))).collect();
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
    };
    if !outcomes.iter().map(|of| (of.kind, &of.task)).eq(scores.iter().map(|(kind, score)| (*kind, &score.task))) {
        let expected = names(&mut scores.iter().map(|(_, score)| score.task.as_str()));
        let found = names(&mut outcomes.iter().map(|of| of.task.as_str()));
        return Err(format!("expected a line for each task of evaluation.json ({expected}), found {found}"));
    }
    for (index, (of, (_, score))) in outcomes.iter().zip(&scores).enumerate() {
        let check = |field: &str, right: &[bool], accuracy: f64| {
            let count = right.iter().filter(|right| **right).count();
            let expected = (accuracy * score.items as f64).round();
            if right.len() == score.items && count as f64 == expected {
                return Ok(());
            }
            let (task, items, found) = (&of.task, score.items, right.len());
            Err(format!(
                "line {}: {field}: expected {expected} right of {items} items of `{task}`, as evaluation.json has, found {count} of {found}",
                index + 1
            ))
        };
        check("right", &of.right, score.accuracy)?;
        check("right_normalised", &of.right_normalised, score.accuracy_normalised)?;
    }
    Ok(())
}

/// Whether all trials that are compared were asked the same items: those of a point of the sweep, whatever the arm and seed.
///
/// # Errors
/// At the first trial whose items are others, with the trial that they differ from.
pub(super) fn check(arms: &[ArmRecords], folder: &Path) -> Result<(), RecordError> {
    for arm in arms {
        let first = arms[arm.baseline].outcomes.first_key_value().map(|(seed, of)| (&arms[arm.baseline], seed, of));
        let first = first.or_else(|| arm.outcomes.first_key_value().map(|(seed, of)| (arm, seed, of)));
        let Some((reference, reference_seed, expected)) = first else { continue };
        for (&seed, outcomes) in &arm.outcomes {
            let differs =
                |of: &&Outcomes| expected.iter().any(|other| is_same_task(of, other) && of.fingerprint != other.fingerprint);
            if let Some(of) = outcomes.iter().find(differs) {
                let path = TrialFolder::of(folder, &arm.place, seed).outcomes_file();
                let message = format!(
                    "expected the items of task `{}` that trials/{}/seed-{reference_seed} was asked, found others: their outcomes \
                     cannot be compared item by item; remove the trial that is not this study's, and run the study again",
                    of.task, reference.place
                );
                return Err(RecordError::new(&path, message));
            }
        }
    }
    Ok(())
}

/// Whether both are outcomes of a file of that kind and name.
pub(super) fn is_same_task(one: &Outcomes, other: &Outcomes) -> bool {
    (one.kind, &one.task) == (other.kind, &other.task)
}

/// Why tasks are not judged, where trials of an earlier version have their scores alone.
pub(super) fn not_recorded(arms: &[&ArmRecords]) -> Option<String> {
    let has_tasks = |worth: &Worth| !worth.minimal_pairs.is_empty() || !worth.multiple_choice.is_empty();
    let without = |arm: &ArmRecords| {
        let read = |seed: &u64| arm.runs.contains_key(seed) && !arm.outcomes.contains_key(seed);
        arm.evaluations.iter().filter(|(seed, of)| read(seed) && has_tasks(&of.measures.worth)).count()
    };
    let count: usize = arms.iter().map(|arm| without(arm)).sum();
    let trials = if count == 1 { "1 trial has".to_owned() } else { format!("{count} trials have") };
    (count > 0).then(|| {
        format!("{trials} no items.jsonl, as those of earlier versions: tasks are judged without them, since only outcomes item by item can be compared.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    fn outcomes(task: &str, right: &str, fingerprint: &str) -> Outcomes {
        let line = serde_json::json!({"kind": "minimal_pairs", "task": task, "fingerprint": fingerprint, "right": right,
            "right_normalised": right});
        serde_json::from_value(line).unwrap()
    }

    fn worth(task: &str, accuracy: f64, items: usize) -> Worth {
        let score = serde_json::json!({"task": task, "accuracy": accuracy, "standard_error": 0.1, "accuracy_normalised": accuracy,
            "standard_error_normalised": 0.1, "items": items, "truncated": 0});
        serde_json::from_value(serde_json::json!({"minimal_pairs": [score]})).unwrap()
    }

    #[test]
    fn outcomes_are_those_that_the_evaluation_counts() {
        let check = |lines: &[Outcomes], expected: &str| {
            assert_eq!(fit(lines, &worth("pairs", 2.0 / 3.0, 3)).err().unwrap_or_default(), expected);
        };
        check(&[outcomes("pairs", "101", "f")], "");
        check(&[], "expected a line for each task of evaluation.json (`pairs`), found none");
        check(&[outcomes("other", "101", "f")], "expected a line for each task of evaluation.json (`pairs`), found `other`");
        let counts = "line 1: right: expected 2 right of 3 items of `pairs`, as evaluation.json has, found ";
        check(&[outcomes("pairs", "100", "f")], &format!("{counts}1 of 3"));
        check(&[outcomes("pairs", "11", "f")], &format!("{counts}2 of 2"));
    }

    #[test]
    fn other_items_are_refused_with_both_trials() {
        let mut arms = vec![arm("baseline", &[Some(3.0)]), arm("odd", &[Some(3.0), Some(3.0)])];
        arms[0].outcomes.insert(0, vec![outcomes("pairs", "10", "f")]);
        arms[1].outcomes.insert(0, vec![outcomes("pairs", "11", "f")]);
        assert!(check(&arms, Path::new("out")).is_ok());
        arms[1].outcomes.insert(1, vec![outcomes("pairs", "11", "g")]);
        let error = check(&arms, Path::new("out")).unwrap_err().to_string();
        let expected =
            "out/trials/odd/seed-1/items.jsonl: expected the items of task `pairs` that trials/baseline/seed-0 was asked";
        assert!(error.starts_with(expected), "{error}");
        arms[1].baseline = 1; // at another point of the sweep
        arms[1].outcomes.remove(&0);
        assert!(check(&arms, Path::new("out")).is_ok());
    }
}
