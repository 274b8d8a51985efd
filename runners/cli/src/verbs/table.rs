//! Tables on the terminal.

use comfy_table::{ContentArrangement, Table, TableStyle};

/// A table without rules that wraps its cells at the terminal's width; as wide as its cells where no terminal is.
pub(super) fn wrapped() -> Table {
    let mut table = Table::new();
    let terminal = table.width();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
    unless_unknown(table, terminal)
}

/// A terminal that reports 0 columns (a script's, a serial line) does not know its width: cells would have one letter per line.
fn unless_unknown(mut table: Table, terminal: Option<u16>) -> Table {
    if terminal == Some(0) {
        table.force_no_tty();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_no_columns_is_no_terminal() {
        assert!(!unless_unknown(Table::new(), Some(0)).is_tty());
        assert_eq!(unless_unknown(Table::new(), Some(80)).is_tty(), Table::new().is_tty());
    }
}
