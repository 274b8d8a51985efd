//! The second model of an objective.

use super::Pass;
use crate::engine::batch::{BatchError, Keep};
use crate::model::{Model, Parameters};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use regatta_core::Compared;

/// Numbers of a moving average that one thread updates at a time.
const BLOCK: usize = 16_384;

/// A second model, with its passes.
pub(super) struct Second {
    pub model: Model,
    /// Of a moving average.
    pub decay: Option<f64>,
    pass: Option<Pass>,
}

impl Second {
    pub fn new(model: Model, decay: Option<f64>) -> Self {
        Self { model, decay, pass: None }
    }

    /// Its output for `inputs`, sequences of this shape.
    ///
    /// # Errors
    /// When the batch does not fit the model.
    pub fn output(&mut self, compared: Compared, shape: (usize, usize), inputs: &[u32]) -> Result<Tensor, BatchError> {
        let pass = match &mut self.pass {
            Some(pass) if pass.shape() == shape => pass,
            other => other.insert(Pass::new(self.model.decoder(), shape.0, shape.1, Keep::Last)),
        };
        pass.forward(&self.model, inputs, None)?;
        Ok(output(compared, &self.model, pass)?)
    }

    /// The moving average, where it is one.
    pub fn average(&self) -> Option<&Parameters> {
        self.decay.map(|_| self.model.parameters())
    }

    pub fn average_mut(&mut self) -> Option<&mut Parameters> {
        self.decay.map(|_| self.model.parameters_mut())
    }

    /// The EMA update, where it is one, from the numbers of `model`.
    pub fn update_average(&mut self, model: &Model) {
        if let Some(decay) = self.decay {
            update_average(self.model.parameters_mut().numbers_mut(), model.parameters().numbers(), decay);
        }
    }
}

/// (b, t, v) or (b, t, d)
pub(super) fn output(compared: Compared, model: &Model, pass: &Pass) -> candle_core::Result<Tensor> {
    let ((b, t), config) = (pass.shape(), model.decoder());
    match compared {
        Compared::Logits => Tensor::from_vec(pass.logits(model), (b, t, config.vocab_size), &Device::Cpu),
        Compared::LastHiddenState => Tensor::from_vec(pass.hidden_state(config.layers), (b, t, config.width), &Device::Cpu),
    }
}

/// `average <- decay·average + (1 - decay)·model`
fn update_average(average: &mut [f32], model: &[f32], decay: f64) {
    let (keep, take) = (decay as f32, (1.0 - decay) as f32);
    average.par_chunks_mut(BLOCK).zip(model.par_chunks(BLOCK)).for_each(|(average, model)| {
        average.iter_mut().zip(model).for_each(|(average, model)| *average = keep * *average + take * model);
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_moving_average_by_hand() {
        let mut copy = [1.0, -2.0];
        super::update_average(&mut copy, &[3.0, 6.0], 0.75);
        assert_eq!(copy, [1.5, 0.0]); // 0.75·1 + 0.25·3 and 0.75·(-2) + 0.25·6
    }
}
