//! A study as users write it: YAML behind guards, sections with their places, sweeps and tuning; read whole and judged whole before
//! anything is trained or written.

mod schema;
mod spec;
pub mod yaml;

pub use schema::schema;
pub use spec::{
    Arm, Assignment, Axis, Candidate, Metric, Origin, Refusal, Size, Study, StudyFile, Tune, Variant, Vary, Winner, baseline,
    folders, regularizer, section,
};
