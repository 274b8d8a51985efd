//! The plugin API of Regatta: everything that the author of a plugin needs. Regatta trains the same small language model with each
//! regularizer and seed, and compares the results seed by seed.
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
//!
//! # A plugin
//!
//! ```standalone_crate
//! use regatta_core::number::Positive;
//! use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, regularizer, typetag};
//!
//! regularizer! {
//!     name: "spread", // the word in a study's YAML
//!     summary: "keeps the variance of each dim above a target",
//!     paper: "none: an example",
//!     formula: "mean_j max(0, target - var_j)^2",
//!     expects: "points of a sequence; it sees their scale",
//!     /// Dims without variance pay.
//!     pub struct Spread {
//!         /// Variance above which a dim pays nothing.
//!         pub target: Positive = Positive::new(1.0),
//!     }
//! }
//!
//! #[typetag::serde(name = "spread")]
//! impl Regularizer for Spread {
//!     fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
//!         let points = cloud.points(); // (g, n, d)
//!         let centred = points.broadcast_sub(&points.mean_keepdim(1)?)?; // (g, n, d)
//!         let variance = centred.sqr()?.mean(1)?; // (g, d)
//!         let missing = variance.affine(-1.0, self.target.get())?.relu()?; // (g, d)
//!         Ok(missing.sqr()?.mean_all()?) // a scalar
//!     }
//! }
//!
//! regatta_core::conformance::conforms::<Spread>(); // in a test: gradient, order of points, degenerate clouds
//! ```
//!
//! # The crates around it
//!
//! `regatta new plugin NAME` writes a crate with such a plugin, its tests, a program and a study. The program names plugins and
//! calls the `main` of `regatta-cli`; the linker drops a crate that nothing names:
//!
//! ```ignore
//! use my_plugin as _;
//! use regatta_builtin as _; // the plugins that come with Regatta, to race against
//!
//! fn main() -> std::process::ExitCode {
//!     regatta_cli::main()
//! }
//! ```
//!
//! Breaking changes of this crate, and of `regatta-kernels` below it, come with a new version, as Cargo understands versions. So a
//! plugin that asks for `regatta-core = "0.1"` builds with every 0.1.x.

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
mod labels;
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
    Action, Companion, CompanionObjective, Compared, EmbeddingNoise, Intervention, OutputGate, OutputUpdate, Outputs, RowGate,
    WeightRounding,
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

/// The examples of README.md compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
