//! Text from users, made safe for one line.

/// Control characters (line ends, terminal escapes, what XML forbids) become spaces.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_becomes_a_space() {
        assert_eq!(one_line("a\u{1b}[31m\nb"), "a [31m b");
    }
}
