//! What a study leaves on disk. A trial's folder has one writer; a file that others read is written whole, under another
//! name, and then renamed.
//!
//! ```text
//! runs/<name>/run.lock          who is running the study
//!            /study.yaml        the study as understood
//!            /manifest.json     program, machine, data: what the results were made with
//!            /plan.json         a row for each arm at each point of the sweep
//!            /tuning.json       what was tuned, and what was chosen
//!            /trials/<arm>/seed-<n>/status.json       how the trial stands
//!                                  /metrics.jsonl     a line each step
//!                                  /validation.jsonl  a line each measurement of the validation loss
//!                                  /evaluation.json   what was measured at the end
//!                                  /trial.json        all that its results depend on
//!                                  /resume/           while it is not done: what it goes on from
//!                                  /checkpoint/       the trained model, in Hugging Face's layout
//! ```

mod checkpoints;
mod disk;
mod export;
mod folder;
mod lease;
mod lines;
mod manifest;
mod place;
mod rows;
mod tail;
mod whole;

pub use checkpoints::{Checkpoints, Kept};
pub use disk::{Hook, before_each_change};
pub use export::ExportFolder;
pub use folder::{Cost, State, Status, TrialEvaluation, TrialFolder, Validation, Written};
pub use lease::{Fence, Holder, Lease, LeaseError, heartbeat, holder};
pub use lines::{Lines, first_lines, read_lines};
pub use manifest::{DataFacts, Manifest, ModelFacts};
pub use place::{check_out, study_of_a_run};
pub use rows::{PlanRow, TuningRow, TuningTrial};
pub use tail::{News, Stamp, Tail};

use std::path::{Path, PathBuf};

const DIAGNOSES: &str = "diagnostics.jsonl";
const EVALUATION: &str = "evaluation.json";
const INPUTS: &str = "trial.json";
/// How a trial stands.
pub const STATUS_FILE: &str = "status.json";
/// A line per step.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// A line per measurement of the validation loss.
pub const VALIDATIONS_FILE: &str = "validation.jsonl";

/// A file that could not be read or written, or does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RecordError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was expected and what came, or what the system said.
    pub message: String,
}

impl RecordError {
    /// The error of `path`.
    pub fn new(path: &Path, message: impl std::fmt::Display) -> Self {
        Self { path: path.to_owned(), message: message.to_string() }
    }
}

/// Writes a file whole or not at all: under another name first, flushed to disk, then renamed.
///
/// # Errors
/// When the folder cannot be written or the disk is full.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let partial = path.with_extension("partial");
    let write = || disk::write_synced(&partial, content).and_then(|()| disk::rename(&partial, path));
    write().map_err(|error| RecordError::new(path, format!("could not write {} bytes: {error}", content.len())))
}

/// Reads a JSON file; `None` where there is none.
///
/// # Errors
/// When it cannot be read or does not hold a `T`.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| RecordError::new(path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::new(path, error)),
    }
}

/// Writes a JSON file, whole or not at all.
///
/// # Errors
/// As [`write_whole`].
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| RecordError::new(path, error))?;
    write_whole(path, (text + "\n").as_bytes())
}
