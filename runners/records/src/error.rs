//! What goes wrong with a record.

use std::path::{Path, PathBuf};

/// A file that could not be read or written, or does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RecordError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was expected and what was found, or the system's message.
    pub message: String,
}

impl RecordError {
    /// The error of `path`.
    pub fn new(path: &Path, message: impl std::fmt::Display) -> Self {
        Self { path: path.to_owned(), message: message.to_string() }
    }
}
