//! The table in the terminal.

use crate::answer::{answer, cautions};
use crate::drawn;
use crate::number::{decimals_for, fixed, signed, significant};
use crate::text::{counted, one_line, shortened};
use crate::verdict::{VerdictWords, corrected_for, difference_decimals, split};
use crate::{Arm, Results, UNIT, Verdict};
use crate::{figures, further};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Rules above and below the titles and below the rows.
const RULES: TableStyle = {
    let rule = LineStyle::none().fill('─').junction('─');
    TableStyle::new().top_border(rule).header_separator(rule).bottom_border(rule)
};

/// Of more arms, the verdicts are in the table alone.
const MOST_IN_WORDS: usize = 40;

/// The smallest width of a table, in columns.
const NARROWEST: usize = 20;

/// A column: its title, its rank (the largest is dropped first), its cell for an arm.
struct Column<'a> {
    title: &'static str,
    rank: u8,
    cell: Box<dyn Fn(&Arm) -> String + 'a>,
}

impl<'a> Column<'a> {
    fn new(rank: u8, title: &'static str, cell: impl Fn(&Arm) -> String + 'a) -> Self {
        Self { title, rank, cell: Box::new(cell) }
    }
}

/// The arms as a table of at most `width` columns, then the answer, the verdicts in words, the failures and the notes.
///
/// Where not all columns fit, the least important are dropped; where even arm, loss and difference do not fit, cells wrap.
pub fn terminal_table(results: &Results, width: usize) -> String {
    let width = width.max(NARROWEST);
    let longest = longest_name(results);
    let mut text = String::new();
    let mut titles = Vec::new();
    if !results.arms.is_empty() {
        let (table, shown) = table(results, width);
        text.push_str(&table);
        text.push_str("\n\n");
        if !drawn::all(results) {
            let (best, worst, rows) = (drawn::BEST, drawn::WORST, counted(results.arms.len(), "row"));
            let by = drawn::ranking(results);
            let all = "`results` and results.csv have all";
            wrap(
                &mut text,
                "",
                &format!("Shown: the baseline, the best {best} and the worst {worst} of {rows} by {by}; {all}."),
                width,
            );
        }
        titles = shown;
    }
    wrap(&mut text, "", &answer(results), width);
    let is_short = results.has_many_rows() || results.arms.len() > MOST_IN_WORDS;
    let in_words = results.arms.iter().filter(|arm| arm.verdict != Verdict::Baseline && !is_short);
    for arm in in_words {
        wrap(&mut text, "  ", &format!("{}: {}", shortened(&arm.name, longest), arm.verdict.words(arm)), width);
    }
    if is_short {
        wrap(&mut text, "", "The page has each row's interval and minimum detectable effect.", width);
    }
    /// Most arms with lines on tuning and power laws.
    const MOST: usize = 12;
    for (indented, line) in further::lines(results, MOST) {
        wrap(&mut text, if indented { "  " } else { "" }, &line, width);
    }
    let failures = results
        .arms
        .iter()
        .flat_map(|arm| arm.failures.iter().map(move |failure| format!("{}: {failure}", shortened(&arm.name, longest))));
    let failures: Vec<String> = failures.collect();
    if !failures.is_empty() {
        wrap(&mut text, "", "Did not finish:", width);
    }
    for failure in &failures {
        wrap(&mut text, "  ", failure, width);
    }
    for line in cautions(results).iter().chain(&results.notes).chain([&legend(results, &titles)]) {
        wrap(&mut text, "", line, width);
    }
    text
}

/// The meaning of the columns of a table with these titles.
pub fn legend(results: &Results, titles: &[&str]) -> String {
    let (held_out, _) = split(results);
    let mut legend = format!(
        "Loss: {held_out}, {UNIT}, mean ± standard deviation over seeds. Difference: arm minus {}, paired by seed; below 0 is better.",
        results.reference()
    );
    let differences = || results.arms.iter().filter_map(|arm| arm.difference);
    let shown = |title: &str| titles.contains(&title);
    if let Some(corrected) = differences().next().and_then(|of| corrected_for(of.comparisons)).filter(|_| shown("95% interval")) {
        legend += &format!(" Intervals are {corrected}.");
    }
    if shown("equal time") && differences().any(|of| of.equal_time.is_some()) {
        legend += " Equal time: difference of validation loss when the quicker trial of each pair was done.";
    }
    legend
}

/// Most characters of a name; in a sweep it includes the point.
fn longest_name(results: &Results) -> usize {
    if results.is_sweep() { 56 } else { 32 }
}

/// The table, and the titles of the columns that fit.
fn table(results: &Results, width: usize) -> (String, Vec<&'static str>) {
    let mut columns = columns(results);
    columns.retain(|column| column.rank == 0 || results.arms.iter().any(|arm| !(column.cell)(arm).is_empty()));
    loop {
        let mut table = filled(results, &columns);
        let widest = table.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let titles = || columns.iter().map(|column| column.title).collect();
        if widest <= width {
            return (table.trim_fmt(), titles());
        }
        match (0..columns.len()).max_by_key(|&index| columns[index].rank) {
            Some(index) if columns[index].rank > 0 => drop(columns.remove(index)),
            _ => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
                return (table.trim_fmt(), titles());
            }
        }
    }
}

fn columns(results: &Results) -> Vec<Column<'_>> {
    let longest = longest_name(results);
    let loss = decimals_for(results.arms.iter().filter_map(|arm| arm.loss.map(|loss| loss.sd)));
    let difference = difference_decimals(results.arms.iter().filter_map(|arm| arm.difference.as_ref()));
    let plain = |value: Option<f64>, decimals| value.map(|value| fixed(value, decimals)).unwrap_or_default();
    vec![
        Column::new(0, "arm", move |arm| shortened(&arm.name, longest)),
        Column::new(0, "loss", move |arm| {
            let sd = |sd: f64| if sd.is_finite() { format!(" ± {}", fixed(sd, loss)) } else { String::new() };
            arm.loss.map(|of| fixed(of.mean, loss) + &sd(of.sd)).unwrap_or("-".into())
        }),
        Column::new(0, "difference", move |arm| arm.difference.map(|of| signed(of.mean, difference)).unwrap_or_default()),
        Column::new(2, "95% interval", move |arm| {
            arm.difference.and_then(|of| figures::interval(&of.corrected, difference)).unwrap_or_default()
        }),
        Column::new(1, "verdict", |arm| arm.verdict.column(arm.difference)),
        Column::new(6, "equal time", move |arm| {
            arm.difference.and_then(|of| of.equal_time).map(|of| signed(of.mean, difference)).unwrap_or_default()
        }),
        Column::new(8, "excess", move |arm| plain(arm.excess_loss, loss)),
        Column::new(9, "bits/byte", move |arm| plain(arm.bits_per_byte, 3)),
        Column::new(4, "cosine", move |arm| plain(arm.mean_cosine_by_layer.last().copied(), 3)),
        Column::new(10, "rank", move |arm| plain(arm.effective_rank_by_layer.last().copied(), 1)),
        Column::new(7, "ms/step", |arm| arm.step_ms.map(|ms| significant(ms, 3)).unwrap_or_default()),
        Column::new(3, "cost", move |arm| arm.cost_ratio.map(|ratio| fixed(ratio, 2) + "x").unwrap_or_default()),
        Column::new(5, "done", |arm| format!("{}/{}", arm.done, arm.planned)),
    ]
}

fn filled(results: &Results, columns: &[Column]) -> Table {
    let aligned = |index: usize, column: &Column, text: String| {
        let words = index == 0 || column.title == "verdict";
        Cell::new(text).set_alignment(if words { CellAlignment::Left } else { CellAlignment::Right })
    };
    let mut table = Table::new();
    table.load_style(RULES).force_no_tty().set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().enumerate().map(|(index, column)| aligned(index, column, column.title.to_owned())));
    for (arm, _) in results.arms.iter().zip(drawn::rows(results)).filter(|(_, is_shown)| *is_shown) {
        table.add_row(columns.iter().enumerate().map(|(index, column)| aligned(index, column, (column.cell)(arm))));
    }
    table
}

/// Adds `line` to `text`, broken between words at `width`; rows after the first of an indented line are indented twice.
fn wrap(text: &mut String, indent: &str, line: &str, width: usize) {
    let mut row = String::from(indent);
    let mut used = indent.len();
    let mut begun = false;
    for word in one_line(line).split_whitespace() {
        // a word longer than a row is cut
        for part in word.chars().collect::<Vec<_>>().chunks(width - 2 * indent.len()) {
            if begun && used + 1 + part.len() > width {
                text.push_str(&row);
                text.push('\n');
                row = indent.repeat(2);
                used = row.len();
                begun = false;
            }
            if begun {
                row.push(' ');
                used += 1;
            }
            row.extend(part);
            used += part.len();
            begun = true;
        }
    }
    text.push_str(&row);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_hundred_columns_hold_the_answer() {
        let text = terminal_table(&sample::results(), 100);
        let row = text.lines().find(|line| line.trim_start().starts_with("dispersion ")).unwrap();
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[..5], ["dispersion", "3.469 ± 0.012", "-0.031", "-0.050 to -0.012", "better (3 seeds)"], "{text}");
        assert!(
            text.contains("dispersion: better: 0.031 nats lower (95% interval 0.012 to 0.050, corrected for 3 comparisons;"),
            "{text}"
        );
        assert!(text.contains("vicreg: seed 2 diverged at step 14: loss is NaN"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn a_thousand_arms_are_few_lines() {
        let text = terminal_table(&sample::many(1_000), 100);
        assert!(text.lines().count() < 40, "{} lines", text.lines().count());
        assert!(
            text.replace('\n', " ").contains("Shown: the baseline, the best 10 and the worst 3 of 1001 rows by held-out loss;"),
            "{text}"
        );
        assert!(!text.contains("no difference detected; these"), "{text}");
    }

    #[test]
    fn narrower_drops_the_least_important() {
        let titles = |width| {
            let text = terminal_table(&sample::results(), width);
            text.lines().nth(1).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(titles(86), ["arm", "loss", "difference", "95%", "interval", "verdict"]);
        assert_eq!(titles(40), ["arm", "loss", "difference"]);
    }

    #[test]
    fn only_columns_that_are_shown_are_explained() {
        let explained = |width| terminal_table(&sample::results(), width).replace('\n', " ").contains("Equal time: difference");
        let shown = |width| terminal_table(&sample::results(), width).lines().nth(1).unwrap().contains("equal time");
        assert_eq!([86, 100, 200].map(explained), [false, false, true]);
        assert_eq!([86, 100, 200].map(shown), [false, false, true]);
    }

    #[test]
    fn edges_fit_and_do_not_panic() {
        for (what, results) in sample::edges() {
            for width in [0, 20, 40, 80, 100, 200, 100_000] {
                let text = terminal_table(&results, width);
                assert!(text.ends_with('\n'), "{what}");
                if width >= 80 {
                    assert!(text.lines().all(|line| line.chars().count() <= width), "{what} at {width}:\n{text}");
                }
            }
        }
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let mut results = sample::results();
        results.arms[1].name = "red\u{1b}[31m".into();
        results.notes = vec!["two\nlines".into()];
        let text = terminal_table(&results, 100);
        assert!(!text.contains('\u{1b}') && text.contains("two lines"), "{text}");
    }
}
