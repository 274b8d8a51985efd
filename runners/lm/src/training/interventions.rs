//! Where interventions act in a step. Names none of them.

use crate::model::Model;
use crate::optimizer::Pace;
use crate::spec::TrainSpec;
use rayon::prelude::*;
use regatta_core::{Draw, Intervention, Plugin};

/// An arm's interventions, in the order written.
pub type Interventions = [Plugin<dyn Intervention>];

/// The cycles of a token embedding that is forgotten again and again: at steps `every`, 2·`every`, ... it starts anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cycles {
    /// Which of the arm's interventions forgets.
    index: usize,
    every: usize,
}

impl Cycles {
    pub fn of(interventions: &Interventions) -> Option<Self> {
        let every = |plugin: &Plugin<dyn Intervention>| plugin.0.forgets_embedding_every();
        let mut all = interventions.iter().map(every).enumerate();
        all.find_map(|(index, every)| Some(Self { index, every: every?.get() }))
    }

    /// Whether a cycle other than the first begins with `step`.
    pub fn begin(self, step: usize) -> bool {
        step > 0 && step.is_multiple_of(self.every)
    }

    /// What a fresh embedding comes from.
    pub fn draw(self, seed: u64, step: usize) -> Draw {
        Draw::new(seed, &format!("intervention {} embedding", self.index), step as u64, 0)
    }

    /// The embedding's pace: the study's schedule over a cycle, and updates counted from its start.
    pub fn pace(self, train: &TrainSpec, step: usize) -> Pace {
        let since = step % self.every;
        Pace { factor: train.schedule.factor(since, self.every), updates: i32::try_from(since + 1).unwrap_or(i32::MAX) }
    }
}

/// The model with its linear layers rounded; `None` where no intervention rounds.
pub(super) fn rounded(interventions: &Interventions, model: &Model) -> Option<Model> {
    interventions.iter().any(|plugin| plugin.0.rounds()).then(|| {
        let mut rounded = model.copy();
        round_again(interventions, model, &mut rounded);
        rounded
    })
}

/// Makes `rounded` follow `model`, whose weights moved.
pub(super) fn round_again(interventions: &Interventions, model: &Model, rounded: &mut Model) {
    rounded.parameters_mut().numbers_mut().copy_from_slice(model.parameters().numbers());
    interventions.iter().filter(|plugin| plugin.0.rounds()).for_each(|plugin| round(&*plugin.0, rounded));
}

/// Each matrix by one thread.
fn round(intervention: &dyn Intervention, model: &mut Model) {
    let layers: Vec<_> = model.linear_mut().collect();
    layers.into_par_iter().for_each(|(weights, inputs, outputs)| intervention.round(weights, inputs, outputs));
}

/// What changes the embeddings of each sequence of the batch of `step`; `None` where no intervention does. A second view of the
/// batch has draws of its own, `what` tells them apart.
pub(super) fn perturbation<'a>(
    interventions: &'a Interventions,
    dims: usize,
    (seed, step): (u64, usize),
    what: &'a str,
) -> Option<impl Fn(usize, &mut [f32]) + Sync + 'a> {
    interventions.iter().any(|plugin| plugin.0.perturbs()).then_some(move |sequence: usize, embeddings: &mut [f32]| {
        for (index, plugin) in interventions.iter().enumerate().filter(|(_, plugin)| plugin.0.perturbs()) {
            let purpose = format!("intervention {index} {what}");
            plugin.0.perturb(embeddings, dims, &mut Draw::new(seed, &purpose, step as u64, sequence as u64));
        }
    })
}

#[cfg(test)]
mod tests;
