//! Regatta's small language model, and the training of one trial. It knows regularizers and interventions by the traits
//! of `regatta-core` alone, so that each is trained with the same model, data and budget.
//!
//! | module | what |
//! |---|---|
//! | [`spec`] | the sections of a study that describe model, data, training and places of terms |
//! | [`data`] | corpora, tokenizers and batches |
//! | [`model`] | the decoder's options, its tensors and their initialisation |
//! | [`device`] | what a model is trained on, as users name it and opened |
//! | [`engine`] | the pass forward and backward, on buffers that are made once |
//! | [`optimizer`] | AdamW, Muon and others, a tensor at a time |
//! | [`training`] | the step, the loop, penalties, interventions and evaluation |
//! | [`quantise`] | weights of few bits |
//! | [`tasks`], [`measure`] | minimal pairs and multiple choice; how a measurement is interrupted and fails |
//! | [`checkpoint`] | models in Hugging Face's layout |
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

pub mod checkpoint;
pub mod data;
pub mod device;
pub mod engine;
pub mod measure;
pub mod model;
pub mod optimizer;
pub mod quantise;
pub mod spec;
pub mod tasks;
pub mod training;

pub use device::{Compute, Device, DeviceError};
