//! Tasks of a study, read from files.

use super::kind::Kind;
use super::request::{self, Item};
use super::{Recall, TaskError, Text, lines};
use crate::data::Tokenizer;
use crate::spec::EvaluateSpec;
use std::path::Path;

/// A file of items, tokenized.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What it asks.
    pub kind: Kind,
    /// The file's stem.
    pub name: String,
    /// At least two.
    pub items: Vec<Item>,
    /// BLAKE3 of all that scores depend on, in hexadecimal: tokens, lengths and answers.
    pub fingerprint: String,
}

/// All tasks of a study.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tasks {
    files: Vec<Task>,
    /// Further texts, by name.
    pub texts: Vec<Text>,
    /// Questions about people whose biographies are the data, where the study asks how many bits of them are known.
    pub recall: Option<Recall>,
}

impl Tasks {
    /// Reads the files that `spec` names; `recall` is left empty. `tokenizer` is that of the data, where they have one.
    ///
    /// # Errors
    /// With the field at fault (`minimal_pairs.0`, `texts.name`), at the first file that cannot be read, holds what is no item, or
    /// cannot be tokenized; where two of a kind have one name; where there is no tokenizer.
    pub fn read(spec: &EvaluateSpec, tokenizer: Option<&Tokenizer>) -> Result<Self, (String, Box<TaskError>)> {
        let mut tasks: Vec<Task> = Vec::new();
        for (kind, files) in [(Kind::MinimalPairs, &spec.minimal_pairs), (Kind::MultipleChoice, &spec.multiple_choice)] {
            for (index, path) in files.iter().enumerate() {
                let at_fault = |error| (format!("{}.{index}", kind.field()), Box::new(error));
                let task = read(path, kind, tokenizer.ok_or_else(|| at_fault(TaskError::NoTokenizer))?).map_err(at_fault)?;
                if tasks.iter().any(|other| other.kind == kind && other.name == task.name) {
                    return Err(at_fault(TaskError::Twice { path: path.clone(), name: task.name }));
                }
                tasks.push(task);
            }
        }
        let mut texts = Vec::new();
        for (name, path) in &spec.texts {
            let at_fault = |error| (format!("texts.{name}"), Box::new(error));
            let tokenizer = tokenizer.ok_or_else(|| at_fault(TaskError::NoTokenizer))?;
            texts.push(Text::read(name, path, tokenizer).map_err(|error| at_fault(error.into()))?);
        }
        Ok(Self { files: tasks, texts, recall: None })
    }

    /// Whether there are tasks with items.
    pub fn have_items(&self) -> bool {
        !self.files.is_empty()
    }

    /// The tasks of one kind, in the order named.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Task> {
        self.files.iter().filter(move |task| task.kind == kind)
    }
}

/// Reads one file.
///
/// # Errors
/// As [`Tasks::read`].
pub fn read(path: &Path, kind: Kind, tokenizer: &Tokenizer) -> Result<Task, TaskError> {
    let prefix = tokenizer.prefix().ok_or(TaskError::NoPrefix)?;
    let mut items = Vec::new();
    for (line, item) in lines::read(path, kind)? {
        let refuse = |field: String, found: String| TaskError::item(path, line, field, "what makes at least one token", found);
        items.push(item.tokenized(tokenizer, prefix, refuse)?);
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let fingerprint = request::fingerprint(&items);
    Ok(Task { kind, name, items, fingerprint })
}
