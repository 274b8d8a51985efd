//! A study as users write it: YAML behind guards, sections with their places, sweeps and tuning; read whole and judged whole before
//! anything is trained or written. [`Study::read`] is the way in; [`schema()`] is the same as a JSON Schema, for editors.
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod schema;
mod spec;
pub mod yaml;

pub use schema::schema;
pub use spec::{
    Arm, Assignment, Axis, Candidate, Metric, Origin, Refusal, Size, Study, StudyFile, Tune, Variant, Vary, Winner, baseline,
    folders, regularizer, section,
};
