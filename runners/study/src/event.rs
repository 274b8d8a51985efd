//! Events of a run: one type from the trial through the worker's stdout and the pool to the watcher.

use regatta_lm::training::StepRecord;
use regatta_records::Status;
use serde::{Deserialize, Serialize};

/// What happens in a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It begins.
    Begun {
        /// Updates made by earlier, interrupted runs.
        from: usize,
    },
    /// A step was made; not every one of many quick steps is reported.
    Step(StepRecord),
    /// It is measuring.
    Alive,
    /// It ended; a trial that failed may begin again.
    Ended(Status),
}

/// One trial of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The arm, its point of the sweep, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Its steps.
    pub steps: usize,
    /// Whether an earlier run settled it.
    pub settled: bool,
}

/// Watches a run. Trials may run in parallel.
pub trait Watcher {
    /// All trials, in the order in which they begin. Called twice where the study tunes: for the tuning trials, and for those that
    /// are judged.
    fn planned(&mut self, trials: &[Planned]);
    /// Something happened in a trial, which is given by its place among the planned ones.
    fn event(&mut self, trial: usize, event: &Event);
}
