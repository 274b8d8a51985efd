//! What can go wrong in a penalty.

/// The result of a penalty or of the maths below it.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a penalty could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed, as a rule for its shapes.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The points are not a cloud.
    #[error("expected a cloud [groups, points, dims] with at least two points, found {found:?}")]
    NotACloud {
        /// The shape that came.
        found: Vec<usize>,
    },
    /// The cloud has too few dims for this penalty.
    #[error("expected points of at least {least} dims, found {found}")]
    TooFewDims {
        /// How many the penalty needs.
        least: usize,
        /// How many came.
        found: usize,
    },
    /// A matrix could not be factorised, as a rule because it holds non-finite numbers.
    #[error("expected a finite, positive definite matrix: {0}")]
    Factorisation(&'static str),
}
