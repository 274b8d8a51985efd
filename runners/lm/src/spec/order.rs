//! The order of training windows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Order of the windows of the train split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Each epoch a fresh permutation, drawn from the trial's seed.
    #[default]
    Shuffled,
    /// Row b of step s starts at token (s·batch_size + b)·context, from the front again at the end.
    Sequential,
}
