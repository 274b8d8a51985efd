//! Documents in pieces, each of which is encoded by itself.

use super::byte_level::{PIECE, cut_behind};

/// Some of a document that can be encoded by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Piece {
    /// The text, which is not empty.
    pub text: String,
    /// Whether a document begins with it.
    pub begins: bool,
}

/// Cuts documents that stream by into pieces.
#[derive(Debug)]
pub(in crate::data) struct Cutter {
    at: At,
    /// Text that is still to be cut.
    left: String,
    begins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Anywhere,
    LineBreaks,
    Nowhere,
}

impl Cutter {
    fn new(at: At) -> Self {
        Self { at, left: String::new(), begins: true }
    }

    /// For tokenizers that look at each character by itself.
    pub fn anywhere() -> Self {
        Self::new(At::Anywhere)
    }

    /// For those that split by GPT-2's pattern: see [`pieces`](super::byte_level::pieces).
    pub fn at_line_breaks() -> Self {
        Self::new(At::LineBreaks)
    }

    /// For all others.
    pub fn nowhere() -> Self {
        Self::new(At::Nowhere)
    }

    /// Takes more text of a document, which ends behind it where `ends` says so, and hands out what is ready. A document without
    /// text has no pieces.
    pub fn push(&mut self, text: &str, ends: bool, mut out: impl FnMut(Piece)) {
        let scanned = self.left.len();
        self.left.push_str(text);
        if self.at == At::LineBreaks {
            let mut start = 0;
            while let Some(at) = cut_behind(&self.left, (start + PIECE).max(scanned.saturating_sub(1))) {
                let text = self.left[start..at].to_owned();
                out(Piece { text, begins: std::mem::take(&mut self.begins) });
                start = at;
            }
            self.left.drain(..start);
        }
        if (ends || self.at == At::Anywhere) && !self.left.is_empty() {
            out(Piece { text: std::mem::take(&mut self.left), begins: std::mem::take(&mut self.begins) });
        }
        self.begins |= ends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokenizer::byte_level::pieces;

    fn cut(mut cutter: Cutter, chunks: &[(&str, bool)]) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        chunks.iter().for_each(|(text, ends)| cutter.push(text, *ends, |piece| found.push((piece.text, piece.begins))));
        found
    }

    #[test]
    fn pieces_are_those_of_the_whole_text_wherever_its_chunks_end() {
        let text: String =
            (0..20_000).map(|i| ["word", " next", "\n", "\n\n", " \n", "é\n  x", "\r\n"][i * i % 89 % 7]).collect();
        let expected = pieces(&text);
        assert!(expected.len() > 3);
        for size in [1_000, 16_384, 40_001] {
            let mut chunks = Vec::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at(rest.floor_char_boundary(size));
                chunks.push((chunk, false));
                rest = behind;
            }
            chunks.push(("", true));
            let found = cut(Cutter::at_line_breaks(), &chunks);
            assert_eq!(found.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), expected, "chunks of {size}");
            assert_eq!(found.iter().filter(|(_, begins)| *begins).count(), 1);
        }
    }

    #[test]
    fn documents_are_told_apart_and_those_without_text_are_left_out() {
        let chunks = [("a", false), ("b", true), ("", true), ("c", true), ("", false), ("", true), ("d", false), ("", true)];
        let whole = [("ab", true), ("c", true), ("d", true)].map(|(text, begins)| (text.to_owned(), begins));
        assert_eq!(cut(Cutter::nowhere(), &chunks), whole);
        assert_eq!(cut(Cutter::at_line_breaks(), &chunks), whole);
        let parts = [("a", true), ("b", false), ("c", true), ("d", true)].map(|(text, begins)| (text.to_owned(), begins));
        assert_eq!(cut(Cutter::anywhere(), &chunks), parts);
    }
}
