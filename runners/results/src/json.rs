//! Numbers in the page's JSON: JSON has no NaN and no infinity, and a null would read as "not measured".
//!
//! Finite numbers are numbers, the others the strings `"NaN"`, `"inf"` and `"-inf"`.

use serde::{Serialize, Serializer};

struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

pub fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

pub fn maybe<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Number).serialize(serializer)
}

pub fn list<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().copied().map(Number))
}

/// Pairs as a map, in their order.
pub fn measures<S: Serializer>(pairs: &[(String, Option<f64>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value.map(Number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_lacks_becomes_a_string() {
        let point = crate::CurvePoint { step: 3, mean: 0.5, low: f64::NAN, high: f64::INFINITY };
        assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"step":3,"mean":0.5,"low":"NaN","high":"inf"}"#);
        assert_eq!(serde_json::to_string(&Number(f64::NEG_INFINITY)).unwrap(), r#""-inf""#);
    }
}
