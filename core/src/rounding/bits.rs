//! How many values a weight may have, and which weights share a scale.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_and_what_makes_no_sense_is_refused() {
        let text = r#"[[8,"tensor"],["ternary","channel"],["binary",32]]"#;
        let read: Vec<(Bits, Granularity)> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read[2], (Bits::Binary, Granularity::Group(32)));
        let bits = |text: &str| serde_json::from_str::<Bits>(text).unwrap_err().to_string();
        assert!(bits("9").contains("integer `9`, expected 2 to 8 bits, `ternary` or `binary`"));
        assert!(bits("\"tensor\"").contains("expected 2 to 8 bits"));
        assert!(serde_json::from_str::<Granularity>("1").unwrap_err().to_string().contains("a group of at least 2"));
    }
}
