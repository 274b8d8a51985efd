//! Why something could not be measured.

/// The result of a measurement.
pub type Result<T> = std::result::Result<T, Error>;

/// What came where points, or numbers that belong to them, were expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation or a factorisation failed.
    #[error(transparent)]
    Core(#[from] regatta_core::Error),
    /// The numbers are not points.
    #[error("expected points [points, dims], at least one of each, found {found:?}")]
    NotPoints {
        /// The shape that came.
        found: Vec<usize>,
    },
    /// A single point has no pairs.
    #[error("expected at least two points, found {found}")]
    TooFewPoints {
        /// How many came.
        found: usize,
    },
    /// A number is NaN, infinite, or larger than float32 has, whose fourth powers float64 still holds.
    #[error("expected finite numbers of the size of float32, found {value} in dim {dim} of point {point}")]
    NotFinite {
        /// Which point, from 0.
        point: usize,
        /// Which of its dims, from 0.
        dim: usize,
        /// The number.
        value: f64,
    },
    /// Two things that belong together differ in number.
    #[error("expected {expected} {what}, found {found}")]
    Unequal {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// A number is beyond what the points have.
    #[error("expected {what} of at most {most}, found {found}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The largest there is.
        most: usize,
        /// What came.
        found: usize,
    },
}
