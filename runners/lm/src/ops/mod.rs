//! The model's operations, each with a backward of its own.
//!
//! candle-nn's fused layer norm, softmax and rope return a tensor with no backward: everything before them would get no
//! gradient, without a word. These ops are differentiable, run on the CPU in float32, and are compared in their tests with
//! the plain composition of candle's differentiable ops. Results do not depend on the number of threads: each output row is
//! computed by one thread, and sums over rows are taken in blocks of a fixed size.
//!
//! Letters: b batch, t time, d width, h heads, v vocabulary, r rows.

mod attention;
mod cross_entropy;
mod dropout;
mod gelu;
mod layer_norm;
mod linear;
mod slices;
mod vector;

pub use attention::causal_attention;
pub use cross_entropy::cross_entropy;
pub use dropout::{Dropout, dropout};
pub use gelu::gelu;
pub use layer_norm::layer_norm;
pub use linear::{linear, unembed};

#[cfg(test)]
mod testing;
