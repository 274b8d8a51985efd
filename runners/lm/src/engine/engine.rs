//! The seam between a training step and the engine that computes it.

use super::activations::Activations;
use super::batch::{BatchError, Keep, Upstream};
use super::measured::Measured;
use super::numbers::{Groups, Numbers};
use super::randomness::Randomness;
use super::sum::{Scalar, Sum};
use super::{candle, kernels};
use crate::device::Compute;
use crate::model::{Decoder, Map, Model, Parameters};
use crate::optimizer::Pace;
use crate::spec::TrainSpec;
use candle_core::{Result, Tensor, Var};
use regatta_core::{Cloud, CompanionObjective, Compared, Draw, OutputUpdate, Regularizer, Site, WeightRounding};
use regatta_kernels::Precision;
use std::borrow::Cow;
use std::ops::Range;

/// A model in training, with its gradients, optimizer, companions and passes, on the engine that has them.
pub(crate) enum Engine {
    /// Loops on slices, on the CPU.
    Kernels(Box<kernels::State>),
    /// candle's operations, on a device.
    Candle(Box<candle::State>),
}

/// `call` on the state of whichever engine it is.
macro_rules! on {
    ($engine:expr, $state:ident => $call:expr) => {
        match $engine {
            Engine::Kernels($state) => $call,
            Engine::Candle($state) => $call,
        }
    };
}

/// Before the first step.
impl Engine {
    /// `model` with a new optimizer.
    ///
    /// # Errors
    /// When the device fails; so for all methods below.
    pub fn new(compute: &Compute, model: Model, train: &TrainSpec) -> Result<Self> {
        Ok(match compute {
            Compute::Kernels => Self::Kernels(Box::new(kernels::State::new(model, train))),
            Compute::Candle(device) => Self::Candle(Box::new(candle::State::new(&model, train, device)?)),
        })
    }

    /// Adds a second model for objectives to compare with, counted from 0: one that stays as it is.
    pub fn add_checkpoint(&mut self, model: Model) -> Result<()> {
        match self {
            Self::Kernels(state) => state.add_checkpoint(model),
            Self::Candle(state) => state.add_checkpoint(&model)?,
        }
        Ok(())
    }

    /// Adds a second model: the moving average of this one.
    pub fn add_average(&mut self, decay: f64) -> Result<()> {
        on!(self, state => state.add_average(decay))
    }

    /// Sets the parameters of objectives that are trained with the model.
    pub fn set_own(&mut self, parameters: Parameters, train: &TrainSpec) -> Result<()> {
        on!(self, state => state.set_own(parameters, train))
    }
}

/// How much it remembers.
impl Engine {
    /// From now on, the backward pass computes each block again from its input; the kernels, whose buffers are small, go on as
    /// they are.
    pub fn recompute(&mut self) {
        match self {
            Self::Kernels(_) => {}
            Self::Candle(state) => state.recompute(),
        }
    }
}

/// A step, in the order in which it calls them.
impl Engine {
    /// Passes for batches of `shape`, sequences and tokens of each; a second one where a term compares views.
    pub fn begin(&mut self, shape: (usize, usize), keep: Keep, precision: Precision, views: bool) -> Result<()> {
        on!(self, state => state.begin(shape, keep, precision, views))
    }

    /// Takes token ids through the model; their first sequence has the index `first` in the batch.
    pub fn forward(&mut self, first: usize, ids: &[u32], randomness: &Randomness<'_>) -> std::result::Result<(), BatchError> {
        on!(self, state => state.forward(first, ids, randomness))
    }

    /// What the first pass shows.
    pub fn pass(&self) -> &dyn Activations {
        on!(self, state => state.pass())
    }

    /// What the second pass shows, where the step makes one.
    pub fn view(&self) -> Option<&dyn Activations> {
        on!(self, state => state.view())
    }

    /// The rows of a matrix: embedding, output matrix, or a linear map of a block from 0, one row for each output.
    pub fn matrix(&self, site: Site, map: Option<Map>, block: usize) -> Result<Numbers> {
        on!(self, state => state.matrix(site, map, block))
    }

    /// Does each job, in parallel where that helps; results are in the order of the jobs.
    pub fn each<J: Sync, R: Send>(&self, jobs: &[J], done: impl Fn(&J) -> R + Send + Sync) -> Vec<R> {
        on!(self, state => state.each(jobs, done))
    }

    /// A penalty, and the gradient of `weight` times it in each leaf.
    pub fn penalty(
        &self,
        regularizer: &dyn Regularizer,
        cloud: &Cloud,
        leaves: &[&Var],
        weight: f64,
        draw: &mut Draw,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        on!(self, state => state.penalty(regularizer, cloud, leaves, weight, draw))
    }

    /// The model's output of the batch that went through it last, as a leaf.
    pub fn output(&self, compared: Compared) -> Result<Var> {
        on!(self, state => state.output(compared))
    }

    /// That of a second model.
    pub fn second_output(&mut self, second: usize, compared: Compared, ids: &[u32]) -> std::result::Result<Tensor, BatchError> {
        on!(self, state => state.second_output(second, compared, ids))
    }

    /// Leaves of some of the objectives' parameters.
    pub fn own_leaves(&self, tensors: &Range<usize>) -> Result<Vec<Var>> {
        on!(self, state => state.own_leaves(tensors))
    }

    /// An objective, and the gradient of `weight` times it in the model's output, then in each parameter.
    pub fn objective(
        &self,
        objective: &dyn CompanionObjective,
        outputs: (&Var, &Tensor),
        parameters: &[Var],
        weight: f64,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        on!(self, state => state.objective(objective, outputs, parameters, weight))
    }

    /// Adds to the gradients of some of the objectives' parameters; `None` is a gradient of 0.
    pub fn add_own_gradients(&mut self, tensors: &Range<usize>, gradients: impl Iterator<Item = Option<Numbers>>) -> Result<()> {
        on!(self, state => state.add_own_gradients(tensors, gradients))
    }

    /// The gradient of the losses' sum over `tokens`, the tokens of the whole batch, and of what `upstream` adds to both passes: set
    /// by the first part of a batch, added by the others. Adds to the sum of the losses, and to that of the squared log-normalisers
    /// over `tokens` where `upstream` has a factor of them.
    pub fn backward(
        &mut self,
        (targets, tokens): (&[u32], usize),
        upstream: [Upstream<Numbers>; 2],
        randomness: &Randomness<'_>,
        is_first: bool,
        sums: (&mut Sum, &mut Sum),
    ) -> Result<()> {
        match self {
            Self::Kernels(state) => state.backward((targets, tokens), upstream, randomness, is_first, sums),
            Self::Candle(state) => state.backward((targets, tokens), upstream, is_first, sums), // its passes remember their masks
        }
    }

    /// Reads what the step recorded. Returns the norm of all gradients together, the model's and those of objectives' parameters, and
    /// the name of the first tensor whose gradient is not finite.
    pub fn read<'a>(&mut self, sums: impl Iterator<Item = &'a mut Sum>) -> Result<(f64, Option<String>)> {
        on!(self, state => state.read(sums))
    }

    /// Updates the model by its gradients times `clip`, then its output matrix by `outputs`.
    pub fn update(&mut self, factor: f64, clip: f64, embedding: Option<Pace>, outputs: &[&dyn OutputUpdate]) -> Result<()> {
        on!(self, state => state.update(factor, clip, embedding, outputs))
    }

    /// Sets the weights that batches go through to the rounded ones, where there is a rounding.
    pub fn round(&mut self, roundings: &[&dyn WeightRounding]) -> Result<()> {
        on!(self, state => state.round(roundings))
    }

    /// Updates the objectives' parameters by their gradients times `clip`, and the moving averages by the model's new weights.
    pub fn update_companions(&mut self, factor: f64, clip: f64) -> Result<()> {
        on!(self, state => state.update_companions(factor, clip))
    }

    /// Draws the token embedding anew, and clears its moments.
    pub fn reset_embedding(&mut self, draw: &mut Draw) -> Result<()> {
        on!(self, state => state.reset_embedding(draw))
    }
}

/// Between steps.
impl Engine {
    /// The model's shape.
    pub fn decoder(&self) -> &Decoder {
        on!(self, state => state.decoder())
    }

    /// The model as it is measured: with rounded weights where there is a rounding.
    pub fn measured(&self) -> Measured<'_> {
        match self {
            Self::Kernels(state) => state.model().into(),
            Self::Candle(state) => state.model().into(),
        }
    }

    /// The trainable parameters.
    pub fn weights(&self) -> Result<Cow<'_, Parameters>> {
        on!(self, state => state.weights())
    }

    /// What the optimizer keeps.
    pub fn optimizer_state(&self) -> Result<Groups<'_>> {
        on!(self, state => state.optimizer_state())
    }

    /// Of each second model, its weights where it is a moving average.
    pub fn averages(&self) -> Result<Vec<Option<Cow<'_, Parameters>>>> {
        on!(self, state => state.averages())
    }

    /// The objectives' parameters and their moments; empty where there are none.
    pub fn own_state(&self) -> Result<Groups<'_>> {
        on!(self, state => state.own_state())
    }

    /// Goes on from what [`Self::weights`], [`Self::optimizer_state`], and [`Self::averages`] followed by [`Self::own_state`] gave
    /// after so many updates.
    pub fn restore(
        &mut self,
        weights: Parameters,
        optimizer: Vec<Parameters>,
        companions: Vec<Parameters>,
        updates: usize,
    ) -> Result<()> {
        match self {
            Self::Kernels(state) => state.restore(weights, optimizer, companions, updates),
            Self::Candle(state) => state.restore(&weights, optimizer, companions, updates)?,
        }
        Ok(())
    }
}

#[cfg(test)]
impl Engine {
    /// The gradients of the last step.
    pub fn gradients(&self) -> Parameters {
        match self {
            Self::Kernels(state) => state.gradients().clone(),
            Self::Candle(state) => state.gradients(),
        }
    }

    /// Updates of the optimizer.
    pub fn updates(&self) -> usize {
        match self {
            Self::Kernels(state) => state.updates(),
            Self::Candle(_) => panic!("not the engine of kernels"),
        }
    }

    /// The state of the kernels.
    pub fn kernels(&mut self) -> &mut kernels::State {
        match self {
            Self::Kernels(state) => state,
            Self::Candle(_) => panic!("not the engine of kernels"),
        }
    }
}
