//! A study: how it is read, run and judged.

mod analysis;
mod identity;
mod prepare;
pub mod records;
mod run;
mod spec;
mod trial;
mod yaml;

pub mod statistics;

pub use analysis::{CompareError, compare, results};
pub use prepare::{Prepared, prepare};
pub use run::{Ended, Options, Planned, RunError, Watcher, run};
pub use spec::{Arm, Origin, Refusal, Size, Study, StudyFile, regularizer};
pub use trial::MemoryMeter;
