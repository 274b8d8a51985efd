//! The one model family so far: GPT-2.

mod checkpoint;
mod config;
mod gpt2;
mod initial;

pub use checkpoint::CheckpointError;
pub use config::Gpt2Config;
pub use gpt2::{Activations, Gpt2};
