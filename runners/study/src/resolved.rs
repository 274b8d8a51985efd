//! What a trial is, every default resolved: all that its results depend on but its data. The run sends it to a worker.

use regatta_config::Arm;
use regatta_lm::Compute;
use regatta_lm::data::Corpus;
use regatta_lm::spec::{EvaluateSpec, ModelSpec, TrainSpec};
use regatta_lm::tasks::Tasks;
use regatta_lm::training::Trial;
use serde::{Deserialize, Serialize};

/// A trial, lent by the plan.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Resolved<'a> {
    pub model: &'a ModelSpec,
    /// How its arm is trained, its length in steps.
    pub train: &'a TrainSpec,
    pub evaluate: &'a EvaluateSpec,
    pub arm: &'a Arm,
    pub seed: u64,
}

impl<'a> Resolved<'a> {
    /// What the trainer needs of it.
    pub fn on(self, corpus: &'a Corpus, tasks: &'a Tasks, compute: &'a Compute, recompute: bool) -> Trial<'a> {
        let Self { model, train, evaluate, arm, seed } = self;
        let Arm { terms, interventions, .. } = arm;
        Trial { model, train, evaluate, terms, interventions, corpus, tasks, seed, compute, recompute }
    }
}

/// The same, as a worker receives it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Received {
    model: ModelSpec,
    train: TrainSpec,
    evaluate: EvaluateSpec,
    arm: Arm,
    seed: u64,
}

impl Received {
    pub fn resolved(&self) -> Resolved<'_> {
        let Self { model, train, evaluate, arm, seed } = self;
        Resolved { model, train, evaluate, arm, seed: *seed }
    }
}
