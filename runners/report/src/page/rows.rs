//! The rows of the page's tables: numbers as text, each with the number that it sorts by.

use crate::csv::number;
use crate::figures::{self, FIGURES};
use crate::further::{Cell, Further, Row};
use crate::number::{decimals_for, fixed, grouped, signed, significant};
use crate::plot::canvas::INK;
use crate::plot::looks;
use crate::text::{one_line, shortened};
use crate::verdict::difference_decimals;
use crate::{Arm, Difference, Results, Trial, Verdict};
use minijinja::context;
use minijinja::value::Value;

/// A cell: what is read, and what the column is sorted by.
fn cell(text: String, value: f64) -> Value {
    context! { text => text.replace('-', "−"), sort => number(value) }
}

/// A cell of a number that may not be known: a dash, sorted last.
fn maybe(value: Option<f64>, text: impl Fn(f64) -> String) -> Value {
    match value {
        Some(value) => cell(text(value), value),
        None => context! { text => "–", sort => "" },
    }
}

/// A row for each arm of both tables.
pub fn arms(results: &Results) -> Vec<Value> {
    let loss_decimals = decimals_for(results.arms.iter().filter_map(|arm| arm.loss.map(|loss| loss.sd)));
    let decimals = difference_decimals(results.arms.iter().filter_map(|arm| arm.difference.as_ref()));
    let row = |(arm, looks::Look { colour, .. }): (&Arm, looks::Look)| {
        let spread = |sd: f64| if sd.is_finite() { format!(" ± {}", fixed(sd, loss_decimals)) } else { String::new() };
        let loss = arm.loss.map(|loss| cell(fixed(loss.mean, loss_decimals) + &spread(loss.sd), loss.mean));
        let interval =
            arm.difference.and_then(|of| figures::interval(&of.corrected, decimals)).map(|text| text.replace('-', "−"));
        let iqm = arm.loss.map(|loss| loss.interquartile_mean).filter(|iqm| iqm.is_finite());
        context! {
            name => shortened(&arm.name, 80),
            colour => if colour == INK { "var(--ink)".to_owned() } else { format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2) },
            terms => one_line(&arm.terms),
            loss => loss.unwrap_or_else(|| maybe(None, number)),
            difference => maybe(arm.difference.map(|of| of.mean), |mean| signed(mean, decimals)),
            interval => interval,
            verdict => verdict(arm),
            figures => arm.difference.map(|of| statistics(&of, decimals)),
            iqm => maybe(iqm, |value| fixed(value, loss_decimals)),
            excess => maybe(arm.excess_loss, |value| fixed(value, loss_decimals)),
            bits => maybe(arm.bits_per_byte, |value| fixed(value, 3)),
            cosine => maybe(arm.mean_cosine_by_layer.last().copied(), |value| fixed(value, 3)),
            rank => maybe(arm.effective_rank_by_layer.last().copied(), |value| fixed(value, 1)),
            step_ms => maybe(arm.step_ms, |value| significant(value, 3)),
            cost => maybe(arm.cost_ratio, |value| fixed(value, 2) + "×"),
            perplexity => maybe(arm.perplexity, |value| significant(value, 4)),
            tokens => maybe(arm.tokens_per_second, grouped),
            memory => maybe(arm.peak_memory_mib, grouped),
            done => context! { text => format!("{} of {}", arm.done, arm.planned), sort => arm.done },
        }
    };
    looks::rows(results).into_iter().map(row).collect()
}

/// A table of sizes or of tuning; one that is long scrolls by itself.
pub fn further(table: &Further) -> Value {
    /// Rows that are read without scrolling.
    const MOST: usize = 24;
    let cell = |(cell, (_, number)): (&Cell, &(&str, bool))| {
        let text = if *number { cell.text.replace('-', "−") } else { cell.text.clone() };
        let (text, spread) = match text.split_once(" ± ") {
            Some((mean, spread)) if *number => (mean.to_owned(), Some(format!("± {spread}"))),
            _ => (text, None),
        };
        context! { text, spread, number => *number, sort => cell.sort.map(self::number) }
    };
    let row = |row: &Row| {
        let cells: Vec<Value> = row.cells.iter().zip(&table.titles).map(cell).collect();
        context! { name => cells.first(), cells => cells.get(1..), marked => row.marked }
    };
    context! {
        title => table.title,
        remark => table.remark.as_str(),
        titles => table.titles.iter().map(|(text, number)| context! { text => *text, number => *number }).collect::<Vec<_>>(),
        rows => table.rows.iter().map(row).collect::<Vec<_>>(),
        long => table.rows.len() > MOST,
    }
}

/// What the figures of a difference are called.
pub fn statistics_titles() -> Vec<&'static str> {
    FIGURES.iter().map(|figure| figure.title).collect()
}

/// The figures of a difference, in the order of their titles.
fn statistics(difference: &Difference, decimals: usize) -> Vec<Value> {
    let cells = FIGURES.iter().map(|figure| match (figure.text)(difference, decimals) {
        // where a cell is broken, the second end of an interval keeps its word
        Some(text) => {
            cell(text.replace("to ", "to\u{a0}").replace("< ", "<\u{a0}"), (figure.sort)(difference).unwrap_or(f64::NAN))
        }
        None => maybe(None, number),
    });
    cells.collect()
}

/// Which of the columns that not every study has are known for some arm.
pub fn known(results: &Results) -> Value {
    let any = |known: fn(&Arm) -> bool| results.arms.iter().any(known);
    context! {
        excess => any(|arm| arm.excess_loss.is_some()),
        bits => any(|arm| arm.bits_per_byte.is_some()),
        cosine => any(|arm| !arm.mean_cosine_by_layer.is_empty()),
        rank => any(|arm| !arm.effective_rank_by_layer.is_empty()),
    }
}

/// The verdict in words, its first word apart, so that it can stand out.
fn verdict(arm: &Arm) -> Value {
    let words = arm.verdict.words(arm);
    let (head, tail) = words.split_once(": ").unwrap_or((&words, ""));
    let short = arm.verdict.column(arm.difference).replace(" seed", "\u{a0}seed");
    context! { kind => kind(arm.verdict), head => head, tail => tail, short, sort => rank(arm.verdict) }
}

/// The class in the style sheet.
fn kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Baseline | Verdict::NoDifference | Verdict::Unknown => "plain",
    }
}

/// Best first, when sorted.
fn rank(verdict: Verdict) -> usize {
    [Verdict::Better, Verdict::Baseline, Verdict::NoDifference, Verdict::Worse, Verdict::Unknown]
        .iter()
        .position(|of| *of == verdict)
        .unwrap_or(0)
}

/// What did not finish: the arm and its reason.
pub fn failures(results: &Results) -> Vec<Value> {
    let failures = results.arms.iter().flat_map(|arm| arm.failures.iter().map(move |failure| (arm, failure)));
    failures.map(|(arm, failure)| context! { arm => shortened(&arm.name, 80), failure => one_line(failure) }).collect()
}

/// Label and value lines.
pub fn setup(results: &Results) -> Vec<Value> {
    results.setup.iter().map(|(label, value)| context! { label => one_line(label), value => one_line(value) }).collect()
}

/// The measures of all trials, in the order of their first trial.
pub fn measure_names(results: &Results) -> Vec<String> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in results.trials.iter().flat_map(|trial| &trial.measures) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(|name| one_line(name)).collect()
}

/// A row for each trial, its measures in the order of [`measure_names`].
pub fn trials(results: &Results) -> Vec<Value> {
    let names = measure_names(results);
    let value = |trial: &Trial, name: &String| {
        trial.measures.iter().find(|(own, _)| one_line(own) == *name).and_then(|(_, value)| *value)
    };
    let decimals: Vec<usize> =
        names.iter().map(|name| column_decimals(results.trials.iter().filter_map(|trial| value(trial, name)))).collect();
    let row = |trial: &Trial| {
        let measure = |(name, decimals): (&String, &usize)| maybe(value(trial, name), |value| fixed(value, *decimals));
        context! {
            arm => shortened(&trial.arm, 80),
            seed => trial.seed,
            state => one_line(&trial.state),
            reason => trial.reason.as_deref().map(one_line),
            measures => names.iter().zip(&decimals).map(measure).collect::<Vec<_>>(),
        }
    };
    results.trials.iter().map(row).collect()
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

    fn text(row: &Value, cell: &str) -> String {
        row.get_attr(cell).unwrap().get_attr("text").unwrap().to_string()
    }

    #[test]
    fn cells_read_well_and_sort_by_their_number() {
        let rows = arms(&sample::results());
        let dispersion = &rows[1];
        for (cell, expected) in [
            ("loss", "3.469 ± 0.012"),
            ("difference", "−0.031"),
            ("cosine", "0.620"),
            ("cost", "1.10×"),
            ("tokens", "51,234"),
            ("excess", "–"),
        ] {
            assert_eq!(text(dispersion, cell), expected);
        }
        assert_eq!(text(dispersion, "iqm"), "3.469");
        let figures = dispersion.get_attr("figures").unwrap();
        assert_eq!(figures.len(), Some(statistics_titles().len()));
        assert!(rows[0].get_attr("figures").unwrap().is_none(), "the baseline has no difference");
        assert_eq!(dispersion.get_attr("interval").unwrap().to_string(), "−0.050 to −0.012");
        assert_eq!(dispersion.get_attr("difference").unwrap().get_attr("sort").unwrap().to_string(), "-0.031");
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
        let rows = arms(&results);
        assert!(rows[1].get_attr("interval").unwrap().is_none());
        assert_eq!(text(&rows[1], "loss"), "3.500");
    }
}
