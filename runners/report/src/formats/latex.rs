//! A LaTeX `tabular` that needs no package.

use super::columns::{TITLES, rows};
use crate::Results;
use crate::answer::{answer, cautions};
use crate::table::legend;
use crate::text::one_line;

/// The arms; the answer, what weakens it, and what the columns are stand above as comments.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    for sentence in [answer(results)].iter().chain(&cautions(results)).chain([&legend(results, &TITLES.map(|(title, _)| title))])
    {
        text += &format!("% {}\n", one_line(sentence)); // one line: nothing after it leaves the comment
    }
    let line = |cells: &mut dyn Iterator<Item = String>| format!("{} \\\\\n", cells.collect::<Vec<_>>().join(" & "));
    let aligned: String = TITLES.iter().map(|(_, numbers)| if *numbers { 'r' } else { 'l' }).collect();
    text += &format!("\\begin{{tabular}}{{{aligned}}}\n\\hline\n");
    text += &line(&mut TITLES.iter().map(|(title, _)| escaped(title)));
    text += "\\hline\n";
    for row in rows(results) {
        text += &line(&mut row.iter().zip(TITLES).map(|(cell, (_, numbers))| if numbers { number(cell) } else { escaped(cell) }));
    }
    text + "\\hline\n\\end{tabular}\n"
}

/// Text that LaTeX prints as it is: no command, no comment, no cell of its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in one_line(text).chars() {
        match c {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '|' => escaped += "\\textbar{}",
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => escaped.extend(['\\', c]),
            // a row that begins with a bracket would be the option of the line end before it
            '[' | ']' => escaped.extend(['{', c, '}']),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A cell of numbers, with the signs of mathematics.
fn number(text: &str) -> String {
    escaped(text).replace('-', "$-$").replace('+', "$+$").replace('±', "$\\pm$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn one_row_per_arm() {
        let text = table(&sample::results());
        let (comments, tabular) = text.split_once("\\begin{tabular}{lrrrrrlrr}\n\\hline\n").unwrap();
        assert!(comments.lines().all(|line| line.starts_with("% ")) && comments.contains("3 seeds are few"), "{comments}");
        let lines: Vec<&str> = tabular.lines().collect();
        assert_eq!(lines[0], "arm & loss & difference & 95\\% interval & p, Holm & equal time & verdict & cost & done \\\\");
        assert_eq!(
            lines[3],
            "dispersion & 3.469 $\\pm$ 0.012 & $-$0.031 & $-$0.050 to $-$0.012 & 0.033 & $-$0.021 ($-$0.040 to $-$0.002) & \
             better (3 seeds) & 1.10x & 3/3 \\\\"
        );
        assert_eq!(lines[lines.len() - 2..], ["\\hline", "\\end{tabular}"]);
    }

    #[test]
    fn names_stay_text() {
        let check = |name: &str, expected: &str| assert_eq!(escaped(name), expected);
        check("\\input{/etc/passwd}", "\\textbackslash{}input\\{/etc/passwd\\}");
        check("a & b_c % d # $e$", "a \\& b\\_c \\% d \\# \\$e\\$");
        check("x^2 ~ <y> | z", "x\\textasciicircum{}2 \\textasciitilde{} \\textless{}y\\textgreater{} \\textbar{} z");
        check("[2ex]", "{[}2ex{]}");
        check("two\nlines", "two lines");
    }

    #[test]
    fn a_name_leaves_neither_its_cell_nor_the_comments() {
        let mut results = sample::results();
        let plain = table(&results);
        results.arms[1].name = "x\n\\input{/etc/passwd}\r\\end{tabular} & y \\\\".into();
        let text = table(&results);
        assert_eq!(text.lines().count(), plain.lines().count());
        for line in text.lines().filter(|line| !line.starts_with('%')) {
            assert!(!line.contains("\\input") && (!line.contains("\\end") || line == "\\end{tabular}"), "{line}");
        }
    }
}
