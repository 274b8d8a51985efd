//! Tasks at the last checkpoint, and for each seed at the one with the best average of these tasks.
//!
//! The second is how the plots of some papers are made. What is reported is then what was selected on, so it is optimistic; and
//! the more checkpoints, the more so. No verdict is read from it.

use super::arm::ArmRecords;
use super::over::over;
use super::paired::paired_by_seed;
use regatta_lm::tasks::NamedScore;
use regatta_results::{TaskAtCheckpoints, TasksAtCheckpoints};
use regatta_statistics::mean;

/// The reported tasks after so many updates.
struct Checkpoint<'a> {
    /// None of the last one.
    step: Option<usize>,
    scores: &'a [NamedScore],
}

impl Checkpoint<'_> {
    /// The share of a task; of the average of all without a name.
    fn share(&self, task: Option<&str>) -> Option<f64> {
        match task {
            Some(task) => self.scores.iter().find(|score| score.task == task)?.share(),
            None => mean(&self.scores.iter().filter_map(NamedScore::share).collect::<Vec<_>>()),
        }
    }
}

/// The checkpoints of a seed in order, the last one at the end. The weights before the first update are none: they are no arm's.
fn of_seed(arm: &ArmRecords, seed: u64) -> Option<Vec<Checkpoint<'_>>> {
    let last = Checkpoint { step: None, scores: &arm.evaluations.get(&seed)?.measures.worth.tasks };
    let before = arm.scored.get(&seed)?.iter().filter(|scored| scored.step > 0);
    let before = before.map(|scored| Checkpoint { step: Some(scored.step), scores: &scored.scores });
    Some(before.chain(std::iter::once(last)).collect())
}

/// The checkpoint with the best average, the first among equals.
fn best<'a, 'b>(checkpoints: &'b [Checkpoint<'a>]) -> Option<&'b Checkpoint<'a>> {
    let better =
        |best: &'b Checkpoint<'a>, next: &'b Checkpoint<'a>| if next.share(None) > best.share(None) { next } else { best };
    checkpoints.iter().reduce(better)
}

fn at_last(arm: &ArmRecords, seed: u64, task: Option<&str>) -> Option<f64> {
    of_seed(arm, seed)?.last()?.share(task)
}

fn at_best(arm: &ArmRecords, seed: u64, task: Option<&str>) -> Option<f64> {
    best(&of_seed(arm, seed)?)?.share(task)
}

/// The tasks of `evaluate.tasks` that have an accuracy or a probability mass, at both checkpoints; none where they were scored at
/// the end alone.
pub(super) fn checkpoints(arm: &ArmRecords, reference: &ArmRecords) -> Option<TasksAtCheckpoints> {
    let (&first, evaluation) = arm.evaluations.first_key_value()?;
    let named: Vec<&str> =
        evaluation.measures.worth.tasks.iter().filter(|of| of.share().is_some()).map(|of| &of.task[..]).collect();
    let last_step = arm.runs.get(&first)?.validation.last()?.0;
    let scored: Vec<usize> = of_seed(arm, first)?.iter().map(|checkpoint| checkpoint.step.unwrap_or(last_step)).collect();
    if named.is_empty() || scored.len() < 2 {
        return None;
    }
    let seeds = || arm.evaluations.keys().copied();
    let selected = seeds().filter_map(|seed| Some(best(&of_seed(arm, seed)?)?.step.unwrap_or(last_step))).collect();
    let row = |task: Option<&str>| {
        let over_seeds = |share: fn(&ArmRecords, u64, Option<&str>) -> Option<f64>| {
            over(&seeds().filter_map(|seed| share(arm, seed, task)).collect::<Vec<_>>())
        };
        Some(TaskAtCheckpoints {
            task: task.map(str::to_owned),
            last: over_seeds(at_last)?,
            selected: over_seeds(at_best)?,
            last_difference: paired_by_seed(arm, reference, |arm, seed| at_last(arm, seed, task)),
            selected_difference: paired_by_seed(arm, reference, |arm, seed| at_best(arm, seed, task)),
        })
    };
    let average = (named.len() > 1).then_some(None);
    let tasks = named.iter().copied().map(Some).chain(average).filter_map(row).collect();
    Some(TasksAtCheckpoints { scored, selected, tasks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Run;
    use crate::testing::arm;
    use serde_json::json;

    fn scores(shares: [f64; 2]) -> Vec<NamedScore> {
        let score = |(task, form, measure, share): (&str, &str, &str, f64)| json!({"task": task, "form": form, "items": 4, "truncated": 0, "measures": {measure: share}});
        let of = [("a", "last_word", "accuracy", shares[0]), ("b", "probability_mass", "probability_mass", shares[1])];
        let rolling = ("c", "rolling", "bits_per_byte", 7.0);
        serde_json::from_value(of.into_iter().chain([rolling]).map(score).collect()).unwrap()
    }

    /// An arm of two seeds whose tasks were scored after 0, 2 and 4 updates, and after 6, the last one.
    fn with(name: &str, seeds: [[[f64; 2]; 4]; 2]) -> ArmRecords {
        let mut arm = arm(name, &[Some(3.0), Some(3.0)]);
        for (seed, shares) in (0..).zip(seeds) {
            arm.evaluations.get_mut(&seed).unwrap().measures.worth.tasks = scores(shares[3]);
            let scored = |(step, shares): (usize, &[f64; 2])| json!({"step": step, "scores": scores(*shares)});
            let scored = [0, 2, 4].into_iter().zip(&shares).map(scored).collect();
            arm.scored.insert(seed, serde_json::from_value(scored).unwrap());
            let validation = vec![(0, 4.0), (6, 3.0)];
            arm.runs.insert(seed, Run { training: vec![], validation, batch_tokens: 1.0, timeline: None });
        }
        arm
    }

    #[test]
    fn both_ways_by_hand() {
        // before the first update all is best, and does not count; then the averages .5 .4 .45 and .25 .25 .5
        let own = [[[1.0, 1.0], [0.25, 0.75], [0.5, 0.3], [0.6, 0.3]], [[1.0, 1.0], [0.25, 0.25], [0.25, 0.25], [0.5, 0.5]]];
        let other = [[[0.0, 0.0], [0.0, 0.5], [0.0, 0.0], [0.0, 0.0]]; 2];
        let (own, other) = (with("own", own), with("baseline", other));
        let found = checkpoints(&own, &other).unwrap();
        assert_eq!((&found.scored[..], &found.selected[..]), (&[2, 4, 6][..], &[2, 6][..]));
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, {expected}");
        let [a, b, average] = &found.tasks[..] else { panic!("{found:?}") };
        assert_eq!((a.task.as_deref(), b.task.as_deref(), &average.task), (Some("a"), Some("b"), &None));
        close(a.last.mean, 0.55);
        close(a.selected.mean, 0.375); // .25 and .5: worse there, for the average decides
        close(average.last.mean, 0.475); // .45 and .5
        close(average.selected.mean, 0.5); // .5 and .5
        close(average.last_difference.unwrap().mean, 0.475);
        close(average.selected_difference.unwrap().mean, 0.25); // the baseline is at its own best, .25
        assert!(checkpoints(&other, &other).unwrap().tasks[0].last_difference.is_none());
    }

    #[test]
    fn a_single_checkpoint_is_not_selected() {
        let mut arm = with("own", [[[0.5, 0.5]; 4]; 2]);
        arm.scored.values_mut().for_each(|scored| scored.truncate(1));
        assert!(checkpoints(&arm, &arm).is_none());
    }
}
