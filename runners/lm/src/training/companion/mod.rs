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

use self::own::own_parameters;
use self::second::checkpoint;
use super::TrainError;
use super::interventions::{Interventions, ListedObjective, objectives};
use super::terms::{Penalty, free_name};
use super::upstream::{add_to, add_to_one};
use crate::engine::{Engine, Numbers, Sum, Upstream};
use crate::model::{Decoder, Parameters};
use crate::spec::TrainSpec;
use regatta_core::{Companion, Compared};
use std::borrow::Cow;
use std::ops::Range;

/// The objectives of an arm. Empty in most arms, and then free. Second models and parameters are the engine's.
#[derive(Default)]
pub(super) struct Companions<'a> {
    compared: Vec<ComparedModels<'a>>,
}

/// One objective; the engine has its second model, at the same place in its list.
struct ComparedModels<'a> {
    listed: ListedObjective<'a>,
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
    /// Those of `interventions`, made beside the model of `engine` before its first step.
    ///
    /// # Errors
    /// When a checkpoint cannot be read or does not fit the model.
    pub fn new(interventions: &'a Interventions, engine: &mut Engine, train: &TrainSpec, seed: u64) -> Result<Self, TrainError> {
        let objectives = objectives(interventions);
        let decoder = engine.decoder().clone();
        let (parameters, ranges) = own_parameters(&objectives, decoder.width, seed)?;
        let context = train.context.map_or(decoder.context, |context| context.get());
        for ListedObjective { objective, .. } in &objectives {
            match objective.companion() {
                Companion::Checkpoint(folder) => {
                    engine.add_checkpoint(checkpoint(&folder, objective.compared(), &decoder, context)?)?;
                }
                Companion::MovingAverage { decay } => engine.add_average(decay)?,
            }
        }
        engine.set_own(parameters, train)?;
        let compared = objectives.into_iter().zip(ranges).map(|(listed, tensors)| ComparedModels { listed, tensors });
        Ok(Self { compared: compared.collect() })
    }

    /// Begins a step: appends a [`Penalty`] of value 0 for each objective, in order.
    pub fn begin(&self, penalties: &mut Vec<Penalty>) {
        for ComparedModels { listed, .. } in &self.compared {
            let name = free_name(penalties.iter().map(|penalty| &*penalty.name), listed.plugin);
            penalties.push(Penalty { name, weight: listed.objective.weight(), value: Sum::default() });
        }
    }

    /// Takes a part of a batch of `sequences` sequences through each companion. Adds the part's fraction of each objective to
    /// `penalties`, which [`Self::begin`] appended, and the gradient of their weighted sum in the model's outputs to `upstream`. The
    /// part went through the model before. An objective is taken for a mean over tokens.
    ///
    /// # Errors
    /// When the batch does not fit a companion, or an objective fails.
    pub fn objectives(
        &self,
        engine: &mut Engine,
        (inputs, sequences): (&[u32], usize),
        step: usize,
        (penalties, upstream): (&mut [Penalty], &mut Upstream<Numbers>),
    ) -> Result<(), TrainError> {
        let fraction = engine.pass().shape().0 as f64 / sequences as f64;
        for (second, (ComparedModels { listed, tensors }, penalty)) in self.compared.iter().zip(penalties).enumerate() {
            let objective = listed.objective;
            let own = engine.output(objective.compared())?;
            let companion = engine.second_output(second, objective.compared(), inputs)?;
            let parameters = engine.own_leaves(tensors)?;
            let weight = objective.weight() * fraction;
            let found = engine.objective(objective, (&own, &companion), &parameters, weight);
            let failed = |error| TrainError::Intervention { name: listed.name.clone(), step, source: Box::new(error) };
            let (value, gradients) = found.map_err(failed)?;
            let mut gradients = gradients.into_iter();
            if let Some(gradient) = gradients.next().flatten() {
                match objective.compared() {
                    Compared::LastHiddenState => add_to(&mut upstream.hidden_states, engine.decoder().layers, gradient)?,
                    Compared::Logits => add_to_one(&mut upstream.logits, gradient)?,
                }
            }
            engine.add_own_gradients(tensors, gradients)?;
            penalty.value.add(value, |value| fraction * value);
        }
        Ok(())
    }

    /// What has to be kept in checkpoints, by group, in the order of [`kept_shapes`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn kept<'e>(&self, engine: &'e Engine) -> candle_core::Result<Vec<(String, Cow<'e, Parameters>)>> {
        let names = self.compared.iter().map(|compared| average_group(&compared.listed.name));
        let averages = names.zip(engine.averages()?).filter_map(|(name, average)| average.map(|average| (name, average)));
        let own = engine.own_state()?.into_iter().map(|(group, numbers)| (group.to_owned(), numbers));
        Ok(averages.chain(own).collect())
    }
}

#[cfg(test)]
mod tests;
