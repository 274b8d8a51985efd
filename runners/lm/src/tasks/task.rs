//! Tasks of a study, read from files.

use super::documents::Document;
use super::few_shot::Examples;
use super::request::Item;
use super::{Recall, TaskError, Text, fingerprint, lines, worded};
use crate::data::Tokenizer;
use crate::spec::{EvaluateSpec, TaskForm, TaskSpec};
use std::path::Path;

/// A file of items, tokenized.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What it asks.
    pub form: TaskForm,
    /// The file's stem, or the study's name for it.
    pub name: String,
    /// At least two; none where documents are read.
    pub items: Vec<Item>,
    /// Documents whose perplexity is measured.
    pub documents: Vec<Document>,
    /// BLAKE3 of all that scores depend on, in hexadecimal: tokens, lengths and answers.
    pub fingerprint: String,
}

/// All tasks of a study.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tasks {
    files: Vec<Task>,
    /// Those of `evaluate.tasks`, by name.
    pub named: Vec<Task>,
    /// Further texts, by name.
    pub texts: Vec<Text>,
    /// Questions about people whose biographies are the data, where the study asks how many bits of them are known.
    pub recall: Option<Recall>,
}

impl Tasks {
    /// Reads the files that `spec` names; `recall` is left empty. `tokenizer` is that of the data, where they have one.
    ///
    /// # Errors
    /// With the field at fault (`minimal_pairs.0`, `tasks.name.few_shot.count`, `texts.name`), at the first file that cannot be read, holds what is no item, or
    /// cannot be tokenized; where two of a kind have one name; where there is no tokenizer.
    pub fn read(spec: &EvaluateSpec, tokenizer: Option<&Tokenizer>) -> Result<Self, (String, Box<TaskError>)> {
        let mut tasks: Vec<Task> = Vec::new();
        let lists = [(TaskForm::MinimalPairs, &spec.minimal_pairs), (TaskForm::MultipleChoice, &spec.multiple_choice)];
        for (form, files) in lists {
            for (index, path) in files.iter().enumerate() {
                let at_fault = |error| (format!("{}.{index}", form.field()), Box::new(error));
                let task = read(path, form, tokenizer.ok_or_else(|| at_fault(TaskError::NoTokenizer))?).map_err(at_fault)?;
                if tasks.iter().any(|other| other.form == form && other.name == task.name) {
                    return Err(at_fault(TaskError::Twice { path: path.clone(), name: task.name }));
                }
                tasks.push(task);
            }
        }
        let mut named = Vec::new();
        for (name, of) in &spec.tasks {
            let at_fault = |(field, error): (String, Box<TaskError>)| (format!("tasks.{name}.{field}"), error);
            let tokenizer = tokenizer.ok_or_else(|| at_fault(("file".into(), Box::new(TaskError::NoTokenizer))))?;
            let form = of.form.field();
            if tasks.iter().any(|task| task.form == of.form && task.name == *name) {
                let files = if of.form == TaskForm::MinimalPairs { &spec.minimal_pairs } else { &spec.multiple_choice };
                let file = files.iter().find(|file| stem(file) == *name).cloned().unwrap_or_default();
                let error = TaskError::Taken { form, name: name.clone(), path: file };
                return Err((format!("tasks.{name}"), Box::new(error)));
            }
            named.push(read_named(name, of, tokenizer).map_err(at_fault)?);
        }
        let mut texts = Vec::new();
        for (name, path) in &spec.texts {
            let at_fault = |error| (format!("texts.{name}"), Box::new(error));
            let tokenizer = tokenizer.ok_or_else(|| at_fault(TaskError::NoTokenizer))?;
            texts.push(Text::read(name, path, tokenizer).map_err(|error| at_fault(error.into()))?);
        }
        Ok(Self { files: tasks, named, texts, recall: None })
    }

    /// Whether there are tasks whose items are right or wrong.
    pub fn have_items(&self) -> bool {
        self.files.iter().chain(&self.named).any(|task| task.form.has_outcomes())
    }

    /// The tasks of a list of files, in the order named.
    pub fn of(&self, form: TaskForm) -> impl Iterator<Item = &Task> {
        self.files.iter().filter(move |task| task.form == form)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads one file, each item without anything around it.
///
/// # Errors
/// As [`Tasks::read`].
pub fn read(path: &Path, form: TaskForm, tokenizer: &Tokenizer) -> Result<Task, TaskError> {
    let prefix = tokenizer.prefix().ok_or(TaskError::NoPrefix)?;
    let mut items = Vec::new();
    for (line, object) in lines::read(path, usize::MAX)? {
        let refuse = |field: String, found: String| TaskError::item(path, line, field, NO_TOKEN, found);
        let item = worded::item(form, &object, " ");
        let item = item.map_err(|(field, expected, found)| TaskError::item(path, line, field, expected, found))?;
        items.push(item.tokenized(tokenizer, prefix, "", refuse)?);
    }
    lines::enough(path, items.len(), 2)?;
    let fingerprint = fingerprint::of_items(&items);
    Ok(Task { form, name: stem(path), items, documents: Vec::new(), fingerprint })
}

/// What is expected of a text that is scored.
const NO_TOKEN: &str = "what makes at least one token";

/// Reads a task of `evaluate.tasks`; in an error, the field of the task that is at fault.
fn read_named(name: &str, spec: &TaskSpec, tokenizer: &Tokenizer) -> Result<Task, (String, Box<TaskError>)> {
    let (path, form) = (&spec.file, spec.form);
    let at_file = |error| ("file".to_owned(), Box::new(error));
    let prefix = tokenizer.prefix().ok_or_else(|| at_file(TaskError::NoPrefix))?;
    let mut examples = spec.few_shot.as_ref().map(|few_shot| Examples::read(spec, few_shot)).transpose()?;
    let most = spec.limit.map_or(usize::MAX, |limit| limit.get());
    let least = if form == TaskForm::Rolling { 1 } else { 2 };
    if most < least {
        return Err(("limit".into(), Box::new(TaskError::TooFew { path: path.clone(), least, found: most })));
    }
    let (mut items, mut documents) = (Vec::new(), Vec::new());
    for (line, object) in lines::read(path, most).map_err(at_file)? {
        let refuse = |(field, expected, found): lines::Fault| at_file(TaskError::item(path, line, field, expected, found));
        let no_token = |field: String, found: String| TaskError::item(path, line, field, NO_TOKEN, found);
        if form == TaskForm::Rolling {
            let page = worded::page(&object).map_err(refuse)?;
            let encoded = tokenizer.encode_with_special(&page.text).map_err(|error| at_file(error.into()))?;
            if encoded.is_empty() {
                return Err(at_file(no_token(page.field.to_owned(), format!("{:?}", page.text))));
            }
            let tokens = std::iter::once(prefix).chain(encoded).collect();
            documents.push(Document { tokens, words: page.words, bytes: page.bytes });
            continue;
        }
        let item = worded::item(form, &object, &spec.target_delimiter).map_err(refuse)?;
        let in_front = examples.as_mut().map_or(Ok(String::new()), |examples| examples.before(&object));
        let in_front = in_front.map_err(|left| {
            let found = format!("{left} that differ from the item");
            let error = TaskError::item(path, line, String::new(), "more lines to draw examples from", found);
            ("few_shot.count".to_owned(), Box::new(error))
        })?;
        let before = format!("{}{in_front}", spec.description);
        items.push(item.tokenized(tokenizer, prefix, &before, no_token).map_err(at_file)?);
    }
    lines::enough(path, items.len() + documents.len(), least).map_err(at_file)?;
    let fingerprint = fingerprint::of_form(form, &items, &documents);
    Ok(Task { form, name: name.to_owned(), items, documents, fingerprint })
}
