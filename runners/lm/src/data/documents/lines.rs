//! JSON Lines: an object on each line, one of whose fields is a document.

use super::super::DataError;
use super::chunk::Chunk;
use super::names::listed;
use super::packed::{Packed, Unpacked};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};

/// The documents of a file, a line each; blank lines are passed over.
pub(super) struct Lines<'a> {
    file: &'a Packed,
    field: &'a str,
    read: BufReader<Reader>,
    line: Vec<u8>,
    /// Lines read.
    count: u64,
    has_ended: bool,
}

struct Reader(Unpacked);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.reader().read(buffer)
    }
}

impl<'a> Lines<'a> {
    pub fn open(file: &'a Packed, field: &'a str) -> Result<Self, DataError> {
        let read = BufReader::with_capacity(1 << 18, Reader(Unpacked::open(file)?));
        Ok(Self { file, field, read, line: Vec::new(), count: 0, has_ended: false })
    }

    fn document(&mut self) -> Option<Result<Chunk, DataError>> {
        loop {
            self.line.clear();
            match self.read.read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(_) => self.count += 1,
                Err(error) => return Some(Err(self.read.get_ref().0.refuse(error))),
            }
            let line = match self.count {
                1 => self.line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.line),
                _ => &self.line,
            };
            if !line.trim_ascii().is_empty() {
                return Some(match text_of(line, self.field) {
                    Ok(text) => Ok(Chunk { text, ends: true }),
                    Err(message) => {
                        Err(DataError::Document { path: self.file.path.clone(), at: format!(":{}", self.count), message })
                    }
                });
            }
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Chunk, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let document = self.document();
        self.has_ended = !matches!(document, Some(Ok(_)));
        document
    }
}

/// The text in the field of the object that is a line.
fn text_of(line: &[u8], field: &str) -> Result<String, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Field(field).deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    match found {
        Ok(Some(Value::String(text))) => Ok(text),
        Ok(Some(other)) => Err(format!("expected text in the field `{field}`, found {}", kind(&other))),
        Ok(None) => Err(missing(line, field)),
        Err(error) => Err(no_object(line, &error)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn missing(line: &[u8], field: &str) -> String {
    let names: Vec<String> = match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => object.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    };
    format!("expected a field `{field}`, found {}", listed(field, names.iter().map(String::as_str)))
}

fn no_object(line: &[u8], error: &serde_json::Error) -> String {
    if let Err(error) = std::str::from_utf8(line) {
        return format!("expected UTF-8 text, found an invalid sequence at byte {} of the line", error.valid_up_to());
    }
    match serde_json::from_slice::<Value>(line) {
        Ok(other) => format!("expected a JSON object, found {}", kind(&other)),
        Err(_) => {
            let (what, column) = (error.to_string(), error.column());
            let what = what.split(" at line ").next().unwrap_or_default();
            format!("expected a JSON object on a line of its own, found a mistake in column {column}: {what}")
        }
    }
}

/// Takes one field of an object, and passes over the others.
struct Field<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_taken_and_what_is_not_one_is_named() {
        let check = |line: &str, expected: Result<&str, &str>| {
            assert_eq!(
                text_of(line.as_bytes(), "text").as_deref(),
                expected.map_err(str::to_owned).as_ref().map(|t| *t),
                "{line}"
            );
        };
        check(r#"{"id": 1, "text": "caf\u00e9\n", "more": [{"text": "not this"}]}"#, Ok("café\n"));
        check(r#"{"text": ""}"#, Ok(""));
        check(r#"{"text": null}"#, Err("expected text in the field `text`, found null"));
        check(r#"{"text": 3}"#, Err("expected text in the field `text`, found a number"));
        check(r#"{"txt": "a", "id": 1}"#, Err("expected a field `text`, found `txt`, `id`; did you mean `txt`?"));
        check("{}", Err("expected a field `text`, found none"));
        check(r#"["a"]"#, Err("expected a JSON object, found a list"));
        check(
            r#"{"text": "a"} {}"#,
            Err("expected a JSON object on a line of its own, found a mistake in column 15: trailing characters"),
        );
        let cut = text_of(br#"{"text": "a"#, "text").unwrap_err();
        assert!(cut.starts_with("expected a JSON object on a line of its own, found a mistake in column 11: EOF"), "{cut}");
        let bytes = text_of(b"{\"text\": \"\xff\"}", "text").unwrap_err();
        assert_eq!(bytes, "expected UTF-8 text, found an invalid sequence at byte 10 of the line");
    }
}
