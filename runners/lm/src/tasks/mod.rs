//! Tasks that a trained model is scored on: choices of which one is right, and the model's is the likeliest.
//!
//! A file is JSONL, an object a line; other fields are ignored.
//!
//! | kind | fields of a line | choices |
//! |---|---|---|
//! | minimal pairs | `sentence_good`, `sentence_bad` | the two sentences, each by itself |
//! | multiple choice | `question`, `choices` (a list), `answer` (an index from 0, or a letter from A) | each choice, after the question |
//!
//! # How a choice is scored
//!
//! As lm-evaluation-harness 0.4.13 scores its `multiple_choice` tasks, BLiMP among them, without examples in front: the choice with
//! a space before it is the *continuation*, the question its *context*. Without a question, the context is the tokenizer's
//! [`prefix`](crate::data::Tokenizer::prefix) token (and should a continuation begin with that very token, this one is the
//! context). Question and choice are tokenized as one text; the tokens beyond those of the question alone are the continuation's.
//! White space at the end of a question counts as the beginning of the choices. What exceeds the model's n positions is cut off in
//! front: the last n tokens are predicted, from the n before each of them.
//!
//! ```text
//! log-likelihood   l = Σ ln p(token | all before it), over the continuation's tokens
//! accuracy         share of items whose right choice has the greatest l
//! normalised       the same of l / c, c the characters (Unicode code points) of the choice without the space before it
//! standard error   sqrt(p (1 - p) / (n - 1)) of an accuracy p of n items
//! ```
//!
//! Among equals the first counts, so a model to which both sentences of a minimal pair are equally likely is right, as in the
//! harness. Normalising is that of its `acc_norm`; for ASCII, characters are bytes.
//!
//! Where the data are biographies, [`Recall`] asks for the facts and [`Capacity`] counts them in bits.
//!
//! Sources: Warstadt et al. 2020, "BLiMP", TACL 8 (minimal pairs by whole-sentence likelihood); Gao et al.,
//! "lm-evaluation-harness", api/task.py, api/model.py and models/huggingface.py of version 0.4.13.

mod batched;
mod capacity;
mod error;
mod lines;
mod recall;
mod request;
mod score;
mod similarity;
mod text;

pub use capacity::{Capacity, Known, KnownValue};
pub use error::TaskError;
pub use recall::{Answer, Question, Recall};
pub use request::{Item, Request};
pub use score::{TaskScore, log_likelihoods};
pub use similarity::SimilarityPairs;
pub use text::{Text, TextLoss};

use crate::data::Tokenizer;
use crate::spec::EvaluateSpec;
use std::path::{Path, PathBuf};

/// What is asked in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Which of two sentences.
    MinimalPairs,
    /// Which answer to a question.
    MultipleChoice,
}

impl Kind {
    /// Its field in `evaluate`.
    pub fn field(self) -> &'static str {
        match self {
            Self::MinimalPairs => "minimal_pairs",
            Self::MultipleChoice => "multiple_choice",
        }
    }
}

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

/// A file as an error names it.
fn owned(path: &Path) -> PathBuf {
    path.to_owned()
}

#[cfg(test)]
mod tests;
