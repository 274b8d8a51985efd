//! Errors of a report.

/// The result of making a report.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template could not be rendered: a fault of this crate, not of the results.
    #[error("the page could not be rendered: {0}")]
    Template(#[from] minijinja::Error),
    /// The results could not be written as JSON.
    #[error("the results could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The results could not be written as Parquet.
    #[cfg(feature = "parquet")]
    #[error("the results could not be written as Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}
