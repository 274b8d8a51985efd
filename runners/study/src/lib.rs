//! A study: how it is read, run and judged.

mod analysis;
mod energy;
mod identity;
mod outlook;
mod plan;
mod pool;
mod prepare;
mod probe;
pub mod projection;
pub mod records;
mod run;
mod spec;
mod standing;
mod trial;
mod tuning;
mod watched;
mod worker;
mod yaml;

pub mod statistics;

pub use analysis::{CompareError, SizeForecast, compare, forecasts, results, varies_size};
pub use outlook::Outlook;
pub use pool::Limits;
pub use prepare::{Prepared, prepare};
pub use probe::probe;
pub use run::{Ended, Options, Planned, RunError, Watcher, run};
pub use spec::{
    Arm, Assignment, Axis, Candidate, Metric, Origin, Refusal, Size, Study, StudyFile, Tune, Variant, Vary, Winner, regularizer,
    section,
};
pub use standing::{Standing, TrialStanding};
pub use trial::{Every, MemoryMeter};
pub use watched::{Measure, Phase, Progress, TrialTime, Watched};
pub use worker::{Work, work};
