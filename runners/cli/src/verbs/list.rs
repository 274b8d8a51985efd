//! `regatta list`

use crate::failure::{Failure, say};
use comfy_table::{ContentArrangement, Table};
use regatta_core::registry;
use std::process::ExitCode;

/// Prints the plugins linked into this program, regularizers first.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["name", "kind", "what it does", "paper"]);
    let mut rows: Vec<_> = cards.values().collect();
    rows.sort_by_key(|card| std::cmp::Reverse(card.kind.word())); // stable: by name within a kind
    for card in rows {
        table.add_row([card.name, card.kind.word(), card.summary, card.paper]);
    }
    say(table)?;
    Ok(ExitCode::SUCCESS)
}
