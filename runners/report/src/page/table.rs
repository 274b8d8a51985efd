//! A table of the page. The rows of a short table are HTML. A long table has its first rows as HTML and all rows as data, from
//! which the script builds one page of rows at a time.

use crate::csv::number;
use crate::text::counted;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

/// Rows of one page of a long table; a table with more than twice as many is long.
pub const PAGE: usize = 50;
/// Rows that are read without scrolling.
const MOST_UNSCROLLED: usize = 24;

/// A table whose first column names its rows.
#[derive(Default)]
pub struct Table {
    /// Classes in the style sheet.
    pub class: &'static str,
    pub titles: Vec<Title>,
    pub rows: Vec<Row>,
    /// Rows that were left out by [`Table::cut`].
    pub left_out: usize,
}

/// The title of a column.
#[derive(Serialize)]
pub struct Title {
    pub text: String,
    /// Whether its cells are numbers.
    pub number: bool,
}

/// A row of a table.
#[derive(Serialize)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// Whether it stands out.
    pub marked: bool,
    /// The index of its arm in the results; none where it has none.
    pub arm: Option<usize>,
}

/// A cell of a row.
#[derive(Default, Serialize)]
pub struct Cell {
    /// Bold text before the text.
    pub strong: String,
    pub text: String,
    /// A second line in small type.
    pub small: String,
    /// Code below a name.
    pub code: String,
    /// What its column is sorted by, where that is not the text.
    pub sort: Option<String>,
    /// The class in the style sheet.
    pub class: &'static str,
    /// The colour of its row in the plots, as CSS.
    pub colour: String,
}

impl Title {
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: false }
    }

    pub fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: true }
    }
}

impl Cell {
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number as text, and the number that its column is sorted by.
    pub fn number(text: impl AsRef<str>, sort: f64) -> Self {
        Self { text: text.as_ref().replace('-', "−"), sort: Some(number(sort)), ..Self::default() }
    }

    /// A number, or a dash that is sorted last.
    pub fn maybe(value: Option<f64>, text: impl Fn(f64) -> String) -> Self {
        match value {
            Some(value) => Self::number(text(value), value),
            None => Self { text: "–".into(), sort: Some(String::new()), ..Self::default() },
        }
    }

    /// The cell as the script reads it: its text, or a list of text, key, small text, class and code without what is empty at the end.
    /// A key is left out where the script can read it from the text.
    fn data(&self) -> serde_json::Value {
        let key = self.sort.as_deref().filter(|key| leading_number(&self.text).is_none() || key.is_empty());
        let text = format!("{}{}", self.strong, self.text);
        let mut parts = vec![text.as_str().into(), key.map_or(serde_json::Value::Null, Into::into)];
        parts.extend([self.small.as_str().into(), self.class.into(), self.code.as_str().into()]);
        while parts.len() > 1 && matches!(parts.last(), Some(last) if last.is_null() || last == "") {
            if parts.len() == 2 && parts[1] == "" {
                break; // an empty key: sorted last
            }
            parts.pop();
        }
        if parts.len() == 1 { parts.remove(0) } else { parts.into() }
    }
}

/// The number that a text begins with, as the script reads it: `−0.050 to −0.012`, `1.10×`, `51,234`.
fn leading_number(text: &str) -> Option<f64> {
    let plain = text.replace('−', "-").replace(',', "");
    plain.split([' ', '×', '\u{a0}']).next()?.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Table {
    fn is_long(&self) -> bool {
        self.rows.len() > 2 * PAGE
    }

    /// Bytes of its rows as data; none where they all are HTML.
    fn size(&self) -> usize {
        if self.is_long() { self.rows.iter().map(size).sum() } else { 0 }
    }

    /// Leaves out rows beyond `most` bytes, those with the largest `priority` of their arm first.
    fn cut(&mut self, most: usize, priority: &[usize]) {
        let rank = |row: &Row| row.arm.and_then(|arm| priority.get(arm)).copied().unwrap_or(usize::MAX);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|index| rank(&self.rows[*index]));
        let mut kept = vec![false; self.rows.len()];
        let mut used = 0;
        for index in order {
            used += size(&self.rows[index]);
            kept[index] = used <= most;
        }
        let before = self.rows.len();
        let mut kept = kept.into_iter();
        self.rows.retain(|_| kept.next().unwrap_or(false));
        self.left_out = before - self.rows.len();
    }

    /// What the template and the script need; `ranking` names the measure by which rows are left out.
    pub fn context(&self, ranking: &str) -> Value {
        let long = self.is_long();
        let shown = if long { PAGE } else { self.rows.len() };
        let all = self.rows.len() + self.left_out;
        let left_out = (self.left_out > 0).then(|| {
            format!(
                "The page has the best and the worst {} by {ranking}, of {}; results.csv beside the page has every trial.",
                counted(self.rows.len(), "row"),
                counted(all, "row")
            )
        });
        context! {
            class => self.class,
            titles => Value::from(Serde(&self.titles)),
            rows => Value::from(Serde(&self.rows[..shown])),
            data => long.then(|| Value::from_safe_string(self.data())),
            tall => self.rows.len() > MOST_UNSCROLLED,
            wide => self.titles.len() > 10,
            left_out,
        }
    }

    /// All rows as JSON that may stand inside a script element.
    fn data(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(row_data).collect();
        format!("[{}]", rows.join(",\n"))
    }
}

/// A row as JSON without `<`: its cells, then 1 where it stands out.
fn row_data(row: &Row) -> String {
    let marked = row.marked.then(|| serde_json::Value::from(1));
    serde_json::Value::Array(row.cells.iter().map(Cell::data).chain(marked).collect()).to_string().replace('<', "\\u003c")
}

fn size(row: &Row) -> usize {
    row_data(row).len() + 2
}

/// Leaves out rows of the largest tables until the data of all tables has at most `most` bytes. Rows of arms with a small
/// `priority` stay.
pub fn fit(tables: &mut [&mut Table], most: usize, priority: &[usize]) {
    let mut sizes: Vec<(usize, usize)> = tables.iter().map(|table| table.size()).enumerate().collect();
    sizes.sort_by_key(|(_, size)| *size);
    let (mut left, mut tables_left) = (most, sizes.len());
    for (index, size) in sizes {
        let equal_part = left / tables_left;
        if size > equal_part {
            tables[index].cut(equal_part, priority);
        }
        left -= size.min(equal_part);
        tables_left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Table {
        let row = |index: usize| Row {
            cells: vec![Cell::words(format!("arm-{index:03}")), Cell::number("1.50", 1.5)],
            marked: false,
            arm: Some(index),
        };
        Table { titles: vec![Title::words("arm"), Title::number("loss")], rows: (0..rows).map(row).collect(), ..Table::default() }
    }

    #[test]
    fn keys_that_can_be_read_from_the_text_are_left_out() {
        let check = |cell: Cell, expected: &str| assert_eq!(cell.data().to_string(), expected);
        check(Cell::number("-0.031", -0.0312), "\"−0.031\"");
        check(Cell::number("51,234", 51234.4), "\"51,234\"");
        check(Cell::number("< 0.0001", 1e-9), r#"["< 0.0001","1e-9"]"#);
        check(Cell::maybe(None, number), r#"["–",""]"#);
        check(Cell { small: "±".into(), ..Cell::number("1", 1.0) }, r#"["1",null,"±"]"#);
    }

    #[test]
    fn a_long_table_keeps_the_rows_of_the_first_arms_within_its_bytes() {
        let one = size(&table(1).rows[0]); // ["arm-000","1.50"] and a separator: 20 bytes
        assert_eq!(one, 20);
        let priority: Vec<usize> = (0..200).rev().collect(); // the last arm first
        let (mut long, mut short) = (table(200), table(3));
        fit(&mut [&mut long, &mut short], 150 * one, &priority);
        assert_eq!((long.rows.len(), short.rows.len()), (150, 3));
        assert_eq!(long.rows[0].cells[0].text, "arm-050");
        let left_out = long.context("held-out loss").get_attr("left_out").unwrap().to_string();
        assert!(
            left_out.starts_with("The page has the best and the worst 150 rows by held-out loss, of 200 rows;"),
            "{left_out}"
        );
        assert!(short.context("").get_attr("left_out").unwrap().is_none());
    }

    #[test]
    fn large_tables_share_what_small_ones_leave() {
        let (mut one, mut other, mut small) = (table(400), table(400), table(150)); // 8,000, 8,000 and 3,000 bytes
        fit(&mut [&mut one, &mut other, &mut small], 9_000, &[]);
        assert_eq!([one.rows.len(), other.rows.len(), small.rows.len()], [150, 150, 150]);
    }

    #[test]
    fn escapes_count_among_the_bytes() {
        let row = || Row { cells: vec![Cell::words("<".repeat(20))], marked: false, arm: None };
        let mut table = Table { titles: vec![Title::words("arm")], rows: (0..200).map(|_| row()).collect(), ..Table::default() };
        fit(&mut [&mut table], 12_600, &[]);
        assert_eq!(table.rows.len(), 100); // 20 escapes of 6 bytes, two brackets, two quotes and a separator: 126 bytes each
        assert_eq!(table.data().len(), 12_600);
    }
}
