//! What all measurements of a model share: they can be interrupted, and they can fail.

use crate::data::DataError;
use crate::engine::BatchError;

/// Asked between batches: whether to go on. A measurement that may not ends in [`MeasureError::Interrupted`].
pub type Watch<'a> = &'a dyn Fn() -> bool;

/// Why a measurement has no result.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The [`Watch`] ended it.
    #[error("interrupted")]
    Interrupted,
    /// The tokens do not fit the model.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The text cannot be read.
    #[error(transparent)]
    Data(Box<DataError>),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A diagnostic failed: a number is not finite, or there are too few points.
    #[error(transparent)]
    Diagnostic(Box<regatta_diagnostics::Error>),
}

impl From<DataError> for MeasureError {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}

impl From<regatta_diagnostics::Error> for MeasureError {
    fn from(error: regatta_diagnostics::Error) -> Self {
        Self::Diagnostic(Box::new(error))
    }
}
