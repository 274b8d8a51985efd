//! Text from outside, fit for a message.

/// `text` fit for one line of a message: control characters escaped, cut where it is long.
pub fn in_one_line(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}

/// `text` with its control characters escaped.
pub fn escaped(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_by_hand() {
        assert_eq!(in_one_line("a\n\tb"), "a\\n\\tb");
        assert_eq!(in_one_line(&"é".repeat(201)), "é".repeat(200) + "…");
        assert_eq!(in_one_line(&"é".repeat(200)), "é".repeat(200));
    }
}
