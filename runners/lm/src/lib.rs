//! One small language model, and the training of one trial.

pub mod data;
pub mod model;
pub mod ops;
pub mod spec;
pub mod training;
