//! `evaluation.json` and `validation.jsonl`: the measures of a trial, and its cost.

use regatta_core::simd::Level;
use regatta_lm::training::Evaluation;
use serde::{Deserialize, Serialize};

/// `evaluation.json`: the final measures on the held-out split, and the trial's cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialEvaluation {
    /// `test`, or `validation` where the study names no test data.
    pub split: String,
    /// The measures.
    #[serde(flatten)]
    pub measures: Evaluation,
    /// Validation loss of the trained model, nats per token; reports use the held-out loss.
    pub validation_loss: f64,
    /// The cost of the trial.
    #[serde(flatten)]
    pub cost: Cost,
}

/// The cost of a trial. Step times exclude measurements of the validation loss.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// From the first step to the last measure, seconds.
    pub wall_seconds: f64,
    /// Median time of a training step, milliseconds.
    pub step_ms: f64,
    /// Tokens of a batch over the median time of a step.
    pub tokens_per_second: f64,
    /// Most memory that the trial held at once, MiB, where it is counted.
    pub peak_memory_mib: Option<f64>,
    /// Peak resident memory of the process that trained it, its earlier trials included, MiB, where the system reports it.
    #[serde(default)]
    pub peak_rss_mib: Option<f64>,
    /// FLOPs of training per token, mean over the steps; see `regatta_lm::training::flops_per_token`. None in older folders.
    #[serde(default)]
    pub flops_per_token: Option<f64>,
    /// FLOPs of all training steps. None in older folders.
    #[serde(default)]
    pub training_flops: Option<f64>,
    /// Energy that the machine's processors took from the first step to the last measure, joules, where the machine reports it;
    /// where trials run side by side, that of all of them.
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// The instruction set that its kernels used at its end: in float32 it changes no bytes of a trial. None in older folders.
    #[serde(default)]
    pub instructions: Option<Level>,
}

/// A line of `validation.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Updates made before it was measured.
    pub step: usize,
    /// Validation loss, nats per token.
    pub loss: f64,
}
