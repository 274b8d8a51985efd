//! Where interventions act in a step. Names none of them.

use super::terms::{Penalty, free_name};
use crate::model::Model;
use crate::optimizer::Pace;
use crate::spec::TrainSpec;
use rayon::prelude::*;
use regatta_core::{Action, CompanionObjective, Draw, EmbeddingNoise, Intervention, Plugin, WeightRounding};

/// An arm's interventions, in the order written.
pub type Interventions = [Plugin<dyn Intervention>];

/// The cycles of a token embedding that is re-initialised at steps `every`, 2·`every`, ...
#[derive(Debug, Clone, Copy)]
pub(super) struct Cycles {
    /// The index of the arm's intervention that resets.
    index: usize,
    every: usize,
    lr_factor: f64,
}

impl Cycles {
    pub fn of(interventions: &Interventions) -> Option<Self> {
        interventions.iter().enumerate().find_map(|(index, plugin)| match plugin.0.action() {
            Some(Action::EmbeddingReset { every, lr_factor }) => Some(Self { index, every: every.get(), lr_factor }),
            _ => None,
        })
    }

    /// Whether a cycle other than the first begins with `step`.
    pub fn begin(self, step: usize) -> bool {
        step > 0 && step.is_multiple_of(self.every)
    }

    /// The draw of the embedding that begins with `step`.
    pub fn draw(self, seed: u64, step: usize) -> Draw {
        Draw::new(seed, &format!("intervention {} embedding", self.index), step as u64, 0)
    }

    /// The embedding's pace: the study's schedule over a cycle, and updates counted from its start.
    pub fn pace(self, train: &TrainSpec, step: usize) -> Pace {
        let since = step % self.every;
        let factor = self.lr_factor * train.schedule.factor(since, self.every);
        Pace { factor, updates: i32::try_from(since + 1).unwrap_or(i32::MAX) }
    }
}

fn roundings(interventions: &Interventions) -> impl Iterator<Item = &dyn WeightRounding> {
    interventions.iter().filter_map(|plugin| match plugin.0.action() {
        Some(Action::WeightRounding(rounding)) => Some(rounding),
        _ => None,
    })
}

/// The model with its linear layers rounded; `None` where no intervention rounds.
pub(super) fn rounded(interventions: &Interventions, model: &Model) -> Option<Model> {
    roundings(interventions).next()?;
    let mut rounded = model.copy();
    sync_rounded(interventions, model, &mut rounded);
    Some(rounded)
}

/// Sets `rounded` to the rounded weights of `model`, after its update. Each matrix is rounded by one thread.
pub(super) fn sync_rounded(interventions: &Interventions, model: &Model, rounded: &mut Model) {
    rounded.parameters_mut().numbers_mut().copy_from_slice(model.parameters().numbers());
    for rounding in roundings(interventions) {
        let layers: Vec<_> = rounded.linear_mut().collect();
        layers.into_par_iter().for_each(|(weights, inputs, outputs)| rounding.round(weights, inputs, outputs));
    }
}

/// Adds noise to the embeddings of a sequence of the batch of `step`, given its index in the batch; `None` where no intervention
/// does. `what` keeps the draws of a second view of the batch apart.
pub(super) fn embedding_noise<'a>(
    interventions: &'a Interventions,
    dims: usize,
    (seed, step): (u64, usize),
    what: &'a str,
) -> Option<impl Fn(usize, &mut [f32]) + Sync + 'a> {
    let with_index = |(index, plugin): (usize, &'a Plugin<dyn Intervention>)| match plugin.0.action() {
        Some(Action::EmbeddingNoise(noise)) => Some((format!("intervention {index} {what}"), noise)),
        _ => None,
    };
    let sources: Vec<(String, &dyn EmbeddingNoise)> = interventions.iter().enumerate().filter_map(with_index).collect();
    (!sources.is_empty()).then_some(move |sequence: usize, embeddings: &mut [f32]| {
        let mut noise = vec![0.0; embeddings.len()];
        for (purpose, source) in &sources {
            noise.fill(0.0);
            source.noise(&mut noise, dims, &mut Draw::new(seed, purpose, step as u64, sequence as u64));
            embeddings.iter_mut().zip(&noise).for_each(|(x, noise)| *x += noise);
        }
    })
}

/// Appends a [`Penalty`] of value 0 for each intervention that adds the squared log-normaliser of the logits to the loss, and returns
/// the sum of their weights.
pub(super) fn begin_normalizers(interventions: &Interventions, penalties: &mut Vec<Penalty>) -> f64 {
    let mut sum = 0.0;
    for plugin in interventions {
        if let Some(Action::LogNormalizer { weight }) = plugin.0.action() {
            let name = free_name(penalties.iter().map(|penalty| &*penalty.name), plugin.name());
            penalties.push(Penalty { name, weight, value: 0.0 });
            sum += weight;
        }
    }
    sum
}

/// Changes the output matrix of a model after its update.
pub(super) fn update_output(interventions: &Interventions, model: &mut Model) {
    for plugin in interventions {
        if let Some(Action::OutputUpdate(update)) = plugin.0.action() {
            let dims = model.decoder().width;
            update.apply(model.unembedding_mut(), dims);
        }
    }
}

/// The objective of an intervention in an arm's list.
pub(super) struct ListedObjective<'a> {
    pub objective: &'a dyn CompanionObjective,
    /// The intervention's index in the arm.
    pub index: usize,
    /// The word in YAML.
    pub plugin: &'static str,
    /// What checkpoints call it: the plugin's name, and `name.1` for a second one of that name.
    pub name: String,
}

/// The objectives whose weight is not 0, in order.
pub(super) fn objectives(interventions: &Interventions) -> Vec<ListedObjective<'_>> {
    let mut found: Vec<ListedObjective<'_>> = Vec::new();
    for (index, plugin) in interventions.iter().enumerate() {
        if let Some(objective) = objective(&*plugin.0) {
            let name = free_name(found.iter().map(|other| &*other.name), plugin.name());
            found.push(ListedObjective { objective, index, plugin: plugin.name(), name });
        }
    }
    found
}

/// The objective of `intervention`, where it has one and its weight is not 0.
pub(super) fn objective(intervention: &dyn Intervention) -> Option<&dyn CompanionObjective> {
    match intervention.action() {
        Some(Action::Objective(objective)) if objective.weight() != 0.0 => Some(objective),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
