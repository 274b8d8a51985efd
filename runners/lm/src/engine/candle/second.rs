//! The second model of an objective, on a device.

use super::pass::Pass;
use super::weights::Weights;
use crate::engine::batch::{BatchError, Keep};
use crate::model::Parameters;
use candle_core::{Result, Tensor};
use regatta_core::{Compared, Site};
use regatta_kernels::Precision;

/// A second model, with its passes.
pub(super) struct Second {
    pub weights: Weights,
    /// Of a moving average.
    decay: Option<f64>,
    pass: Option<Pass>,
}

impl Second {
    pub fn new(weights: Weights, decay: Option<f64>) -> Self {
        Self { weights, decay, pass: None }
    }

    /// Its output for `inputs`, sequences of this shape.
    ///
    /// # Errors
    /// When the batch does not fit the model, or the device fails.
    pub fn output(
        &mut self,
        compared: Compared,
        shape: (usize, usize),
        inputs: &[u32],
    ) -> std::result::Result<Tensor, BatchError> {
        let pass = match &mut self.pass {
            Some(pass) if pass.shape() == shape => pass,
            other => other.insert(Pass::new(&self.weights, shape.0, shape.1, Keep::Last, Precision::Float32)?),
        };
        pass.forward(&self.weights, inputs, None, None)?;
        Ok(output(compared, &self.weights, pass)?)
    }

    pub fn is_average(&self) -> bool {
        self.decay.is_some()
    }

    /// The moving average in memory, where it is one.
    pub fn average(&self) -> Result<Option<Parameters>> {
        self.decay.map(|_| Ok(self.weights.download()?.into_parameters())).transpose()
    }

    /// The EMA update, where it is one: `average <- decay·average + (1 - decay)·model`.
    pub fn update_average(&mut self, model: &Weights) -> Result<()> {
        let Some(decay) = self.decay else { return Ok(()) };
        for (average, new) in self.weights.vars().iter().zip(model.vars()) {
            let kept = average.as_detached_tensor().affine(decay, 0.0)?;
            average.set(&(kept + new.as_detached_tensor().affine(1.0 - decay, 0.0)?)?)?;
        }
        Ok(())
    }
}

/// (b, t, v) or (b, t, d)
pub(super) fn output(compared: Compared, weights: &Weights, pass: &Pass) -> Result<Tensor> {
    let (b, t) = pass.shape();
    let flat = match compared {
        Compared::Logits => pass.logits(weights)?,
        Compared::LastHiddenState => pass.at(Site::HiddenStates, weights.decoder().layers)?,
    };
    flat.reshape((b, t, ()))
}
