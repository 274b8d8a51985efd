//! The model's operations on slices, forward and backward, each on the calling thread.
//!
//! The passes of [`crate::engine`] call them on parts of a batch and spread the parts over threads; nothing here allocates in a
//! loop, and nothing takes another thread but the layout of a very long sequence's keys and values. Rows are contiguous; backward
//! kernels *add* to gradients of weights, so that parts add up.
//!
//! Letters: t time, d width, h heads, v vocabulary, r rows, i inputs, o outputs.

mod activation;
mod attention;
#[cfg(test)]
pub(crate) mod counted;
mod cross_entropy;
mod dropout;
mod norm;
mod rotary;
mod rows;

#[cfg(test)]
pub(crate) use counted::{affine, product_of_panels};
#[cfg(not(test))]
pub(crate) use regatta_core::maths::{affine, product_of_panels};

pub(crate) use activation::{cap, cap_backward, gelu_exact, gelu_exact_backward, swiglu, swiglu_backward};
pub(crate) use attention::{Attention, AttentionScratch};
pub(crate) use cross_entropy::{Gradient, cross_entropy};
pub use dropout::Dropout;
pub(crate) use norm::{Heads, Norm, rms_norm_heads, rms_norm_heads_backward};
pub(crate) use regatta_core::maths::vector::add;
pub(crate) use regatta_core::maths::{gelu, gelu_backward};
pub(crate) use rotary::{Turn, rotate};
pub(crate) use rows::{SQUARES_BLOCK, add_columns, linear, sum, sum_of_squares};
