//! The training of one trial: optimizer, penalties, one step, the loop, and the measures at the end.

mod accumulate;
mod adamw;
mod companion;
mod diagnose;
mod error;
mod evaluate;
mod flops;
mod gradients;
mod interventions;
mod passes;
mod penalties;
mod record;
mod snapshot;
mod spikes;
mod step;
mod train;
mod worth;

pub use adamw::{AdamW, Pace};
pub use companion::check_companion;
pub use diagnose::{CloudDiagnosis, Diagnosed, Diagnosis, diagnose};
pub use error::TrainError;
pub use evaluate::{Evaluated, Evaluation, Watch, evaluate};
pub use flops::flops_per_token;
pub use interventions::Interventions;
pub use record::StepRecord;
pub use regatta_diagnostics::{Anisotropy, Mapped}; // what a diagnosis is made of
pub use snapshot::{Restored, Snapshot, SnapshotError};
pub use step::Learner;
pub use train::{Outcome, Recorder, Trial, train};
pub use worth::{Worth, worth};
