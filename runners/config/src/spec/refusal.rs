//! Why a study is refused.

pub(super) use crate::yaml::in_one_line;
use crate::yaml::{Place, escaped};
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

/// What is wrong with a study whose parts are each legal, before it is known where that was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Keys and indices down to the field.
    pub path: Vec<String>,
    pub message: String,
}

impl Misfit {
    pub fn new<'a>(path: impl IntoIterator<Item = &'a str>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().map(str::to_owned).collect(), message: message.into() }
    }
}
