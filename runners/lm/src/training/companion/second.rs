//! Whether a checkpoint can be the second model of an objective.

use crate::checkpoint::CheckpointError;
use crate::model::{Decoder, Model};
use crate::training::TrainError;
use crate::training::interventions::objective;
use regatta_core::{Companion, Compared, Intervention};
use std::path::{Path, PathBuf};

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

/// The checkpoint that a model of shape `config` is compared with.
///
/// # Errors
/// As [`check_companion`].
pub(super) fn checkpoint(folder: &Path, compared: Compared, config: &Decoder, context: usize) -> Result<Model, TrainError> {
    let model = Model::read(folder)?;
    fits(model.decoder(), folder, compared, config, context)?;
    Ok(model)
}
