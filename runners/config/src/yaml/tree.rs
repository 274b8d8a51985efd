//! A tree of plain values from YAML text, and where in the text each of them stands.
//!
//! The parser tells a place only with an error. So [`locate`] reads a text again, and reading fails on purpose at the place that
//! it looks for.

use super::{Fault, MAX_BYTES, MAX_DEPTH, Place, in_one_line, nesting};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Values that a tree may have, each alias counted as often as it is named.
const MAX_VALUES: usize = 100_000;

/// Reads `text`, one document; an empty text is nothing (null).
///
/// # Errors
/// At the first place that is not YAML or not a plain value, that has a key twice, or that nests or repeats too much.
pub fn parse(text: &str) -> Result<Value, Fault> {
    nesting::check(text)?;
    let mut reading = Reading::default();
    match (Node { reading: &mut reading }).deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(value) => Ok(value),
        Err(error) => {
            let place = error.location().map_or(Place::START, |at| Place { line: at.line(), column: at.column() });
            let message = reading.refused.unwrap_or_else(|| format!("expected YAML, found a mistake: {error}"));
            Err(Fault { place, path: reading.path, message })
        }
    }
}

/// What is looked for at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The name before the `:`.
    Key,
    /// What it names.
    Value,
}

/// The place of what `path` leads to in `text`, which [`parse`] has read, or of the last thing on the way that exists.
pub fn locate(text: &str, path: &[String], target: Target) -> Place {
    let mut reading = Reading { wanted: Some((path, target)), ..Reading::default() };
    let failed = Node { reading: &mut reading }.deserialize(serde_yaml::Deserializer::from_str(text)).err();
    failed.and_then(|error| error.location()).map_or(Place::START, |at| Place { line: at.line(), column: at.column() })
}

/// What is known in the middle of a tree.
#[derive(Default)]
struct Reading<'w> {
    /// What [`locate`] looks for.
    wanted: Option<(&'w [String], Target)>,
    /// Down to where reading stands; after an error, down to what caused it.
    path: Vec<String>,
    values: usize,
    characters: usize,
    refused: Option<String>,
}

impl Reading<'_> {
    fn refuse<E: Error>(&mut self, message: impl Into<String>) -> E {
        self.refused = Some(message.into());
        E::custom("refused")
    }

    /// Fails where a list or a map begins that is wanted.
    fn begin<E: Error>(&mut self) -> Result<(), E> {
        self.count(0)?;
        match self.wanted {
            Some((path, Target::Value)) if self.path == path => Err(E::custom("here")),
            _ => Ok(()),
        }
    }

    /// Fails where a value has been read whole on the way to what is wanted: it is that, or the way ends here.
    fn end<E: Error>(&self) -> Result<(), E> {
        match self.wanted {
            Some((path, _)) if path.starts_with(&self.path) => Err(E::custom("here")),
            _ => Ok(()),
        }
    }

    /// A number, a word or nothing.
    fn scalar<E: Error>(&mut self, characters: usize, value: impl Into<Value>) -> Result<Value, E> {
        self.count(characters)?;
        self.end()?;
        Ok(value.into())
    }

    /// Aliases can make a small text a huge tree.
    fn count<E: Error>(&mut self, characters: usize) -> Result<(), E> {
        self.values += 1;
        self.characters += characters;
        if self.values > MAX_VALUES || self.characters > MAX_BYTES {
            return Err(self.refuse(format!("expected at most {MAX_VALUES} values and {MAX_BYTES} bytes of words, found more")));
        }
        if self.path.len() > MAX_DEPTH {
            return Err(self.refuse(format!("expected lists and maps at most {MAX_DEPTH} deep, found more")));
        }
        Ok(())
    }
}

struct Node<'a, 'w> {
    reading: &'a mut Reading<'w>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a word, a list or a map")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.reading.scalar(0, Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.reading.scalar(0, value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.reading.scalar(0, value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.reading.scalar(0, value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Err(self.reading.refuse(format!("expected a whole number below 2^64, found {value}")))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Err(self.reading.refuse(format!("expected a whole number above -2^63, found {value}")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => self.reading.scalar(0, number),
            None => Err(self.reading.refuse(format!("expected a finite number, found {value}"))),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Value, E> {
        self.reading.scalar(word.len(), word)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.reading.begin()?;
        let mut values = Vec::new();
        loop {
            self.reading.path.push(values.len().to_string());
            let value = list.next_element_seed(Node { reading: &mut *self.reading })?;
            self.reading.path.pop();
            match value {
                Some(value) => values.push(value),
                None => return self.reading.end().map(|()| Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.reading.begin()?;
        let mut entries = Map::new();
        while let Some(key) = map.next_key_seed(Key { reading: &mut *self.reading, before: &entries })? {
            self.reading.path.push(key.clone());
            let value = map.next_value_seed(Node { reading: &mut *self.reading })?;
            self.reading.path.pop();
            entries.insert(key, value);
        }
        self.reading.end().map(|()| Value::Object(entries))
    }
}

/// The next key of a map with the entries `before` it. A key at fault fails here, where the parser knows its place.
struct Key<'a, 'w> {
    reading: &'a mut Reading<'w>,
    before: &'a Map<String, Value>,
}

impl Key<'_, '_> {
    fn not_a_name<E: Error>(self, found: impl fmt::Display) -> E {
        self.reading.refuse(format!("expected a name before the `:`, found {found}; a name that looks like it needs quotes"))
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name before the `:`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        self.reading.count(name.len())?;
        if self.before.contains_key(name) {
            self.reading.path.push(name.to_owned());
            return Err(self.reading.refuse(format!("expected each name once, found `{}` twice", in_one_line(name))));
        }
        if let Some((path, Target::Key)) = self.reading.wanted
            && path.split_last().is_some_and(|(last, before)| last == name && before == self.reading.path)
        {
            return Err(E::custom("here"));
        }
        Ok(name.to_owned())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Err(self.not_a_name(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Err(self.not_a_name(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Err(self.not_a_name(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        Err(self.not_a_name(value))
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Err(self.not_a_name("nothing"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<String, A::Error> {
        Err(self.not_a_name("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<String, A::Error> {
        Err(self.not_a_name("a map"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn plain_values_are_read_in_order() {
        let value = parse("b: [1, -2, 1.0e-3, yes, true, ~]\na: {c: '3'}\n").unwrap();
        assert_eq!(value.to_string(), r#"{"b":[1,-2,0.001,"yes",true,null],"a":{"c":"3"}}"#);
        assert_eq!(parse("# nothing\n").unwrap(), Value::Null);
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
        refused("a: [1, .nan]", (1, 8), "a.1", "expected a finite number, found NaN");
        refused("a: -.inf", (1, 4), "a", "expected a finite number, found -inf");
        refused("a: 18446744073709551616", (1, 4), "a", "below 2^64");
        refused("a:\n  3: 1", (2, 3), "a", "expected a name before the `:`, found 3");
        refused("[a]: 1", (1, 1), "", "found a list");
        refused("a: [1, 2\nb: 3", (2, 2), "a.2", "did not find expected ',' or ']'");
        refused("a: *b", (1, 4), "a", "unknown anchor");
        refused("a: !!str 3", (1, 4), "", "found a tag");
    }

    #[test]
    fn bombs_are_refused_at_once() {
        refused(&"[".repeat(80_000), (1, 66), "", "at most 64 deep");
        refused(&"{a: ".repeat(20_000), (1, 258), "", "at most 64 deep");
        refused(&"- ".repeat(40_000), (1, 130), "", "at most 64 deep");
        let stairs: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        refused(&stairs, (65, 67), "", "at most 64 deep");
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        let laughs = names.windows(2).map(|w| format!("{}: &{} [{}]\n", w[1], w[1], vec![format!("*{}", w[0]); 10].join(",")));
        let bomb = format!("a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n{}", laughs.collect::<String>());
        let fault = parse(&bomb).unwrap_err();
        assert!(fault.message.contains("repetition limit") || fault.message.contains("100000 values"), "{}", fault.message);
    }

    const TEXT: &str = "a: 1\nb:\n  - c: [x, 'y']\n    d: &d {e: 2}\n  - *d\n";

    fn found(path: &str, target: Target, line: usize, column: usize) {
        let path: Vec<String> = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        assert_eq!(locate(TEXT, &path, target), Place { line, column }, "{path:?}");
    }

    #[test]
    fn values_and_keys_are_found() {
        found("", Target::Value, 1, 1);
        found("a", Target::Value, 1, 4);
        found("a", Target::Key, 1, 1);
        found("b.0.c.1", Target::Value, 3, 12);
        found("b.0.d", Target::Key, 4, 5);
        found("b.1.e", Target::Key, 4, 12); // where the alias leads
    }

    #[test]
    fn a_path_that_ends_early_leads_to_the_last_thing_that_exists() {
        found("b.0.x.y", Target::Value, 3, 5);
        found("b.7", Target::Value, 3, 3);
        found("a.x", Target::Value, 1, 4);
        found("z", Target::Key, 1, 1);
    }
}
