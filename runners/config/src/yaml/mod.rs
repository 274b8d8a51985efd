//! YAML in, a tree of plain values out: the only module that touches a YAML parser.
//!
//! serde_yaml takes seconds on a file of brackets and minutes on one of aliases. So [`decode`] bounds the bytes of a text and
//! `places` what its events are, before serde_yaml reads the values. The tree is JSON's: no tags, no NaN, no infinities, names as
//! keys, no key twice. Aliases and merge keys (`<<`) are resolved. What is found wrong with the tree, here or later, is located by
//! its path in [`Places`].

mod places;
mod words;

pub use places::{Places, Target};
pub use words::{escaped, in_one_line};

use serde_json::{Map, Number, Value};
use std::sync::Arc;

/// Bytes that a study may have.
pub const MAX_BYTES: usize = 1 << 20;
/// The key of a map that takes over the entries of another map, or of each in a list.
const MERGE: &str = "<<";

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

/// Reads `text`, one document; an empty text is nothing (null).
///
/// # Errors
/// At the first place that is not YAML or not a plain value, that has a key twice, or that nests or repeats too much.
pub fn parse(text: &str) -> Result<Value, Fault> {
    read(text).map(|(value, _)| value)
}

/// As [`parse`], with the places of all values.
///
/// # Errors
/// As [`parse`].
pub fn read(text: &str) -> Result<(Value, Arc<Places>), Fault> {
    let places = Places::of(text)?;
    let value = serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map_or(Place::START, |at| Place { line: at.line(), column: at.column() });
        Fault::new(place, format!("expected YAML, found a mistake: {error}"))
    })?;
    let mut path = Vec::new();
    match plain(value, &mut path) {
        Ok(value) => Ok((value, places)),
        Err((target, message)) => {
            let place = places.locate(&path, target);
            if target == Target::Key {
                path.pop(); // the name at fault is none
            }
            Err(Fault { place, path, message })
        }
    }
}

/// What JSON knows of `value`; after an error, `path` leads to what caused it.
fn plain(value: serde_yaml::Value, path: &mut Vec<String>) -> Result<Value, (Target, String)> {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Null => Ok(Value::Null),
        Yaml::Bool(flag) => Ok(flag.into()),
        Yaml::String(word) => Ok(word.into()),
        Yaml::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => Ok(whole.into()),
            (None, Some(whole)) => Ok(whole.into()),
            (None, None) => {
                let float = number.as_f64().unwrap_or(f64::NAN);
                let finite = Number::from_f64(float).map(Value::Number);
                finite.ok_or_else(|| (Target::Value, format!("expected a finite number, found {float}")))
            }
        },
        Yaml::Sequence(list) => {
            let mut values = Vec::new();
            for value in list {
                path.push(values.len().to_string());
                values.push(plain(value, path)?);
                path.pop();
            }
            Ok(Value::Array(values))
        }
        Yaml::Mapping(map) => {
            let mut entries = Map::new();
            for (key, value) in map {
                let name = match key {
                    Yaml::String(name) => name,
                    other => {
                        let other = plain(other, path)?;
                        path.push(other.to_string());
                        let found = if other.is_null() { "nothing".to_owned() } else { other.to_string() };
                        return Err((Target::Key, not_a_name(&found)));
                    }
                };
                path.push(name.clone());
                entries.insert(name, plain(value, path)?);
                path.pop();
            }
            Ok(Value::Object(merged(entries)))
        }
        Yaml::Tagged(_) => Err((Target::Value, "expected a plain value, found a tag: a study has none".into())),
    }
}

/// `written` with the entries of the maps that `<<` names, in its place. Keys that are written beside it win, then those of earlier
/// maps. A key stands where it comes first, so a map that replaces one entry of another keeps the order.
fn merged(mut written: Map<String, Value>) -> Map<String, Value> {
    if !written.contains_key(MERGE) {
        return written;
    }
    let mut entries = Map::new();
    for name in written.keys().cloned().collect::<Vec<_>>() {
        let pieces = match written.get_mut(&name).map(Value::take) {
            Some(Value::Array(pieces)) if name == MERGE => pieces,
            Some(piece) if name == MERGE => vec![piece],
            Some(value) => {
                entries.entry(name).or_insert(value);
                continue;
            }
            None => continue,
        };
        for (name, value) in pieces.into_iter().filter_map(|mut piece| piece.as_object_mut().map(std::mem::take)).flatten() {
            let value = written.get(&name).cloned().unwrap_or(value);
            entries.entry(name).or_insert(value);
        }
    }
    entries
}

fn not_a_name(found: &str) -> String {
    format!("expected a name before the `:`, found {found}; a name that looks like it needs quotes")
}

/// `value` as YAML.
///
/// # Panics
/// Never: every plain value can be written.
pub fn write(value: &Value) -> String {
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
    use std::time::{Duration, Instant};

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

    #[test]
    fn plain_values_are_read_in_order() {
        let value = parse("b: [1, -2, 1.0e-3, yes, true, ~]\na: {c: '3'}\n").unwrap();
        assert_eq!(value.to_string(), r#"{"b":[1,-2,0.001,"yes",true,null],"a":{"c":"3"}}"#);
        assert_eq!(parse("\u{feff}a: 1\n").unwrap().to_string(), r#"{"a":1}"#); // decode drops one mark, a file may have two
        assert_eq!(parse("\u{feff}...").unwrap(), "..."); // no end of a document: it stands in the second column
        assert_eq!(parse("# nothing\n").unwrap(), Value::Null);
        assert_eq!(parse("a: &x b\n*x : *x\n").unwrap().to_string(), r#"{"a":"b","b":"b"}"#);
        assert_eq!(parse("---\na: 1\n...\n").unwrap().to_string(), r#"{"a":1}"#);
        assert_eq!(parse("a: 18446744073709551615\nb: -9223372036854775808\n").unwrap()["b"], i64::MIN);
    }

    fn merges(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap().to_string(), expected);
    }

    #[test]
    fn maps_are_merged() {
        merges("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}", r#"{"a":{"x":1,"y":2},"b":{"x":1,"y":3,"z":4}}"#);
        merges("a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}", r#"{"a":{"x":1},"b":{"x":2,"y":3},"c":{"x":1,"y":3}}"#);
        merges("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: [{<<: *b}]", r#"{"a":{"x":1},"b":{"x":1,"y":2},"c":[{"x":1,"y":2}]}"#);
        merges("z: 0\n<<: {x: {y: 1}, z: 2}\nx: {}", r#"{"z":0,"x":{}}"#); // a map is replaced as a whole
        merges("a: {<<: [], x: 1}\nb: {<<: {}}", r#"{"a":{"x":1},"b":{}}"#);
    }

    #[test]
    fn what_cannot_be_merged_is_refused_where_it_is_merged() {
        refused("a: &a x\nb: {c: 1, <<: *a}", (2, 11), "b.<<", "expected a map to merge, or a list of maps, found `x`");
        refused("a: &a {x: 1}\nb:\n  <<: [*a, 3]", (3, 3), "b.<<.1", "found `3`");
        refused("a: &a [[1]]\nb: {<<: *a}", (2, 5), "b.<<.0", "found a list");
        refused("a: {<<: }", (1, 5), "a.<<", "found nothing");
        refused("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a", (4, 3), "b.<<", "twice: write a list of what to merge, `<<: [*a, *b]`");
        refused("a: &a {<<: *a}", (1, 12), "a.<<", "found `*a` within it");
        refused("a: {<<: {x: .nan}, x: 1}", (1, 13), "a.<<.x", "found NaN"); // although it is replaced
    }

    fn refused(text: &str, place: (usize, usize), path: &str, part: &str) {
        let started = Instant::now();
        let fault = parse(text).unwrap_err();
        assert!(started.elapsed() < Duration::from_millis(50), "{:?} for {:?}", started.elapsed(), &text[..text.len().min(40)]);
        assert!(fault.message.contains(part), "{}", fault.message);
        assert_eq!((fault.place.line, fault.place.column), place, "{}", fault.message);
        assert_eq!(fault.path.join("."), path);
    }

    #[test]
    fn what_is_not_plain_is_refused_where_it_is() {
        refused("a: 1\nb:\n  c: 1\n  c: 2", (4, 3), "b.c", "found `c` twice");
        refused("a: 1\n'a': 2", (2, 1), "a", "found `a` twice");
        refused("a: [1, .nan]", (1, 8), "a.1", "expected a finite number, found NaN");
        refused("a: -.inf", (1, 4), "a", "expected a finite number, found -inf");
        refused("a: 18446744073709551616", (1, 4), "a", "below 2^64");
        refused("a: [-9223372036854775809]", (1, 5), "a.0", "above -2^63");
        refused("a:\n  3: 1", (2, 3), "a", "expected a name before the `:`, found 3");
        refused("a:\n  ~: 1", (2, 3), "a", "found nothing");
        refused("a:\n\tb: 1", (2, 1), "a", "expected spaces, found a tab");
        refused("a:\n  b: 1\n\tc: 2", (3, 1), "a.b", "expected spaces, found a tab");
        refused("a: \"\\", (1, 6), "a", "unexpected end of stream");
        refused("a: [!x {}, b]", (1, 5), "a.0", "found a tag");
        refused("- &a !x [b]", (1, 3), "0", "found a tag");
        refused("[a]: 1", (1, 1), "", "found a list");
        refused(
            "a: [1, 2\nb: 3",
            (2, 2),
            "a.2",
            "did not find expected ',' or ']' while parsing a flow sequence at line 1 column 4",
        );
        refused("a: *b", (1, 4), "a", "unknown anchor");
        refused("a: &a [*a]", (1, 8), "a.0", "found `*a` within it");
        refused("a: 1\nb: !!str 2", (2, 4), "b", "found a tag");
        refused("a: ! x", (1, 4), "a", "found a tag");
        refused("a: 1\n--- \nb: 2", (2, 1), "", "found a second");
        refused("a: 1\n...\nb: 2", (3, 1), "", "found a second");
        refused("%YAML 1.1\n---\na: 1", (1, 1), "", "directive");
    }

    #[test]
    fn bombs_are_refused_at_once() {
        refused(&"[".repeat(80_000), (1, 65), "", "at most 64 deep");
        refused(&"{a: ".repeat(20_000), (1, 257), "", "at most 64 deep");
        refused(&"- ".repeat(40_000), (1, 129), "", "at most 64 deep");
        refused(&format!("\u{feff}{}", "[".repeat(80_000)), (1, 66), "", "at most 64 deep"); // a byte order mark hides nothing
        let stairs: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        refused(&stairs, (65, 65), "", "at most 64 deep");
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let laughs = names.windows(2).map(|w| format!("{}: &{} [{}]\n", w[1], w[1], vec![format!("*{}", w[0]); 10].join(",")));
        let bomb = format!("a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n{}", laughs.collect::<String>());
        refused(&bomb, (5, 35), "e.9", "at most 100000 values"); // d is 10,111 values, and e has ten of it
        let merged =
            names.windows(2).map(|w| format!("{}: &{} {{<<: [{}]}}\n", w[1], w[1], vec![format!("*{}", w[0]); 10].join(",")));
        let bomb = format!("a: &a {{l: lol, o: lol, ll: lol, lo: lol, lol: lol}}\n{}", merged.collect::<String>());
        refused(&bomb, (5, 37), "e.<<.8", "at most 100000 values"); // d is 11,333 values, although it has five entries
    }
}
