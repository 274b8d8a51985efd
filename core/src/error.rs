//! Errors of penalties and objectives.

/// The result of a penalty or objective, or of a function in [`maths`](crate::maths).
pub type Result<T> = std::result::Result<T, Error>;

/// Why a penalty or objective could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed, usually because of its shapes.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The points are not a cloud.
    #[error("expected a cloud [groups, points, dims] with at least two points, found {found:?}")]
    NotACloud {
        /// The shape of the tensor.
        found: Vec<usize>,
    },
    /// The second view differs in shape from the points.
    #[error("expected a second view of the shape of the points, {points:?}, found {view:?}")]
    NotAView {
        /// The shape of the points.
        points: Vec<usize>,
        /// The shape of the view.
        view: Vec<usize>,
    },
    /// The penalty compares two views, and the cloud has no second one.
    #[error("expected a cloud with a second view of its points, found one without")]
    NoView,
    /// There is not one label per point.
    #[error("expected a label per point, u32 {expected:?}, found a tensor of shape {found:?}")]
    NotLabels {
        /// Groups, and points of each.
        expected: Vec<usize>,
        /// The shape of the labels.
        found: Vec<usize>,
    },
    /// The penalty asks for labels, and the cloud has none.
    #[error("expected a cloud with the label of each point, found one without")]
    NoLabels,
    /// The cloud has too few dims for this penalty.
    #[error("expected points of at least {least} dims, found {found}")]
    TooFewDims {
        /// The number of dims that the penalty needs.
        least: usize,
        /// The number of dims of the cloud.
        found: usize,
    },
    /// A plugin returned a tensor that is not a scalar.
    #[error("expected a scalar, found a tensor of shape {found:?}")]
    NotAScalar {
        /// The shape of the tensor.
        found: Vec<usize>,
    },
    /// The model's output and its companion's differ in shape.
    #[error("expected outputs of the same shape, found {own:?} and the companion's {companion:?}")]
    NotComparable {
        /// The shape of the model's output.
        own: Vec<usize>,
        /// The shape of the companion's output.
        companion: Vec<usize>,
    },
    /// A kernel returned too few or too many values.
    #[error("expected one value for each of {expected} groups or tokens from a kernel, found {found}")]
    KernelValues {
        /// The number of groups or tokens.
        expected: usize,
        /// The number of values that the kernel returned.
        found: usize,
    },
    /// A matrix could not be factorised, usually because it holds numbers that are not finite.
    #[error(transparent)]
    Factorisation(#[from] regatta_kernels::FactorisationError),
}
