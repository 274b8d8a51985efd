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
    /// A second view that is not one of these points.
    #[error("expected a second view of the shape of the points, {points:?}, found {view:?}")]
    NotAView {
        /// The shape of the points.
        points: Vec<usize>,
        /// The shape that came.
        view: Vec<usize>,
    },
    /// The penalty compares two views, and the cloud has one.
    #[error("expected a cloud with a second view of its points, found one without")]
    NoView,
    /// The cloud has too few dims for this penalty.
    #[error("expected points of at least {least} dims, found {found}")]
    TooFewDims {
        /// How many the penalty needs.
        least: usize,
        /// How many came.
        found: usize,
    },
    /// A plugin returned something else than a scalar.
    #[error("expected a scalar, found a tensor of shape {found:?}")]
    NotAScalar {
        /// The shape that came.
        found: Vec<usize>,
    },
    /// The model's output and its companion's differ in shape.
    #[error("expected outputs of the same shape, found {own:?} and the companion's {companion:?}")]
    NotComparable {
        /// The shape of the model's.
        own: Vec<usize>,
        /// And of the companion's.
        companion: Vec<usize>,
    },
    /// A kernel returned too few or too many values.
    #[error("expected one value for each of {expected} groups or tokens from a kernel, found {found}")]
    KernelValues {
        /// How many there should be.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// A matrix could not be factorised, as a rule because it holds non-finite numbers.
    #[error(transparent)]
    Factorisation(#[from] regatta_kernels::FactorisationError),
}
