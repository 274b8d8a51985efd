//! The rows that analysis makes of a study's records, and that every report is made from: one plain value, [`Results`].

mod json;
mod measured;
mod results;
mod sweep;
mod text;

pub use measured::{
    Depths, FrequencyClass, Geometry, Layer, OverSeeds, PairedDifference, Rounding, TaskResult, TaskVerdict, TextResult, ToTarget,
};
pub use results::{
    Arm, CurvePoint, Difference, EqualTime, Interval, Results, Setting, Spent, Spread, Term, Trial, UNIT, Verdict,
};
pub use sweep::{Edge, PowerLaw, SizePoint, SizeSeries, Tuning, TuningCandidate};
pub use text::one_line;
