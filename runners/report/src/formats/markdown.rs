//! A pipe table of GitHub's Markdown.

use super::columns::{TITLES, rows};
use crate::Results;
use crate::answer::{answer, cautions};
use crate::further::{further, machines, measured, one_machine};
use crate::table::legend;

/// The arms, then the answer, what weakens it, and what the columns are; then effect against size, tuning,
/// what was measured beside the loss, and the machines where there are several.
pub fn table(results: &Results) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let head = |titles: &[(&str, bool)]| {
        line(&mut titles.iter().map(|(title, _)| (*title).to_owned()))
            + &line(&mut titles.iter().map(|(_, numbers)| if *numbers { "---:" } else { "---" }.to_owned()))
    };
    let mut text = head(&TITLES);
    for row in rows(results) {
        text += &line(&mut row.iter().map(|cell| escaped(cell)));
    }
    for sentence in [answer(results)].iter().chain(&cautions(results)).chain([&legend(results, &TITLES.map(|(title, _)| title))])
    {
        text += &format!("\n{}\n", escaped(sentence));
    }
    let machines = machines(results).filter(|_| one_machine(results).is_none());
    for table in further(results).iter().chain(&measured(results)).chain(&machines) {
        text += &format!("\n### {}\n\n{}", table.title, head(&table.titles));
        for row in &table.rows {
            text += &line(&mut row.cells.iter().map(|cell| escaped(&cell.text)));
        }
        text += &format!("\n{}\n", escaped(&table.remark));
    }
    text
}

/// Text that Markdown shows as it is: in one line, no markup, no HTML, no cell of its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in crate::text::one_line(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '#' | '!' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn one_row_per_arm_then_the_answer() {
        let text = table(&sample::results());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| arm | loss | difference | 95% interval | p, Holm | equal time | verdict | cost | done |");
        assert_eq!(lines[1], "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |");
        assert_eq!(
            lines[3],
            "| dispersion | 3.469 ± 0.012 | -0.031 | -0.050 to -0.012 | 0.033 | -0.021 (-0.040 to -0.002) | better (3 seeds) | 1.10x \
             | 3/3 |"
        );
        assert!(text.contains("\nBy test loss, dispersion was better than baseline;"), "{text}");
        assert!(text.contains("corrected for 3 comparisons") && text.contains("3 seeds are few"), "{text}");
    }

    #[test]
    fn sizes_and_tuning_are_tables_of_their_own() {
        let text = table(&sample::sweep());
        for part in [
            "\n### Effect against model size\n\n| arm | parameters | loss | difference | 95% interval | verdict |\n| --- | ---: |",
            "\n| dispersion | 4,000 | 3.469 | -0.031 | -0.050 to -0.012 | better (3 seeds) |\n",
            "\n| dispersion | 9.000 | 0.1250 | +0.1000 to +0.1500 | 2 | 3 |\n\nloss = a · parameters^(-b), by least squares",
            "\n| dispersion width=16 | 0.1 | as written | 1000000 | 3.500 | chosen; largest weight tried |\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn names_stay_text() {
        let check = |name: &str, expected: &str| assert_eq!(escaped(name), expected);
        check("a|b", "a\\|b");
        check("a\\|b", "a\\\\\\|b");
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("`x` **y** [z](u)", "\\`x\\` \\*\\*y\\*\\* \\[z\\](u)");
        check("two\nlines\r| more", "two lines \\| more");
        check("&lt;", "&amp;lt;");
    }

    #[test]
    fn a_name_makes_no_cell_and_no_row() {
        let mut results = sample::results();
        let plain = table(&results);
        results.arms[1].name = "a|b\n| c | d |<script>\\".into();
        let text = table(&results);
        let cells = |text: &str, row: usize| text.lines().nth(row).unwrap().replace("\\|", "").matches('|').count();
        assert_eq!(text.lines().count(), plain.lines().count());
        assert_eq!(cells(&text, 3), cells(&plain, 3));
        assert!(!text.contains("<script>"));
    }
}
