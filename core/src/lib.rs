//! All that the author of a plugin needs, and no more.
//!
//! A regularizer is a function of a [`Cloud`] of points: `penalty(cloud, draw) -> scalar`, written in tensor operations; a
//! [`Kernel`] beside it is optional, and only faster. An [`Intervention`] changes training at one of the places that [`Action`]
//! lists. The config struct *is* the trait object: [`regularizer!`] and [`intervention!`] declare the struct, its defaults and its
//! card, and `typetag` reads it from YAML.
//!
//! | module | what |
//! |---|---|
//! | [`Regularizer`], [`Cloud`], [`Draw`] | the trait, what it sees, and its only source of randomness |
//! | [`Home`] | the place at which a regularizer's paper applies it |
//! | [`Intervention`], [`Action`] | the trait of what is not a penalty, and the places of a step at which it may act |
//! | [`Kernel`], [`ObjectiveKernel`] | optional: value and gradient together on float32 slices, for speed |
//! | [`differentiate`] | value and gradient as training sees them: by the kernel where there is one, else by autograd |
//! | [`mod@forms`] | values that are written in one of several forms, such as a number or a word |
//! | [`number`] | numbers that cannot be illegal: [`number::Positive`], [`number::NonNegative`], ... |
//! | [`Fingerprint`] | what a plugin computes, in a few numbers: by them a changed formula is told |
//! | [`registry`] | the plugins linked into this program: cards, lookup by name |
//! | [`maths`] | tensor maths that regularizers share |
//! | [`kernels`], [`simd`] | loops on slices, and vector instructions chosen when the program starts, for kernels |
//! | [`rounding`] | weights of few bits: the arithmetic that training and measuring share |
//! | [`conformance`] | the checks that every plugin passes; call [`conformance::conforms`] from a test |
//!
//! Letters in shape comments are fixed: g groups, n points, d dims, k slices.

extern crate self as regatta_core; // the macros name this crate by its own name, here too

mod cloud;
pub mod conformance;
pub mod differentiate;
mod draw;
mod error;
mod fingerprint;
pub mod forms;
mod home;
mod intervention;
mod kernel;
pub mod maths;
pub mod number;
pub mod registry;
mod regularizer;
pub mod rounding;

pub use cloud::Cloud;
pub use draw::Draw;
pub use error::{Error, Result};
pub use fingerprint::Fingerprint;
pub use home::{Home, MaxPoints, Points, Scale, Site};
pub use intervention::{Action, Companion, CompanionObjective, Compared, EmbeddingNoise, Intervention, Outputs, WeightRounding};
pub use kernel::{FloatCloud, FloatOutputs, Floats, Kernel, ObjectiveKernel};
pub use registry::{Card, Plugin};
pub use regularizer::Regularizer;

// Re-exported so that a plugin shares this crate's copy of the registry, of the tensor type and of the instruction level.
pub use candle_core as candle;
pub use candle_core::Tensor;
pub use inventory;
pub use libm;
pub use regatta_kernels as kernels;
pub use regatta_kernels::{simd, vectorize};
pub use schemars;
pub use serde;
pub use serde_json;
pub use typetag;
