//! Parameters of interventions, trained beside the model's.

use crate::model::{Parameters, TensorSpec};
use crate::optimizer::Optimizer;
use crate::spec::TrainSpec;
use candle_core::{Device, Var};
use std::ops::Range;

/// The own parameters of all objectives, one after the other.
pub(super) struct Own {
    pub(super) parameters: Parameters,
    pub(super) gradients: Parameters,
    optimizer: Optimizer,
}

impl Own {
    /// `None` where there are no parameters.
    pub fn new(parameters: Parameters, train: &TrainSpec) -> Option<Self> {
        (!parameters.numbers().is_empty()).then(|| Self {
            gradients: parameters.clone(),
            optimizer: Optimizer::of_own(&parameters, train),
            parameters,
        })
    }

    /// Leaves of some of the tensors.
    pub fn leaves(&self, tensors: &Range<usize>) -> candle_core::Result<Vec<Var>> {
        let leaf = |(spec, numbers): (&TensorSpec, &[f32])| Var::from_slice(numbers, &*spec.shape, &Device::Cpu);
        self.parameters.each().skip(tensors.start).take(tensors.len()).map(leaf).collect()
    }

    /// Adds to the gradients of some of the tensors; `None` is a gradient of 0.
    pub fn add_gradients(&mut self, tensors: &Range<usize>, gradients: impl Iterator<Item = Option<Vec<f32>>>) {
        for (gradient, (_, sum)) in gradients.zip(self.gradients.each_mut().skip(tensors.start)) {
            if let Some(gradient) = gradient {
                regatta_kernels::vector::add(sum, &gradient);
            }
        }
    }

    /// One update of AdamW.
    pub fn update(&mut self, factor: f64, clip: f64) {
        self.optimizer.step(&mut self.parameters, &self.gradients, factor, clip, None);
    }

    /// Parameters and moments, by group.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, &Parameters)> {
        [("parameters.", &self.parameters)].into_iter().chain(self.optimizer.state())
    }

    /// Goes on from what [`Self::kept`] gave after so many updates.
    pub fn restore(&mut self, parameters: Parameters, moments: impl IntoIterator<Item = Parameters>, updates: usize) {
        self.parameters = parameters;
        self.optimizer.restore(moments, updates);
    }
}
