//! The tuning table, and cautions about the choices.

use super::{Cell, Further, Row};
use crate::number::{brief, decimals_for, fixed};
use crate::text::{counted, listed, one_line, shortened};
use crate::verdict::split;
use crate::{Edge, Results, Tuning, TuningCandidate};

/// A row for each candidate of each arm; `None` where nothing was tuned.
pub fn candidates(results: &Results) -> Option<Further> {
    if results.tuning.is_empty() {
        return None;
    }
    let decimals = decimals_for(results.tuning.iter().flat_map(gaps)).min(5);
    let setting = |value: Option<f64>| value.map_or(Cell::words("as written"), |value| Cell::number(value.to_string(), value));
    let row = |tuning: &Tuning, candidate: &TuningCandidate| Row {
        cells: vec![
            Cell::words(&tuning.arm),
            setting(candidate.weight),
            setting(candidate.lr),
            Cell::words(&seeds(&candidate.seeds)),
            candidate.validation_loss.map_or(Cell::words(""), |loss| Cell::number(fixed(loss, decimals), loss)),
            Cell::words(&outcome(tuning, candidate)),
        ],
        marked: candidate.chosen,
    };
    let rows = results.tuning.iter().flat_map(|tuning| tuning.candidates.iter().map(move |candidate| row(tuning, candidate)));
    let titles = [
        ("arm", false),
        ("weight", true),
        ("lr", true),
        ("tuning seeds", false),
        ("mean validation loss", true),
        ("outcome", false),
    ];
    let remark =
        "Settings were chosen by the mean validation loss after the last step, over tuning seeds alone; a candidate with \
                  an unfinished trial is never chosen. The chosen settings were then trained and judged with the study's own \
                  seeds, none of which took part in the choice."
            .to_owned();
    Some(Further { title: "Tuning", plots: &[], remark, titles: titles.to_vec(), rows: rows.collect() })
}

/// Gaps between the losses of an arm's candidates, which the table's decimals must show.
fn gaps(tuning: &Tuning) -> Vec<f64> {
    let mut losses: Vec<f64> = tuning.candidates.iter().filter_map(|candidate| candidate.validation_loss).collect();
    losses.sort_by(f64::total_cmp);
    losses.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// `chosen; largest weight tried`, or the failures.
fn outcome(tuning: &Tuning, candidate: &TuningCandidate) -> String {
    if !candidate.chosen {
        return listed(&candidate.failures);
    }
    let edges = tuning.edges.iter().map(|edge| format!("{} {} tried", side(edge), edge.setting));
    std::iter::once("chosen".to_owned()).chain(edges).collect::<Vec<_>>().join("; ")
}

/// `1000000`, `1000000 to 1000003`, or each of them.
fn seeds(seeds: &[u64]) -> String {
    let in_a_row = seeds.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    match seeds {
        [first, .., last] if in_a_row && seeds.len() > 2 => format!("{first} to {last}"),
        _ => seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn side(edge: &Edge) -> &'static str {
    if edge.largest { "largest" } else { "smallest" }
}

/// Cautions about the choices, a sentence each: values at the end of their lists, and a choice by the reported split.
pub fn cautions(results: &Results) -> Vec<String> {
    /// Arms that are named before the rest is counted.
    const MOST: usize = 6;
    let mut cautions = Vec::new();
    if !results.tuning.is_empty() && split(results).0 != "test" {
        cautions
            .push("The reported split was also used to choose the tuned settings, so their losses are too good: add test data to avoid this.".into());
    }
    let edges: Vec<_> = results.tuning.iter().flat_map(|tuning| tuning.edges.iter().map(move |edge| (tuning, edge))).collect();
    for (tuning, edge) in edges.iter().take(MOST) {
        cautions.push(format!(
            "{}: best {} {} is the {} tried: a better one may lie beyond.",
            shortened(&tuning.arm, 60),
            one_line(&edge.setting),
            edge.value,
            side(edge)
        ));
    }
    if edges.len() > MOST {
        let rest = counted(edges.len() - MOST, "other value");
        cautions.push(format!("The same holds for {rest}, which the tuning table marks."));
    }
    cautions
}

/// The choices for the terminal: a heading, and a line each.
pub fn lines(results: &Results) -> (&'static str, Vec<String>) {
    let line = |tuning: &Tuning| {
        let lost = tuning.candidates.iter().filter(|candidate| !candidate.failures.is_empty()).count();
        let lost = if lost > 0 { format!("; {lost} did not finish") } else { String::new() };
        let chosen = tuning.candidates.iter().find(|candidate| candidate.chosen).map_or("none".to_owned(), in_words);
        format!("{}: {chosen}, of {}{lost}", shortened(&tuning.arm, 60), counted(tuning.candidates.len(), "candidate"))
    };
    let heading = "Chosen by validation loss on tuning seeds alone; fresh seeds judged:";
    (heading, results.tuning.iter().map(line).collect())
}

/// `weight 0.1, lr 0.001`
fn in_words(candidate: &TuningCandidate) -> String {
    let weight = candidate.weight.map(|weight| format!("weight {}", brief(weight, 6)));
    let parts: Vec<String> = weight.into_iter().chain(candidate.lr.map(|lr| format!("lr {}", brief(lr, 6)))).collect();
    if parts.is_empty() { "as written".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn every_candidate_has_a_row_and_the_chosen_one_stands_out() {
        let table = candidates(&sample::sweep()).unwrap();
        assert_eq!(row(&table, 0), ["dispersion width=16", "0.01", "as written", "1000000", "3.600", ""]);
        let chosen = ["dispersion width=16", "0.1", "as written", "1000000", "3.500", "chosen; largest weight tried"];
        assert_eq!(row(&table, 1), chosen);
        assert_eq!(row(&table, 2)[4..], ["", "seed 1000000 diverged"]);
        assert_eq!(table.rows.iter().map(|row| row.marked).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn edges_of_grids_are_named() {
        let mut results = sample::sweep();
        let expected = "dispersion width=16: best weight 0.1 is the largest tried: a better one may lie beyond.";
        assert_eq!(cautions(&results), [expected]);
        results.held_out = "validation (the study names no test data)".into();
        results.tuning = vec![results.tuning[0].clone(); 9];
        let cautions = cautions(&results);
        assert!(cautions[0].starts_with("The reported split was also used") && cautions.len() == 8, "{cautions:?}");
        assert_eq!(cautions[7], "The same holds for 3 other values, which the tuning table marks.");
    }

    #[test]
    fn seeds_in_a_row_are_short() {
        assert_eq!((seeds(&[7]), seeds(&[1, 2, 3]), seeds(&[5, 9])), ("7".into(), "1 to 3".into(), "5, 9".into()));
    }
}
