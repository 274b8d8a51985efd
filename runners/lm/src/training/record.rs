//! One line of `metrics.jsonl`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The record of one training step. `loss` and `penalty` are those of the step's batch before its update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 0.
    pub step: usize,
    /// Cross-entropy, nats per token.
    #[serde(with = "finite_or_word")]
    pub loss: f64,
    /// Weighted sum of the penalties, and of the objectives of interventions: what is added to the loss.
    #[serde(with = "finite_or_word")]
    pub penalty: f64,
    /// Unweighted penalty of each term whose weight is not 0 at this step, by the regularizer's name; a second term of the same
    /// name is called `name.1`. Likewise the unweighted objective of each intervention that has one.
    #[serde(with = "finite_or_word_map")]
    pub terms: BTreeMap<String, f64>,
    /// Global norm of the gradient, before clipping.
    #[serde(with = "finite_or_word")]
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Tokens of the batch divided by the wall time of the step.
    pub tokens_per_second: f64,
    /// Standard deviations by which the loss lies above the mean of earlier steps, where it is a spike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spike: Option<f64>,
    /// The first tensor whose gradient is not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_gradient: Option<String>,
}

impl StepRecord {
    /// What is not finite, as a message; `None` where all is.
    pub fn divergence(&self) -> Option<String> {
        let named = [("loss", self.loss), ("penalty", self.penalty), ("gradient norm", self.grad_norm)];
        let (what, value) = named.into_iter().find(|(_, value)| !value.is_finite())?;
        let term = self.terms.iter().find(|(_, value)| !value.is_finite());
        let of = term.map(|(name, _)| format!(" of `{name}`")).unwrap_or_default();
        let first = self.broken_gradient.as_ref().map(|name| format!(", first in the gradient of {name}")).unwrap_or_default();
        Some(format!("the {what}{of} is {} at step {}{first}", Word(value), self.step))
    }

    /// By how much the loss is a spike, as a message.
    pub fn outlier(&self) -> Option<String> {
        let Self { step, loss, .. } = self;
        let score = self.spike?;
        Some(format!("the loss of {loss:.4} at step {step} lies {score:.1} standard deviations above those before it"))
    }
}

/// A number that may not be finite: JSON has no NaN, so it is written as a word instead of `null`.
struct Word(f64);

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            x if x.is_nan() => f.write_str("NaN"),
            x if x.is_infinite() => f.write_str(if x > 0.0 { "inf" } else { "-inf" }),
            x => x.fmt(f),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Number(f64),
    Word(String),
}

impl NumberOrWord {
    fn number<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Word(word) => match word.as_str() {
                "NaN" => Ok(f64::NAN),
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                _ => Err(E::custom(format!("expected a number, `NaN`, `inf` or `-inf`, found `{word}`"))),
            },
        }
    }
}

mod finite_or_word {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { serializer.serialize_f64(*value) } else { serializer.collect_str(&Word(*value)) }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        NumberOrWord::deserialize(deserializer)?.number()
    }
}

mod finite_or_word_map {
    use super::*;

    struct Value(f64);

    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            finite_or_word::serialize(&self.0, serializer)
        }
    }

    pub fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(name, value)| (name, Value(*value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, NumberOrWord>::deserialize(deserializer)?;
        map.into_iter().map(|(name, value)| Ok((name, value.number()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_words_and_come_back() {
        let terms = BTreeMap::from([("dispersion".to_owned(), f64::INFINITY)]);
        let record = StepRecord {
            step: 3,
            loss: 1.5,
            penalty: f64::NAN,
            terms,
            grad_norm: 1.0,
            lr: 1e-3,
            tokens_per_second: 10.0,
            spike: None,
            broken_gradient: None,
        };
        let line = serde_json::to_string(&record).unwrap();
        assert!(line.contains(r#""penalty":"NaN","terms":{"dispersion":"inf"}"#), "{line}");
        let read: StepRecord = serde_json::from_str(&line).unwrap();
        assert!(read.penalty.is_nan() && read.terms["dispersion"] == f64::INFINITY);
        assert_eq!(record.divergence().unwrap(), "the penalty of `dispersion` is NaN at step 3");
        let broken = StepRecord { broken_gradient: Some("wte.weight".into()), ..record };
        assert_eq!(
            broken.divergence().unwrap(),
            "the penalty of `dispersion` is NaN at step 3, first in the gradient of wte.weight"
        );
    }
}
