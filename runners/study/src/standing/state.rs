//! The state of a trial as a reader of its folder sees it.

use regatta_records::State;
use serde::{Serialize, Serializer};
use std::fmt;

/// A trial's recorded state, or what its folder shows instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    /// Trained and measured.
    Done,
    /// Being trained.
    Running,
    /// Recorded as running, and nobody runs it: the next run resumes it from its last checkpoint.
    CutOff,
    /// Not begun.
    Pending,
    /// Done, but a record is missing or cut.
    Incomplete,
    /// Stopped because a number was no longer finite.
    Diverged,
    /// Ended by an error.
    Failed,
    /// Its status cannot be read.
    Unreadable,
}

impl TrialState {
    /// All states, in the order in which a summary lists them.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Running,
        Self::CutOff,
        Self::Pending,
        Self::Incomplete,
        Self::Diverged,
        Self::Failed,
        Self::Unreadable,
    ];

    pub(crate) fn new(recorded: State, is_run: bool) -> Self {
        match recorded {
            State::Pending => Self::Pending,
            State::Running if is_run => Self::Running,
            State::Running => Self::CutOff,
            State::Done => Self::Done,
            State::Incomplete => Self::Incomplete,
            State::Diverged => Self::Diverged,
            State::Failed => Self::Failed,
        }
    }

    /// The word in tables and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Running => "running",
            Self::CutOff => "cut off",
            Self::Pending => "pending",
            Self::Incomplete => "incomplete",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether the next run trains no further step of it.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Diverged | Self::Failed)
    }

    /// Whether something went wrong that a user should look at.
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Incomplete | Self::Diverged | Self::Failed | Self::Unreadable)
    }

    /// Whether steps of it are still to be made. Nobody knows of a trial that cannot be read.
    pub(crate) fn has_steps_left(self) -> bool {
        matches!(self, Self::Running | Self::CutOff | Self::Pending | Self::Incomplete)
    }
}

impl fmt::Display for TrialState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for TrialState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_trial_that_nobody_runs_is_cut_off() {
        assert_eq!(TrialState::new(State::Running, true), TrialState::Running);
        assert_eq!(TrialState::new(State::Running, false), TrialState::CutOff);
        for state in [State::Pending, State::Done, State::Incomplete, State::Diverged, State::Failed] {
            assert_eq!([true, false].map(|is_run| TrialState::new(state, is_run).word()), [state.word(); 2]);
        }
    }

    #[test]
    fn json_has_the_words_of_the_table() {
        let json = serde_json::to_string(&TrialState::ALL).unwrap();
        let expected = r#"["done","running","cut off","pending","incomplete","diverged","failed","unreadable"]"#;
        assert_eq!(json, expected);
    }
}
