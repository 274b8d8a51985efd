//! One small language model, and the training of one trial.

pub mod checkpoint;
pub mod data;
pub mod engine;
pub mod measure;
pub mod model;
pub mod optimizer;
pub mod quantise;
pub mod spec;
pub mod tasks;
pub mod training;
