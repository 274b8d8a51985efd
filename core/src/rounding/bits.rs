//! The number of values that a weight can have, and the groups of weights that share a scale.

use crate::forms::Forms;
use serde::{Serialize, Serializer};
use std::fmt;

/// The values that a weight can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 2 to 8 bits b: 2^b - 1 values, symmetric about 0.
    Whole(u8),
    /// -1, 0 and 1 times a scale.
    Ternary,
    /// -1 and 1 times a scale.
    Binary,
}

/// The weights that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// All weights of a matrix.
    Tensor,
    /// All weights of one output channel.
    Channel,
    /// This many consecutive inputs of one output channel; the last group may have fewer.
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

crate::forms! {
    Bits => Forms::expecting("2 to 8 bits, `ternary` or `binary`")
        .whole(2..=8, |bits| Self::Whole(bits as u8))
        .constant("ternary", "-1, 0 and 1 times a scale.", Self::Ternary)
        .constant("binary", "-1 and 1 times a scale.", Self::Binary)
}

crate::forms! {
    Granularity => Forms::expecting("`tensor`, `channel` or the size of a group of at least 2")
        .constant("tensor", "All weights of a matrix share a scale.", Self::Tensor)
        .constant("channel", "The weights that make one output share a scale.", Self::Channel)
        .whole(2..=u32::MAX.into(), |size| Self::Group(size as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_and_illegal_ones_are_refused() {
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
