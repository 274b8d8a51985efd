//! The second model of an objective: a checkpoint, or a moving average of the model.

use crate::checkpoint::CheckpointError;
use crate::engine::{Keep, Pass};
use crate::model::{Decoder, Model, Parameters};
use crate::training::TrainError;
use crate::training::interventions::objective;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use regatta_core::{Companion, CompanionObjective, Compared, Intervention};
use std::path::{Path, PathBuf};

/// Numbers of a moving average that one thread updates at a time.
const BLOCK: usize = 16_384;

/// The folder of the checkpoint that `intervention` compares a model of shape `config` with, which `check` read and which was found
/// to fit; `None` where it compares with none, or has weight 0.
///
/// # Errors
/// When the checkpoint cannot be read, or its output or the sequences of `context` tokens do not fit it.
pub fn check_companion(
    intervention: &dyn Intervention,
    config: &Decoder,
    context: usize,
    check: impl FnOnce(&Path) -> Result<Decoder, CheckpointError>,
) -> Result<Option<PathBuf>, TrainError> {
    let Some(objective) = objective(intervention) else { return Ok(None) };
    match objective.companion() {
        Companion::Checkpoint(folder) => {
            fits(&check(&folder)?, &folder, objective.compared(), config, context)?;
            Ok(Some(folder))
        }
        Companion::MovingAverage { .. } => Ok(None),
    }
}

fn fits(found: &Decoder, folder: &Path, compared: Compared, config: &Decoder, context: usize) -> Result<(), TrainError> {
    let misfit = if found.context < context {
        format!("at least {context} positions, the tokens of a training sequence, found {}", found.context)
    } else if found.vocab_size != config.vocab_size {
        format!("the model's vocabulary of {} tokens, found {}", config.vocab_size, found.vocab_size)
    } else if compared == Compared::LastHiddenState && found.width != config.width {
        format!("the model's width of {}, found {}", config.width, found.width)
    } else {
        return Ok(());
    };
    Err(TrainError::Companion(format!("expected a checkpoint of {misfit} in {}", folder.display())))
}

/// A second model, with its passes.
pub(super) struct SecondModel {
    pub(super) model: Model,
    /// Of a moving average.
    decay: Option<f64>,
    pass: Option<Pass>,
}

impl SecondModel {
    /// That of `objective`, beside `model` before its first step.
    ///
    /// # Errors
    /// As [`check_companion`].
    pub fn new(objective: &dyn CompanionObjective, model: &Model, context: usize) -> Result<Self, TrainError> {
        let (model, decay) = match objective.companion() {
            Companion::Checkpoint(folder) => {
                let other = Model::read(&folder)?;
                fits(other.decoder(), &folder, objective.compared(), model.decoder(), context)?;
                (other, None)
            }
            Companion::MovingAverage { decay } => (model.copy(), Some(decay)),
        };
        Ok(Self { model, decay, pass: None })
    }

    /// Its output for `inputs`, sequences of this shape.
    ///
    /// # Errors
    /// When the batch does not fit the model.
    pub fn output(&mut self, compared: Compared, shape: (usize, usize), inputs: &[u32]) -> Result<Tensor, TrainError> {
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
pub(super) fn update_average(average: &mut [f32], model: &[f32], decay: f64) {
    let (keep, take) = (decay as f32, (1.0 - decay) as f32);
    average.par_chunks_mut(BLOCK).zip(model.par_chunks(BLOCK)).for_each(|(average, model)| {
        average.iter_mut().zip(model).for_each(|(average, model)| *average = keep * *average + take * model);
    });
}
