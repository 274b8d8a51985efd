//! The cost of a trial of each arm: FLOPs, speed, memory, energy.

use super::{Cell, Further, Row};
use crate::number::{grouped, significant};
use crate::{Arm, Results, Spent};

/// Title, figure and decimal places or digits of a column.
type Column = (&'static str, fn(&Arm) -> Option<f64>, fn(f64) -> String);

const COLUMNS: [Column; 8] = [
    ("MFLOP per token", |arm| arm.spent.flops_per_token.map(|flops| flops / 1e6), three),
    ("TFLOP per trial", |arm| arm.spent.training_flops.map(|flops| flops / 1e12), three),
    ("tokens per second", |arm| arm.tokens_per_second, grouped),
    ("GFLOP per second", |arm| Some(arm.spent.flops_per_token? * arm.tokens_per_second? / 1e9), three),
    ("time per step", |arm| arm.cost_ratio, |ratio| crate::number::fixed(ratio, 2) + "×"),
    ("memory, MiB", |arm| arm.peak_memory_mib, grouped),
    ("resident, MiB", |arm| arm.spent.peak_rss_mib, grouped),
    ("energy, kJ", |arm| arm.spent.energy_joules.map(|joules| joules / 1e3), three),
];

fn three(value: f64) -> String {
    significant(value, 3)
}

/// A row for each arm, a column for each cost that some arm has; `None` for folders older than these costs.
pub fn costs(results: &Results) -> Option<Further> {
    if results.arms.iter().all(|arm| arm.spent == Spent::default()) {
        return None;
    }
    let known = |(_, cost, _): &&Column| results.arms.iter().any(|arm| cost(arm).is_some());
    let columns: Vec<&Column> = COLUMNS.iter().filter(known).collect();
    let cell = |arm: &Arm, (_, cost, text): &Column| cost(arm).map_or(Cell::words(""), |cost| Cell::number(text(cost), cost));
    let row = |arm: &Arm| Row {
        cells: std::iter::once(Cell::words(&arm.name)).chain(columns.iter().map(|column| cell(arm, column))).collect(),
        marked: false,
    };
    let energy = if columns.iter().any(|(title, ..)| title.starts_with("energy")) {
        "Energy is what the machine's processors used while the trial ran, other work at that time included."
    } else {
        "The machine did not report its energy."
    };
    let remark = format!(
        "Means over seeds; for memory the maximum. FLOPs are those of the matrix products of training, by formula: 6 per token and \
         weight of a matrix, plus causal attention; a second view counts as a second pass, and a companion as a forward pass. The \
         work of penalties is not included; it is part of the time per step, which is relative to the baseline's, of seeds whose \
         two trials ran on one kind of machine. Memory is the trial's peak, resident the peak of its process, earlier trials \
         included. {energy}"
    );
    Some(Further {
        title: "Cost",
        plots: &[],
        remark,
        titles: std::iter::once(("arm", false)).chain(columns.iter().map(|(title, ..)| (*title, true))).collect(),
        rows: results.arms.iter().filter(|arm| arm.done > 0).map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn a_column_for_each_cost_that_is_known() {
        let mut results = sample::results();
        assert!(costs(&results).is_none(), "an older folder");
        let spent = Spent { flops_per_token: Some(2e6), training_flops: Some(3e12), ..Spent::default() };
        results.arms.iter_mut().for_each(|arm| arm.spent = spent);
        let table = costs(&results).unwrap();
        // 2e6 FLOPs per token, 51,234 tokens per second
        assert_eq!(row(&table, 1), ["dispersion", "2.00", "3.00", "51,234", "102", "1.10×", "210"]);
        assert!(table.remark.ends_with("The machine did not report its energy."));
        results.arms[1].spent.energy_joules = Some(1234.0);
        let table = costs(&results).unwrap();
        assert_eq!(row(&table, 1).last(), Some(&"1.23"));
        assert_eq!(row(&table, 0).last(), Some(&""));
        assert!(table.remark.ends_with("other work at that time included."));
    }
}
