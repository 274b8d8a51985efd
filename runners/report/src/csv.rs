//! `results.csv`: tidy, one row per trial, one column per measure.

use crate::Results;

/// The trials as CSV: study, arm, seed, state, reason, then a column for each measure.
///
/// A measure that was not taken is empty; other numbers are in full, the non-finite as `NaN`, `inf` and `-inf`. Text that
/// starts as a spreadsheet's formula does gets an apostrophe in front, so that opening the file runs nothing.
pub fn csv(results: &Results) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in results.trials.iter().flat_map(|trial| &trial.measures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut lines = vec![row(["study", "arm", "seed", "state", "reason"].iter().chain(&names).map(|name| text(name)))];
    for trial in &results.trials {
        let reason = trial.reason.as_deref().unwrap_or_default();
        let labels = [text(&results.study), text(&trial.arm), trial.seed.to_string(), text(&trial.state), text(reason)];
        let measure = |name: &&str| trial.measures.iter().find(|(own, _)| own == name).and_then(|(_, value)| *value);
        lines.push(row(labels.into_iter().chain(names.iter().map(|name| measure(name).map(number).unwrap_or_default()))));
    }
    lines.concat()
}

/// Cells that are quoted already, as a line.
pub fn row(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().collect::<Vec<_>>().join(",") + "\n"
}

/// A cell of text, quoted where it must be and disarmed where a spreadsheet would run it.
pub fn text(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    let cell = if formula { format!("'{text}") } else { text.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// A number in full: read back, it is the same.
pub fn number(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn one_row_per_trial_and_one_column_per_measure() {
        let csv = csv(&sample::results());
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "study,arm,seed,state,reason,test_loss,perplexity");
        assert_eq!(lines[1], "quickstart,baseline,0,done,,3.5,33.115");
        assert_eq!(lines[12], "quickstart,vicreg,2,diverged,loss is NaN at step 14,NaN,");
        assert_eq!(lines.len(), 1 + 4 * 3);
    }

    #[test]
    fn cells_are_quoted_and_disarmed() {
        let check = |cell: &str, expected: &str| assert_eq!(text(cell), expected);
        check("=1+1", "'=1+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("\n=1+1", "\"'\n=1+1\"");
        check("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0");
        check("+a,\"b\"", "\"'+a,\"\"b\"\"\"");
        check("-5", "-5"); // a number runs nothing
        check("two\nlines", "\"two\nlines\"");
    }

    #[test]
    fn numbers_are_in_full() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e-9, "1e-9");
        check(12345.0, "12345");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn no_trials_is_a_header() {
        let results = crate::Results { trials: vec![], ..sample::results() };
        assert_eq!(csv(&results), "study,arm,seed,state,reason\n");
    }
}
