//! What is measured on a trained model. It knows no regularizer: the accused never meets the judge.
//!
//! Everything here is a function of clouds `[n, d]`, of their spectra, or of counts of tokens, computed in float64 and without
//! gradients. No result depends on the number of threads, and none is NaN: what a cloud does not define is `None`.
//! `docs/measures.md` in the repository lists every measure with its formula, its direction and its source.
//!
//! | what | where |
//! |---|---|
//! | the cloud | [`Points`] |
//! | two numbers that every trial records | [`Geometry`] |
//! | all measures of a cloud | [`Anisotropy`], from [`PairCosines`], [`Spectrum`], [`partition_isotropy`], [`differential_entropy`] |
//! | dims that stand out | [`outlier_dimensions`], [`cosine_contributions`] |
//! | layer by layer | [`Condensation`] |
//! | frequent and rare words | [`by_frequency`] |
//! | what can be done to a cloud after training | [`Transform`], [`similarity_correlation`], [`after_training()`] |
//! | rank correlations | [`spearman`], [`kendall`] |
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod anisotropy;
mod condensation;
mod entropy;
mod error;
mod frequency;
mod geometry;
mod outliers;
mod pairs;
mod partition;
mod points;
mod posthoc;
mod ranks;
mod similarity;
mod spectrum;
#[cfg(test)]
mod testing;
mod transform;

pub use anisotropy::Anisotropy;
pub use condensation::{CONDENSATION_BINS, Condensation};
pub use entropy::differential_entropy;
pub use error::{Error, Result};
pub use frequency::{ByFrequency, FrequencyClass, by_frequency};
pub use geometry::Geometry;
pub use outliers::{OutlierDimension, outlier_dimensions};
pub use pairs::{PairCosines, cosine_contributions, mean_cosine};
pub use partition::partition_isotropy;
pub use points::Points;
pub use posthoc::{Mapped, Scored, after_training};
pub use ranks::{kendall, spearman};
pub use similarity::similarity_correlation;
pub use spectrum::Spectrum;
pub use transform::Transform;
