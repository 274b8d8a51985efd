//! Which items of its tasks a trial has right: read, and held against what the trial counted.

use regatta_lm::tasks::Outcomes;
use regatta_lm::training::Worth;
use regatta_records::{RecordError, TrialFolder};

/// The outcomes of a trial's tasks, which must be those that its `evaluation.json` counts; `None` where it has no tasks, and in
/// folders from before outcomes were recorded.
pub(super) fn read(trial: &TrialFolder, worth: &Worth) -> Result<Option<Vec<Outcomes>>, RecordError> {
    let path = trial.outcomes_file();
    if worth.accuracies().is_empty() || !path.exists() {
        return Ok(None);
    }
    let outcomes = trial.outcomes()?;
    fit(&outcomes, worth).map_err(|message| RecordError::new(&path, message))?;
    Ok(Some(outcomes))
}

/// Whether there is a line for each task of the evaluation, with as many items and as many of them right.
fn fit(outcomes: &[Outcomes], worth: &Worth) -> Result<(), String> {
    let scores = worth.accuracies();
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
    };
    if !outcomes.iter().map(|of| (of.kind, of.task.as_str())).eq(scores.iter().map(|score| (score.form, score.task))) {
        let expected = names(&mut scores.iter().map(|score| score.task));
        let found = names(&mut outcomes.iter().map(|of| of.task.as_str()));
        return Err(format!("expected a line for each task of evaluation.json ({expected}), found {found}"));
    }
    for (index, (of, score)) in outcomes.iter().zip(&scores).enumerate() {
        let check = |field: &str, right: &[bool], accuracy: f64| {
            let count = right.iter().filter(|right| **right).count();
            let expected = (accuracy * score.items as f64).round();
            if right.len() == score.items && count as f64 == expected {
                return Ok(());
            }
            let (task, items, found) = (&of.task, score.items, right.len());
            Err(format!(
                "line {}: {field}: expected {expected} right of {items} items of `{task}`, as evaluation.json has, found {count} of \
                 {found}",
                index + 1
            ))
        };
        check("right", &of.right, score.accuracy)?;
        if let Some([accuracy, _]) = score.normalised {
            check("right_normalised", &of.right_normalised, accuracy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::outcomes;

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
}
