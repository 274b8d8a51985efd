//! The identity of a trial: a hash of all that its results depend on.

mod differences;

pub use differences::Code;
pub(crate) use differences::FINGERPRINTS;
use differences::{DEVICE, ENGINE};

use crate::resolved::Resolved;
use regatta_config::Arm;
use regatta_core::{Fingerprint, registry};
use regatta_lm::Device;
use regatta_lm::checkpoint::weight_files;
use regatta_lm::data::Corpus;
use regatta_lm::spec::{EvaluateSpec, ModelSpec, Order, TaskForm};
use regatta_lm::tasks::Tasks;
use regatta_records::RecordError;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
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
    /// `sources` names the files that an input is read from.
    pub fn differences(&self, other: &Value, sources: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
        differences::differences(&self.inputs, other, sources)
    }

    /// What differs from that other trial, in a word.
    pub(crate) fn differing(&self, other: &Value) -> &'static str {
        match self.differing_code(other) {
            Some(code) => code.word(),
            None if differences::differ_in_contents(&self.inputs, other) => "data",
            None => "settings",
        }
    }

    /// Whether that other trial is this one, trained by other code or on another device; and by which: another version of the program
    /// or of a plugin, a plugin of the same version that computes something else, or another engine or kind of device.
    pub fn differing_code(&self, other: &Value) -> Option<Code> {
        differences::differing_code(&self.inputs, other)
    }
}

/// What a corpus adds to the identity of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tokens {
    fingerprint: String,
    vocab_size: usize,
    order: Order,
}

impl Tokens {
    pub fn of(corpus: &Corpus) -> Self {
        Self { fingerprint: corpus.fingerprint.clone(), vocab_size: corpus.vocab_size, order: corpus.order }
    }
}

/// Checkpoints that were hashed, by their folders: many trials may start from the same.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints(HashMap<PathBuf, Value>);

/// The identity of one arm, trained so, with one seed: model, training, evaluation, terms and interventions with their plugins'
/// versions and `fingerprints`, in their order, the tokens themselves, the tasks' items, the seed, the program's version, and the
/// engine and kind of device, which round differently. Neither the arm's name, nor paths, nor the order of keys, nor which device of
/// its kind matter.
///
/// # Errors
/// When a checkpoint, to start from or of an intervention, cannot be read, or a plugin cannot be written as JSON.
pub(crate) fn identity(
    Resolved { model, train, evaluate, arm, seed }: Resolved<'_>,
    device: Device,
    fingerprints: &[Option<Fingerprint>],
    tokens: &Tokens,
    tasks: &Tasks,
    checkpoints: &mut Checkpoints,
) -> Result<Identity, RecordError> {
    let model = match model {
        ModelSpec::Fresh(_) => to_value(model)?,
        ModelSpec::Init(folder) => checkpoints.of(folder)?,
    };
    let cards = registry::cards().map_err(unwritable)?;
    let versions: Vec<&str> = arm.plugins().map(|name| cards.get(name).map_or("", |card| card.version)).collect();
    let mut inputs = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "model": model,
        "train": to_value(train)?,
        "evaluate": evaluation(evaluate, tasks)?,
        "order": to_value(&tokens.order)?,
        "tokens": tokens.fingerprint,
        "vocab_size": tokens.vocab_size,
        "terms": listed(arm, checkpoints)?,
        "versions": versions,
        "seed": seed,
    });
    if !fingerprints.is_empty() && device == Device::default() {
        let by_kernels: Vec<_> = fingerprints.iter().map(|found| found.as_ref().map(Fingerprint::by_kernels)).collect();
        inputs[FINGERPRINTS] = to_value(&by_kernels)?; // a baseline of before there were any is the same
    } else if !fingerprints.is_empty() {
        inputs[FINGERPRINTS] = to_value(&fingerprints)?;
    }
    if device != Device::default() {
        // a trial of before there were others is the same
        (inputs[ENGINE], inputs[DEVICE]) = (device.engine().into(), device.kind().into());
    }
    let inputs = sorted(inputs);
    Ok(Identity { hash: blake3::hash(inputs.to_string().as_bytes()).to_hex().to_string(), inputs })
}

/// The listed plugins, with the files of an intervention's checkpoint instead of its path. An arm's own learning rate is part of
/// its training, wherever it was set.
fn listed(arm: &Arm, checkpoints: &mut Checkpoints) -> Result<Value, RecordError> {
    let mut list = to_value(&arm.list())?;
    for (place, plugin, field, folder) in arm.folders() {
        list[place]["intervention"][plugin][field] = checkpoints.of(folder)?;
    }
    list.as_array_mut().into_iter().for_each(|list| list.retain(|entry| entry.get("lr").is_none()));
    Ok(list)
}

impl Checkpoints {
    fn of(&mut self, folder: &Path) -> Result<Value, RecordError> {
        if let Some(known) = self.0.get(folder) {
            return Ok(known.clone());
        }
        let hashed = checkpoint(folder)?;
        self.0.insert(folder.to_owned(), hashed.clone());
        Ok(hashed)
    }
}

/// The files of a checkpoint that the model is read from. One file of weights is named by its hash alone, as it was before there
/// were others.
fn checkpoint(folder: &Path) -> Result<Value, RecordError> {
    let files = weight_files(folder).map_err(|error| RecordError::new(folder, error))?;
    let hashes = files.iter().map(|file| file_hash(file)).collect::<Result<Vec<String>, _>>()?;
    let weights = match &hashes[..] {
        [one] => one.clone().into(),
        all => json!(all),
    };
    Ok(json!({ "config": file_hash(&folder.join("config.json"))?, "weights": weights }))
}

/// The evaluation, with the name and items of a task instead of its path.
fn evaluation(evaluate: &EvaluateSpec, tasks: &Tasks) -> Result<Value, RecordError> {
    // A target is what arms are compared at; it changes no trial.
    let mut value = to_value(&EvaluateSpec { target: None, ..evaluate.clone() })?;
    for form in [TaskForm::MinimalPairs, TaskForm::MultipleChoice] {
        let items: Vec<Value> = tasks.of(form).map(|task| json!({ "task": task.name, "items": task.fingerprint })).collect();
        if !items.is_empty() {
            value[form.field()] = items.into();
        }
    }
    for task in &tasks.named {
        value["tasks"][&task.name] = json!({ "form": task.form.field(), "items": task.fingerprint });
    }
    for text in &tasks.texts {
        value["texts"][&text.name] = text.fingerprint.clone().into();
    }
    Ok(value)
}

/// What cannot be written as JSON is an error: as null, two trials that differ in it would be one.
fn to_value(value: &impl serde::Serialize) -> Result<Value, RecordError> {
    serde_json::to_value(value).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> RecordError {
    RecordError::new(Path::new("trial.json"), error)
}

fn file_hash(path: &Path) -> Result<String, RecordError> {
    let mut hash = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hash.update_reader(file).map(drop));
    read.map_err(|error| RecordError::new(path, error))?;
    Ok(hash.finalize().to_hex().to_string())
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

    #[test]
    fn what_cannot_be_written_is_an_error_and_not_null() {
        struct Unwritable;
        impl serde::Serialize for Unwritable {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("a field that has no JSON"))
            }
        }
        assert_eq!(to_value(&Unwritable).unwrap_err().to_string(), "trial.json: a field that has no JSON");
    }
}
