//! The training of one trial: penalties, one step, the loop, and the measures at the end.

mod accumulate;
mod activations;
mod cloud;
mod companion;
mod error;
mod evaluation;
mod flops;
mod gating;
mod interventions;
mod learner;
mod memory;
mod penalties;
mod record;
mod snapshot;
mod spikes;
mod step;
mod terms;
mod train;
mod trial;
mod upstream;

pub use companion::check_companion;
pub use error::TrainError;
pub use evaluation::{Accuracy, CloudDiagnosis, Diagnosed, Diagnosis, Evaluated, Evaluation, Worth, diagnose, evaluate, worth};
pub use flops::flops_per_token;
pub use interventions::Interventions;
pub use learner::Learner;
pub use memory::{Estimate, Needs};
pub use record::StepRecord;
pub use regatta_diagnostics::{Anisotropy, Mapped}; // what a diagnosis is made of
pub use snapshot::{Restored, Snapshot, SnapshotError};
pub use train::{Outcome, Recorder, train};
pub use trial::Trial;
