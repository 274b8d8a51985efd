//! What a trial is made of, as users write it: model, tokenizer, data, training, evaluation and terms.
//!
//! These sets are closed, so they are enums and structs; a value that parses is legal by itself. What needs two fields or the
//! data to judge (heads that do not divide width, a layer that the model does not have) is checked where the two meet.

mod biographies;
mod data;
mod diagnostics;
mod either;
mod length;
mod model;
mod optimizer;
mod or_none;
mod order;
mod paths;
mod place;
mod quantisation;
mod schedule;
mod term;
mod train;

pub use biographies::{BiographiesSpec, CapacitySpec};
pub use data::{BpeSpec, DataSpec, Dtype, SyntheticSpec, TextFiles, TextSpec, TokenizerSpec, TokensSpec};
pub use diagnostics::DiagnosticsSpec;
pub use length::{Length, Steps, Tokens};
pub use model::{Fresh, ModelSpec};
pub use optimizer::{AdamWSpec, Coupled, CoupledAdamSpec, GroupSpec, MuonScale, MuonSpec, OptimizerSpec};
pub use or_none::OrNone;
pub use order::Order;
pub use paths::{Paths, PathsError, is_pattern, matching, pattern_in};
pub use place::{At, Home, Layers, MaxPoints, Place, Points, Scale, Site, there};
pub use quantisation::QuantisationSpec;
pub use schedule::{Schedule, Span};
pub use term::{Step, Term, Weight};
pub use train::{EvaluateSpec, OnSpike, TrainSpec};
