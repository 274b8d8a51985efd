//! The rows that analysis makes of a study's records, and that every report is made from: one plain value, [`Results`].
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod json;
mod measured;
mod results;
mod sweep;
mod text;
mod values;

pub use measured::{
    Depths, FrequencyClass, Geometry, Layer, OverSeeds, PairedDifference, PairedRatio, Rounding, TaskAtCheckpoints, TaskAverage,
    TaskMeasure, TaskResult, TaskTest, TaskVerdict, TasksAtCheckpoints, TextResult, ToTarget,
};
pub use results::{Arm, Machine, Results, Setting, Spent, Term, Trial, UNIT};
pub use sweep::{Edge, PowerLaw, SizePoint, SizeSeries, Tuning, TuningCandidate};
pub use text::one_line;
pub use values::{CurvePoint, Difference, EqualTime, Interval, Spread, TimedPairs, Verdict};
