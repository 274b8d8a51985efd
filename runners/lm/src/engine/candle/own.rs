//! Parameters of interventions on a device, trained beside the model's.

use super::optimizer::Optimizer;
use crate::model::Parameters;
use crate::spec::TrainSpec;
use candle_core::{Device, Result, Tensor, Var};
use std::ops::Range;

/// The own parameters of all objectives, one after the other.
pub(super) struct Own {
    /// Their names and shapes.
    names: Vec<String>,
    /// Zeros of their shapes, in memory.
    zeros: Parameters,
    vars: Vec<Var>,
    gradients: Vec<Tensor>,
    optimizer: Optimizer,
}

impl Own {
    /// `None` where there are no parameters.
    pub fn new(parameters: Parameters, train: &TrainSpec, device: &Device) -> Result<Option<Self>> {
        if parameters.numbers().is_empty() {
            return Ok(None);
        }
        let var = |(spec, numbers): (&crate::model::TensorSpec, &[f32])| Var::from_slice(numbers, &*spec.shape, device);
        let vars = parameters.each().map(var).collect::<Result<Vec<Var>>>()?;
        let gradients = vars.iter().map(|var| var.zeros_like()).collect::<Result<_>>()?;
        let names = parameters.each().map(|(spec, _)| spec.name.clone()).collect();
        let optimizer = Optimizer::of_own(&parameters, train, device)?;
        Ok(Some(Self { names, zeros: parameters, vars, gradients, optimizer }))
    }

    /// Leaves of some of the tensors: the variables themselves.
    pub fn leaves(&self, tensors: &Range<usize>) -> Vec<Var> {
        self.vars[tensors.clone()].to_vec()
    }

    /// Sets all gradients to 0.
    pub fn forget_gradients(&mut self) -> Result<()> {
        self.gradients.iter_mut().try_for_each(|gradient| gradient.zeros_like().map(|zeros| *gradient = zeros))
    }

    /// Adds to the gradients of some of the tensors; `None` is a gradient of 0.
    pub fn add_gradients(&mut self, tensors: &Range<usize>, gradients: Vec<Option<Tensor>>) -> Result<()> {
        for (gradient, sum) in gradients.into_iter().zip(&mut self.gradients[tensors.clone()]) {
            if let Some(gradient) = gradient {
                *sum = sum.add(&gradient.reshape(sum.shape())?)?;
            }
        }
        Ok(())
    }

    /// Each tensor's name and gradient.
    pub fn gradients(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.names.iter().zip(&self.gradients)
    }

    /// One update of AdamW.
    pub fn update(&mut self, factor: f64, clip: f64) -> Result<()> {
        self.optimizer.step(&self.vars, &self.gradients, factor, clip, None)
    }

    /// Parameters and moments by group, in memory.
    pub fn kept(&self) -> Result<Vec<(&'static str, Parameters)>> {
        let mut parameters = self.zeros.clone();
        for ((_, numbers), var) in parameters.each_mut().zip(&self.vars) {
            numbers.copy_from_slice(&var.as_detached_tensor().flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(std::iter::once(("parameters.", parameters)).chain(self.optimizer.state()?).collect())
    }

    /// Goes on from what [`Self::kept`] gave after so many updates.
    pub fn restore(
        &mut self,
        parameters: &Parameters,
        moments: impl IntoIterator<Item = Parameters>,
        updates: usize,
    ) -> Result<()> {
        for ((_, numbers), var) in parameters.each().zip(&self.vars) {
            var.set(&Tensor::from_slice(numbers, var.shape(), var.device())?)?;
        }
        self.optimizer.restore(moments, updates)
    }
}
