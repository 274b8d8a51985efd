//! What an update does to each tensor, and at which rates: the knowledge that both engines' optimizers share.

use super::adamw::Rates;
use super::groups::{Method, columns};
use crate::model::{Decoder, Parameters, Role, TensorSpec};
use crate::spec::{OptimizerSpec, TrainSpec};
use std::ops::Range;

/// Where a parameter is in its training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The schedule's factor of its peak learning rate.
    pub factor: f64,
    /// Updates k that its moments have seen, this one included.
    pub updates: i32,
}

/// The rules of all tensors, in the order of [`Decoder::tensors`].
#[derive(Debug)]
pub(crate) struct Rules {
    pub spec: OptimizerSpec,
    pub each: Vec<Rule>,
}

/// Of one tensor.
#[derive(Debug)]
pub(crate) struct Rule {
    pub tensor: TensorSpec,
    pub method: Method,
    /// Peak learning rate.
    pub lr: f64,
    pub decay: f64,
    /// Columns that are a matrix to Muon.
    pub maps: Vec<Range<usize>>,
}

/// What is kept of past gradients, group by group. Tensors have the state that their method needs: AdamW two moments, coupled Adam
/// a second one for all rows, Muon a momentum.
#[derive(Debug)]
pub(crate) struct State {
    pub first: Parameters,
    pub second: Parameters,
    pub momentum: Parameters,
}

impl Rules {
    /// The study's, for a model of this shape.
    pub fn of_model(decoder: &Decoder, train: &TrainSpec) -> Self {
        Self::of(decoder.tensors().list(), train, |role| match role {
            Role::Matrix(matrix) => columns(decoder, matrix),
            _ => Vec::new(),
        })
    }

    /// For parameters of interventions.
    pub fn of_own(parameters: &Parameters, train: &TrainSpec) -> Self {
        Self::of(parameters.each().map(|(spec, _)| spec.clone()).collect(), train, |_| Vec::new())
    }

    fn of(tensors: Vec<TensorSpec>, train: &TrainSpec, maps: impl Fn(Role) -> Vec<Range<usize>>) -> Self {
        let spec = train.optimizer;
        let rule = |tensor: TensorSpec| Rule {
            method: spec.method(tensor.role),
            lr: spec.lr(&tensor, train.lr),
            decay: spec.weight_decay(&tensor),
            maps: maps(tensor.role),
            tensor,
        };
        Self { spec, each: tensors.into_iter().map(rule).collect() }
    }

    /// The state before the first update.
    pub fn state(&self) -> State {
        let kept = |shape: fn(Method, &[usize]) -> Option<Vec<usize>>| {
            let of = |rule: &Rule| Some(TensorSpec { shape: shape(rule.method, &rule.tensor.shape)?, ..rule.tensor.clone() });
            Parameters::of(self.each.iter().filter_map(of).collect())
        };
        State {
            first: kept(|method, shape| (!matches!(method, Method::Muon)).then(|| shape.to_vec())),
            second: kept(|method, shape| match method {
                Method::AdamW => Some(shape.to_vec()),
                Method::Coupled => shape.last().map(|&width| vec![width]),
                Method::Muon => None,
            }),
            momentum: kept(|method, shape| matches!(method, Method::Muon).then(|| shape.to_vec())),
        }
    }
}

impl Rule {
    /// The tensor's pace: the token embedding may have one of its own.
    pub fn pace(&self, body: Pace, embedding: Option<Pace>) -> Pace {
        embedding.filter(|_| self.tensor.role == Role::Embedding).unwrap_or(body)
    }

    /// The numbers of an update by AdamW at this pace, the gradient times `clip`.
    pub fn rates(&self, spec: &OptimizerSpec, pace: Pace, clip: f64) -> Rates {
        Rates::new(spec.adamw(), (self.lr * pace.factor, self.decay), pace.updates, clip)
    }
}

impl State {
    /// What there is of it, by its group's prefix in checkpoints.
    pub fn groups(&self) -> Vec<(&'static str, &Parameters)> {
        let all = [("first.", &self.first), ("second.", &self.second), ("momentum.", &self.momentum)];
        all.into_iter().filter(|(_, group)| !group.numbers().is_empty()).collect()
    }

    /// The same, to change.
    pub fn groups_mut(&mut self) -> Vec<(&'static str, &mut Parameters)> {
        let all = [("first.", &mut self.first), ("second.", &mut self.second), ("momentum.", &mut self.momentum)];
        all.into_iter().filter(|(_, group)| !group.numbers().is_empty()).collect()
    }

    /// The same, owned.
    pub fn into_groups(self) -> Vec<(&'static str, Parameters)> {
        let all = [("first.", self.first), ("second.", self.second), ("momentum.", self.momentum)];
        all.into_iter().filter(|(_, group)| !group.numbers().is_empty()).collect()
    }
}
