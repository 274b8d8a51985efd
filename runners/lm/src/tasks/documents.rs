//! Documents whose perplexity is measured: their words and bytes, and the windows in which a model reads them.

use super::python::{is_space, trim};

/// A document in tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The prefix token, then at least one of the text.
    pub tokens: Vec<u32>,
    /// By which the perplexity per word is taken.
    pub words: usize,
    /// By which those per byte are taken.
    pub bytes: usize,
}

impl Document {
    /// The document in disjoint windows, each with the number of its first tokens that are not predicted there: each token is predicted once, after as many tokens as the model has positions for at the
    /// window's front. As `get_rolling_token_windows` with a context of 1 and `make_disjoint_window` of the harness cut it: the
    /// first window predicts n tokens behind the prefix, n the positions, and each other the next n behind the token before them;
    /// the last one, of fewer, has the tokens before as its context.
    pub(super) fn windows(&self, positions: usize) -> Vec<(Vec<u32>, usize)> {
        let predicted = self.tokens.len() - 1;
        let window = |start: usize| {
            let end = (start + positions).min(predicted);
            let first = (end + 1).saturating_sub(positions + 1); // in tokens with the prefix
            let tokens = self.tokens[first..=end].to_vec();
            let context = tokens.len() - (end - start);
            (tokens, context)
        };
        (0..predicted).step_by(positions).map(window).collect()
    }
}

/// Words as the harness counts them: one more than the stretches of white space.
pub(super) fn words(text: &str) -> usize {
    let starts = |(c, before): (char, Option<char>)| is_space(c) && !before.is_some_and(is_space);
    let before = std::iter::once(None).chain(text.chars().map(Some));
    1 + text.chars().zip(before).filter(|&pair| starts(pair)).count()
}

/// WikiText as it was before it was tokenized for words, by the rules of the harness's `wikitext` task, in their order.
pub(super) fn detokenized(page: &str) -> String {
    let mut text = page.replace("s '", "s'");
    text = (b'0'..=b'9').fold(text, |text, digit| text.replace(&format!("/' {}/", digit as char), "/'[0-9]/")); // as it is there
    let joined = [(" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")];
    let marks = [(" : ", ": "), (" ; ", "; "), (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", ")];
    text = joined.into_iter().chain(marks).fold(text, |text, (from, to)| text.replace(from, to));
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}'), ('"', '"'), ('\'', '\'')] {
        text = tightened(&text, open, close);
    }
    let rest = [
        ("= = = =", "===="),
        ("= = =", "==="),
        ("= =", "=="),
        (" \u{b0} ", "\u{b0}"),
        (" \n", "\n"),
        ("\n ", "\n"),
        (" N ", " 1 "),
        (" 's", "'s"),
    ];
    rest.into_iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// Without white space on the inner side of brackets and quotes: from each opening to the next closing one.
fn tightened(text: &str, open: char, close: char) -> String {
    let (mut tight, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(open) {
        let Some((inner, behind)) = after.split_once(close) else { break };
        tight.extend([before, open.encode_utf8(&mut [0; 4]), trim(inner), close.encode_utf8(&mut [0; 4])]);
        rest = behind;
    }
    tight + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_disjoint_and_the_last_has_what_is_before_as_its_context() {
        let windows = |count: u32, positions| {
            let document = Document { tokens: (0..=count).collect(), words: 1, bytes: 1 };
            document.windows(positions)
        };
        // token 0 is the prefix; 1 to 10 are predicted: 1-4 after 0, 5-8 after 4, 9-10 after 6-8
        let expected = [(vec![0, 1, 2, 3, 4], 1), (vec![4, 5, 6, 7, 8], 1), (vec![6, 7, 8, 9, 10], 3)];
        assert_eq!(windows(10, 4), expected);
        assert_eq!(windows(4, 4), expected[..1]);
        assert_eq!(windows(2, 4), [(vec![0, 1, 2], 1)]);
    }

    #[test]
    fn words_are_the_gaps_and_one() {
        assert_eq!(["a b", "a  \n b", "", " a ", "a\u{1c}b\u{a0}c"].map(words), [2, 2, 1, 3, 3]);
    }

    #[test]
    fn a_page_as_python_has_it() {
        // printed by `wikitext_detokenizer` of version 0.4.13; what stands between two apostrophes is a quote to it
        let page = " = Title = \n The dogs ' 3 @,@ 000 bones ( old ) , \" well \" : a 5 @-@ year - old 's . \n = = Next = = \n";
        let text = "= Title =\nThe dogs'3,000 bones (old), \"well\": a 5-year - old's.\n== Next ==\n";
        assert_eq!(detokenized(page), format!(" {text}"));
        assert_eq!(tightened("( a ( b ) c ) ( d", '(', ')'), "(a ( b) c ) ( d");
    }
}
