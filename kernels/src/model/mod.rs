//! The parts of a transformer on slices, forward and backward, each on the calling thread.
//!
//! A caller splits a batch into parts and runs the kernels on them in parallel:
//!
//! - Nothing here allocates in a loop.
//! - Only the packing of a very long sequence's keys and values uses other threads.
//! - Rows are contiguous.
//! - Backward kernels *accumulate* into gradients of weights, so that parts add up.
//!
//! Letters: t time, d width, h heads, v vocabulary, r rows, i inputs, o outputs.

mod activation;
mod attention;
mod cross_entropy;
mod gelu;
mod norm;
mod rotary;
mod rows;

pub use activation::{cap, cap_backward, gelu_exact, gelu_exact_backward, swiglu, swiglu_backward};
pub use attention::{Attention, AttentionScratch, DropoutMasks};
pub use cross_entropy::{Gradient, cross_entropy, cross_entropy_and_normalizers};
pub use gelu::{CUBE, gelu, gelu_backward};
pub use norm::{Heads, Norm, rms_norm_heads, rms_norm_heads_backward};
pub use rotary::{Rotation, rotate};
pub use rows::{SQUARES_BLOCK, add_columns, linear, sum, sum_of_squares};
