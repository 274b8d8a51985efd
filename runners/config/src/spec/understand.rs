//! From plain values to a study that was judged whole.

use super::refusal::Misfit;
use super::wording::{self, Explained};
use super::{Study, Vary, limits, paths};
use crate::yaml::Target;
use regatta_core::number::Count;
use regatta_lm::spec::ModelSpec;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Types `document` and judges it. A field's relative path starts from its `folder`.
///
/// # Errors
/// At the first thing that is wrong with it.
pub(super) fn understand(
    document: &Value,
    folder: &dyn Fn(&[String]) -> PathBuf,
    memory: Option<u128>,
) -> Result<Study, Explained> {
    let mut study = typed(document)?;
    if let (ModelSpec::Fresh(fresh), None) = (&study.model, study.train.context) {
        study.train.context = Count::try_from(fresh.decoder.context as u64).ok();
    }
    paths::resolve(&mut study, folder).and_then(|()| limits::check(&study, memory))?;
    Ok(study)
}

fn typed(document: &Value) -> Result<Study, Explained> {
    let study: Study = serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().iter().filter_map(wording::segment).collect();
        wording::explain(document, path, &error.inner().to_string())
    })?;
    match serde_json::to_value(&study) {
        Ok(_) => Ok(study),
        Err(error) => Err(Misfit::new(["arms"], format!("expected what can be written back: {error}")).into()),
    }
}

impl From<Misfit> for Explained {
    fn from(Misfit { path, message }: Misfit) -> Self {
        let is_arm = path.len() == 2 && path[0] == "arms"; // its name is at fault
        Self { path, message, target: if is_arm { Target::Key } else { Target::Value } }
    }
}

/// A study without a name has its file's.
pub(super) fn name_after(document: &mut Value, file: &Path) {
    if let Some(study) = document.as_object_mut()
        && !study.contains_key("name")
    {
        study.insert("name".into(), file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default().into());
    }
}

/// A section or a choice with nothing behind its name takes its defaults.
pub(super) fn nothing_means_defaults(document: &mut Value) {
    let Some(study) = document.as_object_mut() else { return };
    let optional = ["name", "question", "seeds", "model", "tokenizer", "data", "train", "evaluate", "vary", "tune", "extends"];
    study.retain(|section, value| !(value.is_null() && optional.contains(&section.as_str())));
    for section in ["data", "tokenizer"] {
        study.get_mut(section).into_iter().for_each(empty_choice);
    }
    for [section, field] in [["train", "schedule"], ["train", "optimizer"], ["model", "positions"]] {
        study.get_mut(section).and_then(|section| section.get_mut(field)).into_iter().for_each(empty_choice);
    }
    let evaluate = study.get_mut("evaluate").and_then(Value::as_object_mut).into_iter().flatten();
    for (name, measures) in evaluate {
        if measures.is_null() && ["quantisation", "diagnostics", "capacity"].contains(&name.as_str()) {
            *measures = json!({});
        }
    }
    let arms = study.get_mut("arms").and_then(Value::as_object_mut).into_iter().flat_map(|arms| arms.values_mut());
    for entry in arms.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        if entry.get("at").is_some_and(Value::is_null) {
            entry.remove("at");
        }
        for kind in ["regularizer", "intervention"] {
            entry.get_mut(kind).into_iter().for_each(empty_choice);
        }
    }
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
        let parent = before.iter().try_fold(whole, |here, step| here.get_mut(step));
        if let Some(map) = parent.and_then(Value::as_object_mut) {
            match &self.written {
                Some(written) => _ = map.insert((*last).to_owned(), written.clone()),
                None => _ = map.shift_remove(*last),
            }
        }
    }
}

/// What a key leads to in a map, or an index in a list.
fn step_into<'a>(here: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match here {
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    }
}

/// What is left open in `study`, which `document` says: choices other than those that the sweep makes (`model.init` where the
/// default is a shape, `train.tokens` where it is a number of steps), and defaults that follow the model. Paths are the absolute
/// ones of `study`.
pub(super) fn open(document: &Value, study: &mut Study) -> Vec<Open> {
    const CHOICES: [&[&str]; 6] =
        [&["model"], &["model", "positions"], &["data"], &["tokenizer"], &["train", "schedule"], &["train", "optimizer"]];
    const LENGTHS: [&[&str]; 3] = [&["train", "steps"], &["train", "tokens"], &["train", "tokens_per_parameter"]];
    let mut absolute = document.clone();
    for (field, path, _) in paths::named(study) {
        let here = field.iter().try_fold(&mut absolute, |here, step| step_into(here, step));
        if let (Some(here), Some(path)) = (here, path.to_str()) {
            *here = path.into();
        }
    }
    let at = |path: &[&str], whole: &Value| path.iter().try_fold(whole, |here, step| here.get(step)).cloned();
    let varied: Vec<Vec<&str>> = study.vary.iter().flat_map(Vary::paths).map(|path| path.split('.').collect()).collect();
    let whole = study.plain();
    let chosen_anew = |choice: &&[&str]| {
        let keys = varied.iter().filter_map(|path| path.strip_prefix(*choice)?.first());
        keys.into_iter().any(|key| at(&[*choice, &[key]].concat(), &whole).is_none())
    };
    let chosen = CHOICES.into_iter().filter(chosen_anew).map(<[_]>::to_vec);
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
    paths.into_iter().map(|path| Open { written: at(&path, &absolute), path }).collect()
}
