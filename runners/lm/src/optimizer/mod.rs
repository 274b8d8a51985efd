//! Optimizers: an update of every tensor by its role, and the state that is kept for the next.
//!
//! | file | what |
//! |---|---|
//! | `groups` | method, learning rate and decay of each role |
//! | `adamw`, `coupled_adam`, `muon` | an update of one tensor |
//! | `orthogonal` | Newton-Schulz steps |

mod adamw;
mod coupled_adam;
mod groups;
mod muon;
mod orthogonal;

use crate::model::{Decoder, Parameters, Role, TensorSpec};
use crate::spec::{OptimizerSpec, TrainSpec};
use adamw::{Rates, parts};
use groups::{Method, columns};
use muon::Update;
use rayon::prelude::*;
use std::ops::Range;

/// Where a parameter is in its training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The schedule's factor of its peak learning rate.
    pub factor: f64,
    /// Updates k that its moments have seen, this one included.
    pub updates: i32,
}

/// An optimizer and its state. Tensors have the state that their method needs: AdamW two moments, coupled Adam a second one for all
/// rows, Muon a momentum.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimizerSpec,
    rules: Vec<Rule>,
    updates: i32,
    first: Parameters,
    second: Parameters,
    momentum: Parameters,
}

/// Of one tensor.
#[derive(Debug)]
struct Rule {
    method: Method,
    /// Peak learning rate.
    lr: f64,
    decay: f64,
    /// Columns that are a matrix to Muon.
    maps: Vec<Range<usize>>,
}

impl Optimizer {
    /// The study's, for a model of this shape.
    pub fn new(decoder: &Decoder, train: &TrainSpec) -> Self {
        Self::of(&decoder.tensors().list(), train, |role| match role {
            Role::Matrix(matrix) => columns(decoder, matrix),
            _ => Vec::new(),
        })
    }

    /// For parameters of interventions.
    pub(crate) fn of_own(parameters: &Parameters, train: &TrainSpec) -> Self {
        let specs: Vec<TensorSpec> = parameters.each().map(|(spec, _)| spec.clone()).collect();
        Self::of(&specs, train, |_| Vec::new())
    }

    fn of(tensors: &[TensorSpec], train: &TrainSpec, maps: impl Fn(Role) -> Vec<Range<usize>>) -> Self {
        let spec = train.optimizer;
        let rule = |tensor: &TensorSpec| Rule {
            method: spec.method(tensor.role),
            lr: spec.lr(tensor, train.lr),
            decay: spec.weight_decay(tensor),
            maps: maps(tensor.role),
        };
        let rules: Vec<Rule> = tensors.iter().map(rule).collect();
        let kept = |shape: fn(Method, &[usize]) -> Option<Vec<usize>>| {
            let of = |(tensor, rule): (&TensorSpec, &Rule)| {
                Some(TensorSpec { shape: shape(rule.method, &tensor.shape)?, ..tensor.clone() })
            };
            Parameters::of(tensors.iter().zip(&rules).filter_map(of).collect())
        };
        Self {
            spec,
            updates: 0,
            first: kept(|method, shape| (!matches!(method, Method::Muon)).then(|| shape.to_vec())),
            second: kept(|method, shape| match method {
                Method::AdamW => Some(shape.to_vec()),
                Method::Coupled => shape.last().map(|&width| vec![width]),
                Method::Muon => None,
            }),
            momentum: kept(|method, shape| matches!(method, Method::Muon).then(|| shape.to_vec())),
            rules,
        }
    }

    /// What has to be kept in checkpoints, by group.
    pub fn state(&self) -> Vec<(&'static str, &Parameters)> {
        let all = [("first.", &self.first), ("second.", &self.second), ("momentum.", &self.momentum)];
        all.into_iter().filter(|(_, state)| !state.numbers().is_empty()).collect()
    }

    /// The same, to change.
    pub(crate) fn state_mut(&mut self) -> Vec<(&'static str, &mut Parameters)> {
        let all = [("first.", &mut self.first), ("second.", &mut self.second), ("momentum.", &mut self.momentum)];
        all.into_iter().filter(|(_, state)| !state.numbers().is_empty()).collect()
    }

    /// What [`Self::state`] shows.
    pub(crate) fn into_state(self) -> Vec<Parameters> {
        let all = [self.first, self.second, self.momentum];
        all.into_iter().filter(|state| !state.numbers().is_empty()).collect()
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
        let Self { spec, rules, updates, first, second, momentum } = self;
        let body = Pace { factor, updates: *updates };
        let (mut first, mut second, mut momentum) = (numbers(first), numbers(second), numbers(momentum));
        let (mut of_adamw, mut of_muon) = (Vec::new(), Vec::new());
        for (rule, ((tensor, weights), (_, gradient))) in rules.iter().zip(parameters.each_mut().zip(gradients.each())) {
            let Pace { factor, updates } = embedding.filter(|_| tensor.role == Role::Embedding).unwrap_or(body);
            let (lr, decay) = (rule.lr * factor, rule.decay);
            let rates = || Rates::new(spec.adamw(), (lr, decay), updates, clip);
            match rule.method {
                Method::AdamW => {
                    let rates = rates();
                    let parts = parts(weights, gradient, next(&mut first), next(&mut second));
                    of_adamw.extend(parts.map(|part| (rates, part)));
                }
                Method::Coupled => coupled_adam::update(rates(), weights, gradient, next(&mut first), next(&mut second)),
                Method::Muon => {
                    let (momentum, outputs) = (next(&mut momentum), tensor.shape[1]);
                    of_muon.push(Update { weights, gradient, momentum, outputs, maps: &rule.maps, lr, decay, clip });
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
