//! The plugin API of Regatta: everything that the author of a plugin needs.
//!
//! - A regularizer is a function `penalty(cloud, draw) -> scalar` of a [`Cloud`] of points, written in tensor operations. A
//!   [`Kernel`] is an optional, faster implementation of the same function.
//! - An [`Intervention`] changes training at one of the places that [`Action`] lists.
//! - The config struct *is* the trait object: [`regularizer!`] and [`intervention!`] declare the struct, its defaults and its card,
//!   and `typetag` reads it from YAML.
//!
//! | module | contents |
//! |---|---|
//! | [`Regularizer`], [`Cloud`], [`Draw`] | the trait of penalties, their input, and their only source of randomness |
//! | [`Home`] | the place at which a regularizer's paper applies it |
//! | [`Intervention`], [`Action`] | the trait of other changes of training, and the places of a step at which they act |
//! | [`Kernel`], [`ObjectiveKernel`] | optional: value and gradient together on float32 slices, for speed |
//! | [`differentiate`] | value and gradient as in training: by the kernel if there is one, otherwise by autograd |
//! | [`mod@forms`] | values with several written forms, such as a number or a word |
//! | [`number`] | numbers with a range: [`number::Positive`], [`number::NonNegative`], ... |
//! | [`Fingerprint`] | a plugin's results on fixed inputs, which reveal a changed formula |
//! | [`registry`] | the plugins linked into this program: cards, lookup by name |
//! | [`maths`] | tensor maths that regularizers share |
//! | [`kernels`], [`simd`] | for kernels: loops on slices, and vector instructions selected at run time |
//! | [`rounding`] | rounding of weights to few bits, for training and evaluation |
//! | [`conformance`] | the checks that every plugin must pass; call [`conformance::conforms`] from a test |
//!
//! Letters in shape comments are fixed: g groups, n points, d dims, k slices.

extern crate self as regatta_core; // the macros refer to this crate by name, also inside it

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
pub use intervention::{
    Action, Companion, CompanionObjective, Compared, EmbeddingNoise, Intervention, OutputUpdate, Outputs, WeightRounding,
};
pub use kernel::{FloatCloud, FloatOutputs, Floats, Kernel, ObjectiveKernel};
pub use registry::{Card, Plugin};
pub use regularizer::Regularizer;

// Re-exported so that plugins use the same copy of the registry, the tensor type and the instruction level.
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
