//! `plan.json` and `tuning.json`: the comparisons, for programs that read the folder without its plugins.

use super::State;
use regatta_config::{Candidate, Winner};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One arm at one point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRow {
    /// The arm.
    pub arm: String,
    /// The point, as in `lr=0.0003,width=64`; empty without a sweep.
    pub point: String,
    /// Its folder below `trials/`.
    pub place: String,
    /// The folder of the baseline at its point, with which it is compared; its own where it is the baseline.
    pub baseline: String,
    /// Its terms, with the weight that tuning chose.
    pub terms: Value,
    /// Trainable parameters.
    pub parameters: usize,
    /// Tokens per trial.
    pub tokens: usize,
    /// Steps per trial; none in older folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// What tuning chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Candidate>,
}

impl PlanRow {
    /// The arm, and in a sweep its point: `vicreg width=64`.
    pub fn name(&self) -> String {
        if self.point.is_empty() { self.arm.clone() } else { format!("{} {}", self.arm, self.point) }
    }
}

/// The tuning of one arm at one point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningRow {
    /// Its folder below `trials/`.
    pub place: String,
    /// The arm and its point.
    pub name: String,
    /// Each candidate with the results of its seeds.
    pub candidates: Vec<(Candidate, Vec<TuningTrial>)>,
    /// Mean validation loss of each candidate over its seeds; none where a trial diverged or failed.
    pub means: Vec<Option<f64>>,
    /// The choice; none where no candidate could be trained with every seed.
    pub winner: Option<Winner>,
}

/// One tuning trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningTrial {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub state: State,
    /// Validation loss after the last step, nats per token.
    pub validation_loss: Option<f64>,
}

impl TuningRow {
    /// The candidate that was chosen.
    pub fn chosen(&self) -> Option<Candidate> {
        Some(self.candidates.get(self.winner?.index)?.0)
    }
}
