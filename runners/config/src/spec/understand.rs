//! From plain values to a study that was checked as a whole.

use super::refusal::Misfit;
use super::{Study, Vary, files, limits, path, wording};
use regatta_core::number::Count;
use regatta_lm::spec::ModelSpec;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Reads the study of `document` and checks it. A field's relative path starts from its `folder`.
///
/// # Errors
/// At the first thing that is wrong with it.
pub(super) fn understand(document: &Value, folder: &dyn Fn(&[String]) -> PathBuf, memory: Option<u128>) -> Result<Study, Misfit> {
    let mut study: Study = wording::typed(document)?;
    if let Err(error) = serde_json::to_value(&study) {
        return Err(Misfit::new(["arms"], format!("expected what can be written back: {error}")));
    }
    if let (ModelSpec::Fresh(fresh), None) = (&study.model, study.train.context) {
        study.train.context = Count::try_from(fresh.decoder.context as u64).ok();
    }
    files::resolve(&mut study, folder).and_then(|()| limits::check(&study, memory))?;
    Ok(study)
}

/// A study without a name has its file's.
pub(super) fn name_after(document: &mut Value, file: &Path) {
    if let Some(study) = document.as_object_mut()
        && !study.contains_key("name")
    {
        study.insert("name".into(), file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default().into());
    }
}

/// Where a study chooses one of several by name: a bare name, or a map of that name to its fields.
pub(super) const CHOICES: [&[&str]; 5] =
    [&["data"], &["tokenizer"], &["model", "positions"], &["train", "schedule"], &["train", "optimizer"]];

/// A section or a choice with nothing behind its name takes its defaults.
pub(super) fn nothing_means_defaults(document: &mut Value) {
    let Some(study) = document.as_object_mut() else { return };
    let optional = ["model", "tokenizer", "data", "train", "evaluate", "vary", "tune"];
    study.retain(|section, value| !(value.is_null() && optional.contains(&section.as_str())));
    for choice in CHOICES {
        path::get_mut(document, choice).into_iter().for_each(empty_choice);
    }
    for name in ["quantisation", "diagnostics", "capacity"] {
        let measures = path::get_mut(document, &["evaluate", name]).filter(|measures| measures.is_null());
        measures.into_iter().for_each(|measures| *measures = json!({}));
    }
    let arms = path::get_mut(document, &["arms"]).and_then(Value::as_object_mut).into_iter().flat_map(|arms| arms.values_mut());
    for entry in arms.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        if entry.get("at").is_some_and(Value::is_null) {
            entry.remove("at");
        }
        for kind in ["regularizer", "intervention"] {
            entry.get_mut(kind).into_iter().for_each(empty_choice);
        }
    }
}

/// Refuses a field with nothing behind its name, which is not a section or a choice: somebody meant to write a value there, and its
/// default would be trained instead. A point of `vary` may say that a field takes its default.
pub(super) fn no_field_is_empty(document: &Value) -> Result<(), Misfit> {
    fn empty(value: &Value, path: &mut Vec<String>) -> bool {
        let mut within = |key: String, value: &Value| {
            path.push(key);
            let found = empty(value, path);
            if !found {
                path.pop();
            }
            found
        };
        match value {
            Value::Null => true,
            Value::Object(map) => map.iter().any(|(key, value)| within(key.clone(), value)),
            Value::Array(list) => list.iter().enumerate().any(|(index, value)| within(index.to_string(), value)),
            _ => false,
        }
    }
    let mut document = document.clone();
    document.as_object_mut().into_iter().for_each(|study| _ = study.shift_remove("vary"));
    let mut path = Vec::new();
    if empty(&document, &mut path) {
        return Err(Misfit::new(path, "expected a value, found nothing: without its name a field takes its default"));
    }
    Ok(())
}

/// `{name: }` means `{name: {}}`, but for the names that have no fields.
fn empty_choice(choice: &mut Value) {
    for (name, value) in choice.as_object_mut().into_iter().flatten() {
        if value.is_null() && !["bytes", "file", "constant", "learned"].contains(&name.as_str()) {
            *value = json!({});
        }
    }
}

/// A part of a study that is written as the user wrote it, because of what varies: a default that were spelled out there would
/// no longer follow it, or stand in its way.
#[derive(Debug, Clone)]
pub(super) struct Open {
    path: Vec<&'static str>,
    /// `None` where the user wrote nothing.
    written: Option<Value>,
}

impl Open {
    /// Puts it in its place in the study `whole`.
    pub fn put(&self, whole: &mut Value) {
        let Some((last, before)) = self.path.split_last() else { return };
        if let Some(map) = path::get_mut(whole, before).and_then(Value::as_object_mut) {
            match &self.written {
                Some(written) => _ = map.insert((*last).to_owned(), written.clone()),
                None => _ = map.shift_remove(*last),
            }
        }
    }
}

/// What is left open in `study`, which `document` says: choices other than those that the sweep makes (`model.init` where the
/// default is a shape, `train.tokens` where it is a number of steps), and defaults that follow the model. Paths are the absolute
/// ones of `study`.
pub(super) fn open(document: &Value, study: &mut Study) -> Vec<Open> {
    const LENGTHS: [&[&str]; 3] = [&["train", "steps"], &["train", "tokens"], &["train", "tokens_per_parameter"]];
    let mut absolute = document.clone();
    for (field, file, _) in files::named(study) {
        if let (Some(here), Some(file)) = (path::get_mut(&mut absolute, &field), file.to_str()) {
            *here = file.into();
        }
    }
    let varied: Vec<Vec<&str>> = study.vary.iter().flat_map(Vary::paths).map(|path| path.split('.').collect()).collect();
    let whole = study.plain();
    let chosen_anew = |choice: &&[&str]| {
        let keys = varied.iter().filter_map(|path| path.strip_prefix(*choice)?.first());
        keys.into_iter().any(|key| path::get(&whole, &[*choice, &[key]].concat()).is_none())
    };
    let chosen = [&["model"][..]].into_iter().chain(CHOICES).filter(chosen_anew).map(<[_]>::to_vec);
    let mut paths: Vec<Vec<&'static str>> = chosen.collect();
    for path in varied.iter().filter(|path| path[0] == "model") {
        let named = path.get(1).copied();
        paths.extend(named.into_iter().flat_map(ModelSpec::follow).map(|&field| vec!["model", field]));
        if named.is_none_or(|named| ["context", "init"].contains(&named)) {
            paths.push(vec!["train", "context"]);
        }
    }
    if varied.iter().any(|path| LENGTHS.contains(&&path[..])) {
        paths.extend(LENGTHS.map(<[_]>::to_vec)); // the default gives way to what varies
    }
    paths.into_iter().map(|steps| Open { written: path::get(&absolute, &steps).cloned(), path: steps }).collect()
}
