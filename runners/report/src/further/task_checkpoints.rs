//! Tasks at the last checkpoint, and at the one with the best average of these tasks.

use super::{Cell, Further, Row};
use crate::number::{fixed, signed};
use crate::{Arm, OverSeeds, PairedDifference, Results, TaskAtCheckpoints};

/// A row for each task and arm, sorted by task, the average last; `None` where tasks are scored at the end alone.
pub fn both_ways(results: &Results) -> Option<Further> {
    let all = || results.arms.iter().filter_map(|arm| Some((arm, arm.task_checkpoints.as_ref()?)));
    let (_, first) = all().next()?;
    let mut rows = Vec::new();
    for known in &first.tasks {
        for (arm, of) in all() {
            let own = of.tasks.iter().filter(|task| task.task == known.task);
            rows.extend(own.map(|task| row(arm, task, &of.selected)));
        }
    }
    let titles = [
        ("task", false),
        ("arm", false),
        ("last checkpoint", true),
        ("difference", true),
        ("best checkpoint", true),
        ("difference there", true),
        ("selected after", false),
    ];
    let scored: Vec<String> = first.scored.iter().map(usize::to_string).collect();
    let remark = format!(
        "Accuracy, or probability mass of true answers. The verdicts above are read from the last checkpoint. The best checkpoint is \
         for each seed the one with the best average of the reported tasks, among those after {} steps: selected on the reported \
         tasks, so it is optimistic, and no verdict is read from it. Differences are from the baseline's, paired by seed; at the best \
         checkpoint each arm is at its own.",
        scored.join(", ")
    );
    Some(Further { title: "Tasks at the last and at the best checkpoint", plots: &[], remark, titles: titles.to_vec(), rows })
}

fn row(arm: &Arm, of: &TaskAtCheckpoints, selected: &[usize]) -> Row {
    let share = |of: &OverSeeds| {
        let spread = if of.sd.is_finite() { format!(" ± {}", fixed(of.sd, 3)) } else { String::new() };
        Cell::number(fixed(of.mean, 3) + &spread, of.mean)
    };
    let difference = |of: Option<&PairedDifference>| of.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, 3), of.mean));
    let steps: Vec<String> = selected.iter().map(usize::to_string).collect();
    Row {
        cells: vec![
            Cell::words(of.task.as_deref().unwrap_or("average")),
            Cell::words(&arm.name),
            share(&of.last),
            difference(of.last_difference.as_ref()),
            share(&of.selected),
            difference(of.selected_difference.as_ref()),
            Cell::words(&steps.join(", ")),
        ],
        marked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::{Interval, TasksAtCheckpoints, sample};

    #[test]
    fn both_ways_stand_side_by_side_and_say_what_they_are() {
        let mut results = sample::results();
        assert!(both_ways(&results).is_none());
        let of = |mean: f64| OverSeeds { mean, sd: 0.125, low: mean, high: mean, count: 2 };
        let gap = |mean: f64| Some(PairedDifference { mean, interval: Interval { low: mean, high: mean }, pairs: 2 });
        for (index, arm) in results.arms.iter_mut().enumerate().take(2) {
            let (last_difference, selected_difference) = if index == 0 { (None, None) } else { (gap(0.25), gap(-0.125)) };
            let task = |task: Option<&str>| {
                let task = task.map(str::to_owned);
                TaskAtCheckpoints { task, last: of(0.5), selected: of(0.75), last_difference, selected_difference }
            };
            let tasks = vec![task(Some("lambada")), task(None)];
            arm.task_checkpoints = Some(TasksAtCheckpoints { scored: vec![200, 400], selected: vec![200, 400], tasks });
        }
        let table = both_ways(&results).unwrap();
        assert_eq!(row(&table, 0), ["lambada", "baseline", "0.500 ± 0.125", "", "0.750 ± 0.125", "", "200, 400"]);
        assert_eq!(row(&table, 3)[..1], ["average"]);
        assert_eq!(row(&table, 3)[2..6], ["0.500 ± 0.125", "+0.250", "0.750 ± 0.125", "-0.125"]);
        assert!(
            table.remark.contains("after 200, 400 steps: selected on the reported tasks, so it is optimistic"),
            "{}",
            table.remark
        );
    }
}
