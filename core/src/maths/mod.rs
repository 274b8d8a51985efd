//! Tensor maths that regularizers share. Every function works in the dtype of its input, f32 or f64, and on any device that
//! candle knows; gradients flow through all of them but where it says otherwise.
//!
//! | file | what |
//! |---|---|
//! | `moments` | covariance, the smaller Gram, and sums over their parts |
//! | `pairwise` | cosines, squared distances, angles, log-mean-exp over pairs |
//! | `spectral` | log-determinant, inverse square root, eigenvectors and sums over eigenvalues of symmetric matrices |
//! | `resolvents` | logarithm and inverse square root of symmetric matrices without eigenvectors |
//! | `symmetric` | factorisations of symmetric matrices, on slices |
//! | `cholesky` | the inverse of the Cholesky factor of symmetric positive definite matrices |
//! | `matmul`, `gelu` | products of tensors, and GELU, with the same bytes on every machine |
//! | `attach` | a value with a gradient computed by hand |
//!
//! And for kernels on float32 slices:
//!
//! | file | what |
//! |---|---|
//! | `product` | matrix products on the calling thread |
//! | `blockwise` | all pairs of a group, a block at a time |
//! | `pair_sums` | sums over pairs, with their gradients |
//! | `gram` | sums of products over points, and products with a matrix, on all threads |
//! | `smaller` | a function of the smaller Gram of unit points, with its gradient |
//! | `scaled` | points scaled to unit norm or centred, and the way back |
//! | [`elementary`] | arccosine, logarithm, sine and cosine of sixteen numbers |
//! | [`vector`] | sums in lanes, and an exponential |
//! | `slices` | the numbers of a tensor as a slice |
//! | `scratch` | room to work in |

mod attach;
mod blockwise;
mod cholesky;
pub mod elementary;
mod gelu;
mod gram;
mod matmul;
mod moments;
mod pair_sums;
mod pairwise;
mod product;
mod resolvents;
mod scaled;
mod scratch;
mod slices;
mod smaller;
mod spectral;
mod symmetric;
pub mod vector;

pub use attach::attach_gradient;
pub use blockwise::{Block, Pairs, Pull};
pub use cholesky::{inverse_cholesky, inverse_cholesky_of};
pub use gelu::{gelu, gelu_backward, gelu_of};
pub use gram::{cross_gram, gram, times, wide_gram, widened};
pub use matmul::matmul;
pub use moments::{centred, covariance, diagonal, off_diagonal_sum_of_squares, smaller_gram};
pub use pair_sums::{Linear, LogParts, PairTerm, Softmax, pair_log_sum_exp, pair_softmax, pair_sum};
pub use pairwise::{bounded_angles, cosines, log_mean_exp, off_diagonal, squared_distances, unit};
pub use product::{Float, Matrix, MatrixMut, Onto, Panels, PanelsPart, Precision, affine, product, product_of_panels};
pub use resolvents::Resolvents;
pub use scaled::{Scaled, centred_rows, mean_point};
pub use scratch::with_scratch;
pub use slices::{is_float32_on_cpu, with_floats};
pub use smaller::of_smaller_gram;
pub use spectral::{eigenvalue_sum, inverse_sqrt, log_det, log_det_of, symmetric_eigen_of, symmetric_eigenvalues_of};

/// Added to a sum of squares under a root, so that the slope at zero is zero and not NaN; far below any square that matters.
pub(crate) const TINY_SQUARE: f64 = 1e-30;
