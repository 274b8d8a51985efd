//! Which trials were asked the same items: only those can be compared item by item.

use super::arm::ArmRecords;
use regatta_lm::tasks::Outcomes;
use regatta_records::{RecordError, TrialFolder};
use std::path::Path;

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
fn is_same_task(one: &Outcomes, other: &Outcomes) -> bool {
    (one.kind, &one.task) == (other.kind, &other.task)
}

/// The outcomes of a task among those of a trial, where it was asked the same items.
pub(super) fn of_same_items<'a>(outcomes: &'a [Outcomes], task: &Outcomes) -> Option<&'a Outcomes> {
    outcomes.iter().find(|of| is_same_task(of, task) && of.fingerprint == task.fingerprint)
}

/// Why tasks are not judged, where trials of an earlier version have their scores alone.
pub(super) fn not_recorded(arms: &[&ArmRecords]) -> Option<String> {
    let without = |arm: &ArmRecords| {
        let read = |seed: &u64| arm.runs.contains_key(seed) && !arm.outcomes.contains_key(seed);
        arm.evaluations.iter().filter(|(seed, of)| read(seed) && !of.measures.worth.accuracies().is_empty()).count()
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
    use crate::testing::{arm, outcomes};

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
