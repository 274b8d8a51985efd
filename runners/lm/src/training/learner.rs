//! What training changes and keeps: a model, its optimizer, and the state of interventions.

use super::TrainError;
use super::companion::Companions;
use super::gating::Gating;
use super::interventions::{Cycles, Interventions, rounded, sync_rounded, update_output};
use super::passes::Passes;
use super::snapshot::{Restored, Snapshot};
use super::spikes::Spikes;
use crate::model::{Model, Parameters};
use crate::optimizer::Optimizer;
use crate::spec::{OnSpike, Term, TrainSpec};
use regatta_core::Draw;
use std::ops::Range;

/// A model and its optimizer, with what a step needs to know.
pub struct Learner<'a> {
    /// The trainable parameters.
    pub(super) latent: Model,
    /// Where an intervention rounds weights, the model that batches go through instead; in sync with `latent`.
    pub(super) rounded: Option<Model>,
    pub(super) gradients: Parameters,
    pub(super) optimizer: Optimizer,
    pub(super) passes: Option<Passes>,
    pub(super) companions: Companions<'a>,
    pub(super) spikes: Spikes,
    /// Steps made, those without an update included.
    pub(super) made: usize,
    /// Steps to make.
    pub(super) steps: usize,
    pub(super) train: &'a TrainSpec,
    pub(super) terms: &'a [Term],
    pub(super) interventions: &'a Interventions,
    pub(super) cycles: Option<Cycles>,
    pub(super) gating: Option<Gating<'a>>,
    pub(super) seed: u64,
}

impl<'a> Learner<'a> {
    /// `model` with a new optimizer. Randomness of its steps derives from `seed`.
    ///
    /// # Errors
    /// When the checkpoint that an intervention compares with cannot be read, or does not fit the model.
    pub fn new(
        model: Model,
        train: &'a TrainSpec,
        terms: &'a [Term],
        interventions: &'a Interventions,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let gradients = Parameters::zeros(model.decoder());
        let optimizer = Optimizer::new(model.decoder(), train);
        let (rounded, cycles) = (rounded(interventions, &model), Cycles::of(interventions));
        let gating = Gating::of(interventions, model.decoder().vocab_size);
        let companions = Companions::new(interventions, &model, train, seed)?;
        let steps = train.steps_of(model.decoder()).map_err(TrainError::Length)?.get();
        Ok(Self {
            latent: model,
            rounded,
            gradients,
            optimizer,
            passes: None,
            companions,
            spikes: Spikes::default(),
            made: 0,
            steps,
            train,
            terms,
            interventions,
            cycles,
            gating,
            seed,
        })
    }

    /// The model as it is measured and exported: with rounded weights where an intervention rounds them.
    pub fn model(&self) -> &Model {
        self.rounded.as_ref().unwrap_or(&self.latent)
    }

    /// What another learner needs to go on from here, bit for bit: all randomness is a function of the step.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let (weights, optimizer) = (self.latent.parameters(), self.optimizer.state());
        Snapshot { steps: self.made, weights, optimizer, companions: self.companions.kept() }
    }

    /// Goes on from the snapshot of a learner of the same model and training, and the losses of its steps.
    pub fn restore(&mut self, restored: Restored, losses: impl Iterator<Item = f64>) {
        let Restored { steps, weights, optimizer, companions } = restored;
        *self.latent.parameters_mut() = weights;
        self.sync_rounded();
        let mut left_out = 0;
        for (step, loss) in losses.enumerate() {
            if self.cycles.is_some_and(|cycles| cycles.begin(step)) {
                self.spikes = Spikes::default();
            }
            left_out += usize::from(self.spikes.judge(loss).is_some() && self.train.on_spike == OnSpike::Skip);
        }
        self.made = steps;
        let updates = steps.saturating_sub(left_out);
        self.optimizer.restore(optimizer, updates);
        self.companions.restore(companions, updates);
    }

    /// The steps before `step` whose targets a learner that goes on there has to count again, in order.
    pub(super) fn counted_before(&self, step: usize) -> Range<usize> {
        self.gating.as_ref().map_or(0..0, |gating| gating.before(step))
    }

    /// Counts the targets of a step, where an intervention depends on them.
    pub(super) fn count(&mut self, targets: &[u32]) {
        if let Some(gating) = &mut self.gating {
            gating.count(targets);
        }
    }

    /// Updates the model, its rounded weights, the optimizer and the companions by the gradients of `step` times `clip`.
    pub(super) fn update(&mut self, step: usize, factor: f64, clip: f64) {
        let embedding = self.cycles.map(|cycles| cycles.pace(self.train, step));
        self.optimizer.step(self.latent.parameters_mut(), &self.gradients, factor, clip, embedding);
        update_output(self.interventions, &mut self.latent);
        self.sync_rounded();
        self.companions.update(&self.latent, factor, clip);
    }

    /// Re-initialises the token embedding, and clears its optimizer's moments and the losses by which spikes are detected.
    pub(super) fn reset_embedding(&mut self, draw: &mut Draw) {
        self.latent.forget_embedding(draw);
        self.sync_rounded();
        self.optimizer.forget_embedding();
        self.spikes = Spikes::default();
    }

    fn sync_rounded(&mut self) {
        if let Some(rounded) = &mut self.rounded {
            sync_rounded(self.interventions, &self.latent, rounded);
        }
    }
}
