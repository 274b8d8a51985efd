//! What is measured of a model: its loss on held-out text, its geometry, and what it is worth beyond both.

mod diagnose;
mod evaluate;
mod losses;
mod windows;
mod worth;

pub use diagnose::{CloudDiagnosis, Diagnosed, Diagnosis, diagnose};
pub use evaluate::{Evaluation, evaluate};
pub use losses::Evaluated;
pub(super) use losses::mean_loss;
pub(super) use windows::gather;
pub(super) use worth::named_scores;
pub use worth::{Accuracy, Worth, worth};
