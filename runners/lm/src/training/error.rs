//! What can stop a trial.

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::engine::BatchError;

/// Why a trial failed. Divergence is not an error but an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// It would take too many steps.
    #[error("{0}")]
    Length(String),
    /// The batch does not fit the model.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A tensor operation between the model and a regularizer failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A regularizer failed.
    #[error("regularizer `{name}` at step {step}: {source}")]
    Penalty {
        /// Its name.
        name: String,
        /// The step, from 0.
        step: usize,
        /// What it said.
        source: regatta_core::Error,
    },
    /// An intervention failed.
    #[error("intervention `{name}` at step {step}: {source}")]
    Intervention {
        /// Its name.
        name: String,
        /// The step, from 0.
        step: usize,
        /// What it said.
        source: Box<regatta_core::Error>,
    },
    /// The model that an intervention brings does not fit the one that is trained.
    #[error("{0}")]
    Companion(String),
    /// A diagnostic failed.
    #[error(transparent)]
    Diagnostic(regatta_diagnostics::Error),
    /// The checkpoint to start from cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What happened could not be recorded.
    #[error("{0}")]
    Record(#[from] std::io::Error),
    /// Someone asked for it to stop.
    #[error("interrupted")]
    Interrupted,
    /// A term names a place that the model does not have.
    #[error("{0}")]
    Place(String),
}
