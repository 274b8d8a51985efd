//! `regatta list`

use crate::failure::{Failure, say};
use comfy_table::{ContentArrangement, Table};
use regatta_core::registry;
use std::process::ExitCode;

/// Prints the regularizers linked into this program.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["name", "penalty", "paper"]);
    for card in cards.values() {
        table.add_row([card.name, card.summary, card.paper]);
    }
    say(table)?;
    Ok(ExitCode::SUCCESS)
}
