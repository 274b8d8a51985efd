//! What can end a trial before its last step.

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::engine::BatchError;
use crate::measure::MeasureError;

/// Why a trial failed. Divergence is an outcome, not an error.
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
        /// Why.
        source: regatta_core::Error,
    },
    /// An intervention failed.
    #[error("intervention `{name}` at step {step}: {source}")]
    Intervention {
        /// Its name.
        name: String,
        /// The step, from 0.
        step: usize,
        /// Why.
        source: Box<regatta_core::Error>,
    },
    /// The model that an intervention brings does not fit the one that is trained.
    #[error("{0}")]
    Companion(String),
    /// A measurement failed, or the recorder asked the trial to stop.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The checkpoint to start from cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A record could not be written.
    #[error("{0}")]
    Record(#[from] std::io::Error),
    /// A term names a place that the model does not have.
    #[error("{0}")]
    Place(String),
}
