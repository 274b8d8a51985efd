//! Tables of sweeps over sizes, tuning, and measures beside the loss. The page and Markdown share them; the terminal has lines for
//! sizes and tuning.

mod cost;
mod geometry;
mod machines;
mod rounding;
mod sizes;
mod target;
mod task_checkpoints;
mod task_measures;
mod tasks;
mod texts;
mod tuning;

use crate::figures::interval;
use crate::text::one_line;
use crate::{Interval, Results};
pub use machines::{machines, one_machine};
pub use tasks::words as task_words;
pub use tuning::cautions;

/// A table and its remark.
pub struct Further {
    /// Its heading.
    pub title: &'static str,
    /// Prefixes of the names of its plots.
    pub plots: &'static [&'static str],
    /// What a reader should know of it, in sentences.
    pub remark: String,
    /// Titles of its columns, and whether they are of numbers.
    pub titles: Vec<(&'static str, bool)>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A row of a table.
pub struct Row {
    /// A cell for each title.
    pub cells: Vec<Cell>,
    /// Whether it stands out.
    pub marked: bool,
}

/// A cell: its text, and the number that its column is sorted by.
pub struct Cell {
    pub text: String,
    pub sort: Option<f64>,
}

impl Cell {
    fn words(text: &str) -> Self {
        Self { text: one_line(text), sort: None }
    }

    fn number(text: impl Into<String>, value: f64) -> Self {
        Self { text: text.into(), sort: Some(value) }
    }

    /// An interval, sorted by its lower end; empty where it is unknown.
    fn interval(of: Option<Interval>, decimals: usize) -> Self {
        let known = of.and_then(|of| Some(Self::number(interval(&of, decimals)?, of.low)));
        known.unwrap_or_else(|| Self::words(""))
    }
}

/// The tables that the results have data for: effect against size, power laws, tuning.
pub fn further(results: &Results) -> Vec<Further> {
    [sizes::effects(results), sizes::laws(results), tuning::candidates(results)].into_iter().flatten().collect()
}

/// The tables of what was measured beside the loss: further texts, the last hidden state, rounding, tasks (accuracies, other
/// measures, and at two checkpoints), cost.
pub fn measured(results: &Results) -> Vec<Further> {
    let tables = [
        texts::losses(results),
        target::targets(results),
        geometry::measures(results),
        rounding::increases(results),
        tasks::accuracies(results),
        task_measures::measures(results),
        task_checkpoints::both_ways(results),
        cost::costs(results),
    ];
    tables.into_iter().flatten().collect()
}

/// Sizes, tuning and tasks in the terminal: for each a heading, and a line per arm, at most `most` of them. With each line, whether
/// it is indented.
pub fn lines(results: &Results, most: usize) -> Vec<(bool, String)> {
    let mut lines = Vec::new();
    let all = [sizes::lines(results), tuning::lines(results), tasks::lines(results)];
    for (heading, items) in all.into_iter().filter(|(_, items)| !items.is_empty()) {
        lines.push((false, heading.to_owned()));
        let rest = items.len().saturating_sub(most);
        lines.extend(items.into_iter().take(most).map(|item| (true, item)));
        if rest > 0 {
            lines.push((true, format!("and {rest} more: the page has them all")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// The text of a row's cells.
    pub fn row(table: &Further, index: usize) -> Vec<&str> {
        table.rows[index].cells.iter().map(|cell| cell.text.as_str()).collect()
    }

    #[test]
    fn a_table_for_each_question_that_was_asked() {
        let tables = further(&sample::sweep());
        let titles: Vec<&str> = tables.iter().map(|table| table.title).collect();
        assert_eq!(titles, ["Effect against model size", "Loss against parameters", "Tuning"]);
        assert!(tables.iter().all(|table| table.rows.iter().all(|row| row.cells.len() == table.titles.len())));
        assert!(further(&sample::results()).is_empty() && measured(&sample::results()).is_empty());
        let tables = measured(&sample::measured());
        assert_eq!(tables.len(), 4);
        assert!(tables.iter().all(|table| table.rows.iter().all(|row| row.cells.len() == table.titles.len())));
    }

    #[test]
    fn the_terminal_has_a_line_for_each_arm() {
        let lines: Vec<String> = lines(&sample::sweep(), 1).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines[1], "baseline: b = 0.1250 (95% interval +0.1000 to +0.1500)");
        assert_eq!(lines[2], "and 1 more: the page has them all");
        assert_eq!(lines[4], "dispersion width=16: weight 0.1, of 3 candidates; 1 did not finish");
        assert_eq!(lines.len(), 5);
    }
}
