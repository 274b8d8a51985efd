//! Numbers with a range in their type, so that a config that parses needs no further checks.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

macro_rules! refined {
    ($(#[$doc:meta])* $name:ident, $value:ident => $legal:expr, $expected:literal, {$($bound:literal: $limit:expr),*}) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64")]
        pub struct $name(f64);

        impl $name {
            /// A number known to be in range, such as a default. In a constant, the compiler checks the range.
            ///
            /// # Panics
            /// When the number is out of range.
            pub const fn new($value: f64) -> Self {
                assert!($legal, $expected);
                Self($value)
            }

            /// The plain number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "number" $(, $bound: $limit)*})
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from($value: f64) -> std::result::Result<Self, String> {
                if $legal { Ok(Self($value)) } else { Err(format!(concat!("expected ", $expected, ", found {}"), $value)) }
            }
        }
    };
}

refined! {
    /// Any number except NaN and the infinities.
    Finite, value => value.is_finite(), "a finite number", {}
}
refined! {
    /// Above 0, finite.
    Positive, value => value > 0.0 && value.is_finite(), "a finite number above 0",
    {"exclusiveMinimum": 0}
}
refined! {
    /// A normal, finite float32 above 0.
    PositiveFloat, value => value >= f32::MIN_POSITIVE as f64 && value <= f32::MAX as f64,
    "a number above 0 that float32 has, from 1.2e-38 to 3.4e38",
    {"minimum": f32::MIN_POSITIVE as f64, "maximum": f32::MAX as f64}
}
refined! {
    /// At least 0, finite.
    NonNegative, value => value >= 0.0 && value.is_finite(), "a finite number, 0 or above", {"minimum": 0}
}
refined! {
    /// At least 0 and below 1, such as a dropout rate or a decay.
    Fraction, value => matches!(value, 0.0..1.0), "a number from 0 to below 1",
    {"minimum": 0, "exclusiveMaximum": 1}
}
refined! {
    /// Above 0 and at most 1.
    Proportion, value => value > 0.0 && value <= 1.0, "a number above 0 and up to 1",
    {"exclusiveMinimum": 0, "maximum": 1}
}
refined! {
    /// Strictly between 0 and 1.
    Inner, value => value > 0.0 && value < 1.0, "a number strictly between 0 and 1",
    {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Count<const LEAST: usize, const MOST: usize>(usize);

impl<const LEAST: usize, const MOST: usize> Count<LEAST, MOST> {
    /// A number known to be in range, such as a default. In a constant, the compiler checks the range.
    ///
    /// # Panics
    /// When the number is out of range.
    pub const fn new(value: usize) -> Self {
        assert!(LEAST <= value && value <= MOST, "a count out of range");
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl<const LEAST: usize, const MOST: usize> JsonSchema for Count<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("CountFrom{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": LEAST, "maximum": MOST})
    }
}

impl<const LEAST: usize, const MOST: usize> TryFrom<u64> for Count<LEAST, MOST> {
    type Error = String;

    fn try_from(value: u64) -> std::result::Result<Self, String> {
        match usize::try_from(value) {
            Ok(count) if (LEAST..=MOST).contains(&count) => Ok(Self(count)),
            _ => Err(format!("expected a whole number from {LEAST} to {MOST}, found {value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check<T: serde::de::DeserializeOwned>(json: &str, expected: Result<(), &str>) {
        let found = serde_json::from_str::<T>(json).map(|_| ()).map_err(|e| e.to_string());
        match expected {
            Ok(()) => assert_eq!(found, Ok(()), "{json}"),
            Err(part) => assert!(found.clone().unwrap_err().contains(part), "{json}: {found:?}"),
        }
    }

    #[test]
    fn schemas_have_the_bounds_of_the_types() {
        let schema = |schema: Schema| Value::from(schema);
        let mut generator = SchemaGenerator::default();
        assert_eq!(schema(Fraction::json_schema(&mut generator)), json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1}));
        assert_eq!(schema(Count::<2, 64>::json_schema(&mut generator)), json!({"type": "integer", "minimum": 2, "maximum": 64}));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        check::<Positive>("0.5", Ok(()));
        check::<Positive>("0", Err("expected a finite number above 0, found 0"));
        check::<NonNegative>("0", Ok(()));
        check::<NonNegative>("-1", Err("0 or above, found -1"));
        check::<Fraction>("1.0", Err("from 0 to below 1"));
        check::<Inner>("0.0", Err("strictly between 0 and 1"));
        check::<Count<2, 64>>("64", Ok(()));
        check::<Count<2, 64>>("1", Err("expected a whole number from 2 to 64, found 1"));
    }
}
