//! Where in a YAML text a path leads.
//!
//! The parser tells a place only with an error. So the text is read again along the path, and reading fails on purpose at its end.

use super::Place;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What is looked for at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The name before the `:`.
    Key,
    /// What it names.
    Value,
}

/// The place of what `path` leads to, or of the last thing on the way that exists.
pub fn locate(text: &str, path: &[String], target: Target) -> Place {
    let failed = Seek { path, target }.deserialize(serde_yaml::Deserializer::from_str(text));
    let location = failed.err().and_then(|error| error.location());
    location.map_or(Place::START, |at| Place { line: at.line(), column: at.column() })
}

/// Follows a path; never succeeds.
struct Seek<'a> {
    path: &'a [String],
    target: Target,
}

/// The error whose place is the answer.
fn here<E: Error>() -> E {
    E::custom("here")
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => deserializer.deserialize_any(Here),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a map")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let index: usize = self.path[0].parse().map_err(|_| here::<A::Error>())?;
        for _ in 0..index {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Err(here());
            }
        }
        list.next_element_seed(Seek { path: &self.path[1..], target: self.target })?;
        Err(here())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (wanted, rest) = (&self.path[0], &self.path[1..]);
        let stop = rest.is_empty() && self.target == Target::Key;
        while let Some(found) = map.next_key_seed(Key { wanted, stop })? {
            match found {
                true => map.next_value_seed(Seek { path: rest, target: self.target })?,
                false => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Err(here())
    }
}

/// Fails at any value.
struct Here;

impl Visitor<'_> for Here {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }
}

/// Whether a key is the one wanted; with `stop` it fails there.
struct Key<'a> {
    wanted: &'a str,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        match name == self.wanted {
            true if self.stop => Err(here()),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nb:\n  - c: [x, 'y']\n    d: &d {e: 2}\n  - *d\n";

    fn check(path: &str, target: Target, line: usize, column: usize) {
        let path: Vec<String> = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        assert_eq!(locate(TEXT, &path, target), Place { line, column }, "{path:?}");
    }

    #[test]
    fn values_and_keys_are_found() {
        check("", Target::Value, 1, 1);
        check("a", Target::Value, 1, 4);
        check("a", Target::Key, 1, 1);
        check("b.0.c.1", Target::Value, 3, 12);
        check("b.0.d", Target::Key, 4, 5);
        check("b.1.e", Target::Key, 4, 12); // where the alias leads
    }

    #[test]
    fn a_path_that_ends_early_leads_to_the_last_thing_that_exists() {
        check("b.0.x.y", Target::Value, 3, 5);
        check("b.7", Target::Value, 3, 3);
        check("a.x", Target::Value, 1, 4);
        check("z", Target::Key, 1, 1);
    }
}
