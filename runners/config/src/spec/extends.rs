//! `extends: base.yaml`: a study that starts from another.

use super::layer::Layer;
use super::refusal::{Refusal, in_one_line};
use super::understand::CHOICES;
use super::wording::found;
use crate::yaml::Target;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Files that may extend each other, the study's own included.
const MAX_LAYERS: usize = 8;

/// How long a trial trains is written in one of these.
const LENGTHS: [&str; 3] = ["steps", "tokens", "tokens_per_parameter"];

/// The study's own file `first`, then what it extends, and so on.
///
/// # Errors
/// At the `extends` that names no readable study, or one that extends itself by way of others.
pub(super) fn layers(first: Layer) -> Result<Vec<Layer>, Refusal> {
    let mut layers = vec![first];
    loop {
        let last = layers.len() - 1;
        let at = ["extends".to_owned()];
        let Some(path) = base(&mut layers[last])? else { return Ok(layers) };
        let layer = &layers[last];
        let refuse = |message| layer.refuse(&at, Target::Value, message);
        let shown = |path: &Path| in_one_line(&path.display().to_string());
        let absent =
            |error: std::io::Error| refuse(format!("expected a study, found no readable file at {}: {error}", shown(&path)));
        let real = path.canonicalize().map_err(absent)?;
        if let Some(start) = layers.iter().position(|layer| layer.file.canonicalize().is_ok_and(|file| file == real)) {
            let circle: Vec<String> = layers[start..].iter().map(|layer| shown(&layer.file)).collect();
            let circle = format!("{} extends {}", circle.join(" extends "), shown(&path));
            return Err(refuse(format!("expected a study that does not extend itself, found that {circle}")));
        }
        if layers.len() == MAX_LAYERS {
            return Err(refuse(format!("expected at most {MAX_LAYERS} studies that extend each other, found more")));
        }
        let mut base = Layer::parse(&path, Layer::open(&path).map_err(absent)?)?;
        // Results lie in a folder of the study's name: two studies do not share one.
        base.document.as_object_mut().into_iter().for_each(|study| _ = study.shift_remove("name"));
        layers.push(base);
    }
}

/// Takes `extends` out of `layer`: the path that it names, from the folder of its file.
fn base(layer: &mut Layer) -> Result<Option<PathBuf>, Refusal> {
    let written = layer.document.as_object_mut().and_then(|study| study.shift_remove("extends"));
    match written {
        None => Ok(None),
        Some(Value::String(path)) if !path.is_empty() => Ok(Some(layer.file.with_file_name(path))),
        Some(other) => {
            let message = format!("expected the path of a study, found {}", found(&other));
            Err(layer.refuse(&["extends".to_owned()], Target::Value, message))
        }
    }
}

/// The values of all layers. A map takes the keys of the layers above it, one by one; any other value gives way to theirs.
pub(super) fn merged(layers: &[Layer]) -> Value {
    let mut merged = Value::Object(Map::new());
    layers.iter().rev().for_each(|layer| merge(&mut merged, &layer.document, &mut Vec::new()));
    merged
}

fn merge<'a>(base: &mut Value, over: &'a Value, path: &mut Vec<&'a str>) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) if !other_choice(path, base, over) => {
            if path[..] == ["train"] && LENGTHS.iter().any(|length| over.contains_key(*length)) {
                LENGTHS.iter().for_each(|length| _ = base.shift_remove(*length));
            }
            for (key, value) in over {
                // An arm has a list of terms or is not there; for any other value, nothing has a meaning of its own.
                if path[..] == ["arms"] && value.is_null() && base.shift_remove(key).is_some() {
                    continue;
                }
                path.push(key);
                match base.get_mut(key) {
                    Some(here) => merge(here, value, path),
                    None => _ = base.insert(key.clone(), value.clone()),
                }
                path.pop();
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Whether `over` chooses what `base` did not: a map that names one choice with its fields is no place for a second.
fn other_choice(path: &[&str], base: &Map<String, Value>, over: &Map<String, Value>) -> bool {
    let has = |map: &Map<String, Value>, keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
    let (file, splits): (&[&str], &[&str]) = (&["file", "split"], &["train", "validation", "test"]);
    match path {
        choice if CHOICES.contains(&choice) => !over.is_empty() && !over.keys().any(|key| base.contains_key(key)),
        ["model"] => !over.is_empty() && has(base, &["init"]) != has(over, &["init"]),
        ["data", "text"] => has(base, file) && has(over, splits) || has(base, splits) && has(over, file),
        _ => false,
    }
}
