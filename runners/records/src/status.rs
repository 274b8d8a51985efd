//! `status.json`: the state of a trial.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun, or stopped before its end.
    Pending,
    /// Being trained, or interrupted where no process trains it.
    Running,
    /// Trained and measured, and all of its records are there.
    Done,
    /// It was done, or diverged, and now records are missing. Readers report this state, and nobody writes it; the next run trains
    /// the trial again.
    Incomplete,
    /// Its loss, penalty or gradient stopped being finite. A result: the same again would diverge again.
    Diverged,
    /// It could not be trained to its end: an error or a panic. Tried again by the next run.
    Failed,
}

impl State {
    /// Whether the trial needs no further run.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Diverged)
    }

    /// The word on disk.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// `status.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The trial's state.
    pub state: State,
    /// Why, where it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Hash of all that the trial's results depend on.
    pub identity: String,
    /// When it began, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// When it ended, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Which attempt at the trial, counted from 1, wrote this.
    #[serde(default)]
    pub attempt: u64,
    /// The runner that wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The session of that runner: nobody else in it trains again what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Updates made before that runner began, where it resumed from a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<usize>,
    /// Bytes of each record of a settled trial, by name. Folders from before records were counted have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<BTreeMap<String, u64>>,
}
