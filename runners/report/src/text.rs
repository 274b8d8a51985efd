//! Text from users, made safe for one line.

pub use regatta_results::one_line;

/// One line of at most `most` characters. The middle is cut, since names differ at both ends.
pub fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = one_line(text).chars().collect();
    if characters.len() <= most {
        return characters.into_iter().collect();
    }
    let kept = most.saturating_sub(1);
    let tail = kept / 3;
    let (head, end) = (&characters[..kept - tail], &characters[characters.len() - tail..]);
    head.iter().chain(&['…']).chain(end).collect()
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// `1 seed`, `3 seeds`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_lists() {
        assert_eq!(shortened("dispersion", 10), "dispersion");
        assert_eq!(shortened("abcdefghij", 7), "abcd…ij"); // six kept: four in front, two at the end
        assert_eq!(shortened("abc", 0), "…");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(counted(1, "seed"), "1 seed");
        assert_eq!(counted(0, "seed"), "0 seeds");
    }
}
