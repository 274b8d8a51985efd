//! One trial: what a training run depends on.

use super::TrainError;
use super::interventions::Interventions;
use crate::data::Corpus;
use crate::device::Compute;
use crate::model::{Decoder, Model};
use crate::spec::{EvaluateSpec, ModelSpec, Term, TrainSpec};
use crate::tasks::Tasks;

/// One arm with one seed: everything that one training run depends on.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The model that every arm trains.
    pub model: &'a ModelSpec,
    /// How every arm is trained.
    pub train: &'a TrainSpec,
    /// What is measured, and how often.
    pub evaluate: &'a EvaluateSpec,
    /// The arm's penalties.
    pub terms: &'a [Term],
    /// The arm's interventions.
    pub interventions: &'a Interventions,
    /// The tokens.
    pub corpus: &'a Corpus,
    /// What it is scored on while it trains.
    pub tasks: &'a Tasks,
    /// First weights, order of batches, dropout and draws of plugins derive from it, each by a purpose of its own.
    pub seed: u64,
    /// What it is trained on.
    pub compute: &'a Compute,
    /// Whether the backward pass recomputes the activations of each block from its input, where the engine can:
    /// [`Needs`](super::Needs) tells whether it has to.
    pub recompute: bool,
}

impl Trial<'_> {
    /// The model's shape.
    ///
    /// # Errors
    /// When the checkpoint's config cannot be read.
    pub fn decoder(&self) -> Result<Decoder, TrainError> {
        Ok(match self.model {
            ModelSpec::Fresh(fresh) => fresh.decoder(self.corpus.vocab_size),
            ModelSpec::Init(folder) => Decoder::read(folder)?,
        })
    }

    /// The model as it is before the first step.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or the model does not fit in memory.
    pub fn start(&self) -> Result<Model, TrainError> {
        Ok(match self.model {
            ModelSpec::Fresh(fresh) => Model::fresh(self.decoder()?, self.seed).with_biases(fresh.bias_std, self.seed),
            ModelSpec::Init(folder) => Model::read(folder)?,
        })
    }

    /// Tokens per sequence.
    pub fn context(&self, model: &Decoder) -> usize {
        self.train.context.map_or(model.context, |context| context.get())
    }
}
