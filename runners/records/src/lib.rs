//! The files of a study. A trial's folder has one writer; a file that others read is written whole, under another name, and
//! then renamed.
//!
//! ```text
//! runs/<name>/runners/           who runs the study now, and whose turn it is
//!            /study.yaml        the study with every default spelled out
//!            /manifest.json     program, machine and data that the results come from
//!            /plan.json         a row for each arm at each point of the sweep
//!            /tuning.json       the tuning trials, and the settings chosen
//!            /fingerprints.json what plugins compute, as the first machine measured it
//!            /submissions/<n>/  what was submitted to a scheduler, as it was then
//!            /trials/<arm>/seed-<n>/status.json       the trial's state, and why
//!                                  /lease.<n>         who trains it, or did
//!                                  /metrics.jsonl     a line per step
//!                                  /validation.jsonl  a line per measurement of the validation loss
//!                                  /diagnostics.jsonl a line per diagnosis of the hidden states
//!                                  /tasks.jsonl       a line per scoring of `evaluate.tasks` before the end
//!                                  /evaluation.json   the final measures
//!                                  /items.jsonl       a line per task: which of its items the model has right
//!                                  /trial.json        all that its results depend on
//!                                  /resume/           while it is not done: the checkpoints that it resumes from
//!                                  /checkpoint/       the trained model, in Hugging Face's layout
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `disk` | every change to the disk |
//! | `lease` | who may write: the runners, what each of them holds, and the fence that everything that writes asks first |
//! | `files`, `lines`, `tail` | files read and written whole; a line at a time; followed while another process writes |
//! | `folder`, `checkpoints` | a trial's folder and what it resumes from |
//! | `status`, `evaluation`, `machine`, `manifest`, `rows` | the records as types |
//! | `submission`, `requeues` | what was submitted to a scheduler, and how often its tasks were stopped |
//! | `place`, `below`, `whole` | which folders are a run's, which trials they hold, and whether those have all their records |
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod below;
mod checkpoints;
pub mod disk;
mod error;
mod evaluation;
mod export;
mod files;
mod folder;
mod lease;
mod lines;
mod machine;
mod manifest;
mod place;
mod requeues;
mod rows;
mod status;
mod submission;
mod tail;
mod whole;

pub use below::{not_of_trials, trials_below};
pub use checkpoints::{Checkpoints, Kept};
pub use disk::{Hook, before_each_change};
pub use error::RecordError;
pub use evaluation::{Cost, TrialEvaluation, Validation};
pub use export::ExportFolder;
pub use files::{read_json, write_json, write_whole, write_whole_beside_others};
pub use folder::{TrialFolder, Written};
pub use lease::{Card, Claim, Fence, Holder, Lease, Others, Present, REPORT, Runner, holder_of, present};
pub use lines::{Lines, first_lines, read_lines};
pub use machine::{Machine, Stretch, went_on};
pub use manifest::{DataFacts, Manifest, ModelFacts};
pub use place::{check_out, study_of_a_run};
pub use requeues::{Made, Requeues};
pub use rows::{PlanRow, TuningRow, TuningTrial};
pub use status::{State, Status};
pub use submission::{Frozen, FrozenTrial, Submission};
pub use tail::{News, Stamp, Tail};
pub use whole::Asked;

const DIAGNOSES: &str = "diagnostics.jsonl";
const EVALUATION: &str = "evaluation.json";
/// Of each task, which items the trained model has right.
const ITEMS: &str = "items.jsonl";
/// A line per scoring of the tasks while a trial trains.
const SCORED_TASKS: &str = "tasks.jsonl";
const INPUTS: &str = "trial.json";
/// A trial's state.
pub const STATUS_FILE: &str = "status.json";
/// A line per step.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// A line per measurement of the validation loss.
pub const VALIDATIONS_FILE: &str = "validation.jsonl";
