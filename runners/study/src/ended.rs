//! How a run ends.

use crate::identity::Code;
use regatta_config::Refusal;
use regatta_lm::DeviceError;
use regatta_records::{Card, RecordError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every trial is done.
    AllDone,
    /// Some trial failed or diverged.
    SomeFailed,
    /// What is left is trained by other runners.
    LeftToOthers,
    /// It was asked to stop.
    Interrupted,
}

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The study cannot be run as it is; nothing was trained.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such device; nothing was trained.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The folder for results cannot be used; nothing was trained.
    #[error(transparent)]
    Folder(RecordError),
    /// Finished trials were not to be discarded; nothing was trained.
    #[error("{folder}: kept as it was, with its finished trials ({trials}): without --fresh the same command resumes them")]
    Kept {
        /// The folder for results.
        folder: String,
        /// How many are finished.
        trials: usize,
    },
    /// Another runner runs another study in the folder, or this one that was to be discarded; nothing was trained.
    #[error("{folder}: {runner} is running {what} here; wait for it, or name another --out")]
    Held {
        /// The folder for results.
        folder: String,
        /// Who.
        runner: Box<Card>,
        /// What it runs.
        what: &'static str,
    },
    /// The folder holds results of another study.
    #[error(
        "{folder}: trial {name}, seed {seed}, is there with other {what} ({differences}): name another --out, or pass --fresh to start over{}",
        if .code.is_some() { ", or --allow-mismatch to keep what is finished" } else { "" }
    )]
    OtherStudy {
        /// The folder for results.
        folder: String,
        /// The trial's arm and point.
        name: String,
        /// The trial's seed.
        seed: u64,
        /// The code or the device that differs; `None` where settings do.
        code: Option<Code>,
        /// What differs, in a word.
        what: &'static str,
        /// What differs, where that is known.
        differences: String,
    },
}
