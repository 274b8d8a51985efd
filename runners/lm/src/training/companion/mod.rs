//! Interventions that compare the model's output with a companion's: the second model, the objective, and parameters of its own.
//! Names no intervention.
//!
//! The batch goes through the companion after the model, without dropout. The model's output becomes a leaf of a small graph of
//! candle's, the companion's a constant, and the gradient at the leaf enters the model's backward pass ([`Upstream`]). Own
//! parameters are updated by AdamW with the study's learning rate and the settings of its optimizer's AdamW; one global norm clips
//! their gradient and the model's. A moving average is updated after each update of the model; a step without one leaves it alone.

mod own;
mod second;

pub use second::check_companion;

use self::own::{Own, own_parameters};
use self::second::{SecondModel, output};
use super::TrainError;
use super::interventions::{Interventions, ListedObjective, objectives};
use super::terms::{Penalty, free_name};
use super::upstream::{add_to, add_to_one};
use crate::engine::{Pass, Upstream};
use crate::model::{Decoder, Model, Parameters};
use crate::spec::TrainSpec;
use candle_core::Var;
use regatta_core::{Companion, Compared, differentiate};
use std::ops::Range;

/// The companions of an arm, with all that its interventions keep beside the model. Empty in most arms, and then free.
#[derive(Default)]
pub(super) struct Companions<'a> {
    compared: Vec<ComparedModels<'a>>,
    own: Option<Own>,
}

/// One objective, and the second model that it compares the first with.
struct ComparedModels<'a> {
    listed: ListedObjective<'a>,
    second: SecondModel,
    /// Which of the own tensors are its.
    tensors: Range<usize>,
}

/// Zeros, by group, shaped as what the companions of an arm keep in checkpoints beside the model and its optimizer; empty where
/// they keep nothing.
///
/// # Errors
/// When an intervention's parameters cannot be made.
pub(super) fn kept_shapes(
    interventions: &Interventions,
    config: &Decoder,
    seed: u64,
) -> Result<Vec<(String, Parameters)>, TrainError> {
    let mut kept = Vec::new();
    let objectives = objectives(interventions);
    for ListedObjective { objective, name, .. } in &objectives {
        if let Companion::MovingAverage { .. } = objective.companion() {
            kept.push((average_group(name), Parameters::zeros(config)));
        }
    }
    let (own, _) = own_parameters(&objectives, config.width, seed)?;
    if !own.numbers().is_empty() {
        kept.extend(["parameters.", "first.", "second."].map(|group| (group.to_owned(), own.clone())));
    }
    Ok(kept)
}

fn average_group(name: &str) -> String {
    format!("average.{name}.")
}

impl<'a> Companions<'a> {
    /// Those of `interventions`, beside a model before its first step.
    ///
    /// # Errors
    /// When a checkpoint cannot be read or does not fit the model.
    pub fn new(interventions: &'a Interventions, model: &Model, train: &TrainSpec, seed: u64) -> Result<Self, TrainError> {
        let objectives = objectives(interventions);
        let (parameters, ranges) = own_parameters(&objectives, model.decoder().width, seed)?;
        let context = train.context.map_or(model.decoder().context, |context| context.get());
        let compared = |(listed, tensors): (ListedObjective<'a>, Range<usize>)| {
            let second = SecondModel::new(listed.objective, model, context)?;
            Ok(ComparedModels { listed, second, tensors })
        };
        let compared = objectives.into_iter().zip(ranges).map(compared).collect::<Result<_, TrainError>>()?;
        Ok(Self { compared, own: Own::new(parameters, train) })
    }

    /// Begins a step: sets the gradients of own parameters to 0, and appends a [`Penalty`] of value 0 for each objective, in order.
    pub fn begin(&mut self, penalties: &mut Vec<Penalty>) {
        if let Some(own) = &mut self.own {
            own.gradients.numbers_mut().fill(0.0);
        }
        for ComparedModels { listed, .. } in &self.compared {
            let name = free_name(penalties.iter().map(|penalty| &*penalty.name), listed.plugin);
            penalties.push(Penalty { name, weight: listed.objective.weight(), value: 0.0 });
        }
    }

    /// Takes a part of a batch of `sequences` through each companion. Adds the part's fraction of each objective to `penalties`, which
    /// [`Self::begin`] appended, and the gradient of their weighted sum in the model's outputs to `upstream`. `pass` is the model's,
    /// after its forward pass. An objective is taken for a mean over tokens.
    ///
    /// # Errors
    /// When the batch does not fit a companion, or an objective fails.
    pub fn objectives(
        &mut self,
        (model, pass): (&Model, &Pass),
        (inputs, sequences): (&[u32], usize),
        step: usize,
        (penalties, upstream): (&mut [Penalty], &mut Upstream),
    ) -> Result<(), TrainError> {
        let fraction = pass.shape().0 as f64 / sequences as f64;
        for (ComparedModels { listed, second, tensors }, penalty) in self.compared.iter_mut().zip(penalties) {
            let objective = listed.objective;
            let own = Var::from_tensor(&output(objective.compared(), model, pass)?)?;
            let companion = second.output(objective.compared(), pass.shape(), inputs)?;
            let parameters = self.own.as_ref().map_or(Ok(Vec::new()), |all| all.leaves(tensors))?;
            let weight = objective.weight() * fraction;
            let found = differentiate::objective(objective, (&own, &companion), &parameters, weight);
            let failed = |error| TrainError::Intervention { name: listed.name.clone(), step, source: Box::new(error) };
            let (value, gradients) = found.map_err(failed)?;
            let mut gradients = gradients.into_iter();
            if let Some(gradient) = gradients.next().flatten() {
                match objective.compared() {
                    Compared::LastHiddenState => add_to(&mut upstream.hidden_states, model.decoder().layers, gradient),
                    Compared::Logits => add_to_one(&mut upstream.logits, gradient),
                }
            }
            if let Some(all) = &mut self.own {
                all.add_gradients(tensors, gradients);
            }
            penalty.value += fraction * f64::from(value);
        }
        Ok(())
    }

    /// Of the own parameters, where there are any.
    pub fn gradients(&self) -> Option<&Parameters> {
        self.own.as_ref().map(|own| &own.gradients)
    }

    /// Updates the own parameters by their gradient times `clip`, and the moving averages by `model`, which was updated before.
    pub fn update(&mut self, model: &Model, factor: f64, clip: f64) {
        if let Some(own) = &mut self.own {
            own.update(factor, clip);
        }
        self.compared.iter_mut().for_each(|compared| compared.second.update_average(model));
    }

    /// What has to be kept in checkpoints, by group, in the order of [`kept_shapes`].
    pub fn kept(&self) -> Vec<(String, &Parameters)> {
        let averages = self.compared.iter().filter_map(|ComparedModels { listed, second, .. }| {
            second.average().map(|average| (average_group(&listed.name), average))
        });
        let own = self.own.iter().flat_map(Own::kept).map(|(group, numbers)| (group.to_owned(), numbers));
        averages.chain(own).collect()
    }

    /// Goes on from what [`Self::kept`] gave after so many updates.
    pub fn restore(&mut self, kept: Vec<Parameters>, updates: usize) {
        let mut kept = kept.into_iter();
        for average in self.compared.iter_mut().filter_map(|compared| compared.second.average_mut()) {
            kept.next().into_iter().for_each(|found| *average = found);
        }
        if let (Some(own), Some(parameters)) = (&mut self.own, kept.next()) {
            own.restore(parameters, kept, updates);
        }
    }
}

#[cfg(test)]
mod tests;
