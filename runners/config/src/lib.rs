//! Studies as users write them: YAML, sweeps and tuning. A study is read and checked as a whole before anything is trained or
//! written, and every message names file, line, column and field.
//! [`Study::read`] is the way in; [`schema()`] is the same as a JSON Schema, for editors.
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod schema;
mod spec;
pub mod yaml;

pub use schema::schema;
pub use spec::{
    Arm, Assignment, Axis, Candidate, Metric, Origin, Refusal, Size, Study, StudyFile, Tune, Variant, Vary, Winner, baseline,
    regularizer, section,
};
