//! Slurm, as far as Regatta asks it: what a user wants of it, the batch script that follows, and the calls of `sbatch`, `squeue`,
//! `scontrol` and `scancel`. This crate knows no study: what the script runs is a command line.
//!
//! | module | what it does |
//! |---|---|
//! | [`Settings`], `layer`, `flags`, `time` | the user's file over the site's defaults; contradictory requests are refused |
//! | [`Batch`] | the text of a batch script |
//! | [`Slurm`], `failure` | calls of Slurm's programs, and which failures are worth another try |
//! | `submit`, `queue` | an array in the queue; what is left of it there |
//! | [`Task`], [`cpus_of_job`], [`memory_of_job`] | within a job: which task this is, and what it was given |
//!
//! `sacct` is never called: where a site keeps no accounts it fails.
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod batch;
mod call;
mod failure;
mod flags;
mod layer;
mod queue;
mod settings;
mod submit;
mod task;
mod time;

pub use batch::Batch;
pub use call::Slurm;
pub use failure::SlurmError;
pub use queue::{InQueue, Stage};
pub use settings::{Settings, site_defaults};
pub use submit::Array;
pub use task::{Fate, Task, cpus_of_job, memory_of_job};
