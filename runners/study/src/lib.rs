//! A study: how it is read, run and judged.

mod energy;
mod identity;
mod outlook;
mod plan;
mod pool;
mod prepare;
mod probe;
pub mod projection;
mod run;
mod standing;
mod trial;
mod tuning;
mod watched;
mod worker;

pub use outlook::Outlook;
pub use pool::Limits;
pub use prepare::{Prepared, prepare};
pub use probe::probe;
pub use run::{Ended, Options, Planned, RunError, Watcher, run};
pub use standing::{Standing, TrialStanding};
pub use trial::{Every, MemoryMeter};
pub use watched::{Measure, Phase, Progress, TrialTime, Watched};
pub use worker::{Work, work};
