//! Passes over batches, forward and backward, by one of two engines.
//!
//! | file | what |
//! |---|---|
//! | `kernels` | loops on slices, on the CPU: fast, with the same bytes on every processor |
//! | `candle` | candle's differentiable operations, on any device that candle knows |
//! | `batch` | what a pass keeps, what perturbs it, and what comes from elsewhere on the way back |
//! | `dropout`, `place` | masks as values, and where they come from |
//! | `angles` | of rotary positions |
//! | `gates` | on the gradient of the output matrix |

mod angles;
mod batch;
mod candle;
mod dropout;
mod gates;
mod kernels;
mod place;

pub(crate) use batch::Perturb;
pub use batch::{BatchError, Keep, Upstream};
pub use dropout::Dropout;
pub use gates::Gates;
pub use kernels::Pass;
