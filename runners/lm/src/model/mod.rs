//! The one model family so far: GPT-2.

mod checkpoint;
mod config;
mod flops;
mod gpt2;
mod initial;
mod parameters;
mod pass;

pub use crate::kernels::Dropout;
pub use checkpoint::CheckpointError;
pub use config::Gpt2Config;
pub use gpt2::Gpt2;
pub use parameters::Parameters;
pub(crate) use pass::Perturb;
pub use pass::{BatchError, Keep, Pass, Upstream};

#[cfg(test)]
mod plain;
#[cfg(test)]
mod testing;
