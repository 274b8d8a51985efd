//! Accuracies on minimal pairs and on multiple choice.

use super::{Cell, Further, Row};
use crate::figures::chance;
use crate::number::{brief, fixed, signed};
use crate::text::{counted, shortened};
use crate::verdict::{VerdictWords, corrected_for};
use crate::{Arm, OverSeeds, Results, TaskAverage, TaskResult, TaskVerdict, Verdict};

/// Titles of the columns, and whether they are of numbers.
const TITLES: [(&str, bool); 13] = [
    ("task", false),
    ("kind", false),
    ("arm", false),
    ("accuracy", true),
    ("by length", true),
    ("chance", true),
    ("items", true),
    ("cut short", true),
    ("difference", true),
    ("95% interval", true),
    ("p, alone", true),
    ("verdict", false),
    ("detectable at 80%", true),
];

/// Forms that a list of files has.
const LISTED: [&str; 2] = ["minimal pairs", "multiple choice"];

/// Columns of a study whose tasks are not judged.
const UNJUDGED: usize = 8;

/// A row for each task and arm, sorted by task; `None` where the study names no tasks.
pub fn accuracies(results: &Results) -> Option<Further> {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for task in results.arms.iter().flat_map(|arm| &arm.tasks) {
        if !known.contains(&(&task.task, &task.form)) {
            known.push((&task.task, &task.form));
        }
    }
    if known.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for (name, form) in &known {
        for arm in &results.arms {
            rows.extend(arm.tasks.iter().filter(|task| task.task == *name && task.form == *form).map(|task| row(arm, task)));
        }
    }
    let averaged = || results.arms.iter().filter_map(|arm| Some((arm, arm.task_average.as_ref()?)));
    rows.extend(averaged().filter(|(_, of)| of.tasks > 1).map(|(arm, of)| average_row(arm, of)));
    let judged = averaged()
        .find_map(|(_, of)| of.judged)
        .or_else(|| results.arms.iter().flat_map(|arm| &arm.tasks).find_map(|of| of.judged));
    if judged.is_none() {
        rows.iter_mut().for_each(|row: &mut Row| row.cells.truncate(UNJUDGED));
    }
    Some(Further {
        title: if results.arms.iter().flat_map(|arm| &arm.tasks).all(|task| LISTED.contains(&&task.form[..])) {
            "Minimal pairs and multiple choice"
        } else {
            "Accuracy on tasks"
        },
        plots: &[],
        remark: remark(results, judged),
        titles: TITLES[..if judged.is_some() { TITLES.len() } else { UNJUDGED }].to_vec(),
        rows,
    })
}

/// What the columns are, and what their errors and verdicts mean.
fn remark(results: &Results, judged: Option<TaskVerdict>) -> String {
    let tasks = || results.arms.iter().flat_map(|arm| &arm.tasks);
    let several = tasks().any(|task| task.accuracy.sd.is_finite());
    let over_seeds = if several { "Mean over seeds ± " } else { "Accuracy ± " };
    let truncated = tasks().map(|task| task.truncated).max().unwrap_or(0);
    let cut = if truncated > 0 {
        format!(" Of up to {} the front did not fit the model's context.", counted(truncated, "choice"))
    } else {
        String::new()
    };
    let verdicts = judged.map_or("No verdict is read from these.".to_owned(), |of| verdicts(results, of));
    format!(
        "Fraction of items whose right choice the model finds likeliest, and the same with log-likelihoods divided by length. \
         {over_seeds}the standard error of one model's accuracy as an estimate for more such items: not that of a difference between \
         arms, which answer the same items. Chance is the accuracy of answers at random.{cut} \
         {verdicts}"
    )
}

/// What the verdicts are read from.
fn verdicts(results: &Results, any: TaskVerdict) -> String {
    let all = || results.arms.iter().flat_map(|arm| &arm.tasks).filter_map(|task| task.judged);
    let average = results.arms.iter().find_map(|arm| arm.task_average.as_ref().filter(|of| of.tasks > 1)?.judged);
    let corrected = |of: Option<TaskVerdict>| of.and_then(|of| corrected_for(of.comparisons));
    let corrections: Vec<String> = [("", corrected(all().next())), ("the average ", corrected(average))]
        .into_iter()
        .filter_map(|(of, words)| Some(format!(", {of}{}", words?)))
        .collect();
    let sampled = if any.test.is_of_two_models() {
        "One seed says nothing of the arms: these are verdicts on two trained models, by McNemar's exact test on the items that only \
         one of them has right"
    } else {
        "Seeds and items count as samples"
    };
    let clustered = match average {
        None => "",
        Some(of) if of.test.is_of_two_models() => ", and of the average by Student's t over the tasks",
        Some(_) => "; in the average the tasks do in place of the items",
    };
    format!(
        "Verdicts are read from the 95% interval of the difference in accuracy from the baseline's, item by item{}. \
         {sampled}{clustered}.",
        corrections.concat()
    )
}

/// A line for each arm under a heading: how it does on all tasks. None where tasks are not judged.
pub fn lines(results: &Results) -> (&'static str, Vec<String>) {
    let line = |arm: &Arm| Some(format!("{}: {}", shortened(&arm.name, 60), words(&arm.task_average.as_ref()?.judged?)));
    ("Accuracy on tasks, averaged over them:", results.arms.iter().filter_map(line).collect())
}

/// `better: 0.031 higher (95% interval 0.012 to 0.050, corrected for 3 comparisons; 3 seeds, fewer than five)`.
pub fn words(of: &TaskVerdict) -> String {
    let two_models = of.test.is_of_two_models();
    let few = if two_models || of.pairs >= 5 { "" } else { ", fewer than five" };
    let sized = |sign: f64, direction: &str| {
        let ends = [of.corrected.low * sign, of.corrected.high * sign];
        let (near, far) = if sign < 0.0 { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
        let corrected = corrected_for(of.comparisons).map(|words| format!(", {words}")).unwrap_or_default();
        let seeds = if two_models { "one seed: of these two models".to_owned() } else { counted(of.pairs, "seed") + few };
        format!(
            "{} {direction} (95% interval {} to {}{corrected}; {seeds})",
            fixed(of.mean * sign, 3),
            fixed(near, 3),
            fixed(far, 3)
        )
    };
    match of.verdict {
        Verdict::Better => format!("better: {}", sized(1.0, "higher")),
        Verdict::Worse => format!("worse: {}", sized(-1.0, "lower")),
        _ if two_models => "no difference detected between the two models of one seed".to_owned(),
        _ => {
            let seeds = format!("these {}{few}{}", counted(of.pairs, "seed"), if few.is_empty() { "" } else { "," });
            match of.detectable {
                Some(size) => format!("no difference detected; {seeds} could have detected {}", brief(size, 2)),
                None => format!("no difference detected; {seeds} could not have detected any"),
            }
        }
    }
}

/// A verdict for its column: what one seed is a verdict on, and how few seeds there are.
fn column(of: &TaskVerdict) -> String {
    let label = of.verdict.label();
    match of.pairs {
        _ if of.test.is_of_two_models() => format!("{label} (1 seed: two models)"),
        few @ ..5 => format!("{label} ({})", counted(few, "seed")),
        _ => label.to_owned(),
    }
}

fn row(arm: &Arm, task: &TaskResult) -> Row {
    let fraction = |of: &OverSeeds, error: f64| Cell::number(format!("{} ± {}", fixed(of.mean, 3), fixed(error, 3)), of.mean);
    let mut cells = vec![
        Cell::words(&task.task),
        Cell::words(&task.form),
        Cell::words(&arm.name),
        fraction(&task.accuracy, task.standard_error),
        match (&task.normalised, task.normalised_standard_error) {
            (Some(of), Some(error)) => fraction(of, error),
            _ => Cell::words(""),
        },
        task.chance.map_or(Cell::words(""), |chance| Cell::number(fixed(chance, 3), chance)),
        Cell::number(task.items.to_string(), task.items as f64),
        Cell::number(task.truncated.to_string(), task.truncated as f64),
    ];
    cells.extend(judged(task.judged.as_ref()));
    Row { cells, marked: false }
}

fn average_row(arm: &Arm, of: &TaskAverage) -> Row {
    let empty = || Cell::words("");
    let mut cells = vec![Cell::words(&format!("average of {}", counted(of.tasks, "task"))), empty(), Cell::words(&arm.name)];
    cells.push(Cell::number(fixed(of.accuracy.mean, 3), of.accuracy.mean));
    cells.extend((4..UNJUDGED).map(|_| empty()));
    cells.extend(judged(of.judged.as_ref()));
    Row { cells, marked: false }
}

/// The cells of a verdict; empty where there is none.
fn judged(of: Option<&TaskVerdict>) -> [Cell; 5] {
    let number = |value: Option<(String, f64)>| value.map_or(Cell::words(""), |(text, value)| Cell::number(text, value));
    [
        number(of.map(|of| (signed(of.mean, 3), of.mean))),
        Cell::interval(of.map(|of| of.corrected), 3),
        number(of.and_then(|of| Some((chance(of.p)?, of.p)))),
        Cell::words(&of.map(column).unwrap_or_default()),
        number(of.and_then(|of| of.detectable).filter(|size| size.is_finite()).map(|size| (brief(size, 2), size))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::{Interval, TaskTest, sample};

    #[test]
    fn the_arms_of_a_task_stand_together() {
        let table = accuracies(&sample::measured()).unwrap();
        let expected = ["agreement", "minimal pairs", "baseline", "0.750 ± 0.040", "0.700 ± 0.050", "0.500", "100", "3"];
        assert_eq!(row(&table, 0), expected);
        assert_eq!(row(&table, 3)[..3], ["agreement", "minimal pairs", "vicreg"]);
        assert_eq!(row(&table, 4)[..2], ["questions", "multiple choice"]);
        assert!(row(&table, 4)[5] == "0.250" && table.remark.contains("up to 3 choices"));
        assert!(accuracies(&sample::results()).is_none());
    }

    fn verdict(verdict: Verdict, test: TaskTest, pairs: usize, [mean, low, high]: [f64; 3]) -> TaskVerdict {
        let detectable = Some(0.04).filter(|_| test != TaskTest::Items);
        TaskVerdict { test, mean, corrected: Interval { low, high }, comparisons: 6, pairs, p: 0.004, detectable, verdict }
    }

    #[test]
    fn verdicts_have_columns_where_tasks_are_judged() {
        let mut results = sample::measured();
        assert_eq!(accuracies(&results).unwrap().titles.len(), UNJUDGED);
        let better = verdict(Verdict::Better, TaskTest::SeedsAndItems, 3, [0.03, 0.01, 0.05]);
        results.arms[1].tasks[0].judged = Some(better);
        let table = accuracies(&results).unwrap();
        assert_eq!(row(&table, 1)[8..], ["+0.030", "+0.010 to +0.050", "0.004", "better (3 seeds)", "0.04"]);
        assert_eq!(row(&table, 0)[8..], [""; 5]);
        let remark = "item by item, corrected for 6 comparisons. Seeds and items count as samples.";
        assert!(table.remark.ends_with(remark), "{}", table.remark);

        let accuracy = results.arms[1].tasks[0].accuracy;
        let of = verdict(Verdict::NoDifference, TaskTest::SeedsAndTasks, 3, [0.01, -0.01, 0.03]);
        let judged = Some(TaskVerdict { comparisons: 3, ..of });
        results.arms[1].task_average = Some(TaskAverage { tasks: 2, accuracy, judged });
        let table = accuracies(&results).unwrap();
        let last = table.rows.len() - 1;
        assert_eq!(row(&table, last)[..5], ["average of 2 tasks", "", "dispersion", "0.750", ""]);
        assert_eq!(row(&table, last)[8..], ["+0.010", "-0.010 to +0.030", "0.004", "none detected (3 seeds)", "0.04"]);
        let remark = "corrected for 6 comparisons, the average corrected for 3 comparisons. Seeds and items count as samples; in the \
                      average the tasks do in place of the items.";
        assert!(table.remark.ends_with(remark), "{}", table.remark);
        assert!(table.rows.iter().all(|row| row.cells.len() == table.titles.len()));
    }

    #[test]
    fn a_verdict_in_words_says_what_it_is_on() {
        let check = |of: TaskVerdict, expected: &str| assert_eq!(words(&of), expected);
        let better = verdict(Verdict::Better, TaskTest::SeedsAndTasks, 5, [0.031, 0.012, 0.050]);
        check(better, "better: 0.031 higher (95% interval 0.012 to 0.050, corrected for 6 comparisons; 5 seeds)");
        let worse = verdict(Verdict::Worse, TaskTest::SeedsAndItems, 3, [-0.031, -0.050, -0.012]);
        check(worse, "worse: 0.031 lower (95% interval 0.012 to 0.050, corrected for 6 comparisons; 3 seeds, fewer than five)");
        let none = TaskVerdict { verdict: Verdict::NoDifference, ..worse };
        check(none, "no difference detected; these 3 seeds, fewer than five, could have detected 0.04");
        let one = verdict(Verdict::Better, TaskTest::Items, 1, [0.031, 0.012, 0.050]);
        check(
            one,
            "better: 0.031 higher (95% interval 0.012 to 0.050, corrected for 6 comparisons; one seed: of these two models)",
        );
        assert_eq!(column(&one), "better (1 seed: two models)");
        check(TaskVerdict { verdict: Verdict::NoDifference, ..one }, "no difference detected between the two models of one seed");
    }
}
