//! One row per arm with every figure in full, as CSV. The columns are those of Parquet too.

use crate::csv::{number, row, text};
use crate::verdict::VerdictWords;
use crate::{Arm, Difference, Interval, Results, TaskVerdict};

/// A column of figures: its name, and the figure where it is known.
pub type Column = (&'static str, fn(&Arm) -> Option<f64>);

/// Columns of words, which come first.
pub const LABELS: [&str; 4] = ["study", "arm", "baseline", "verdict"];

/// The column of words at the end: why there is no ratio of costs.
pub const COST_NOTE: &str = "cost_note";

/// The figure of the arm's difference.
fn of(arm: &Arm, figure: impl Fn(&Difference) -> Option<f64>) -> Option<f64> {
    arm.difference.as_ref().and_then(figure)
}

pub const COLUMNS: [Column; 37] = [
    ("planned", |arm| Some(arm.planned as f64)),
    ("done", |arm| Some(arm.done as f64)),
    ("loss", |arm| Some(arm.loss?.mean)),
    ("loss_sd", |arm| Some(arm.loss?.sd).filter(|sd| !sd.is_nan())),
    ("loss_interquartile_mean", |arm| Some(arm.loss?.interquartile_mean)),
    ("difference", |arm| of(arm, |of| Some(of.mean))),
    ("corrected_low", |arm| of(arm, |of| Some(of.corrected.low))),
    ("corrected_high", |arm| of(arm, |of| Some(of.corrected.high))),
    ("comparisons", |arm| of(arm, |of| Some(of.comparisons as f64))),
    ("low", |arm| of(arm, |of| Some(of.interval.low))),
    ("high", |arm| of(arm, |of| Some(of.interval.high))),
    ("bootstrap_low", |arm| of(arm, |of| of.bootstrap.map(|Interval { low, .. }| low))),
    ("bootstrap_high", |arm| of(arm, |of| of.bootstrap.map(|Interval { high, .. }| high))),
    ("pairs", |arm| of(arm, |of| Some(of.pairs as f64))),
    ("detectable", |arm| of(arm, |of| Some(of.detectable))),
    ("p", |arm| of(arm, |of| Some(of.p))),
    ("p_holm", |arm| of(arm, |of| Some(of.p_holm))),
    ("p_wilcoxon", |arm| of(arm, |of| of.p_wilcoxon)),
    ("effect_size", |arm| of(arm, |of| Some(of.effect_size))),
    ("improvement", |arm| of(arm, |of| of.improvement)),
    ("equal_time_difference", |arm| of(arm, |of| Some(of.equal_time?.mean))),
    ("equal_time_corrected_low", |arm| of(arm, |of| Some(of.equal_time?.corrected.low))),
    ("equal_time_corrected_high", |arm| of(arm, |of| Some(of.equal_time?.corrected.high))),
    ("equal_time_seconds", |arm| of(arm, |of| Some(of.equal_time?.seconds))),
    ("perplexity", |arm| arm.perplexity),
    ("bits_per_byte", |arm| arm.bits_per_byte),
    ("excess_loss", |arm| arm.excess_loss),
    ("mean_cosine_last", |arm| arm.mean_cosine_by_layer.last().copied()),
    ("effective_rank_last", |arm| arm.effective_rank_by_layer.last().copied()),
    ("step_ms", |arm| arm.step_ms),
    ("cost_ratio", |arm| arm.cost_ratio),
    ("peak_memory_mib", |arm| arm.peak_memory_mib),
    ("peak_rss_mib", |arm| arm.spent.peak_rss_mib),
    ("flops_per_token", |arm| arm.spent.flops_per_token),
    ("training_flops", |arm| arm.spent.training_flops),
    ("energy_joules", |arm| arm.spent.energy_joules),
    ("parameters", |arm| arm.parameters.map(|count| count as f64)),
];

/// Columns of the average over tasks, of studies that name any.
const TASKS: [Column; 8] = [
    ("tasks", |arm| Some(arm.task_average.as_ref()?.tasks as f64)),
    ("tasks_accuracy", |arm| Some(arm.task_average.as_ref()?.accuracy.mean)),
    ("tasks_difference", |arm| of_tasks(arm, |of| Some(of.mean))),
    ("tasks_corrected_low", |arm| of_tasks(arm, |of| Some(of.corrected.low))),
    ("tasks_corrected_high", |arm| of_tasks(arm, |of| Some(of.corrected.high))),
    ("tasks_pairs", |arm| of_tasks(arm, |of| Some(of.pairs as f64))),
    ("tasks_p", |arm| of_tasks(arm, |of| Some(of.p))),
    ("tasks_detectable", |arm| of_tasks(arm, |of| of.detectable)),
];

/// The seeds that the ratio of costs rests on.
const COST_PAIRS: Column = ("cost_pairs", |arm| Some(arm.timed_pairs.alike as f64));

/// The figure of the arm's average over tasks.
fn of_tasks(arm: &Arm, figure: impl Fn(&TaskVerdict) -> Option<f64>) -> Option<f64> {
    arm.task_average.as_ref()?.judged.as_ref().and_then(figure)
}

/// All columns of figures that the results have.
pub fn columns(results: &Results) -> Vec<Column> {
    let tasks = results.arms.iter().any(|arm| arm.task_average.is_some()).then_some(TASKS);
    COLUMNS.into_iter().chain(tasks.into_iter().flatten()).chain([COST_PAIRS]).collect()
}

/// What the columns of words hold.
pub fn labels(results: &Results, arm: &Arm) -> [String; 4] {
    [results.study.clone(), arm.name.clone(), arm.baseline.clone(), arm.verdict.words(arm)]
}

/// What the column of words at the end holds.
pub fn cost_note(arm: &Arm) -> &'static str {
    arm.timed_pairs.why_no_ratio().unwrap_or_default()
}

/// A header, then study, arm, what it is compared with and verdict in words, a column for each figure, and why there is no ratio of
/// costs.
pub fn table(results: &Results) -> String {
    let columns = columns(results);
    let names = LABELS.into_iter().chain(columns.iter().map(|(name, _)| *name)).chain([COST_NOTE]);
    let mut lines = row(names.map(text));
    for arm in &results.arms {
        let figures = columns.iter().map(|(_, figure)| figure(arm).map(number).unwrap_or_default());
        lines += &row(labels(results, arm).map(|label| text(&label)).into_iter().chain(figures).chain([text(cost_note(arm))]));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TaskAverage, sample};

    #[test]
    fn every_figure_has_a_column() {
        let csv = table(&sample::results());
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows.len(), 1 + 4);
        assert!(rows[0].starts_with("study,arm,baseline,verdict,planned,done,loss,loss_sd,"), "{csv}");
        assert!(rows[1].starts_with("quickstart,baseline,baseline,baseline,3,3,3.5,0.012,3.5,,,,"), "{csv}");
        let words =
            "\"better: 0.031 nats lower (95% interval 0.012 to 0.050, corrected for 3 comparisons; 3 seeds, fewer than five)\"";
        let (labels, figures) = rows[2].split_once(words).unwrap();
        assert_eq!(labels, "quickstart,dispersion,baseline,");
        assert!(figures.starts_with(",3,3,3.469,0.012,3.469,-0.031,-0.05,-0.012,3,"), "{figures}");
        assert!(figures.contains(",3,0.04,0.011,0.033,0.25,-5.11,0.89,-0.02"), "{figures}");
    }

    #[test]
    fn tasks_have_columns_where_there_are_tasks() {
        let mut results = sample::measured();
        let mut arm = results.arms[1].clone();
        assert!(!table(&results).contains("tasks"));
        arm.task_average = Some(TaskAverage { tasks: 2, accuracy: arm.tasks[0].accuracy, judged: None });
        results.arms[1] = arm;
        let csv = table(&results);
        let rows: Vec<&str> = csv.lines().collect();
        let names = ",tasks,tasks_accuracy,tasks_difference,tasks_corrected_low,tasks_corrected_high,tasks_pairs,tasks_p,\
                     tasks_detectable,cost_pairs,cost_note";
        assert!(rows[0].ends_with(names) && rows[1].ends_with(",,,,,,,,,3,") && rows[2].ends_with(",2,0.75,,,,,,,3,"), "{csv}");
    }

    #[test]
    fn a_ratio_that_is_missing_has_its_reason() {
        let csv = table(&sample::mixed());
        let rows: Vec<&str> = csv.lines().collect();
        assert!(rows[0].ends_with(",parameters,cost_pairs,cost_note"), "{csv}");
        let ratio = rows[0].split(',').position(|name| name == "cost_ratio").unwrap();
        let from_the_end = rows[0].split(',').count() - ratio;
        let cost = |row: &str| row.rsplit(',').nth(from_the_end - 1).unwrap().to_owned();
        assert_eq!((cost(rows[2]).as_str(), cost(rows[3]).as_str()), ("1.1", ""));
        assert!(rows[2].ends_with(",2,"), "{csv}");
        assert!(rows[3].ends_with(",0,no seed has both trials on one kind of machine"), "{csv}");
    }

    #[test]
    fn names_run_nothing_and_make_no_cell() {
        let mut results = sample::results();
        results.arms[1].name = "=cmd|' /C calc'!A0".into();
        results.arms[2].name = "a,\"b\"\nc".into();
        let csv = table(&results);
        assert!(csv.contains("\nquickstart,'=cmd|' /C calc'!A0,"), "{csv}");
        assert!(csv.contains("\nquickstart,\"a,\"\"b\"\"\nc\","), "{csv}");
        assert!(csv.contains(",-0.031,"), "numbers are left alone");
    }
}
