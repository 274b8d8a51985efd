//! What training changes and keeps: a model on its engine, and the state of interventions.

use super::TrainError;
use super::companion::Companions;
use super::gating::Gating;
use super::interventions::{Cycles, Interventions, output_updates, roundings};
use super::snapshot::{Restored, Snapshot};
use super::spikes::Spikes;
use crate::device::Compute;
use crate::engine::{Engine, Measured};
use crate::model::{Decoder, Model};
use crate::spec::{OnSpike, Term, TrainSpec};
use regatta_core::Draw;
use std::ops::Range;

/// A model and its optimizer, with what a step needs to know.
pub struct Learner<'a> {
    pub(super) engine: Engine,
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
    /// `model` with a new optimizer, trained by kernels. Randomness of its steps derives from `seed`.
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
        Self::on(&Compute::Kernels, model, train, terms, interventions, seed)
    }

    /// As [`Self::new`], on a device.
    ///
    /// # Errors
    /// As [`Self::new`], and when the device fails.
    pub fn on(
        compute: &Compute,
        model: Model,
        train: &'a TrainSpec,
        terms: &'a [Term],
        interventions: &'a Interventions,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let steps = train.steps_of(model.decoder()).map_err(TrainError::Length)?.get();
        let gating = Gating::of(interventions, model.decoder().vocab_size);
        let mut engine = Engine::new(compute, model, train)?;
        engine.round(&roundings(interventions))?;
        Ok(Self {
            companions: Companions::new(interventions, &mut engine, train, seed)?,
            engine,
            spikes: Spikes::default(),
            made: 0,
            steps,
            train,
            terms,
            interventions,
            cycles: Cycles::of(interventions),
            gating,
            seed,
        })
    }

    /// Lets the backward pass compute each block again from its input, where the engine can: less memory, the same numbers.
    pub fn recompute(&mut self) {
        self.engine.recompute();
    }

    /// The model's shape.
    pub fn decoder(&self) -> &Decoder {
        self.engine.decoder()
    }

    /// The model as it is measured and exported: with rounded weights where an intervention rounds them.
    pub fn measured(&self) -> Measured<'_> {
        self.engine.measured()
    }

    /// Steps made, those without an update included.
    pub fn made(&self) -> usize {
        self.made
    }

    /// What another learner needs to go on from here, bit for bit: all randomness is a function of the step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, TrainError> {
        let (weights, optimizer) = (self.engine.weights()?, self.engine.optimizer_state()?);
        Ok(Snapshot { steps: self.made, weights, optimizer, companions: self.companions.kept(&self.engine)? })
    }

    /// Goes on from the snapshot of a learner of the same model and training, and the losses of its steps.
    ///
    /// # Errors
    /// When the device fails.
    pub fn restore(&mut self, restored: Restored, losses: impl Iterator<Item = f64>) -> Result<(), TrainError> {
        let Restored { steps, weights, optimizer, companions } = restored;
        let mut left_out = 0;
        for (step, loss) in losses.enumerate() {
            if self.cycles.is_some_and(|cycles| cycles.begin(step)) {
                self.spikes = Spikes::default();
            }
            left_out += usize::from(self.spikes.judge(loss).is_some() && self.train.on_spike == OnSpike::Skip);
        }
        self.made = steps;
        let updates = steps.saturating_sub(left_out);
        self.engine.restore(weights, optimizer, companions, updates)?;
        self.round()
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
    pub(super) fn update(&mut self, step: usize, factor: f64, clip: f64) -> Result<(), TrainError> {
        let embedding = self.cycles.map(|cycles| cycles.pace(self.train, step));
        self.engine.update(factor, clip, embedding, &output_updates(self.interventions))?;
        self.round()?;
        Ok(self.engine.update_companions(factor, clip)?)
    }

    /// Re-initialises the token embedding, and clears its optimizer's moments and the losses by which spikes are detected.
    pub(super) fn reset_embedding(&mut self, draw: &mut Draw) -> Result<(), TrainError> {
        self.engine.reset_embedding(draw)?;
        self.spikes = Spikes::default();
        self.round()
    }

    fn round(&mut self) -> Result<(), TrainError> {
        Ok(self.engine.round(&roundings(self.interventions))?)
    }
}

#[cfg(test)]
impl Learner<'_> {
    /// The model as it is measured, in memory.
    pub(crate) fn model(&self) -> Model {
        self.measured().model().unwrap().into_owned()
    }

    /// The gradients of the last step.
    pub(crate) fn gradients(&self) -> crate::model::Parameters {
        self.engine.gradients()
    }
}
