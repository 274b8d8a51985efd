//! Why a study is refused.

use crate::yaml::Place;
use std::fmt;
use std::path::Path;

/// A study is refused: where, which field, what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{}{message}", in_one_line(path), if path.is_empty() { "" } else { ": " })]
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

/// `text` fit for one line of a message: control characters escaped, cut where it is long.
pub(super) fn in_one_line(text: &str) -> String {
    const MOST: usize = 200;
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let mut line: String = text.chars().take(MOST).map(escape).collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
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
