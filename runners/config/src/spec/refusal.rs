//! Why a study is refused.

pub(super) use crate::yaml::in_one_line;
use crate::yaml::{Place, Target, escaped};
use std::fmt;
use std::path::Path;

/// A study is refused: where, which field, what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{}{}", in_one_line(path), if path.is_empty() { "" } else { ": " }, escaped(message))]
pub struct Refusal {
    /// Where the value at fault was written.
    pub origin: Origin,
    /// The field, as in `arms.dispersion.0.weight`; empty when the whole study is at fault.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// As it was named.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// On the command line: `--set path=value`.
    Set(String),
}

impl Origin {
    pub(super) fn file(file: &Path, place: Place) -> Self {
        Self::File { file: file.display().to_string(), line: place.line, column: place.column }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Set(assignment) => write!(f, "--set {}", in_one_line(assignment)),
        }
    }
}

/// What is wrong with a document, before it is known where that was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Keys and indices down to the field.
    pub path: Vec<String>,
    /// Whether the last key is at fault or what it names.
    pub target: Target,
    pub message: String,
}

impl Misfit {
    /// Of the value at `path`, or of the name of an arm.
    pub fn new<S: Into<String>>(path: impl IntoIterator<Item = S>, message: impl Into<String>) -> Self {
        let path: Vec<String> = path.into_iter().map(Into::into).collect();
        let is_arm = path.len() == 2 && path[0] == "arms";
        Self { path, target: if is_arm { Target::Key } else { Target::Value }, message: message.into() }
    }
}
