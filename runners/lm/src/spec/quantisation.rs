//! `evaluate.quantisation:` in a study.

use regatta_core::forms::{Distinct, distinct};
use regatta_core::rounding::{Bits, Granularity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// To what the trained weights are rounded before the held-out loss is measured again; see [`crate::quantise`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuantisationSpec {
    /// Bits a weight, each once.
    #[serde(deserialize_with = "distinct")]
    #[schemars(with = "Distinct<Bits>")]
    pub bits: Vec<Bits>,
    /// Weights that share a scale, each once; every number of bits is tried with each.
    #[serde(deserialize_with = "distinct")]
    #[schemars(with = "Distinct<Granularity>")]
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
        check(r#"{"bits": []}"#, "expected at least one value, found none");
        check(r#"{"bits": [8, 4, 8]}"#, "expected each value once, found 8 twice");
        check(r#"{"granularity": [0]}"#, "the size of a group");
        check(r#"{"group": 32}"#, "unknown field `group`");
    }
}
