//! `train:` and `evaluate:` in a study.

use super::{CapacitySpec, DiagnosticsSpec, OrNone, QuantisationSpec, bare_or_map};
use regatta_core::libm;
use regatta_core::maths::Precision;
use regatta_core::number::{Count, Fraction, NonNegative, Positive};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How every arm is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSpec {
    /// Tokens a sequence; the model's context where it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Count<2, 1_048_576>>,
    /// Optimizer steps.
    pub steps: Count<1, 100_000_000>,
    /// Sequences a step.
    pub batch_size: Count<1, 65_536>,
    /// Passes that a step takes them in, a divisor of `batch_size`: the same result in less memory.
    pub accumulate: Count<1, 65_536>,
    /// Peak learning rate.
    pub lr: Positive,
    /// How the learning rate moves.
    #[serde(deserialize_with = "bare_or_map")]
    pub schedule: Schedule,
    /// AdamW's decays of the first and second moment.
    pub betas: [Fraction; 2],
    /// AdamW's decay of weights, on tensors of two or more dimensions.
    pub weight_decay: NonNegative,
    /// Largest global norm of the gradient.
    pub grad_clip: OrNone<Positive>,
    /// Rate of dropout on embeddings, attention and residuals.
    pub dropout: Fraction,
    /// To what the factors of products with weight matrices, and of those matrices' gradients, are rounded in a step: f32 or bf16.
    /// All else is float32 all the same: weights, sums, attention, norms, losses, penalties, the optimizer, and every measurement.
    pub precision: Precision,
    /// What is done about a loss far above those of the steps before.
    pub on_spike: OnSpike,
}

/// What is done about a step whose loss is a spike; every spike is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSpike {
    /// Nothing more: all arms are trained alike.
    #[default]
    Record,
    /// The step's update is left out.
    Skip,
    /// The trial ends, as one that diverged.
    Stop,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            context: None,
            steps: Count::new(300),
            batch_size: Count::new(16),
            accumulate: Count::new(1),
            lr: Positive::new(1e-3),
            schedule: Schedule::default(),
            betas: [Fraction::new(0.9), Fraction::new(0.95)],
            weight_decay: NonNegative::new(0.1),
            grad_clip: OrNone::Some(Positive::new(1.0)),
            dropout: Fraction::new(0.0),
            precision: Precision::Float32,
            on_spike: OnSpike::Record,
        }
    }
}

/// How the learning rate moves over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// Linear up to lr over `warmup` steps, then half a cosine down to `final` times lr.
    Cosine {
        /// Steps of linear rise.
        #[serde(default = "warmup")]
        warmup: u64,
        /// Share of lr left at the last step.
        #[serde(default = "last", rename = "final")]
        last: NonNegative,
    },
}

fn warmup() -> u64 {
    30
}

fn last() -> NonNegative {
    NonNegative::new(0.1)
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warmup: warmup(), last: last() }
    }
}

impl Schedule {
    /// Factor of the peak learning rate at `step` (from 0) of `steps`.
    ///
    /// The rise reaches 1 at step `warmup` and the fall ends at `final` on the last step.
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { warmup, .. } if (step as u64) < warmup => (step + 1) as f64 / (warmup + 1) as f64,
            Self::Cosine { warmup, last } => {
                let (done, whole) = (step as f64 - warmup as f64, steps as f64 - 1.0 - warmup as f64);
                let progress = if whole > 0.0 { done / whole } else { 1.0 };
                last.get() + (1.0 - last.get()) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress))
            }
        }
    }
}

/// What is measured, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSpec {
    /// Steps between measurements of the validation loss.
    pub every: Count<1, 100_000_000>,
    /// Windows of a split that are evaluated, spread evenly over it; `none` takes all.
    pub max_windows: OrNone<Count<2, 1_000_000_000>>,
    /// JSONL files of minimal pairs that the trained model is scored on; see [`crate::tasks`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minimal_pairs: Vec<PathBuf>,
    /// JSONL files of questions with choices that the trained model is scored on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multiple_choice: Vec<PathBuf>,
    /// Further text files, by the names of their columns, on which the trained model's loss is measured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, PathBuf>,
    /// To what the trained weights are rounded before the held-out loss is measured again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<QuantisationSpec>,
    /// How many bits of the biographies the trained model knows; only where the data are biographies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacitySpec>,
    /// When it is measured how the model's points lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<DiagnosticsSpec>,
}

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            every: Count::new(50),
            max_windows: OrNone::Some(Count::new(256)),
            minimal_pairs: Vec::new(),
            multiple_choice: Vec::new(),
            texts: BTreeMap::new(),
            quantisation: None,
            capacity: None,
            diagnostics: None,
        }
    }
}

impl EvaluateSpec {
    /// The same measurements of the loss, and nothing else.
    pub fn of_losses(&self) -> Self {
        Self { every: self.every, max_windows: self.max_windows, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_then_falls_to_the_final_share() {
        let cosine = Schedule::Cosine { warmup: 3, last: NonNegative::new(0.1) };
        let factors: Vec<f64> = [0, 1, 2, 3, 6, 9].iter().map(|&step| cosine.factor(step, 10)).collect();
        let expected = [0.25, 0.5, 0.75, 1.0, 0.55, 0.1]; // step 6 is halfway down: 0.1 + 0.9 / 2
        assert!(factors.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{factors:?}");
    }

    #[test]
    fn a_study_shorter_than_its_warmup_is_legal() {
        let cosine = Schedule::default();
        assert!((0..5).all(|step| cosine.factor(step, 5) > 0.0));
    }
}
