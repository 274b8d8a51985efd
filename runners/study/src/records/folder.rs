//! The folder of one trial.

use super::{Lines, RecordError, read_json, read_lines, write_json};
use regatta_lm::training::{Evaluation, StepRecord};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun, or stopped before its end.
    Pending,
    /// Being trained; where no process does so, it was cut off.
    Running,
    /// Trained and measured.
    Done,
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
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// `status.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How the trial stands.
    pub state: State,
    /// Why, where it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Hash of all that the trial's results depend on: see `crate::identity`.
    pub identity: String,
    /// When it began, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// When it ended, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
}

/// `evaluation.json`: what was measured at the end, on the held-out split, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialEvaluation {
    /// `test`, or `validation` where the study names no test data.
    pub split: String,
    /// The measures.
    #[serde(flatten)]
    pub measures: Evaluation,
    /// Validation loss of the trained model, nats per token: what was watched, not what is reported.
    pub validation_loss: f64,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// What a trial cost. Times are of training steps alone, without measurements of the validation loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From the first step to the last measure, seconds.
    pub wall_seconds: f64,
    /// Median time of a training step, milliseconds.
    pub step_ms: f64,
    /// Tokens of a batch over the median time of a step.
    pub tokens_per_second: f64,
    /// Most memory that the trial held at once, MiB, where it is counted.
    pub peak_memory_mib: Option<f64>,
}

/// A line of `validation.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Updates made before it was measured.
    pub step: usize,
    /// Validation loss, nats per token.
    pub loss: f64,
}

/// A trial's folder and the names in it.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    path: PathBuf,
}

impl TrialFolder {
    /// The folder of an arm's seed in a study's folder.
    pub fn of(study: &Path, arm: &str, seed: u64) -> Self {
        Self { path: study.join("trials").join(arm).join(format!("seed-{seed}")) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the trained model is written.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), RecordError> {
        std::fs::create_dir_all(&self.path).map_err(|error| RecordError::new(&self.path, error))
    }

    /// How the trial stands; `None` where nothing was written yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn status(&self) -> Result<Option<Status>, RecordError> {
        read_json(&self.path.join("status.json"))
    }

    /// Says how the trial stands.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_status(&self, status: &Status) -> Result<(), RecordError> {
        write_json(&self.path.join("status.json"), status)
    }

    /// `metrics.jsonl`, new.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_metrics(&self) -> Result<Lines, RecordError> {
        Lines::create(&self.path.join("metrics.jsonl"))
    }

    /// `validation.jsonl`, new.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_validations(&self) -> Result<Lines, RecordError> {
        Lines::create(&self.path.join("validation.jsonl"))
    }

    /// The steps made so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn metrics(&self) -> Result<Vec<StepRecord>, RecordError> {
        read_lines(&self.path.join("metrics.jsonl"))
    }

    /// The validation losses measured so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn validations(&self) -> Result<Vec<Validation>, RecordError> {
        read_lines(&self.path.join("validation.jsonl"))
    }

    /// What was measured at the end; `None` where it was not.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn evaluation(&self) -> Result<Option<TrialEvaluation>, RecordError> {
        read_json(&self.path.join("evaluation.json"))
    }

    /// Says what was measured at the end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_evaluation(&self, evaluation: &TrialEvaluation) -> Result<(), RecordError> {
        write_json(&self.path.join("evaluation.json"), evaluation)
    }
}
