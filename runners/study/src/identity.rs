//! The identity of a trial: a hash of all that its results depend on.

use crate::records::RecordError;
use crate::spec::Arm;
use crate::spec::Study;
use regatta_core::registry;
use regatta_lm::data::Corpus;
use regatta_lm::spec::ModelSpec;
use serde_json::{Value, json};
use std::path::Path;

/// The hash of one arm with one seed: model, training, evaluation, terms with their regularizers' versions, the tokens
/// themselves, the seed and the program's version. Neither the arm's name, nor paths, nor the order of keys matter.
///
/// # Errors
/// When a checkpoint to start from cannot be read.
pub fn identity(study: &Study, arm: &Arm, seed: u64, corpus: &Corpus) -> Result<String, RecordError> {
    let model = match &study.model {
        ModelSpec::Gpt2(_) => to_value(&study.model),
        ModelSpec::Init(folder) => {
            json!({ "config": file_hash(&folder.join("config.json"))?, "weights": file_hash(&folder.join("model.safetensors"))? })
        }
    };
    let cards = registry::cards().unwrap_or_default();
    let versions: Vec<&str> =
        arm.terms.iter().map(|term| cards.get(term.regularizer.name()).map_or("", |card| card.version)).collect();
    let all = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "model": model,
        "train": to_value(&study.train),
        "evaluate": to_value(&study.evaluate),
        "order": to_value(&corpus.order),
        "tokens": corpus.fingerprint,
        "vocab_size": corpus.vocab_size,
        "terms": to_value(&arm.terms),
        "versions": versions,
        "seed": seed,
    });
    Ok(blake3::hash(sorted(all).to_string().as_bytes()).to_hex().to_string())
}

fn to_value<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn file_hash(path: &Path) -> Result<String, RecordError> {
    let bytes = std::fs::read(path).map_err(|error| RecordError::new(path, error))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// The same value with the keys of every map in sorted order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (one, other) = (json!({"a": {"x": 1, "y": [2, 3]}, "b": 4}), json!({"b": 4, "a": {"y": [2, 3], "x": 1}}));
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(sorted(one).to_string(), sorted(other).to_string());
    }
}
