//! The powers of a distance by which points repel each other.

use regatta_core::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use regatta_core::serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The power s, written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "regatta_core::serde", try_from = "u64", into = "u64")]
pub enum Power {
    /// 0: the logarithm of the inverse distance.
    Zero,
    /// 1: the inverse distance, as charges in space.
    One,
    /// 2: the inverse squared distance.
    Two,
}

impl TryFrom<u64> for Power {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("expected 0, 1 or 2, found {other}")),
        }
    }
}

impl From<Power> for u64 {
    fn from(power: Power) -> Self {
        match power {
            Power::Zero => 0,
            Power::One => 1,
            Power::Two => 2,
        }
    }
}

impl JsonSchema for Power {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Power".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": [0, 1, 2]})
    }
}
