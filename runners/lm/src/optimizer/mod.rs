//! Optimizers: an update of every tensor by its role, and the state that is kept for the next.
//!
//! | file | what |
//! |---|---|
//! | `rules`, `groups` | method, learning rate and decay of each tensor, on any engine |
//! | `adamw`, `coupled_adam`, `muon` | an update of one tensor |
//! | `orthogonal` | Newton-Schulz steps |

mod adamw;
mod coupled_adam;
mod groups;
mod muon;
mod orthogonal;
mod rules;

use crate::model::{Decoder, Parameters, Role};
use crate::spec::{OptimizerSpec, TrainSpec};
use adamw::parts;
use muon::Update;
use rayon::prelude::*;

pub(crate) use adamw::Rates;
pub(crate) use groups::Method;
pub(crate) use orthogonal::{COEFFICIENTS, LEAST_NORM};
pub use rules::Pace;
pub(crate) use rules::{Rule, Rules, State};

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    rules: Rules,
    updates: i32,
    state: State,
}

impl Optimizer {
    /// The study's, for a model of this shape.
    pub fn new(decoder: &Decoder, train: &TrainSpec) -> Self {
        Self::of(Rules::of_model(decoder, train))
    }

    /// For parameters of interventions.
    pub(crate) fn of_own(parameters: &Parameters, train: &TrainSpec) -> Self {
        Self::of(Rules::of_own(parameters, train))
    }

    fn of(rules: Rules) -> Self {
        Self { updates: 0, state: rules.state(), rules }
    }

    /// What has to be kept in checkpoints, by group.
    pub fn state(&self) -> Vec<(&'static str, &Parameters)> {
        self.state.groups()
    }

    /// The same, to change.
    pub(crate) fn state_mut(&mut self) -> Vec<(&'static str, &mut Parameters)> {
        self.state.groups_mut()
    }

    /// What [`Self::state`] shows.
    pub(crate) fn into_state(self) -> Vec<Parameters> {
        self.state.into_groups().into_iter().map(|(_, group)| group).collect()
    }

    /// Goes on from what [`Self::state`] gave, in its order, after so many updates.
    pub(crate) fn restore(&mut self, state: impl IntoIterator<Item = Parameters>, updates: usize) {
        self.state_mut().into_iter().zip(state).for_each(|((_, here), kept)| *here = kept);
        self.updates = i32::try_from(updates).unwrap_or(i32::MAX);
    }

    /// How many updates were made.
    #[cfg(test)]
    pub(crate) fn updates(&self) -> usize {
        self.updates as usize
    }

    /// Sets what is known of the token embedding's gradients to 0.
    pub(crate) fn forget_embedding(&mut self) {
        for (_, state) in self.state_mut() {
            let embeddings = state.each_mut().filter(|(spec, _)| spec.role == Role::Embedding);
            embeddings.for_each(|(_, numbers)| numbers.fill(0.0));
        }
    }

    /// One update of every parameter: by the schedule's `factor` of its learning rate, and its gradient times `clip`, the factor of
    /// clipping; of the token embedding at a pace of its own, where it has one.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: &Parameters, factor: f64, clip: f64, embedding: Option<Pace>) {
        self.updates += 1;
        let Self { rules: Rules { spec, each }, updates, state: State { first, second, momentum } } = self;
        let body = Pace { factor, updates: *updates };
        let (mut first, mut second, mut momentum) = (numbers(first), numbers(second), numbers(momentum));
        let (mut of_adamw, mut of_muon) = (Vec::new(), Vec::new());
        for (rule, ((tensor, weights), (_, gradient))) in each.iter().zip(parameters.each_mut().zip(gradients.each())) {
            let pace = rule.pace(body, embedding);
            let rates = || rule.rates(spec, pace, clip);
            match rule.method {
                Method::AdamW => {
                    let rates = rates();
                    let parts = parts(weights, gradient, next(&mut first), next(&mut second));
                    of_adamw.extend(parts.map(|part| (rates, part)));
                }
                Method::Coupled => coupled_adam::update(rates(), weights, gradient, next(&mut first), next(&mut second)),
                Method::Muon => {
                    let (momentum, outputs, maps) = (next(&mut momentum), tensor.shape[1], &rule.maps);
                    let (lr, decay) = (rule.lr * pace.factor, rule.decay);
                    of_muon.push(Update { weights, gradient, momentum, outputs, maps, lr, decay, clip });
                }
            }
        }
        if let OptimizerSpec::Muon(spec) = spec {
            of_muon.into_par_iter().with_max_len(1).for_each(|update| update.make(spec));
        }
        of_adamw.into_par_iter().for_each(|(rates, part)| part.update(rates));
    }
}

/// Tensor after tensor.
fn numbers(state: &mut Parameters) -> impl Iterator<Item = &mut [f32]> {
    state.each_mut().map(|(_, numbers)| numbers)
}

fn next<'a>(state: &mut impl Iterator<Item = &'a mut [f32]>) -> &'a mut [f32] {
    state.next().expect("state of each tensor that its method needs")
}

#[cfg(test)]
mod tests;
