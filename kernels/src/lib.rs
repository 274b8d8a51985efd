//! Numerical kernels on slices: full speed, and the same bytes on every processor.
//!
//! | module | contents |
//! |---|---|
//! | [`simd`] | instruction sets, selected at run time; all intrinsics; [`vectorize!`] |
//! | [`vector`] | sums, dot products and exponentials of slices |
//! | [`elementary`] | arccosine, logarithm, sine and cosine of lanes |
//! | `product` | matrix products on the calling thread: [`product()`](fn@product), and [`product_of_panels`] with a packed factor |
//! | `gram` | Gram matrices and products of points with a matrix, on all threads |
//! | `blockwise`, `pair_sums` | all pairs of a group, one block at a time; sums over pairs with their gradients |
//! | `scaled`, `smaller` | unit-norm and centred points, functions of the smaller Gram matrix, and their gradients |
//! | [`symmetric`] | factorisations and functions of symmetric matrices in float64 |
//! | [`model`] | the parts of a transformer: attention, norms, activations, rotary positions, cross-entropy |
//! | `scratch` | reusable buffers |
//!
//! This crate is the lowest of the workspace: it has no tensors, plugins or models.
//!
//! Letters in shape comments are fixed: n points, d dims; m, k, n of a product; t time, h heads, v vocabulary, r rows.

mod blockwise;
pub mod elementary;
mod gram;
pub mod model;
mod nearest;
mod pair_sums;
mod product;
mod scaled;
mod scratch;
pub mod simd;
mod smaller;
pub mod symmetric;
#[cfg(test)]
mod testing;
pub mod vector;

pub use blockwise::{Block, Pairs, Pull};
pub use gram::{cross_gram, gram, times, wide_gram, widened};
pub use nearest::nearest;
pub use pair_sums::{Linear, LogParts, PairTerm, Softmax, pair_log_sum_exp, pair_softmax, pair_sum};
#[cfg(debug_assertions)]
pub use product::counted_flops;
pub use product::{Float, Matrix, MatrixMut, Onto, Panels, PanelsPart, Precision, affine, product, product_of_panels};
pub use scaled::{Scaled, centred_rows, mean_point};
pub use scratch::with_scratch;
pub use smaller::of_smaller_gram;
pub use symmetric::{FactorisationError, Resolvents};

/// Added to a sum of squares under a square root, so that the gradient at zero is zero and not NaN. It is far below any square that
/// matters.
pub const TINY_SQUARE: f64 = 1e-30;
