//! The identity of a trial: a hash of all that its results depend on.

use regatta_config::{Arm, Study, folders};
use regatta_core::{Fingerprint, registry};
use regatta_lm::data::Corpus;
use regatta_lm::checkpoint::weight_files;
use regatta_lm::spec::{ModelSpec, TrainSpec};
use regatta_lm::tasks::{Kind, Tasks};
use regatta_records::{RecordError, TrialFolder};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

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
        let (mut found, formulas) = (Vec::new(), [FINGERPRINTS]);
        differ(&mut found, String::new(), &without(&self.inputs, &formulas), &without(other, &formulas));
        found.extend(other_formulas(&self.inputs, other));
        found
    }

    /// Whether that other trial is this one, trained by other code; and by which: another version of the program or of a plugin, or
    /// of the same version a plugin that computes something else.
    pub fn differing_code(&self, other: &Value) -> Option<Code> {
        let same = |keys: &[&str]| without(&self.inputs, keys) == without(other, keys);
        if !other.is_object() || self.inputs == *other {
            None
        } else if same(&[FINGERPRINTS]) {
            Some(Code::Formulas)
        } else {
            same(&[FINGERPRINTS, "program", "versions"]).then_some(Code::Versions)
        }
    }
}

/// Code that differs between two trials of the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Versions of the program or of plugins.
    Versions,
    /// What plugins compute.
    Formulas,
}

/// The input that holds what each plugin that is listed computes.
const FINGERPRINTS: &str = "fingerprints";

fn without(inputs: &Value, keys: &[&str]) -> Value {
    let mut inputs = inputs.clone();
    if let Some(inputs) = inputs.as_object_mut() {
        inputs.retain(|key, _| !keys.contains(&key.as_str()));
    }
    inputs
}

/// In words, of plugins that are listed alike in both and compute something else.
fn other_formulas(now: &Value, was: &Value) -> Vec<String> {
    let mut words = Vec::new();
    for (place, listed) in now["terms"].as_array().into_iter().flatten().enumerate() {
        let of = |inputs: &Value, key: &str| inputs[key][place].clone();
        let Some((kind, plugin)) = ["regularizer", "intervention"].iter().find_map(|&kind| Some((kind, listed.get(kind)?)))
        else {
            continue;
        };
        let name = plugin.as_object().and_then(|plugin| plugin.keys().next()).map_or("", String::as_str);
        let (mine, theirs) = (of(now, FINGERPRINTS), of(was, FINGERPRINTS));
        if mine == theirs || was["terms"][place].get(kind) != Some(plugin) {
            continue;
        }
        let version = of(now, "versions");
        let under = if version == of(was, "versions") { format!(" under the same version, {version}") } else { String::new() };
        words.push(match (mine.is_null(), theirs.is_null()) {
            (false, false) => format!("{kind} `{name}` computes something else than it did{under}"),
            (true, _) => format!("whether {kind} `{name}` computes what it did cannot be told: it could not be measured now"),
            (_, true) => format!("whether {kind} `{name}` computes what it did cannot be told: it was not measured then"),
        });
    }
    words.dedup();
    words
}

/// Names and fingerprints of the plugins that the trials below `folder` were trained with, in the order of their folders.
pub(crate) fn known_fingerprints(folder: &Path) -> Vec<(String, Fingerprint)> {
    let mut known: Vec<(String, Fingerprint)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Some(inputs) = TrialFolder::at(folder.clone()).inputs().ok().flatten() else {
            let mut below: Vec<PathBuf> =
                std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            below.retain(|path| path.is_dir());
            below.sort_by(|one, other| other.cmp(one));
            folders.extend(below);
            continue;
        };
        let lists = inputs["terms"].as_array().into_iter().flatten().zip(inputs[FINGERPRINTS].as_array().into_iter().flatten());
        for (listed, fingerprint) in lists {
            let plugin = listed.get("regularizer").or_else(|| listed.get("intervention")).and_then(Value::as_object);
            let name = plugin.and_then(|plugin| plugin.keys().next().cloned());
            if let (Some(name), Ok(fingerprint)) = (name, Fingerprint::deserialize(fingerprint)) {
                let found = (name, fingerprint);
                if !known.contains(&found) {
                    known.push(found);
                }
            }
        }
    }
    known
}

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

/// The identity of one arm, trained so, with one seed: model, training, evaluation, terms and interventions with their plugins'
/// versions and `fingerprints`, in their order, the tokens themselves, the tasks' items, the seed and the program's version.
/// Neither the arm's name, nor paths, nor the order of keys matter.
///
/// # Errors
/// When a checkpoint, to start from or of an intervention, cannot be read.
pub fn identity(
    study: &Study,
    arm: &Arm,
    train: &TrainSpec,
    fingerprints: &[Option<Fingerprint>],
    seed: u64,
    corpus: &Corpus,
    tasks: &Tasks,
) -> Result<Identity, RecordError> {
    let model = match &study.model {
        ModelSpec::Fresh(_) => to_value(&study.model),
        ModelSpec::Init(folder) => checkpoint(folder)?,
    };
    let cards = registry::cards().unwrap_or_default();
    let versions: Vec<&str> = arm.plugins().map(|name| cards.get(name).map_or("", |card| card.version)).collect();
    let mut inputs = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "model": model,
        "train": to_value(train),
        "evaluate": evaluation(study, tasks),
        "order": to_value(&corpus.order),
        "tokens": corpus.fingerprint,
        "vocab_size": corpus.vocab_size,
        "terms": listed(arm)?,
        "versions": versions,
        "seed": seed,
    });
    if !fingerprints.is_empty() {
        inputs[FINGERPRINTS] = to_value(&fingerprints); // a baseline of before there were any is the same
    }
    let inputs = sorted(inputs);
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

/// The files of a checkpoint that the model is read from. One file of weights is named by its hash alone, as it was before there were
/// others.
fn checkpoint(folder: &Path) -> Result<Value, RecordError> {
    let files = weight_files(folder).map_err(|error| RecordError::new(folder, error))?;
    let hashes = files.iter().map(|file| file_hash(file)).collect::<Result<Vec<String>, _>>()?;
    let weights = match &hashes[..] {
        [one] => one.clone().into(),
        all => json!(all),
    };
    Ok(json!({ "config": file_hash(&folder.join("config.json"))?, "weights": weights }))
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
        let code = |other: Value| identity.differing_code(&other);
        assert_eq!(code(json!({"program": "1", "versions": ["1"], "seed": 0})), Some(Code::Versions));
        assert_eq!(code(json!({"program": "2", "versions": ["1"], "seed": 0, "fingerprints": []})), Some(Code::Formulas));
        assert_eq!(code(json!({"program": "1", "versions": ["1"], "seed": 1})), None);
        assert_eq!((code(identity.inputs.clone()), code(json!(null))), (None, None));
    }

    #[test]
    fn another_formula_is_said_of_the_plugin_that_has_it() {
        let inputs = |temperature: f64, versions: Value, fingerprints: Value| {
            let terms = json!([{"regularizer": {"a": {"t": 1}}}, {"regularizer": {"b": {"t": temperature}}}]);
            json!({"terms": terms, "versions": versions, "fingerprints": fingerprints})
        };
        let identity = |inputs| Identity { hash: String::new(), inputs };
        let now = identity(inputs(0.5, json!(["1", "2"]), json!(["x", "y"])));
        let words = |temperature, versions, fingerprints| now.differences(&inputs(temperature, versions, fingerprints));
        let other = "regularizer `b` computes something else than it did";
        assert_eq!(words(0.5, json!(["1", "2"]), json!(["x", "z"])), [format!("{other} under the same version, \"2\"")]);
        assert_eq!(words(0.5, json!(["1", "1"]), json!(["x", "z"]))[1], other);
        let unknown = "whether regularizer `b` computes what it did cannot be told: it was not measured then";
        assert_eq!(words(0.5, json!(["1", "2"]), json!(["x", null])), [unknown]);
        assert_eq!(words(0.7, json!(["1", "2"]), json!(["x", "z"])).len(), 1, "another field is why it computes something else");
        let missing = words(0.5, json!(["1", "2"]), json!(null));
        assert!(missing[0].contains("`a`") && missing[1] == unknown && missing.len() == 2, "{missing:?}");
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (one, other) = (json!({"a": {"x": 1, "y": [2, 3]}, "b": 4}), json!({"b": 4, "a": {"y": [2, 3], "x": 1}}));
        assert_ne!(one.to_string(), other.to_string());
        assert_eq!(sorted(one).to_string(), sorted(other).to_string());
    }
}
