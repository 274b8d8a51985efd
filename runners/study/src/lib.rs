//! A study: its trials, how they are run, and their states.
//!
//! ```text
//! run ──> plan ──> pool ══ requests ══> worker ──> trial ──> the trial's folder
//!                   <══════ events ══════
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`prepare()`] | loads the data and refuses all that can be refused before the first step |
//! | [`tokens_of`] | where the tokens of a study's text are kept |
//! | `fingerprints` | measures what the plugins compute, in a process of its own ([`probe()`]) |
//! | `identity`, `sources` | what a trial's results depend on, its hash, in what two trials differ, and the files of an input |
//! | `plan`, `supply`, `tuning`, `adopt` | which trials; what tuning chose; trials that are there under another name |
//! | [`run()`], `options`, `ended` | a run from the study to its records; how to run; how it ends |
//! | `resolved` | a trial with every default resolved, as it is planned, identified and sent |
//! | `pool`, `process` | which trials this runner takes, and its side of its worker processes |
//! | [`work`], `protocol` | a worker process, and what it is sent |
//! | `event` | what happens in a trial, for the worker, the pool and the watcher |
//! | `trial`, `energy`, `memory` | one trial: begin or resume, train, measure, record; its cost |
//! | [`Outlook`] | what a run would do |
//! | [`Standing`], [`Watched`] | the state of a study, read once, or repeatedly while it runs |
//! | [`projection`] | the cost of a study on another machine, and at another size |
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod adopt;
mod ended;
mod energy;
mod event;
mod fingerprints;
mod fits;
mod identity;
mod memory;
mod options;
mod outlook;
mod plan;
mod pool;
mod prepare;
mod process;
pub mod projection;
mod protocol;
mod resolved;
mod run;
mod sources;
mod standing;
mod supply;
mod tokens;
mod trial;
mod tuning;
mod watched;
mod worker;

pub use ended::{Ended, RunError};
pub use event::{Event, Planned, Watcher};
pub use fingerprints::probe;
pub use fits::{Neediest, Room, fits};
pub use identity::Code;
pub use memory::MemoryMeter;
pub use options::{Every, Limits, Options};
pub use outlook::{Foreseen, Outlook};
pub use prepare::{Prepared, prepare, prepare_with};
pub use run::{in_turn, run};
pub use standing::{Standing, TrialStanding, TrialState};
pub use tokens::{tokens_of, tokens_there};
pub use watched::{Measure, Phase, Progress, TrialTime, Watched};
pub use worker::{Work, work};
