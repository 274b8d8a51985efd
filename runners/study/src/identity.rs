//! The identity of a trial: a hash of all that its results depend on.

use crate::records::RecordError;
use crate::spec::{Arm, Study, folders};
use regatta_core::registry;
use regatta_lm::data::Corpus;
use regatta_lm::spec::ModelSpec;
use regatta_lm::tasks::{Kind, Tasks};
use serde_json::{Value, json};
use std::path::Path;

/// What a trial's results depend on, and its hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// BLAKE3 of the inputs, keys in order.
    pub hash: String,
    /// By name.
    pub inputs: Value,
}

impl Identity {
    /// Which inputs differ from those of another trial: `train.lr: 0.001, was 0.01`.
    pub fn differences(&self, other: &Value) -> Vec<String> {
        let mut found = Vec::new();
        differ(&mut found, String::new(), &self.inputs, other);
        found
    }

    /// Whether that other trial is this one, trained by another version of the program or of a plugin.
    pub fn differs_in_versions_alone(&self, other: &Value) -> bool {
        let settings = |inputs: &Value| {
            let mut inputs = inputs.clone();
            VERSIONS.iter().for_each(|key| inputs[key] = Value::Null);
            inputs
        };
        other.is_object() && self.inputs != *other && settings(&self.inputs) == settings(other)
    }
}

/// The inputs that are versions of code.
const VERSIONS: [&str; 2] = ["program", "versions"];

fn differ(found: &mut Vec<String>, path: String, now: &Value, was: &Value) {
    match (now, was) {
        (Value::Object(now), Value::Object(was)) => {
            let keys: std::collections::BTreeSet<&String> = now.keys().chain(was.keys()).collect();
            let dot = if path.is_empty() { "" } else { "." };
            for key in keys {
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                differ(found, format!("{path}{dot}{key}"), &value(now), &value(was));
            }
        }
        _ if now == was => {}
        _ => found.push(format!("{path}: {now}, was {was}")),
    }
}

/// The identity of one arm with one seed: model, training, evaluation, terms and interventions with their plugins' versions, the tokens
/// themselves, the tasks' items, the seed and the program's version. Neither the arm's name, nor paths, nor the order of keys matter.
///
/// # Errors
/// When a checkpoint, to start from or of an intervention, cannot be read.
pub fn identity(study: &Study, arm: &Arm, seed: u64, corpus: &Corpus, tasks: &Tasks) -> Result<Identity, RecordError> {
    let model = match &study.model {
        ModelSpec::Gpt2(_) => to_value(&study.model),
        ModelSpec::Init(folder) => checkpoint(folder)?,
    };
    let cards = registry::cards().unwrap_or_default();
    let versions: Vec<&str> = arm.plugins().map(|name| cards.get(name).map_or("", |card| card.version)).collect();
    let inputs = sorted(json!({
        "program": env!("CARGO_PKG_VERSION"),
        "model": model,
        "train": to_value(&study.train_of(arm)),
        "evaluate": evaluation(study, tasks),
        "order": to_value(&corpus.order),
        "tokens": corpus.fingerprint,
        "vocab_size": corpus.vocab_size,
        "terms": listed(arm)?,
        "versions": versions,
        "seed": seed,
    }));
    Ok(Identity { hash: blake3::hash(inputs.to_string().as_bytes()).to_hex().to_string(), inputs })
}

/// What is listed: of an intervention's checkpoint its files in the place of its path. An arm's own learning rate is that of its
/// training, whoever said it.
fn listed(arm: &Arm) -> Result<Value, RecordError> {
    let mut list = to_value(&arm.list());
    for (place, plugin) in arm.listed_interventions() {
        let fields = &mut list[place]["intervention"][plugin.name()];
        for (field, folder) in folders(plugin) {
            fields[field] = checkpoint(&folder)?;
        }
    }
    list.as_array_mut().into_iter().for_each(|list| list.retain(|entry| entry.get("lr").is_none()));
    Ok(list)
}

fn checkpoint(folder: &Path) -> Result<Value, RecordError> {
    Ok(json!({ "config": file_hash(&folder.join("config.json"))?, "weights": file_hash(&folder.join("model.safetensors"))? }))
}

/// What is measured: of a task its name and its items in the place of its path.
fn evaluation(study: &Study, tasks: &Tasks) -> Value {
    let mut value = to_value(&study.evaluate);
    for kind in [Kind::MinimalPairs, Kind::MultipleChoice] {
        let items: Vec<Value> = tasks.of(kind).map(|task| json!({ "task": task.name, "items": task.fingerprint })).collect();
        if !items.is_empty() {
            value[kind.field()] = items.into();
        }
    }
    for text in &tasks.texts {
        value["texts"][&text.name] = text.fingerprint.clone().into();
    }
    value
}

fn to_value(value: &impl serde::Serialize) -> Value {
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
    fn differences_are_named_by_their_paths() {
        let identity = Identity { hash: String::new(), inputs: json!({"train": {"lr": 0.1, "steps": 3}, "terms": [1]}) };
        let other = json!({"train": {"lr": 0.2, "steps": 3}, "terms": [1], "seed": 1});
        assert_eq!(identity.differences(&other), ["seed: null, was 1", "train.lr: 0.1, was 0.2"]);
        assert!(identity.differences(&identity.inputs).is_empty());
    }

    #[test]
    fn other_versions_are_told_from_other_settings() {
        let identity = Identity { hash: String::new(), inputs: json!({"program": "2", "versions": ["1"], "seed": 0}) };
        assert!(identity.differs_in_versions_alone(&json!({"program": "1", "versions": ["1"], "seed": 0})));
        assert!(!identity.differs_in_versions_alone(&json!({"program": "1", "versions": ["1"], "seed": 1})));
        assert!(!identity.differs_in_versions_alone(&identity.inputs) && !identity.differs_in_versions_alone(&json!(null)));
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (one, other) = (json!({"a": {"x": 1, "y": [2, 3]}, "b": 4}), json!({"b": 4, "a": {"y": [2, 3], "x": 1}}));
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(sorted(one).to_string(), sorted(other).to_string());
    }
}
