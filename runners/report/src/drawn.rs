//! Which arms the plots draw. A few dozen arms are all drawn; of more, the baseline, the best and the worst.

use crate::text::counted;
use crate::{Results, Verdict};

/// Most rows that are all drawn.
pub const MOST: usize = 64;
/// Of more rows, the plots draw this many of the best and of the worst.
pub const BEST: usize = 10;
pub const WORST: usize = 3;

/// Whether the plots draw all rows.
pub fn all(results: &Results) -> bool {
    results.arms.len() <= MOST
}

/// For each row of the results, whether the plots draw it.
pub fn rows(results: &Results) -> Vec<bool> {
    if all(results) {
        return vec![true; results.arms.len()];
    }
    let mut drawn = ends(&ranked(results), BEST, WORST, results.arms.len());
    with_baselines(results, &mut drawn);
    drawn
}

/// The rows from the best to the worst: by their difference from the baseline in a sweep, where losses of different points cannot
/// be compared, else by their loss. Rows without the number are left out, and so are baselines.
pub fn ranked(results: &Results) -> Vec<usize> {
    let sweep = results.is_sweep();
    let key = |index: usize| {
        let arm = &results.arms[index];
        let key = if sweep { arm.difference.map(|of| of.mean) } else { arm.loss.map(|loss| loss.mean) };
        key.filter(|key| key.is_finite() && arm.verdict != Verdict::Baseline)
    };
    ranked_by(results.arms.len(), key)
}

/// The indices that have a key, the smallest first; equal ones in their order.
pub fn ranked_by(count: usize, key: impl Fn(usize) -> Option<f64>) -> Vec<usize> {
    let mut keyed: Vec<(usize, f64)> = (0..count).filter_map(|index| Some((index, key(index)?))).collect();
    keyed.sort_by(|a, b| a.1.total_cmp(&b.1));
    keyed.into_iter().map(|(index, _)| index).collect()
}

/// Marks the first `best` and the last `worst` of `ranked` among `count` rows.
pub fn ends(ranked: &[usize], best: usize, worst: usize, count: usize) -> Vec<bool> {
    let mut marked = vec![false; count];
    ranked.iter().take(best).chain(ranked.iter().rev().take(worst)).for_each(|index| marked[*index] = true);
    marked
}

/// Marks what the marked rows are compared with; the study's first baseline where none is marked.
pub fn with_baselines(results: &Results, marked: &mut [bool]) {
    let names: std::collections::BTreeSet<&str> =
        results.arms.iter().zip(marked.iter()).filter(|(_, marked)| **marked).map(|(arm, _)| arm.baseline.as_str()).collect();
    for (arm, marked) in results.arms.iter().zip(marked.iter_mut()) {
        *marked |= arm.verdict == Verdict::Baseline && names.contains(arm.name.as_str());
    }
    if names.is_empty() {
        let first = results.arms.iter().position(|arm| arm.verdict == Verdict::Baseline).or(Some(0));
        first.filter(|first| *first < marked.len()).into_iter().for_each(|first| marked[first] = true);
    }
}

/// What rows are ranked by, in words.
pub fn ranking(results: &Results) -> &'static str {
    if results.is_sweep() { "difference from the baseline" } else { "held-out loss" }
}

/// `Drawn: the baseline, the best 10 and the worst 3 of 3,001 rows by held-out loss.`; `None` where all are drawn.
pub fn remark(results: &Results) -> Option<String> {
    let count = counted(results.arms.len(), "row");
    (!all(results))
        .then(|| format!("Drawn: the baseline, the best {BEST} and the worst {WORST} of {count} by {}.", ranking(results)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn few_rows_are_all_drawn() {
        assert_eq!(rows(&sample::results()), [true; 4]);
        assert!(remark(&sample::results()).is_none());
    }

    #[test]
    fn of_many_rows_the_ends_and_the_baseline_are_drawn() {
        let results = sample::many(100); // arm 0 is the best, arm 99 the worst
        let names: Vec<&str> =
            results.arms.iter().zip(rows(&results)).filter(|of| of.1).map(|(arm, _)| arm.name.as_str()).collect();
        let best = (0..BEST).map(|index| format!("arm-{index}"));
        let expected: Vec<String> =
            std::iter::once("baseline".into()).chain(best).chain((97..100).map(|i| format!("arm-{i}"))).collect();
        assert_eq!(names, expected);
        let expected = "Drawn: the baseline, the best 10 and the worst 3 of 101 rows by held-out loss.";
        assert_eq!(remark(&results).as_deref(), Some(expected));
    }

    #[test]
    fn rows_without_a_loss_have_no_rank() {
        let mut results = sample::results();
        results.arms[1].loss = None;
        assert_eq!(ranked(&results), [2, 3]); // 3.504, 3.7; the baseline has none
        let sweep = sample::sweep();
        assert_eq!(ranked(&sweep), [1, 3]);
    }

    #[test]
    fn a_sweep_draws_the_baselines_of_what_it_draws() {
        let sweep = sample::sweep();
        let mut marked = [false, false, false, true];
        with_baselines(&sweep, &mut marked);
        assert_eq!(marked, [false, false, true, true]); // of width 32, not of width 16
    }
}
