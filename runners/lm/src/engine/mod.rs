//! Passes over batches, forward and backward, by one of two engines.
//!
//! | file | what |
//! |---|---|
//! | `engine` | the seam: what a training step asks of an engine |
//! | `measured` | what a measurement asks of it |
//! | `kernels` | loops on slices, on the CPU: fast, with the same bytes on every processor |
//! | `candle` | candle's differentiable operations, on any device that candle knows |
//! | `activations`, `numbers`, `sum` | what passes between a step and its engine |
//! | `batch` | what a pass keeps, what perturbs it, and what comes from elsewhere in the backward pass |
//! | `dropout`, `place`, `randomness` | masks as values, where they come from, and noise |
//! | `angles` | of rotary positions |
//! | `gates` | on the gradient of the output matrix |

mod activations;
mod angles;
mod batch;
mod candle;
mod dropout;
#[allow(clippy::module_inception)]
mod engine;
mod gates;
mod kernels;
mod measured;
mod numbers;
mod place;
mod randomness;
mod sum;

pub(crate) use activations::Activations;
pub use batch::{BatchError, Keep, Upstream};
pub(crate) use candle::memory;
pub use dropout::Dropout;
pub(crate) use engine::Engine;
pub use gates::Gates;
pub use kernels::Pass;
pub use measured::{Forward, Measured, Resident};
pub(crate) use numbers::Numbers;
pub(crate) use randomness::{Noise, Randomness};
pub(crate) use sum::{Scalar, Sum};
