//! Where interventions act in a step. Names none of them.

use super::terms::{Penalty, free_name};
use crate::engine::{Dropout, Noise, Randomness, Sum};
use crate::optimizer::Pace;
use crate::spec::TrainSpec;
use regatta_core::{Action, CompanionObjective, Draw, EmbeddingNoise, Intervention, OutputUpdate, Plugin, WeightRounding};

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

/// The roundings of linear layers.
pub(super) fn roundings(interventions: &Interventions) -> Vec<&dyn WeightRounding> {
    let actions = interventions.iter().map(|plugin| plugin.0.action());
    actions.filter_map(|action| if let Some(Action::WeightRounding(rounding)) = action { Some(rounding) } else { None }).collect()
}

/// The changes of the output matrix after an update.
pub(super) fn output_updates(interventions: &Interventions) -> Vec<&dyn OutputUpdate> {
    let actions = interventions.iter().map(|plugin| plugin.0.action());
    actions.filter_map(|action| if let Some(Action::OutputUpdate(update)) = action { Some(update) } else { None }).collect()
}

/// Adds noise to the embeddings of a sequence of the batch of `step`, given its index in the batch; `None` where no intervention
/// does. `what` keeps the draws of a second view of the batch apart.
fn embedding_noise<'a>(
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

/// The randomness of a step: dropout's masks, and noise on the embeddings.
pub(super) fn randomness<'a>(
    train: &TrainSpec,
    interventions: &'a Interventions,
    width: usize,
    (seed, step): (u64, usize),
) -> Randomness<'a> {
    let rate = train.dropout.get();
    let mask = |purpose| (rate > 0.0).then(|| Dropout::new(rate, Draw::new(seed, purpose, step as u64, 0)));
    let noise = |what| embedding_noise(interventions, width, (seed, step), what).map(|noise| Box::new(noise) as Noise<'a>);
    Randomness { dropout: ["dropout", "view"].map(mask), noise: ["noise", "view noise"].map(noise) }
}

/// Appends a [`Penalty`] of value 0 for each intervention that adds the squared log-normaliser of the logits to the loss, and returns
/// the sum of their weights.
pub(super) fn begin_normalizers(interventions: &Interventions, penalties: &mut Vec<Penalty>) -> f64 {
    let mut sum = 0.0;
    for plugin in interventions {
        if let Some(Action::LogNormalizer { weight }) = plugin.0.action() {
            let name = free_name(penalties.iter().map(|penalty| &*penalty.name), plugin.name());
            penalties.push(Penalty { name, weight, value: Sum::default() });
            sum += weight;
        }
    }
    sum
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
