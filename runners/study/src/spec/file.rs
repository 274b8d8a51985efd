//! From a file and its overrides to a study, and from a field of the study back to where it was written.

use super::overrides::{self, Override};
use super::refusal::{Misfit, Origin, Refusal};
use super::{Study, limits, paths, wording};
use crate::yaml::{self, Place, Target};
use regatta_core::number::Count;
use regatta_lm::spec::ModelSpec;
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A study that knows where it was written: what is found wrong later (data too short, a checkpoint that does not fit) is
/// refused with the same precision.
#[derive(Debug)]
pub struct StudyFile {
    /// The study as understood.
    pub study: Study,
    source: Source,
}

impl StudyFile {
    /// As [`Study::read`].
    ///
    /// # Errors
    /// When it is not a legal study.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        let mut source = Source::open(path)?;
        let mut document = source.parse()?;
        for assignment in overrides {
            source.overrides.push(overrides::apply(&mut document, assignment)?);
        }
        nothing_means_defaults(&mut document, path);
        source.document = document;

        let mut study = source.typed()?;
        if let (ModelSpec::Gpt2(gpt2), None) = (&study.model, study.train.context) {
            study.train.context = Count::try_from(gpt2.context as u64).ok();
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let judged = paths::resolve(&mut study, folder).and_then(|()| limits::check(&study, limits::memory()));
        judged.map_err(|misfit| source.misfit(misfit))?;
        Ok(Self { study, source })
    }

    /// Refuses the study for what stands at `path` (dotted, as in `data.text.train`).
    pub fn refuse(&self, path: &str, message: impl Display) -> Refusal {
        let path = overrides::split(&self.source.document, path);
        self.source.refuse(path, Target::Value, message.to_string())
    }

    /// Checks that the layers which the arms name exist in a model of `blocks` blocks. A study that starts from a checkpoint
    /// knows its blocks when it has read it; for all others this has been checked.
    ///
    /// # Errors
    /// At the first that does not.
    pub fn check_layers(&self, blocks: usize) -> Result<(), Refusal> {
        limits::layers(&self.study, blocks).map_err(|misfit| self.source.misfit(misfit))
    }

    /// Checks that `train.context` fits in a model of `positions` positions; as [`StudyFile::check_layers`].
    ///
    /// # Errors
    /// When it does not.
    pub fn check_context(&self, positions: usize) -> Result<(), Refusal> {
        limits::context(&self.study, positions).map_err(|misfit| self.source.misfit(misfit))
    }
}

/// What was written, and where.
#[derive(Debug)]
struct Source {
    file: String,
    text: String,
    /// The text's values, with overrides.
    document: Value,
    overrides: Vec<Override>,
}

impl Source {
    fn open(path: &Path) -> Result<Self, Refusal> {
        let file = path.display().to_string();
        let refuse = |place, message| Refusal { origin: Origin::file(&file, place), path: String::new(), message };
        let mut bytes = Vec::new();
        let most = yaml::MAX_BYTES as u64 + 1; // one more than is legal, and never a whole huge file
        let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|error| refuse(Place::START, format!("expected a study, found no readable file: {error}")))?;
        let text = yaml::decode(bytes).map_err(|fault| refuse(fault.place, fault.message))?;
        Ok(Self { file, text, document: Value::Null, overrides: Vec::new() })
    }

    fn parse(&self) -> Result<Value, Refusal> {
        let at = |place, path, message| Refusal { origin: Origin::file(&self.file, place), path, message };
        let document = yaml::parse(&self.text).map_err(|fault| at(fault.place, fault.path.join("."), fault.message))?;
        match document {
            Value::Object(_) => Ok(document),
            other => {
                let message = format!("expected a study, a map with at least `arms`, found {}", wording::found(&other));
                Err(at(yaml::locate(&self.text, &[], Target::Value), String::new(), message))
            }
        }
    }

    fn typed(&self) -> Result<Study, Refusal> {
        let study: Study = serde_path_to_error::deserialize(&self.document).map_err(|error| {
            let path = error.path().iter().filter_map(wording::segment).collect();
            let fault = wording::explain(&self.document, path, &error.inner().to_string());
            self.refuse(fault.path, fault.target, fault.message)
        })?;
        match serde_json::to_value(&study) {
            Ok(_) => Ok(study),
            Err(error) => {
                Err(self.refuse(vec!["arms".into()], Target::Value, format!("expected what can be written back: {error}")))
            }
        }
    }

    fn misfit(&self, Misfit { path, message }: Misfit) -> Refusal {
        let is_arm = path.len() == 2 && path[0] == "arms"; // its name is at fault
        self.refuse(path, if is_arm { Target::Key } else { Target::Value }, message)
    }

    /// The last override that wrote the value is to blame, or else the file.
    fn refuse(&self, path: Vec<String>, target: Target, mut message: String) -> Refusal {
        let origin = match self.overrides.iter().rev().find(|set| path.starts_with(&set.path)) {
            Some(set) => Origin::Set(set.assignment.clone()),
            None => {
                let within: Vec<&str> =
                    self.overrides.iter().filter(|set| set.path.starts_with(&path)).map(|set| set.assignment.as_str()).collect();
                if !within.is_empty() && !path.is_empty() {
                    message = format!("{message} (with --set {})", within.join(" --set "));
                }
                Origin::file(&self.file, yaml::locate(&self.text, &path, target))
            }
        };
        Refusal { origin, path: path.join("."), message }
    }
}

/// A section or a choice with nothing behind its name takes its defaults; a study without a name has its file's.
fn nothing_means_defaults(document: &mut Value, file: &Path) {
    let Some(study) = document.as_object_mut() else { return };
    let optional = ["name", "question", "seeds", "model", "tokenizer", "data", "train", "evaluate"];
    study.retain(|section, value| !(value.is_null() && optional.contains(&section.as_str())));
    if !study.contains_key("name") {
        study.insert("name".into(), file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default().into());
    }
    for section in ["data", "tokenizer"] {
        study.get_mut(section).into_iter().for_each(empty_choice);
    }
    if let Some(schedule) = study.get_mut("train").and_then(|train| train.get_mut("schedule")) {
        empty_choice(schedule);
    }
    let arms = study.get_mut("arms").and_then(Value::as_object_mut).into_iter().flat_map(|arms| arms.values_mut());
    for term in arms.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        if term.get("at").is_some_and(Value::is_null) {
            term.remove("at");
        }
        if let Some(regularizer) = term.get_mut("regularizer") {
            empty_choice(regularizer);
        }
    }
}

/// `{name: }` means `{name: {}}`, but for the names that have no fields.
fn empty_choice(choice: &mut Value) {
    for (name, value) in choice.as_object_mut().into_iter().flatten() {
        if value.is_null() && !["bytes", "file", "constant"].contains(&name.as_str()) {
            *value = json!({});
        }
    }
}
