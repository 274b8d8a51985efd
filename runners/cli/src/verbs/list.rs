//! `regatta list`

use super::costs::Costs;
use super::table::wrapped;
use crate::failure::{Failure, say};
use regatta_core::{Card, registry};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Format of the table
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Also show costs, from a file that `regatta bench --costs` wrote
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// As wide as the terminal
    Text,
    /// A Markdown table, as in Regatta's reference
    Md,
}

/// Prints the plugins linked into this program, regularizers first.
pub(crate) fn list(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let costs = match &arguments.costs {
        Some(path) => Some(Costs::read(path, &cards).map_err(Failure::refused)?),
        None => None,
    };
    let mut header = ["name", "kind", "what it does", "paper", "cloud it expects", "home"].map(str::to_owned).to_vec();
    header.extend(costs.iter().map(|costs| format!("cost on `{}`", costs.shape)));
    let row = |card: &Card| {
        let mut cells = [card.name, card.kind.word(), card.summary, card.paper, card.expects].map(str::to_owned).to_vec();
        cells.push(card.home().map_or_else(String::new, |home| home.short()));
        if card.is_label_aware() {
            cells[2] += " (label-aware)";
        }
        cells.extend(costs.iter().map(|costs| costs.cell(card)));
        cells
    };
    let mut sorted: Vec<&Card> = cards.values().copied().collect();
    sorted.sort_by_key(|card| std::cmp::Reverse(card.kind.word())); // regularizers first; stable: by name within a kind
    let rows = sorted.into_iter().map(row);
    match arguments.format {
        Format::Text => say(wrapped().set_header(header).add_rows(rows))?,
        Format::Md => say(markdown(&header, rows))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn markdown(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let escaped = |cells: Vec<String>| line(cells.iter().map(|cell| cell.replace('|', "\\|")).collect());
    let rule = format!("|{}", "---|".repeat(header.len()));
    let lines: Vec<String> = [escaped(header.to_vec()), rule].into_iter().chain(rows.map(escaped)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_markdown() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let found = markdown(&cells(["name", "paper"]), [cells(["a", "|x|"])].into_iter());
        assert_eq!(found, "| name | paper |\n|---|---|\n| a | \\|x\\| |");
    }
}
