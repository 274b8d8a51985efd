//! Why a task is refused.

use crate::data::DataError;
use std::path::{Path, PathBuf};

/// What is wrong with a task: file and line first, then the field, what was expected and what came.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The file cannot be read or is not text, or its text has no tokens.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A line is not an item.
    #[error("{}:{line}: {field}expected {expected}, found {found}", path.display())]
    Item {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The field with a colon behind it; empty where the whole line is at fault.
        field: String,
        /// What was expected.
        expected: String,
        /// What came.
        found: String,
    },
    /// A standard error needs two items.
    #[error("{}: expected at least {least} lines, found {found}", path.display())]
    TooFew {
        /// The file.
        path: PathBuf,
        /// How many it needs.
        least: usize,
        /// How many there are.
        found: usize,
    },
    /// Columns of results are named after files.
    #[error("{}: expected files of different names, found a second `{name}`", path.display())]
    Twice {
        /// The second of them.
        path: PathBuf,
        /// Their stem.
        name: String,
    },
    /// Outcomes are named by form and task.
    #[error("expected a name that no file of `{form}` has, found `{name}`, which is that of {}", path.display())]
    Taken {
        /// The list that has the file.
        form: &'static str,
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// More examples than there are.
    #[error(
        "expected at most {most}, of {lines} lines in {}{}, found {count}",
        path.display(),
        if *excluded { " of which one may be the item itself" } else { "" }
    )]
    Examples {
        /// The file that they are drawn from.
        path: PathBuf,
        /// How many can be in front of an item.
        most: usize,
        /// How many it has.
        lines: usize,
        /// How many are asked for.
        count: usize,
        /// Whether an item is left out of its own examples.
        excluded: bool,
    },
    /// The data are tokens already.
    #[error("expected data that are text, found tokens without a tokenizer, by which sentences could be read")]
    NoTokenizer,
    /// There is no token to begin a text with.
    #[error(
        "expected a tokenizer that knows what a text begins with, found one whose tokenizer_config.json names no `bos_token` or \
         `eos_token` of its vocabulary"
    )]
    NoPrefix,
}

impl TaskError {
    pub(super) fn item(path: &Path, line: usize, field: String, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let field = if field.is_empty() { field } else { field + ": " };
        Self::Item { path: path.to_owned(), line, field, expected: expected.into(), found: found.into() }
    }
}
