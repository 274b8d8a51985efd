//! The trait that every regularizer implements.

use crate::{Cloud, Draw, Home, Kernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;

/// A penalty on a cloud of points. Declare the struct with [`regularizer!`](crate::regularizer), and implement this trait under
/// `#[typetag::serde(name = "...")]` with the name that users write in a study.
///
/// A regularizer sees only points: no model, optimizer or other regularizer, and no labels unless it [asks for
/// them](Self::needs_labels), which its card and every table of results then say. The runner applies weight, place, subsampling
/// and scale, so that they mean the same for every method.
///
/// [`penalty`](Self::penalty) alone is enough; all other methods are optional.
#[typetag::serde]
pub trait Regularizer: Debug + Send + Sync {
    /// The penalty of `cloud`, averaged over its groups: a scalar (shape `[]`) of the cloud's dtype; lower is better.
    ///
    /// It must consist of tensor operations that candle can differentiate, in the dtype and on the device of the cloud.
    ///
    /// # Errors
    /// When the cloud has too few dims for the penalty, or a tensor operation fails.
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor>;

    /// Whether [`penalty`](Self::penalty) compares the points with a second view of them, [`Cloud::view`]. The result may depend on
    /// the fields.
    ///
    /// The runner makes the view by a second forward pass of the same batch under another dropout mask. It does so only if a
    /// regularizer of the arm needs it, and passes it only to those regularizers.
    fn needs_view(&self) -> bool {
        false
    }

    /// Whether [`penalty`](Self::penalty) depends on the next token of each point, [`Cloud::labels`]. The result may depend on the fields.
    ///
    /// Such a regularizer is label-aware: it is told what the model is to predict, so it is not compared with the others without a
    /// word. It is computed by `penalty`, not by a kernel.
    fn needs_labels(&self) -> bool {
        false
    }

    /// The place at which the paper applies it: where a term without `at` runs. It may depend on the fields.
    fn home(&self) -> Home {
        Home::DEFAULT
    }

    /// A faster implementation of value and gradient, which the runner uses if the cloud is float32 on the CPU. It must compute the
    /// same penalty; the conformance kit compares the two.
    fn kernel(&self) -> Option<&dyn Kernel> {
        None
    }

    /// Why the gradient deliberately differs from the derivative of the value, such as a target held constant or a straight-through
    /// estimator. `None`, the default, promises that they agree; the conformance kit then checks the gradient by finite
    /// differences.
    fn surrogate_gradient(&self) -> Option<&'static str> {
        None
    }
}
