//! Tensor maths that regularizers share. Every function works in the dtype of its input, f32 or f64, and on any device that
//! candle knows but where it says otherwise; gradients flow through all of them.
//!
//! | file | what |
//! |---|---|
//! | `moments` | covariance and the sums over its parts |
//! | `pairwise` | cosines, squared distances, angles, log-mean-exp over pairs |
//! | `spectral` | log-determinant and inverse square root of symmetric matrices |
//! | `attach` | a value with a gradient computed by hand |
//!
//! And for kernels on float32 slices:
//!
//! | file | what |
//! |---|---|
//! | `product` | matrix products on the calling thread |
//! | [`vector`] | sums in lanes, and an exponential that becomes vector instructions |
//! | `slices` | the numbers of a tensor as a slice |

mod attach;
mod moments;
mod pairwise;
mod product;
mod slices;
mod spectral;
pub mod vector;

pub use attach::attach_gradient;
pub use moments::{centred, covariance, diagonal, off_diagonal_sum_of_squares};
pub use pairwise::{bounded_angles, cosines, log_mean_exp, off_diagonal, squared_distances, unit};
pub use product::{Matrix, MatrixMut, Onto, product};
pub use slices::with_floats;
pub use spectral::{inverse_sqrt, log_det, symmetric_eigenvalues};

/// Added to a sum of squares under a root, so that the slope at zero is zero and not NaN; far below any square that matters.
pub(crate) const TINY_SQUARE: f64 = 1e-30;
