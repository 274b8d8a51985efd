//! Scores on tasks, over seeds and against the baseline.

use super::arm::ArmRecords;
use super::comparison::{Family, verdict_of};
use super::over::{ends, over};
use super::same_items::of_same_items;
use regatta_lm::spec::TaskForm;
use regatta_lm::tasks::Outcomes;
use regatta_lm::training::{Accuracy, Worth};
use regatta_results::{TaskAverage, TaskResult, TaskTest, TaskVerdict};
use regatta_statistics::{TaskDifference, mean};

/// Each task that a trial of `arm` has, minimal pairs first, in the order written, and how it compares with `reference`, item by
/// item.
pub(super) fn tasks(arm: &ArmRecords, reference: &ArmRecords, family: &Family<'_>) -> Vec<TaskResult> {
    let worths: Vec<&Worth> = arm.evaluations.values().map(|evaluation| &evaluation.measures.worth).collect();
    let scores: Vec<Vec<Accuracy<'_>>> = worths.iter().map(|worth| worth.accuracies()).collect();
    let mut tasks = over_seeds(&scores);
    // any of the tasks of any of the arms might have been picked
    let comparisons = family.comparisons() * tasks.len();
    let outcomes = shared(arm, reference);
    for task in &mut tasks {
        let found = outcomes.iter().find(|of| (in_words(of.kind), of.task) == (task.form.clone(), task.task.as_str()));
        task.judged = found.and_then(|of| Some(judged(TaskDifference::of(&of.rows)?, of.rows.len(), comparisons)));
    }
    tasks
}

/// `arm` on all of its tasks, each with the same weight; none without a task.
pub(super) fn average(arm: &ArmRecords, reference: &ArmRecords, family: &Family<'_>) -> Option<TaskAverage> {
    let scores = |worth: &Worth| worth.accuracies().iter().map(|of| of.accuracy).collect::<Vec<_>>();
    let scores: Vec<Vec<f64>> = arm.evaluations.values().map(|evaluation| scores(&evaluation.measures.worth)).collect();
    let accuracy = over(&scores.iter().filter_map(|scores| mean(scores)).collect::<Vec<_>>())?;
    let tasks = scores.iter().map(Vec::len).max()?;
    let outcomes = shared(arm, reference);
    let difference = match &outcomes[..] {
        [one] => TaskDifference::of(&one.rows),
        several => TaskDifference::average(&several.iter().map(|of| of.rows.clone()).collect::<Vec<_>>()),
    };
    let difference = difference.filter(|_| outcomes.len() == tasks); // an average over fewer tasks is another one
    let judged = difference.map(|difference| judged(difference, outcomes[0].rows.len(), family.comparisons()));
    Some(TaskAverage { tasks, accuracy, judged })
}

/// What both arms say to the items of a task: a row for each seed that both finished, and for each item 1 where the arm alone is
/// right, -1 where the reference alone is.
struct Shared<'a> {
    kind: TaskForm,
    task: &'a str,
    rows: Vec<Vec<f64>>,
}

/// The tasks that both arms were asked with the same items; none of an arm with itself.
fn shared<'a>(arm: &'a ArmRecords, reference: &ArmRecords) -> Vec<Shared<'a>> {
    let both: Vec<(&Vec<Outcomes>, &Vec<Outcomes>)> = arm
        .outcomes
        .iter()
        .filter_map(|(seed, own)| Some((own, reference.outcomes.get(seed)?)))
        .filter(|_| arm.name != reference.name)
        .collect();
    let Some((first, _)) = both.first() else { return Vec::new() };
    let task = |named: &'a Outcomes| {
        let row = |(own, other): &(&Vec<Outcomes>, &Vec<Outcomes>)| {
            let (own, other) = (of_same_items(own, named)?, of_same_items(other, named)?);
            let difference = |(own, other): (&bool, &bool)| f64::from(i8::from(*own) - i8::from(*other));
            Some(own.right.iter().zip(&other.right).map(difference).collect::<Vec<f64>>())
        };
        let rows = both.iter().map(row).collect::<Option<Vec<_>>>()?;
        Some(Shared { kind: named.kind, task: &named.task, rows })
    };
    first.iter().filter_map(task).collect()
}

/// A difference as a row of the results has it; a higher accuracy is better, and the verdict is that on a loss of its negative.
fn judged(difference: TaskDifference, pairs: usize, comparisons: usize) -> TaskVerdict {
    let interval = difference.interval(comparisons);
    let mirrored = regatta_statistics::Interval { low: -interval.high, high: -interval.low };
    TaskVerdict {
        test: match difference {
            TaskDifference::OfSeedsAndItems(_) => TaskTest::SeedsAndItems,
            TaskDifference::OfSeedsAndTasks(_) => TaskTest::SeedsAndTasks,
            TaskDifference::OfItems(_) => TaskTest::Items,
            TaskDifference::OfTasks(_) => TaskTest::Tasks,
        },
        mean: difference.mean(),
        corrected: ends(interval),
        comparisons,
        pairs,
        p: difference.p(),
        detectable: difference.detectable(comparisons),
        verdict: verdict_of(regatta_statistics::verdict(Some(mirrored))),
    }
}

/// A form as pages have it.
fn in_words(form: TaskForm) -> String {
    form.field().replace('_', " ")
}

/// The tasks of the first seed, each over all seeds.
fn over_seeds(seeds: &[Vec<Accuracy<'_>>]) -> Vec<TaskResult> {
    let Some(first) = seeds.first() else { return Vec::new() };
    let result = |named: &Accuracy<'_>| {
        let own = |scores: &Vec<Accuracy<'_>>| {
            scores.iter().find(|score| (score.form, score.task) == (named.form, named.task)).map(|score| {
                let normalised = score.normalised.unwrap_or([f64::NAN; 2]);
                [score.accuracy, score.standard_error, normalised[0], normalised[1]]
            })
        };
        let found: Vec<[f64; 4]> = seeds.iter().filter_map(own).collect();
        let all = |measure: usize| found.iter().map(|measures| measures[measure]).collect::<Vec<f64>>();
        let has_lengths = named.normalised.is_some();
        Some(TaskResult {
            task: named.task.to_owned(),
            pairs: named.form == TaskForm::MinimalPairs,
            form: in_words(named.form),
            accuracy: over(&all(0))?,
            standard_error: mean(&all(1))?,
            normalised: over(&all(2)).filter(|_| has_lengths),
            normalised_standard_error: mean(&all(3)).filter(|_| has_lengths),
            chance: named.chance,
            items: named.items,
            truncated: named.truncated,
            judged: None,
        })
    };
    first.iter().filter_map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arm, outcomes};
    use regatta_results::Verdict;

    #[test]
    fn scores_are_averaged_task_by_task() {
        let worth = |accuracy: f64| -> Worth {
            let score = serde_json::json!({"task": "agreement", "accuracy": accuracy, "standard_error": 0.25,
                "accuracy_normalised": 0.5, "standard_error_normalised": 0.125, "items": 4, "truncated": 1});
            serde_json::from_value(serde_json::json!({"multiple_choice": [score]})).unwrap()
        };
        let (one, other) = (worth(0.5), worth(0.75));
        let found = over_seeds(&[one.accuracies(), other.accuracies()]);
        assert_eq!((found[0].task.as_str(), found[0].pairs, found[0].items), ("agreement", false, 4));
        assert_eq!((found[0].form.as_str(), found[0].normalised.unwrap().mean), ("multiple choice", 0.5));
        assert_eq!((found[0].accuracy.mean, found[0].accuracy.count, found[0].standard_error), (0.625, 2, 0.25));
        assert!(over_seeds(&[]).is_empty());
        let (none, family) = (ArmRecords::empty("none"), Family::with_baselines(&[]));
        assert!(tasks(&none, &none, &family).is_empty() && average(&none, &none, &family).is_none());
    }

    /// An arm with outcomes on tasks, seed by seed and task by task.
    fn with_outcomes(name: &str, seeds: &[[&str; 2]]) -> ArmRecords {
        let mut arm = arm(name, &vec![Some(3.0); seeds.len()]);
        for (seed, tasks) in seeds.iter().enumerate() {
            let score = |(task, right): (&str, &str)| {
                let accuracy = right.matches('1').count() as f64 / right.len() as f64;
                serde_json::json!({"task": task, "accuracy": accuracy, "standard_error": 0.1, "accuracy_normalised": 0.0,
                    "standard_error_normalised": 0.0, "items": right.len(), "truncated": 0})
            };
            let worth =
                serde_json::json!({"minimal_pairs": [score(("a", tasks[0]))], "multiple_choice": [score(("b", tasks[1]))]});
            arm.evaluations.get_mut(&(seed as u64)).unwrap().measures.worth = serde_json::from_value(worth).unwrap();
            let of_pairs = outcomes("a", tasks[0], "f");
            let of_choices = Outcomes { kind: TaskForm::MultipleChoice, ..outcomes("b", tasks[1], "f") };
            let lines = vec![of_pairs, of_choices];
            arm.outcomes.insert(seed as u64, lines);
        }
        arm
    }

    #[test]
    fn several_seeds_are_judged_over_seeds_and_items() {
        let none = ["0000", "00"];
        let mut arms = vec![with_outcomes("baseline", &[none, none]), with_outcomes("odd", &[["1111", "10"], ["1110", "10"]])];
        arms.push(ArmRecords::empty("tried")); // it counts
        let family = Family::with_baselines(&arms);
        let found = tasks(&arms[1], &arms[0], &family);
        let [a, b] = [0, 1].map(|index| found[index].judged.unwrap());
        // differences of the seeds 1 and 3/4: 7/8, and two comparisons of two tasks each
        assert_eq!((a.mean, a.comparisons, a.pairs, a.test), (0.875, 4, 2, TaskTest::SeedsAndItems));
        // the seeds' part (1/32) / 2; items' means 1 1 1 1/2 have the variance 1/16, less MS_e / 2 = 1/16: nothing
        // t of one degree of freedom, 5% shared by four: half a width of tan(0.49375 π) / 8 = 6.4, which ends where fractions do
        assert_eq!((a.corrected.low, a.corrected.high, a.detectable), (-1.0, 1.0, None), "{a:?}");
        assert_eq!((a.verdict, b.mean, b.verdict), (Verdict::NoDifference, 0.5, Verdict::NoDifference));
        let average = average(&arms[1], &arms[0], &family).unwrap();
        let of = average.judged.unwrap();
        assert_eq!((average.tasks, of.mean, of.comparisons, of.test), (2, 0.6875, 2, TaskTest::SeedsAndTasks));
        assert_eq!((average.accuracy.low, average.accuracy.high), (0.625, 0.75));
        let own = tasks(&arms[0], &arms[0], &family);
        assert!(own.iter().all(|task| task.judged.is_none()), "the baseline is not judged");
    }

    #[test]
    fn one_seed_is_judged_by_mcnemar_and_better_is_higher() {
        let arms = [with_outcomes("baseline", &[["00000000", "11"]]), with_outcomes("odd", &[["11111111", "01"]])];
        let family = Family::with_baselines(&arms);
        let found = tasks(&arms[1], &arms[0], &family);
        let a = found[0].judged.unwrap();
        // eight wins of eight: p = 2/2^8, the lower end (2·0.0125^(1/8) - 1) of two comparisons
        assert_eq!((a.test, a.verdict, a.mean, a.detectable, a.comparisons), (TaskTest::Items, Verdict::Better, 1.0, None, 2));
        assert!((a.p - 2.0 / 256.0).abs() < 1e-12 && (a.corrected.low - (2.0 * 0.0125f64.powf(0.125) - 1.0)).abs() < 1e-9);
        assert_eq!(found[1].judged.map(|of| (of.mean, of.p, of.verdict)), Some((-0.5, 1.0, Verdict::NoDifference)));
        let back = tasks(&arms[0], &arms[1], &family)[0].judged.unwrap();
        assert_eq!((back.verdict, back.mean), (Verdict::Worse, -1.0));
        let average = average(&arms[1], &arms[0], &family).unwrap().judged.unwrap();
        assert_eq!((average.test, average.mean, average.comparisons), (TaskTest::Tasks, 0.25, 1));
    }

    #[test]
    fn other_items_and_missing_outcomes_are_not_judged() {
        let mut arms = vec![with_outcomes("baseline", &[["00", "11"]]), with_outcomes("odd", &[["11", "01"]])];
        arms[1].outcomes.get_mut(&0).unwrap()[0].fingerprint = "g".into(); // as at another point of a sweep over tokenizers
        let judge = |arms: &[ArmRecords]| {
            let family = Family::with_baselines(arms);
            let tasks = tasks(&arms[1], &arms[0], &family);
            let average = average(&arms[1], &arms[0], &family).unwrap();
            [tasks[0].judged, tasks[1].judged, average.judged].map(|of| of.is_some())
        };
        assert_eq!(judge(&arms), [false, true, false]);
        arms[1].outcomes.clear();
        assert_eq!(judge(&arms), [false; 3]);
    }
}
