//! YAML in, a tree of plain values out: the only module that touches a YAML parser.
//!
//! The parser takes seconds on a file of brackets and minutes on one of aliases, so everything that it is given has passed
//! [`decode`] and `nesting` first. The tree is JSON's: no tags, no NaN, no infinities, names as keys, no key twice.

mod nesting;
mod tree;
mod words;

pub use tree::{Target, locate, parse};
pub use words::{escaped, in_one_line};

/// Bytes that a study may have.
pub const MAX_BYTES: usize = 1 << 20;
/// Lists and maps that may lie within each other.
const MAX_DEPTH: usize = 64;

/// A line and a column of a text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the text.
    pub line: usize,
    /// Of its characters in the line.
    pub column: usize,
}

impl Place {
    /// Where a text begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Where the byte `offset` of `text` is.
    fn of(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Self { line, column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1 }
    }
}

/// Why a text is not a tree of plain values.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// Keys and indices down to the value at fault.
    pub path: Vec<String>,
    /// What was expected, and what was found.
    pub message: String,
}

impl Fault {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, path: Vec::new(), message: message.into() }
    }
}

/// `value` as YAML.
///
/// # Panics
/// Never: every plain value can be written.
pub fn write(value: &serde_json::Value) -> String {
    serde_yaml::to_string(value).expect("plain values can be written")
}

/// The text of a file: at most 1 MiB of UTF-8 without NUL; a byte order mark is dropped.
///
/// # Errors
/// When it is not that, with the offset of the first byte at fault.
pub fn decode(bytes: Vec<u8>) -> Result<String, Fault> {
    if bytes.len() > MAX_BYTES {
        return Err(Fault::new(Place::START, format!("expected a study of at most {MAX_BYTES} bytes, found a larger file")));
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(Fault::new(Place::of(&bytes, offset), format!("expected text, found a NUL at byte {offset}")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let (offset, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
            let message = format!("expected UTF-8, found byte 0x{:02x} at offset {offset}", bytes[offset]);
            Err(Fault::new(Place::of(bytes, offset), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<&str, (usize, usize, &str)>) {
        match (decode(bytes.to_vec()), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(fault), Err((line, column, part))) => {
                assert_eq!(fault.place, Place { line, column });
                assert!(fault.message.contains(part), "{}", fault.message);
            }
            (found, expected) => panic!("{found:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn what_is_not_text_is_refused_where_it_is() {
        check(b"a: 1\n", Ok("a: 1\n"));
        check(b"\xef\xbb\xbfa: 1", Ok("a: 1"));
        check(b"a: 1\n\xc3\xa9\xff", Err((2, 2, "found byte 0xff at offset 7"))); // the two bytes before it are one character
        check(b"a: \0", Err((1, 4, "found a NUL at byte 3")));
        check(&vec![b' '; MAX_BYTES + 1], Err((1, 1, "at most 1048576 bytes")));
    }
}
