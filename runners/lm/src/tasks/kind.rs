//! Kinds of tasks.

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
