//! Kinds of tasks.

use serde::{Deserialize, Serialize};

/// What is asked in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
