//! The trait that every regularizer implements.

use crate::{Cloud, Draw, Home, Kernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;

/// A penalty on a cloud of points. Declare the struct with [`regularizer!`](crate::regularizer) and implement this under
/// `#[typetag::serde(name = "...")]`: the name is the word that users type.
///
/// A regularizer sees points and nothing else: no model, no labels, no optimizer, no other regularizer. Weight, place,
/// subsampling and scale belong to the runner, so that they mean the same for every method.
///
/// [`penalty`](Self::penalty) alone is enough; all other methods are optional.
#[typetag::serde]
pub trait Regularizer: Debug + Send + Sync {
    /// Scalar penalty of `cloud` (shape `[]`, the dtype of the cloud), averaged over its groups; lower is better.
    ///
    /// Tensor operations that candle can differentiate, in the dtype and on the device of the cloud.
    ///
    /// # Errors
    /// When the cloud cannot be penalised: too few dims, or a tensor operation that failed.
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor>;

    /// Whether [`penalty`](Self::penalty) compares the points with a second view of them: [`Cloud::view`]. The runner makes one,
    /// by a second forward pass of the same batch under another dropout mask, where a regularizer of the arm says so and for
    /// that regularizer alone. It may depend on the fields.
    fn needs_view(&self) -> bool {
        false
    }

    /// The place at which the paper applies it: where a term without `at` runs. It may depend on the fields.
    fn home(&self) -> Home {
        Home::DEFAULT
    }

    /// A faster way to value and gradient, which the runner takes where the cloud is float32 on the CPU. It computes the same
    /// penalty, and the conformance kit compares the two.
    fn kernel(&self) -> Option<&dyn Kernel> {
        None
    }

    /// Why the gradient is, on purpose, not that of the value: a target that is held fixed, a straight-through gradient.
    /// `None`, the default, promises that they agree, and the conformance kit holds it to finite differences.
    fn surrogate_gradient(&self) -> Option<&'static str> {
        None
    }
}
