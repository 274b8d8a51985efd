//! The rows of the page's tables: numbers as text, each with the number that it sorts by.

use super::table::{Cell, Row, Table, Title};
use crate::figures::{self, FIGURES};
use crate::further::{self, Further};
use crate::number::{decimals_for, fixed, grouped, signed, significant};
use crate::plot::canvas::INK;
use crate::plot::looks::{self, Look};
use crate::terms::Terms;
use crate::text::{one_line, shortened};
use crate::verdict::{VerdictWords, difference_decimals};
use crate::{Arm, Difference, Results, Trial, Verdict};
use minijinja::context;
use minijinja::value::Value;
use std::collections::BTreeMap;

/// A column of a table of arms, omitted where no arm has a value.
type Column<'a> = (&'static str, Box<dyn Fn(&Arm) -> Option<Cell> + 'a>);

/// A column of numbers that only some studies have.
fn optional<'a>(title: &'static str, of: fn(&Arm) -> Option<f64>, text: impl Fn(f64) -> String + Copy + 'a) -> Column<'a> {
    (title, Box::new(move |arm| of(arm).map(|value| Cell::number(text(value), value))))
}

/// The main table, a row for each arm. A dense table has short verdicts and short terms; in a sweep none.
pub fn arms(results: &Results, dense: bool) -> Table {
    let loss_decimals = loss_decimals(results);
    let terms = Terms::of(results);
    let known = |column: &Column| results.arms.iter().any(|arm| column.1(arm).is_some());
    let columns = [
        optional("Excess loss", |arm| arm.excess_loss, move |value| fixed(value, loss_decimals)),
        optional("Bits per byte", |arm| arm.bits_per_byte, |value| fixed(value, 3)),
        optional("Mean cosine", |arm| arm.mean_cosine_by_layer.last().copied(), |value| fixed(value, 3)),
        optional("Effective rank", |arm| arm.effective_rank_by_layer.last().copied(), |value| fixed(value, 1)),
        optional("ms/step", |arm| arm.step_ms, |value| significant(value, 3)),
        ("Cost", Box::new(cost)),
    ];
    let columns: Vec<Column> = columns.into_iter().filter(known).collect();
    let decimals = difference_decimals(results.arms.iter().filter_map(|arm| arm.difference.as_ref()));
    let cells = |arm: &Arm, look: Option<Look>| {
        let name = Cell {
            colour: look.map(|look| colour(&look)).unwrap_or_default(),
            code: match (dense, results.is_sweep()) {
                (true, true) => String::new(), // a row's name has its point
                (true, false) => shortened(&terms.of_arm(arm), 160),
                (false, _) => shortened(&terms.of_arm(arm), 400),
            },
            ..Cell::words(shortened(&arm.name, 80))
        };
        let optional = columns.iter().map(|column| column.1(arm).unwrap_or_else(|| Cell::maybe(None, fixed_0)));
        [name, loss(arm, loss_decimals), difference(arm, decimals), verdict(arm, dense)].into_iter().chain(optional).collect()
    };
    let titles = [Title::words("Arm"), Title::number("Held-out loss"), Title::number("Difference"), Title::words("Verdict")];
    Table {
        class: if dense { "dense" } else { "arms" },
        titles: titles.into_iter().chain(columns.iter().map(|(title, _)| Title::number(*title))).collect(),
        rows: of_arms(looks::rows(results).into_iter().map(|(arm, look)| cells(arm, look))),
        ..Table::default()
    }
}

fn fixed_0(value: f64) -> String {
    fixed(value, 0)
}

/// Rows in the order of the arms, so that a row has the index of its arm.
fn of_arms(rows: impl Iterator<Item = Vec<Cell>>) -> Vec<Row> {
    rows.enumerate().map(|(index, cells)| Row { cells, marked: false, arm: Some(index) }).collect()
}

fn loss_decimals(results: &Results) -> usize {
    decimals_for(results.arms.iter().filter_map(|arm| arm.loss.map(|loss| loss.sd)))
}

fn colour(look: &Look) -> String {
    let colour = look.colour;
    if colour == INK { "var(--ink)".to_owned() } else { format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2) }
}

/// The ratio, and below it the pairs that count where that is not all of them.
fn cost(arm: &Arm) -> Option<Cell> {
    let pairs = arm.timed_pairs.fewer();
    let cell = Cell::maybe(arm.cost_ratio, |value| fixed(value, 2) + "×");
    (arm.cost_ratio.is_some() || pairs.is_some()).then(|| Cell { small: pairs.unwrap_or_default(), ..cell })
}

/// The mean, and below it the standard deviation over seeds.
fn loss(arm: &Arm, decimals: usize) -> Cell {
    let Some(loss) = arm.loss else { return Cell::maybe(None, fixed_0) };
    let spread = if loss.sd.is_finite() { format!("± {}", fixed(loss.sd, decimals)) } else { String::new() };
    Cell { small: spread, ..Cell::number(fixed(loss.mean, decimals), loss.mean) }
}

/// The mean, and below it the corrected interval.
fn difference(arm: &Arm, decimals: usize) -> Cell {
    let interval = arm.difference.and_then(|of| figures::interval(&of.corrected, decimals)).unwrap_or_default();
    let mean = arm.difference.map(|of| of.mean);
    Cell { small: interval.replace('-', "−"), ..Cell::maybe(mean, |mean| signed(mean, decimals)) }
}

/// The verdict; its interval stands beside it, in the column of differences.
fn verdict(arm: &Arm, dense: bool) -> Cell {
    let words = arm.verdict.column(arm.difference).replace(" seed", "\u{a0}seed");
    let class = match arm.verdict {
        Verdict::Better => "verdict better",
        Verdict::Worse => "verdict worse",
        Verdict::Baseline | Verdict::NoDifference | Verdict::Unknown => "verdict",
    };
    // best first, when sorted
    let order = [Verdict::Better, Verdict::Baseline, Verdict::NoDifference, Verdict::Worse, Verdict::Unknown];
    let rank = order.iter().position(|verdict| *verdict == arm.verdict).unwrap_or(0);
    let cell = Cell { class, sort: Some(rank.to_string()), ..Cell::default() };
    let detectable = arm.difference.map(|of| of.detectable).filter(|size| size.is_finite());
    match (arm.verdict, detectable) {
        _ if dense => Cell { text: words, ..cell },
        (Verdict::Better | Verdict::Worse, _) => {
            let (head, tail) = words.split_once(' ').unwrap_or((&words, ""));
            Cell { strong: head.to_owned(), text: format!(" {tail}").trim_end().to_owned(), ..cell }
        }
        (Verdict::NoDifference, Some(size)) => {
            let small = format!("{} would be detected", crate::number::brief(size, 2));
            Cell { text: words, small, ..cell }
        }
        (Verdict::Unknown, _) => Cell { text: words, small: "too few paired trials".to_owned(), ..cell },
        _ => Cell { text: words, ..cell },
    }
}

/// The figures of each difference, a row for each arm.
pub fn statistics(results: &Results) -> Table {
    let loss_decimals = loss_decimals(results);
    let decimals = difference_decimals(results.arms.iter().filter_map(|arm| arm.difference.as_ref()));
    let cells = |arm: &Arm| {
        let iqm = arm.loss.map(|loss| loss.interquartile_mean).filter(|iqm| iqm.is_finite());
        let figures = FIGURES.iter().map(|figure| figure_cell(arm.difference.as_ref(), figure, decimals));
        let first = [Cell::words(shortened(&arm.name, 80)), Cell::maybe(iqm, |value| fixed(value, loss_decimals))];
        first.into_iter().chain(figures).collect()
    };
    let titles = [Title::words("Arm"), Title::number("Interquartile mean")];
    Table {
        class: "figures-of-arms",
        titles: titles.into_iter().chain(FIGURES.iter().map(|figure| Title::number(figure.title))).collect(),
        rows: of_arms(results.arms.iter().map(cells)),
        ..Table::default()
    }
}

/// Empty for the baseline, which has no difference; a dash where the figure is not known.
fn figure_cell(difference: Option<&Difference>, figure: &figures::Figure, decimals: usize) -> Cell {
    let Some(difference) = difference else { return Cell { sort: Some(String::new()), ..Cell::default() } };
    match (figure.text)(difference, decimals) {
        // a line break must not separate the upper end of an interval from its `to`
        Some(text) => {
            let text = text.replace("to ", "to\u{a0}").replace("< ", "<\u{a0}");
            Cell::number(text, (figure.sort)(difference).unwrap_or(f64::NAN))
        }
        None => Cell::maybe(None, fixed_0),
    }
}

/// Trials, perplexity, speed and memory of each arm.
pub fn measures(results: &Results) -> Table {
    let cells = |arm: &Arm| {
        vec![
            Cell::words(shortened(&arm.name, 80)),
            Cell::number(format!("{} of {}", arm.done, arm.planned), arm.done as f64),
            Cell::maybe(arm.perplexity, |value| significant(value, 4)),
            Cell::maybe(arm.tokens_per_second, grouped),
            Cell::maybe(arm.peak_memory_mib, grouped),
        ]
    };
    let titles = ["Trials finished", "Perplexity", "Tokens per second", "Peak memory, MiB"].map(Title::number);
    Table {
        titles: std::iter::once(Title::words("Arm")).chain(titles).collect(),
        rows: of_arms(results.arms.iter().map(cells)),
        ..Table::default()
    }
}

/// A table of sizes, of tuning, or of what was measured beside the loss.
pub fn further(table: &Further, indices: &BTreeMap<&str, usize>) -> Table {
    let cell = |(cell, (_, number)): (&further::Cell, &(&str, bool))| {
        if !*number {
            return Cell { sort: cell.sort.map(crate::csv::number), ..Cell::words(cell.text.clone()) };
        }
        let (text, spread) = cell.text.split_once(" ± ").unwrap_or((&cell.text, ""));
        let small = if spread.is_empty() { String::new() } else { format!("± {spread}") };
        match cell.sort {
            Some(sort) => Cell { small, ..Cell::number(text, sort) },
            None => Cell { small, ..Cell::words(text) },
        }
    };
    let row = |row: &further::Row| Row {
        cells: row.cells.iter().zip(&table.titles).map(cell).collect(),
        marked: row.marked,
        arm: row.cells.iter().find_map(|cell| indices.get(cell.text.as_str()).copied()),
    };
    Table {
        class: if table.titles.len() > 10 { "further wide" } else { "further" },
        titles: table.titles.iter().map(|(text, number)| Title { text: capitalised(text), number: *number }).collect(),
        rows: table.rows.iter().map(row).collect(),
        ..Table::default()
    }
}

/// The first failures: arm and reason.
pub fn failures(results: &Results) -> Vec<Value> {
    /// Most failures that are listed; the table of trials has all.
    const MOST: usize = 40;
    let failures = results.arms.iter().flat_map(|arm| arm.failures.iter().map(move |failure| (arm, failure)));
    let count = failures.clone().count();
    let listed = failures
        .take(MOST)
        .map(|(arm, failure)| context! { arm => shortened(&arm.name, 80), failure => shortened(failure, 600) });
    let rest = format!("and {} more: the table of trials has their reasons.", count.saturating_sub(MOST));
    listed.chain((count > MOST).then(|| context! { arm => "", failure => rest })).collect()
}

/// Label and value lines.
pub fn setup(results: &Results) -> Vec<Value> {
    let lines = results.setup.iter().take(100);
    lines.map(|(label, value)| context! { label => shortened(label, 200), value => shortened(value, 2000) }).collect()
}

/// A row for each trial.
pub fn trials(results: &Results, indices: &BTreeMap<&str, usize>) -> Table {
    let names = measure_names(results);
    let reasons = results.trials.iter().any(|trial| trial.reason.is_some());
    let hosts = results.machines.len() > 1;
    let decimals: Vec<usize> = (0..names.len())
        .map(|index| column_decimals(results.trials.iter().filter_map(|trial| measure(trial, index, &names))))
        .collect();
    let cells = |trial: &Trial| {
        let mut cells = vec![
            Cell::words(shortened(&trial.arm, 80)),
            Cell::words(trial.seed.to_string()),
            Cell::words(one_line(&trial.state)),
        ];
        cells.extend(
            reasons.then(|| Cell { class: "reason", ..Cell::words(shortened(trial.reason.as_deref().unwrap_or_default(), 300)) }),
        );
        let machine = || trial.machine.and_then(|machine| results.machines.get(machine));
        let host = || machine().and_then(|machine| machine.host.as_deref()).unwrap_or_default();
        cells.extend(hosts.then(|| Cell::words(shortened(host(), 60))));
        let number =
            |(index, decimals): (usize, &usize)| Cell::maybe(measure(trial, index, &names), |value| fixed(value, *decimals));
        cells.extend(decimals.iter().enumerate().map(number));
        cells
    };
    let mut titles = vec![Title::words("Arm"), Title::number("Seed"), Title::words("State")];
    titles.extend(reasons.then(|| Title::words("Reason")));
    titles.extend(hosts.then(|| Title::words("Host")));
    titles.extend(names.iter().map(|name| Title::number(one_line(&title_of(name)))));
    let row = |trial: &Trial| Row { cells: cells(trial), marked: false, arm: indices.get(trial.arm.as_str()).copied() };
    Table { class: "trials", titles, rows: results.trials.iter().map(row).collect(), ..Table::default() }
}

/// The title of a measure, with its unit; of one that tasks or texts name, its column in `results.csv` in words.
fn title_of(name: &str) -> String {
    match name {
        "test_loss" => "Test loss, nats".into(),
        "test_loss_se" => "Test loss, standard error".into(),
        "validation_loss" => "Validation loss, nats".into(),
        "excess_loss" => "Excess loss, nats".into(),
        "unigram_entropy" => "Unigram entropy, nats".into(),
        "mean_cosine_last" => "Mean cosine, last layer".into(),
        "effective_rank_last" => "Effective rank, last layer".into(),
        "step_ms" => "Step, ms".into(),
        "wall_seconds" => "Time, s".into(),
        "peak_memory_mib" => "Peak memory, MiB".into(),
        "peak_rss_mib" => "Peak memory of the process, MiB".into(),
        "flops_per_token" => "FLOP per token".into(),
        "training_flops" => "FLOP of training".into(),
        "energy_joules" => "Energy, J".into(),
        other => capitalised(&other.replace('_', " ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The measures that a trial has a value of, in the order of their first trial.
fn measure_names(results: &Results) -> Vec<&str> {
    let mut known = std::collections::BTreeSet::new();
    let measured = results.trials.iter().flat_map(|trial| &trial.measures).filter(|(_, value)| value.is_some());
    let all = measured.map(|(name, _)| name.as_str());
    all.filter(|name| known.insert(*name)).collect()
}

/// The measure at `index` of `names`. Trials usually list their measures in the same order.
fn measure(trial: &Trial, index: usize, names: &[&str]) -> Option<f64> {
    match trial.measures.get(index) {
        Some((name, value)) if name == names[index] => *value,
        _ => trial.measures.iter().find(|(name, _)| name == names[index]).and_then(|(_, value)| *value),
    }
}

/// Decimals that give a column's largest number five digits, four decimals at most; none for a column of whole numbers.
fn column_decimals(values: impl Iterator<Item = f64>) -> usize {
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let largest = finite.iter().map(|value| value.abs()).fold(0.0, f64::max);
    if finite.iter().all(|value| value.fract() == 0.0) {
        0
    } else {
        (4.0 - largest.max(1.0).log10().floor()).clamp(0.0, 4.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn text(table: &Table, row: usize, title: &str) -> (String, String) {
        let column = table.titles.iter().position(|of| of.text == title).unwrap();
        let cell = &table.rows[row].cells[column];
        (format!("{}{}", cell.strong, cell.text), cell.small.clone())
    }

    #[test]
    fn trials_have_titles_with_units_and_no_empty_column() {
        let mut results = sample::results();
        let measures = [("test_loss", Some(3.5)), ("energy_joules", None), ("accuracy_pairs", Some(0.5)), ("step_ms", Some(2.0))];
        let of = |trial: &mut Trial| trial.measures = measures.map(|(name, value)| (name.to_owned(), value)).to_vec();
        results.trials.iter_mut().for_each(of);
        let table = trials(&results, &BTreeMap::new());
        let titles: Vec<&str> = table.titles.iter().map(|title| title.text.as_str()).collect();
        assert_eq!(titles[titles.len() - 3..], ["Test loss, nats", "Accuracy pairs", "Step, ms"]);
        assert_eq!(table.rows[0].cells.len(), titles.len());
    }

    #[test]
    fn many_arms_show_what_differs_and_many_points_do_not() {
        let code = |results: &Results| arms(results, true).rows[1].cells[0].code.clone();
        assert_eq!(code(&sample::results()), "[{regularizer: dispersion, weight: 0.1}]");
        assert_eq!(code(&sample::sweep()), "");
    }

    #[test]
    fn cells_read_well_and_sort_by_their_number() {
        let table = arms(&sample::results(), false);
        for (title, expected, small) in [
            ("Held-out loss", "3.469", "± 0.012"),
            ("Difference", "−0.031", "−0.050 to −0.012"),
            ("Verdict", "better (3\u{a0}seeds)", ""),
            ("Mean cosine", "0.620", ""),
            ("Cost", "1.10×", ""),
        ] {
            assert_eq!(text(&table, 1, title), (expected.to_owned(), small.to_owned()));
        }
        assert_eq!(text(&table, 2, "Verdict").1, "0.04 would be detected");
        assert!(!table.titles.iter().any(|title| title.text == "Excess loss"), "no arm has one");
        assert_eq!(table.rows[1].cells[2].sort.as_deref(), Some("-0.031"));
        assert_eq!(text(&measures(&sample::results()), 1, "Tokens per second").0, "51,234");
    }

    #[test]
    fn the_baseline_has_no_figures() {
        let table = statistics(&sample::results());
        assert_eq!(text(&table, 1, "Interquartile mean").0, "3.469");
        assert_eq!((text(&table, 0, "Pairs").0.as_str(), text(&table, 1, "Pairs").0.as_str()), ("", "3"));
    }

    #[test]
    fn hosts_have_a_column_where_there_are_several_machines() {
        let indices = BTreeMap::new();
        assert!(!trials(&sample::results(), &indices).titles.iter().any(|title| title.text == "Host"));
        let table = trials(&sample::mixed(), &indices);
        assert_eq!([0, 4, 11].map(|row| text(&table, row, "Host").0), ["node-1", "node-2", ""]); // the last diverged
    }

    #[test]
    fn failures_have_a_bound() {
        let mut results = sample::results();
        results.arms[3].failures = vec!["seed 2 failed".into(); 50];
        let failures = failures(&results);
        assert_eq!(failures.len(), 41);
        assert!(failures[40].get_attr("failure").unwrap().to_string().starts_with("and 10 more"));
    }

    #[test]
    fn a_column_has_one_count_of_decimals() {
        assert_eq!(column_decimals([3.21, 0.5].into_iter()), 4);
        assert_eq!(column_decimals([42_100.3, 0.5].into_iter()), 0);
        assert_eq!(column_decimals([512.0, 7.0, f64::NAN].into_iter()), 0);
    }

    #[test]
    fn one_seed_has_no_interval_and_no_spread() {
        let (_, results) = sample::edges().into_iter().find(|(what, _)| *what == "one seed").unwrap();
        let table = arms(&results, false);
        assert_eq!(text(&table, 1, "Held-out loss"), ("3.500".to_owned(), String::new()));
        assert_eq!(text(&table, 1, "Difference").1, "");
    }
}
