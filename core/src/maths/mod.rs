//! Tensor maths that regularizers share. Every function works in the dtype of its input, f32 or f64, and on any device that candle
//! supports. Gradients flow through all functions, unless their documentation says otherwise. Loops on slices are in
//! [`crate::kernels`].
//!
//! | file | contents |
//! |---|---|
//! | `moments` | covariance, the smaller Gram matrix, their diagonals and off-diagonal sums |
//! | `pairwise` | cosines, squared distances, angles, log-mean-exp over pairs |
//! | `spectral` | log-determinant, inverse square root, eigenvectors and sums over eigenvalues of symmetric matrices |
//! | `cholesky` | the inverse of the Cholesky factor of symmetric positive definite matrices |
//! | `matmul`, `gelu` | products of tensors, and GELU, with the same bytes on every machine |
//! | `sums` | sums over the last dim and their adjoint, log-sum-exp, with the same bytes on every machine |
//! | `attach` | a value with a gradient computed by hand |
//! | `slices` | the numbers of a tensor as a slice |

mod attach;
mod cholesky;
mod gelu;
mod matmul;
mod moments;
mod pairwise;
mod slices;
mod spectral;
mod sums;

pub use attach::attach_gradient;
pub use cholesky::{inverse_cholesky, inverse_cholesky_of};
pub use gelu::gelu_of;
pub use matmul::matmul;
pub use moments::{centred, covariance, diagonal, off_diagonal_sum_of_squares, smaller_gram};
pub use pairwise::{bounded_angles, cosines, log_mean_exp, off_diagonal, squared_distances, unit};
pub use slices::{is_float32_on_cpu, with_floats};
pub use spectral::{eigenvalue_sum, inverse_sqrt, log_det, log_det_of, symmetric_eigen_of, symmetric_eigenvalues_of};
pub use sums::{log_sum_exp, mean_all, mean_last, repeat_last, sum_last};
