//! `evaluate.quantisation:` in a study.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// To what the trained weights are rounded before the held-out loss is measured again; see [`crate::quantise`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantisationSpec {
    /// Bits a weight, each once.
    #[serde(deserialize_with = "each_once")]
    pub bits: Vec<Bits>,
    /// Weights that share a scale, each once; every number of bits is tried with each.
    #[serde(deserialize_with = "each_once")]
    pub granularity: Vec<Granularity>,
    /// Whether the token embedding is rounded too, which is the output matrix; the literature leaves both as they are.
    pub embeddings: bool,
}

impl Default for QuantisationSpec {
    fn default() -> Self {
        let mut bits: Vec<Bits> = [8, 6, 4, 3, 2].map(Bits::Whole).to_vec();
        bits.extend([Bits::Ternary, Bits::Binary]);
        Self { bits, granularity: vec![Granularity::Channel], embeddings: false }
    }
}

/// How many values a weight may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 2 to 8 bits b: 2^b - 1 values, the same above and below 0.
    Whole(u8),
    /// -1, 0 and 1 times a scale.
    Ternary,
    /// -1 and 1 times a scale.
    Binary,
}

/// Which weights share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// All of a matrix.
    Tensor,
    /// All that make one output.
    Channel,
    /// So many neighbouring inputs of one output; the last group has what is left.
    Group(u32),
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bits) => bits.fmt(f),
            Self::Ternary => f.write_str("ternary"),
            Self::Binary => f.write_str("binary"),
        }
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor => f.write_str("tensor"),
            Self::Channel => f.write_str("channel"),
            Self::Group(size) => size.fmt(f),
        }
    }
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(bits) => serializer.serialize_u8(*bits),
            word => serializer.collect_str(word),
        }
    }
}

impl Serialize for Granularity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Group(size) => serializer.serialize_u32(*size),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrWord {
            expected: "2 to 8 bits, `ternary` or `binary`",
            number: |bits| u8::try_from(bits).ok().filter(|bits| (2..=8).contains(bits)).map(Self::Whole),
            words: &[("ternary", Self::Ternary), ("binary", Self::Binary)],
        })
    }
}

impl<'de> Deserialize<'de> for Granularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrWord {
            expected: "`tensor`, `channel` or the size of a group of at least 2",
            number: |size| u32::try_from(size).ok().filter(|size| *size >= 2).map(Self::Group),
            words: &[("tensor", Self::Tensor), ("channel", Self::Channel)],
        })
    }
}

struct NumberOrWord<T: 'static> {
    expected: &'static str,
    number: fn(u64) -> Option<T>,
    words: &'static [(&'static str, T)],
}

impl<T: Copy> Visitor<'_> for NumberOrWord<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
        let known = self.words.iter().find(|(known, _)| *known == word);
        known.map(|(_, value)| *value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
    }
}

/// A list that is not empty and has nothing twice: its items become names of columns.
fn each_once<'de, D: Deserializer<'de>, T: Deserialize<'de> + PartialEq + fmt::Display>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::<T>::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::custom("expected at least one, found none"));
    }
    match list.iter().enumerate().find(|(index, item)| list[..*index].contains(item)) {
        Some((_, item)) => Err(de::Error::custom(format!("expected each once, found {item} twice"))),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_means_the_defaults_and_what_was_read_is_written() {
        let spec: QuantisationSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(spec, QuantisationSpec::default());
        let text = r#"{"bits":[8,2,"ternary","binary"],"granularity":["tensor","channel",32],"embeddings":true}"#;
        let spec: QuantisationSpec = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
        assert_eq!(spec.granularity[2], Granularity::Group(32));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = serde_json::from_str::<QuantisationSpec>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"bits": [1]}"#, "integer `1`, expected 2 to 8 bits, `ternary` or `binary`");
        check(r#"{"bits": [16]}"#, "expected 2 to 8 bits");
        check(r#"{"bits": ["tertiary"]}"#, "expected 2 to 8 bits");
        check(r#"{"bits": []}"#, "expected at least one, found none");
        check(r#"{"bits": [8, 4, 8]}"#, "expected each once, found 8 twice");
        check(r#"{"granularity": [0]}"#, "the size of a group");
        check(r#"{"group": 32}"#, "unknown field `group`");
    }
}
