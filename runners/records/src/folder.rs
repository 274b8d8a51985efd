//! The folder of one trial.

use super::{
    Checkpoints, DIAGNOSES, EVALUATION, Fence, INPUTS, Lines, METRICS_FILE, RecordError, STATUS_FILE, VALIDATIONS_FILE, disk,
};
use super::{first_lines, read_json, read_lines, write_json};
use regatta_core::simd::Level;
use regatta_lm::training::{Diagnosis, Evaluation, StepRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun, or stopped before its end.
    Pending,
    /// Being trained; where no process does so, it was cut off.
    Running,
    /// Trained and measured, and all of its records are there.
    Done,
    /// It was done, or diverged, and records are missing since. Found by who reads, written by nobody; trained again by the next
    /// run.
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
    /// Which runner of the folder, counted from 1, wrote this.
    #[serde(default)]
    pub attempt: u64,
    /// Updates made when that runner began, where it went on from a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<usize>,
    /// Of a trial that is settled the bytes of each of its records, by name. Folders from before they were counted have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<BTreeMap<String, u64>>,
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
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// From the first step to the last measure, seconds.
    pub wall_seconds: f64,
    /// Median time of a training step, milliseconds.
    pub step_ms: f64,
    /// Tokens of a batch over the median time of a step.
    pub tokens_per_second: f64,
    /// Most memory that the trial held at once, MiB, where it is counted.
    pub peak_memory_mib: Option<f64>,
    /// Most memory of the process that trained it, its earlier trials included, that was resident at once, MiB, where the system
    /// tells.
    #[serde(default)]
    pub peak_rss_mib: Option<f64>,
    /// FLOPs of training on one token, mean over the steps; see `regatta_lm::training::flops_per_token`. None in folders that
    /// are older.
    #[serde(default)]
    pub flops_per_token: Option<f64>,
    /// FLOPs of all training steps. None in folders that are older.
    #[serde(default)]
    pub training_flops: Option<f64>,
    /// What the machine's processors took from the first step to the last measure, joules, where the machine tells; of trials
    /// side by side, all of them.
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// The instructions that its kernels ran with at its end: they change no bytes of a trial in float32. None in folders that are
    /// older.
    #[serde(default)]
    pub instructions: Option<Level>,
}

/// A line of `validation.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Updates made before it was measured.
    pub step: usize,
    /// Validation loss, nats per token.
    pub loss: f64,
}

/// The lines that a trial wrote before a checkpoint.
#[derive(Debug, Default)]
pub struct Written {
    /// The steps, from 0.
    pub made: Vec<StepRecord>,
    /// The validation losses before them.
    pub measured: Vec<Validation>,
    /// How the points lay before them.
    pub diagnosed: Vec<Diagnosis>,
}

/// A trial's folder and the names in it.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    path: PathBuf,
    fence: Option<Fence>,
}

impl TrialFolder {
    /// The folder of an arm's seed in a study's folder, to read.
    pub fn of(study: &Path, arm: &str, seed: u64) -> Self {
        Self { path: study.join("trials").join(arm).join(format!("seed-{seed}")), fence: None }
    }

    /// The trial in this very folder, to read.
    pub fn at(path: PathBuf) -> Self {
        Self { path, fence: None }
    }

    /// Moves the folder to another place, where nothing is yet.
    ///
    /// # Errors
    /// When it cannot be moved, or this runner may not write here.
    pub fn become_folder(&self, place: &Path) -> Result<(), RecordError> {
        self.check()?;
        let above = place.parent().map_or(Ok(()), disk::create_folder);
        above.and_then(|()| disk::rename(&self.path, place)).map_err(|error| RecordError::new(place, error))
    }

    /// The same, to write to while `fence` lets it.
    pub fn guarded(self, fence: &Fence) -> Self {
        Self { fence: Some(fence.clone()), ..self }
    }

    /// Whether this runner may write here.
    fn check(&self) -> Result<&Fence, RecordError> {
        let fence = self.fence.as_ref().ok_or_else(|| RecordError::new(&self.path, "it was opened to be read"))?;
        fence.check().map_err(|error| RecordError::new(&self.path, error))?;
        Ok(fence)
    }

    /// What the trial goes on from when it was cut off.
    ///
    /// # Errors
    /// When this runner may not write here.
    pub fn checkpoints(&self, identity: &str) -> Result<Checkpoints, RecordError> {
        Ok(Checkpoints::of(self.path.join("resume"), self.check()?.clone(), identity))
    }

    /// Empties the folder.
    ///
    /// # Errors
    /// When it cannot be removed, or this runner may not write here.
    pub fn remove(&self) -> Result<(), RecordError> {
        self.check()?;
        disk::remove_folder(&self.path).map_err(|error| RecordError::new(&self.path, error))
    }

    /// All that the trial's results depend on; `None` where nothing was written yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn inputs(&self) -> Result<Option<serde_json::Value>, RecordError> {
        read_json(&self.path.join(INPUTS))
    }

    /// Says all that the trial's results depend on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_inputs(&self, inputs: &serde_json::Value) -> Result<(), RecordError> {
        self.check()?;
        write_json(&self.path.join(INPUTS), inputs)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the trained model is written.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Makes the folder for the trained model.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_checkpoint(&self) -> Result<PathBuf, RecordError> {
        self.check()?;
        let path = self.checkpoint();
        disk::create_folder(&path).map_err(|error| RecordError::new(&path, error))?;
        Ok(path)
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), RecordError> {
        self.check()?;
        disk::create_folder(&self.path).map_err(|error| RecordError::new(&self.path, error))
    }

    /// How the trial stands; `None` where nothing was written yet. One that is settled is [`State::Incomplete`] where a record was
    /// removed, cut or changed since: the reason names it.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn status(&self) -> Result<Option<Status>, RecordError> {
        let status: Option<Status> = read_json(&self.path.join(STATUS_FILE))?;
        Ok(status.map(|status| match status.state.is_settled().then(|| self.missing(&status)).flatten() {
            Some(missing) => {
                Status { state: State::Incomplete, reason: Some(format!("{missing}: the next run trains it again")), ..status }
            }
            None => status,
        }))
    }

    /// Says how the trial stands.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_status(&self, status: &Status) -> Result<(), RecordError> {
        self.check()?;
        write_json(&self.path.join(STATUS_FILE), status)
    }

    /// `metrics.jsonl` with nothing but these lines, to be added to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn metrics_after(&self, made: &[StepRecord]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(METRICS_FILE), made, self.check()?)
    }

    /// `validation.jsonl` with nothing but these lines, to be added to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn validations_after(&self, measured: &[Validation]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(VALIDATIONS_FILE), measured, self.check()?)
    }

    /// `diagnostics.jsonl` with nothing but these lines, to be added to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn diagnoses_after(&self, found: &[Diagnosis]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(DIAGNOSES), found, self.check()?)
    }

    /// What a trial that was cut off wrote of its first `steps` steps: each step, and what was measured before them.
    ///
    /// # Errors
    /// When a line is missing or broken.
    pub fn written_before(&self, steps: usize) -> Result<Written, RecordError> {
        let path = self.path.join(METRICS_FILE);
        let made: Vec<StepRecord> = first_lines(&path, |record: &StepRecord| record.step < steps)?;
        if made.len() != steps || made.iter().enumerate().any(|(index, record)| record.step != index) {
            return Err(RecordError::new(&path, format!("expected steps 0 to {steps}, found {} of them in order", made.len())));
        }
        Ok(Written {
            made,
            measured: first_lines(&self.path.join(VALIDATIONS_FILE), |validation: &Validation| validation.step < steps)?,
            diagnosed: first_lines(&self.path.join(DIAGNOSES), |diagnosis: &Diagnosis| diagnosis.step < steps)?,
        })
    }

    /// How the trial's points lay, in the order of its steps; none where the study does not ask.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn diagnoses(&self) -> Result<Vec<Diagnosis>, RecordError> {
        read_lines(&self.path.join(DIAGNOSES))
    }

    /// The steps made so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn metrics(&self) -> Result<Vec<StepRecord>, RecordError> {
        read_lines(&self.path.join(METRICS_FILE))
    }

    /// How many steps were written: whole lines, whatever they hold.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn steps_written(&self) -> Result<usize, RecordError> {
        let path = self.path.join(METRICS_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(bytes.iter().filter(|&&byte| byte == b'\n').count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(RecordError::new(&path, error)),
        }
    }

    /// The validation losses measured so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn validations(&self) -> Result<Vec<Validation>, RecordError> {
        read_lines(&self.path.join(VALIDATIONS_FILE))
    }

    /// What was measured at the end; `None` where it was not.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn evaluation(&self) -> Result<Option<TrialEvaluation>, RecordError> {
        read_json(&self.path.join(EVALUATION))
    }

    /// Says what was measured at the end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_evaluation(&self, evaluation: &TrialEvaluation) -> Result<(), RecordError> {
        self.check()?;
        write_json(&self.path.join(EVALUATION), evaluation)
    }
}
