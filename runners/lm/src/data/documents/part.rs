//! A part of a text that is cut in three.

use super::super::DataError;
use super::chunk::{Chunk, Chunks};
use std::ops::Range;

/// Where train, validation and test end in a text of `bytes` bytes, by their shares.
pub(in crate::data) fn cut_ends(bytes: u64, shares: [f64; 3]) -> [Range<u64>; 3] {
    let end = |fraction: f64| ((fraction * bytes as f64).round() as u64).min(bytes);
    let first = end(shares[0]);
    let second = end(shares[0] + shares[1]).max(first);
    [0..first, first..second, second..bytes]
}

/// The part of a text between two of its bytes. Where the text is one document, that document is cut, and a place inside a
/// character moves to its front; otherwise a document belongs to the part in which it begins.
pub(in crate::data) fn part<'a>(chunks: Chunks<'a>, range: Range<u64>, is_one_document: bool) -> Chunks<'a> {
    let part = Part { chunks, range, at: 0, begins: true, takes: false, has_ended: false };
    if is_one_document { Box::new(Inside(part)) } else { Box::new(Whole(part)) }
}

struct Part<'a> {
    chunks: Chunks<'a>,
    range: Range<u64>,
    /// Bytes read.
    at: u64,
    /// Whether a document begins here, and whether the current one is taken.
    begins: bool,
    takes: bool,
    has_ended: bool,
}

struct Inside<'a>(Part<'a>);

impl Iterator for Inside<'_> {
    type Item = Result<Chunk, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = &mut self.0;
        while !part.has_ended {
            let Chunk { text, ends } = match part.chunks.next()? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            let place = |byte: u64| text.floor_char_boundary(usize::try_from(byte.saturating_sub(part.at)).unwrap_or(usize::MAX));
            let (start, end) = (place(part.range.start), place(part.range.end));
            part.at += text.len() as u64;
            // a place behind the chunk may still fall into its last character only where that is whole, so it is not here
            part.has_ended = ends || part.at > part.range.end;
            if start < end || part.has_ended {
                return Some(Ok(Chunk { text: text[start..end].to_owned(), ends: part.has_ended }));
            }
        }
        None
    }
}

struct Whole<'a>(Part<'a>);

impl Iterator for Whole<'_> {
    type Item = Result<Chunk, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = &mut self.0;
        loop {
            if part.begins && part.at >= part.range.end {
                return None;
            }
            let chunk = match part.chunks.next()? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            if part.begins {
                part.takes = part.at >= part.range.start;
            }
            part.at += chunk.text.len() as u64;
            part.begins = chunk.ends;
            if part.takes {
                return Some(Ok(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a text in three, in order, by shares of its bytes; a cut that falls into a character moves to its front.
    fn cut(text: &str, shares: [f64; 3]) -> [&str; 3] {
        let end = |fraction: f64| text.floor_char_boundary((fraction * text.len() as f64).round() as usize);
        let first = end(shares[0]);
        let second = end(shares[0] + shares[1]).max(first);
        [&text[..first], &text[first..second], &text[second..]]
    }

    #[test]
    fn a_cut_keeps_characters_whole_and_loses_nothing() {
        assert_eq!(cut("0123456789", [0.5, 0.2, 0.3]), ["01234", "56", "789"]);
        // é is two bytes, so "aéébc" is seven: half is 3.5, up to 4, inside the second é; three quarters is 5.25, down to 5, behind
        // it
        assert_eq!(cut("aéébc", [0.5, 0.25, 0.25]), ["aé", "é", "bc"]);
        assert_eq!(cut("aéébc", [0.3, 0.4, 0.3]), ["a", "éé", "bc"]);
        assert_eq!(cut("é", [0.4, 0.3, 0.3]), ["", "", "é"]);
    }

    fn chunks(texts: &[(&str, bool)]) -> Chunks<'static> {
        let chunks: Vec<_> = texts.iter().map(|&(text, ends)| Ok(Chunk { text: text.into(), ends })).collect();
        Box::new(chunks.into_iter())
    }

    fn parts(texts: &[(&str, bool)], shares: [f64; 3], is_one_document: bool) -> [Vec<String>; 3] {
        let bytes = texts.iter().map(|(text, _)| text.len() as u64).sum();
        cut_ends(bytes, shares).map(|range| {
            let mut documents = vec![String::new()];
            for chunk in part(chunks(texts), range, is_one_document) {
                let chunk = chunk.unwrap();
                documents.last_mut().unwrap().push_str(&chunk.text);
                if chunk.ends {
                    documents.push(String::new());
                }
            }
            assert_eq!(documents.pop().as_deref(), Some(""), "the last document ends");
            documents
        })
    }

    #[test]
    fn one_document_is_cut_where_its_text_would_be_cut_as_a_whole() {
        let check = |text: &str, shares| {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let found = parts(&[(&text[..at], false), (&text[at..], true)], shares, true).map(|part| part.concat());
                assert_eq!(found, cut(text, shares), "chunks end at {at}");
            }
        };
        check("0123456789", [0.5, 0.2, 0.3]);
        check("aéébc", [0.5, 0.25, 0.25]);
        check("aéébc", [0.3, 0.4, 0.3]);
        check("é", [0.4, 0.3, 0.3]);
    }

    #[test]
    fn of_several_documents_each_belongs_where_it_begins() {
        // Ten bytes: the first part ends at 5, inside "bbbb", which began at 3; the second at 7, where "ccc" begins.
        let texts = [("aaa", true), ("bb", false), ("bb", true), ("ccc", true)];
        assert_eq!(
            parts(&texts, [0.5, 0.2, 0.3], false),
            [vec!["aaa", "bbbb"], vec![], vec!["ccc"]].map(|d| d.into_iter().map(str::to_owned).collect::<Vec<_>>())
        );
    }
}
