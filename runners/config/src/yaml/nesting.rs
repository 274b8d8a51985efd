//! How deep a YAML text nests, found without parsing it.
//!
//! The parser's time is quadratic in the depth of brackets, so depth is judged before it starts. This follows YAML's tokens as
//! the parser would (quotes, comments, block scalars, plain scalars over several lines), so that no bracket hides from it; it
//! does not ask whether they make sense. Tags and second documents are refused on the way: they begin with tokens.

use super::{Fault, MAX_DEPTH, Place};

/// Refuses what nests deeper than [`MAX_DEPTH`], tags, directives and second documents.
///
/// # Errors
/// At the first of these.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    deepest(text).map(|_| ())
}

/// The largest number of lists and maps within each other.
fn deepest(text: &str) -> Result<usize, Fault> {
    let mut scanner = Scanner { chars: text.chars().collect(), ..Scanner::default() };
    let mut deepest = 0;
    while scanner.token()? {
        deepest = deepest.max(scanner.flow + scanner.blocks.len());
        if deepest > MAX_DEPTH {
            return Err(scanner.fault(format!("expected lists and maps at most {MAX_DEPTH} deep, found more")));
        }
    }
    Ok(deepest)
}

#[derive(Default)]
struct Scanner {
    chars: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
    /// Brackets open.
    flow: usize,
    /// Columns of the block lists and maps that are open.
    blocks: Vec<usize>,
    /// Line and column of what a `:` would make a key.
    key: Option<(usize, usize)>,
    /// A token, or a `---`, has been seen.
    started: bool,
    /// A `...` has been seen.
    ended: bool,
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

impl Scanner {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(Place { line: self.line + 1, column: self.column + 1 }, message)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Whether a token would end before the character `ahead`.
    fn ends(&self, ahead: usize) -> bool {
        self.peek(ahead).is_none_or(|c| is_blank(c) || is_break(c))
    }

    fn advance(&mut self) {
        match self.peek(0) {
            Some('\r') if self.peek(1) == Some('\n') => self.column += 1, // the line ends with the \n
            Some(c) if is_break(c) => (self.line, self.column) = (self.line + 1, 0),
            _ => self.column += 1,
        }
        self.at += 1;
    }

    fn advance_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.advance();
        }
    }

    fn at_marker(&self) -> bool {
        let three = |c| (0..3).all(|ahead| self.peek(ahead) == Some(c));
        self.column == 0 && (three('-') || three('.')) && self.ends(3)
    }

    /// Goes past one token; false at the end of the text.
    fn token(&mut self) -> Result<bool, Fault> {
        self.advance_while(|c| is_blank(c) || is_break(c));
        while self.peek(0) == Some('#') {
            self.advance_while(|c| !is_break(c));
            self.advance_while(|c| is_blank(c) || is_break(c));
        }
        let Some(first) = self.peek(0) else { return Ok(false) };
        if self.flow == 0 {
            while self.blocks.last().is_some_and(|&column| column > self.column) {
                self.blocks.pop();
            }
        }
        if self.at_marker() {
            self.marker(first)?;
            return Ok(true);
        }
        if self.ended {
            return Err(self.fault("expected one document, found a second"));
        }
        self.started = true;
        match first {
            '%' if self.column == 0 => return Err(self.fault("expected a study, found a YAML directive")),
            '!' => return Err(self.fault("expected a plain value, found a tag: a study has none")),
            '[' | '{' => {
                self.mark_key();
                self.flow += 1;
                self.advance();
            }
            ']' | '}' => {
                self.flow = self.flow.saturating_sub(1);
                self.advance();
            }
            '-' if self.ends(1) => self.indicator(self.column),
            '?' if self.flow > 0 || self.ends(1) => self.indicator(self.column),
            ':' if self.flow > 0 || self.ends(1) => {
                let key = self.key.filter(|key| key.0 == self.line);
                self.indicator(key.map_or(self.column, |key| key.1));
            }
            '&' | '*' => {
                self.mark_key();
                self.advance();
                self.advance_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            }
            '|' | '>' if self.flow == 0 => self.block_scalar(),
            '\'' | '"' => {
                self.mark_key();
                self.quoted(first);
            }
            ',' | '|' | '>' | '%' | '@' | '`' => self.advance(),
            _ => {
                self.mark_key();
                self.plain();
            }
        }
        Ok(true)
    }

    /// `---` or `...`.
    fn marker(&mut self, first: char) -> Result<(), Fault> {
        if first == '-' && (self.started || self.ended) {
            return Err(self.fault("expected one document, found a second"));
        }
        self.started = true;
        self.ended = first == '.';
        self.blocks.clear();
        (0..3).for_each(|_| self.advance());
        Ok(())
    }

    /// `-`, `?` or `:`, of a list or map whose items begin at `column`.
    fn indicator(&mut self, column: usize) {
        if self.flow == 0 && self.blocks.last().is_none_or(|&last| last < column) {
            self.blocks.push(column);
        }
        self.key = None;
        self.advance();
    }

    fn mark_key(&mut self) {
        if self.flow == 0 && self.key.is_none_or(|key| key.0 != self.line) {
            self.key = Some((self.line, self.column));
        }
    }

    fn quoted(&mut self, quote: char) {
        self.advance();
        while let Some(c) = self.peek(0) {
            self.advance();
            match c {
                '\\' if quote == '"' => self.advance(),
                '\'' if quote == '\'' && self.peek(0) == Some('\'') => self.advance(), // '' is a quote within quotes
                _ if c == quote => break,
                _ => {}
            }
        }
    }

    /// Ends before `: `, ` #`, a bracket or comma within brackets, or a line that is not indented enough.
    fn plain(&mut self) {
        let indent = self.blocks.last().map_or(0, |column| column + 1);
        self.advance();
        loop {
            while !self.ends(0) && !self.stops_plain() {
                self.advance();
            }
            if !self.ends(0) {
                return;
            }
            self.advance_while(|c| is_blank(c) || is_break(c));
            let dedented = self.flow == 0 && self.column < indent;
            let done = self.peek(0).is_none_or(|c| c == '#') || dedented || self.at_marker() || self.stops_plain();
            if done {
                return;
            }
        }
    }

    fn stops_plain(&self) -> bool {
        match self.peek(0) {
            Some(':') => self.ends(1),
            Some(c) => self.flow > 0 && matches!(c, ',' | '[' | ']' | '{' | '}'),
            None => true,
        }
    }

    /// `|` or `>`: lines of text, to the first that is indented less.
    fn block_scalar(&mut self) {
        self.advance();
        let parent = self.blocks.last().copied();
        let header = self.at;
        self.advance_while(|c| !is_break(c));
        let given = self.chars[header..self.at].iter().take(2).find_map(|c| c.to_digit(10)).filter(|&digit| digit > 0);
        let least = parent.map_or(1, |column| column + 1);
        let mut indent = given.map(|digit| parent.unwrap_or(0) + digit as usize);
        let mut widest = 0;
        self.advance();
        while self.peek(0).is_some() {
            while self.peek(0) == Some(' ') && indent.is_none_or(|indent| self.column < indent) {
                self.advance();
            }
            widest = widest.max(self.column);
            match self.peek(0) {
                Some(c) if is_break(c) => self.advance(),
                _ if self.column < *indent.get_or_insert(widest.max(least)) => break,
                _ => self.advance_while(|c| !is_break(c)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, depth: usize) {
        assert_eq!(deepest(text).map_err(|fault| fault.message), Ok(depth), "{text:?}");
    }

    #[test]
    fn brackets_and_indents_count() {
        check("1", 0);
        check("a: 1\nb: 2", 1);
        check("a:\n  - b: [1, {c: 2}]\nd: 3", 5); // map, list, map, list, map
        check("- - - 1\n- 2", 3);
        check("a:\n- 1", 1); // a list at its key's own column is not indented; the parser keeps no level for it
        check("? - a\n: - b", 2);
    }

    #[test]
    fn brackets_in_words_do_not() {
        check("a: 'it''s [[[' # [[[", 1);
        check("a: \"[[ \\\" [[\"", 1);
        check("a: it's [[", 1);
        check("a: |\n  [[[\n\n  [[[\nb: [1]", 2);
        check("a: >2\n   [[[\n  [[[\nb: 1", 1);
        check("a: b \"\n  [[ c", 1); // one plain scalar over two lines
    }

    #[test]
    fn no_bracket_hides_behind_a_quote_that_is_none() {
        check("a: b \"\nc: [[[1]]]", 4);
        check("a: [b \", [[1]]]", 4);
        check("a: b #\"\nc: [1]", 2);
    }

    #[test]
    fn what_begins_with_a_token_that_a_study_lacks_is_refused() {
        let refused = |text: &str, line, column, part: &str| {
            let fault = deepest(text).unwrap_err();
            assert!(fault.message.contains(part), "{}", fault.message);
            assert_eq!(fault.place, Place { line, column }, "{text:?}");
        };
        refused("a: 1\nb: !!str 2", 2, 4, "found a tag");
        refused("a: 1\n--- \nb: 2", 2, 1, "found a second");
        refused("a: 1\n...\nb: 2", 3, 1, "found a second");
        refused("%YAML 1.1\n---\na: 1", 1, 1, "directive");
        refused(&"[".repeat(65), 1, 66, "at most 64 deep");
        refused(&"- ".repeat(65), 1, 130, "at most 64 deep");
        assert_eq!(deepest("---\na: 1\n...\n").unwrap(), 1);
    }

    fn depth(value: &serde_yaml::Value) -> usize {
        match value {
            serde_yaml::Value::Sequence(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
            serde_yaml::Value::Mapping(map) => 1 + map.iter().map(|(k, v)| depth(k).max(depth(v))).max().unwrap_or(0),
            _ => 0,
        }
    }

    proptest::proptest! {
        /// Each level here may be two there: a map, and a list at its key's own column.
        #[test]
        fn the_parser_never_nests_deeper(text in "([-\\[\\]{}:?,'\"#|>&*a0 \n]|: |- |\\[\\[|\\]\\]){0,24}") {
            if let (Ok(found), Ok(value)) = (deepest(&text), serde_yaml::from_str::<serde_yaml::Value>(&text)) {
                proptest::prop_assert!(depth(&value) <= 2 * found + 1, "{text:?}: {found}");
            }
        }
    }
}
