//! Accuracies on minimal pairs and on multiple choice.

use super::{Cell, Further, Row};
use crate::number::{fixed, signed};
use crate::text::counted;
use crate::verdict::{VerdictWords, corrected_for};
use crate::{Arm, OverSeeds, Results, TaskResult, TaskVerdict};

/// Titles of the columns, and whether they are of numbers.
const TITLES: [(&str, bool); 11] = [
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
    ("verdict", false),
];

/// Columns of a study whose tasks are not judged.
const UNJUDGED: usize = 8;

/// A row for each task and arm, sorted by task; `None` where the study names no tasks.
pub fn accuracies(results: &Results) -> Option<Further> {
    let mut known: Vec<(&str, bool)> = Vec::new();
    for task in results.arms.iter().flat_map(|arm| &arm.tasks) {
        if !known.contains(&(&task.task, task.pairs)) {
            known.push((&task.task, task.pairs));
        }
    }
    if known.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for (name, pairs) in &known {
        for arm in &results.arms {
            rows.extend(arm.tasks.iter().filter(|task| task.task == *name && task.pairs == *pairs).map(|task| row(arm, task)));
        }
    }
    let judged = results.arms.iter().flat_map(|arm| &arm.tasks).find_map(|task| task.judged);
    if judged.is_none() {
        rows.iter_mut().for_each(|row: &mut Row| row.cells.truncate(UNJUDGED));
    }
    Some(Further {
        title: "Minimal pairs and multiple choice",
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
    let verdicts = judged.map_or("No verdict is read from these.".to_owned(), |of| {
        let corrected = corrected_for(of.comparisons).map(|words| format!(", {words}")).unwrap_or_default();
        format!("Verdicts are read from the 95% interval of the difference in accuracy from the baseline's, paired by seed{corrected}.")
    });
    format!(
        "Fraction of items whose right choice the model finds likeliest, and the same with log-likelihoods divided by length. \
         {over_seeds}the standard error of one model's accuracy as an estimate for more such items: not that of a difference between \
         arms, which answer the same items. Chance is 0.5 on minimal pairs, and 1 over the number of choices on multiple choice.{cut} \
         {verdicts}"
    )
}

fn row(arm: &Arm, task: &TaskResult) -> Row {
    let fraction = |of: &OverSeeds, error: f64| Cell::number(format!("{} ± {}", fixed(of.mean, 3), fixed(error, 3)), of.mean);
    Row {
        cells: vec![
            Cell::words(&task.task),
            Cell::words(if task.pairs { "minimal pairs" } else { "multiple choice" }),
            Cell::words(&arm.name),
            fraction(&task.accuracy, task.standard_error),
            fraction(&task.normalised, task.normalised_standard_error),
            if task.pairs { Cell::number("0.5", 0.5) } else { Cell::words("1 / choices") },
            Cell::number(task.items.to_string(), task.items as f64),
            Cell::number(task.truncated.to_string(), task.truncated as f64),
            task.judged.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, 3), of.mean)),
            Cell::interval(task.judged.map(|of| of.corrected), 3),
            Cell::words(task.judged.map_or("", |of| of.verdict.label())),
        ],
        marked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::{Interval, Verdict, sample};

    #[test]
    fn the_arms_of_a_task_stand_together() {
        let table = accuracies(&sample::measured()).unwrap();
        let expected = ["agreement", "minimal pairs", "baseline", "0.750 ± 0.040", "0.700 ± 0.050", "0.5", "100", "3"];
        assert_eq!(row(&table, 0), expected);
        assert_eq!(row(&table, 3)[..3], ["agreement", "minimal pairs", "vicreg"]);
        assert_eq!(row(&table, 4)[..2], ["questions", "multiple choice"]);
        assert!(table.remark.contains("Chance is 0.5 on minimal pairs") && table.remark.contains("up to 3 choices"));
        assert!(accuracies(&sample::results()).is_none());
    }

    #[test]
    fn verdicts_have_columns_where_tasks_are_judged() {
        let mut results = sample::measured();
        assert_eq!(accuracies(&results).unwrap().titles.len(), UNJUDGED);
        let corrected = Interval { low: 0.01, high: 0.05 };
        let judged = TaskVerdict { mean: 0.03, corrected, comparisons: 3, pairs: 3, verdict: Verdict::Better };
        results.arms[1].tasks[0].judged = Some(judged);
        let table = accuracies(&results).unwrap();
        assert_eq!(row(&table, 1)[8..], ["+0.030", "+0.010 to +0.050", "better"]);
        assert_eq!(row(&table, 0)[8..], ["", "", ""]);
        assert!(table.remark.ends_with("paired by seed, corrected for 3 comparisons."), "{}", table.remark);
    }
}
