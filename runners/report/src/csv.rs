//! `results.csv`: tidy, one row per trial, one column per measure.

use crate::{Machine, Results, Trial};

/// The trials as CSV: study, arm, seed, state, reason, then a column for each measure, and the machine at the end.
///
/// A measure that was not taken is empty; other numbers have all digits, or are `NaN`, `inf` and `-inf`. Text that starts like a
/// spreadsheet's formula gets an apostrophe in front, so that opening the file runs nothing.
pub fn csv(results: &Results) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in results.trials.iter().flat_map(|trial| &trial.measures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let first = ["study", "arm", "seed", "state", "reason"];
    let mut lines = vec![row(first.iter().chain(&names).chain(&MACHINE).map(|name| text(name)))];
    for trial in &results.trials {
        let reason = trial.reason.as_deref().unwrap_or_default();
        let labels = [text(&results.study), text(&trial.arm), trial.seed.to_string(), text(&trial.state), text(reason)];
        let measure = |name: &&str| trial.measures.iter().find(|(own, _)| own == name).and_then(|(_, value)| *value);
        let measures = names.iter().map(|name| measure(name).map(number).unwrap_or_default());
        lines.push(row(labels.into_iter().chain(measures).chain(machine(results, trial))));
    }
    lines.concat()
}

/// Columns of the machine that trained a trial, and of what that does to its comparison with the baseline.
const MACHINE: [&str; 6] = ["host", "processor", "threads", "instructions", "device", "machine_note"];

/// Their cells; empty where the machine is not known.
fn machine(results: &Results, trial: &Trial) -> [String; 6] {
    let machine = trial.machine.and_then(|machine| results.machines.get(machine));
    let words = |of: fn(&Machine) -> Option<&String>| machine.and_then(of).map(|word| text(word)).unwrap_or_default();
    [
        words(|machine| machine.host.as_ref()),
        words(|machine| machine.processor.as_ref()),
        machine.map(|machine| machine.threads.to_string()).unwrap_or_default(),
        words(|machine| machine.instructions.as_ref()),
        words(|machine| Some(&machine.device)),
        text(trial.machine_note.as_deref().unwrap_or_default()),
    ]
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
        let names = "study,arm,seed,state,reason,test_loss,perplexity,host,processor,threads,instructions,device,machine_note";
        assert_eq!(lines[0], names);
        assert_eq!(lines[1], "quickstart,baseline,0,done,,3.5,33.115,node-1,EPYC,2,avx2,cpu,");
        assert_eq!(lines[12], "quickstart,vicreg,2,diverged,loss is NaN at step 14,NaN,,,,,,,");
        assert_eq!(lines.len(), 1 + 4 * 3);
    }

    #[test]
    fn a_trial_whose_pair_ran_elsewhere_says_so() {
        let csv = csv(&sample::mixed());
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[4], "quickstart,dispersion,0,done,,3.5,33.115,node-1,EPYC,2,avx2,cpu,");
        let elsewhere = "node-2,Xeon,4,avx2,cpu,time is not compared: this trial ran elsewhere";
        assert_eq!(lines[5], format!("quickstart,dispersion,1,done,,3.5,33.115,{elsewhere}"));
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

    /// The cells of a CSV file, by the rules of RFC 4180.
    fn cells(csv: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
        let mut rest = csv.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => row.push(std::mem::take(&mut cell)),
                '\n' if !quoted => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                c => cell.push(c),
            }
        }
        assert!(row.is_empty() && cell.is_empty() && !quoted, "the last line is whole");
        rows
    }

    /// A number as pandas and R read one: no separators of thousands, no units, a decimal point.
    fn is_number(cell: &str) -> bool {
        let letters = cell.bytes().all(|byte| byte.is_ascii_digit() || b".-+e".contains(&byte));
        cell.parse::<f64>().is_ok() && (letters || ["NaN", "inf", "-inf"].contains(&cell))
    }

    #[test]
    fn every_cell_is_of_its_columns_type() {
        const WORDS: [&str; 12] = [
            "study",
            "arm",
            "state",
            "reason",
            "baseline",
            "verdict",
            "host",
            "processor",
            "instructions",
            "device",
            "machine_note",
            "cost_note",
        ];
        for (what, results) in sample::edges() {
            let arms = crate::arms_table(&results, crate::Format::Csv).unwrap();
            for (csv, expected) in [(csv(&results), results.trials.len()), (arms, results.arms.len())] {
                let rows = cells(&csv);
                let (header, rows) = rows.split_first().unwrap();
                assert_eq!(rows.len(), expected, "{what}: one line of names, then a row for each");
                let plain = |name: &&String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                assert!(header.iter().all(|name| plain(&name)), "{what}: names that are names in R too: {header:?}");
                for row in rows {
                    assert_eq!(row.len(), header.len(), "{what}: {row:?}");
                    for (name, cell) in header.iter().zip(row).filter(|(name, _)| !WORDS.contains(&name.as_str())) {
                        assert!(cell.is_empty() || is_number(cell), "{what}: expected a number in {name}, found `{cell}`");
                    }
                }
            }
        }
        assert!(is_number("-1.5e-9") && is_number("NaN"));
        assert!(!is_number("1,234") && !is_number("5 ms") && !is_number("NA") && !is_number("1.00x"));
    }

    #[test]
    fn no_trials_is_a_header() {
        let results = crate::Results { trials: vec![], ..sample::results() };
        assert_eq!(csv(&results), "study,arm,seed,state,reason,host,processor,threads,instructions,device,machine_note\n");
    }
}
