//! Curves as files of other programs: TensorBoard's event files.
//!
//! ```
//! use regatta_export::{Point, Run};
//!
//! let mut run = Run { started: 1_700_000_000, ..Run::default() };
//! run.points.push(Point { step: 0, wall_time: 1_700_000_000.25, scalars: vec![("train/loss".into(), 5.5)] });
//! assert_eq!(run.file_name(), "events.out.tfevents.1700000000.regatta.0000000001");
//! let bytes: Vec<u8> = run.events(); // what belongs in that file
//! # assert!(!bytes.is_empty());
//! ```
//!
//! An event file is a sequence of TFRecords, each of which holds one protobuf message `Event`. Both formats are small, so this
//! crate writes them itself. It takes plain values and returns bytes: no tensors, no records of a study, no files.

mod event;
mod hparams;
mod record;
mod run;
mod wire;

#[cfg(test)]
mod decode;

pub use hparams::{Hyperparameters, Outcome, Setting};
pub use run::{Point, Run, is_event_file};
