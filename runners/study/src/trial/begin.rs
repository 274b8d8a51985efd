//! Where a trial begins: at its first step, or after a checkpoint.

use regatta_lm::model::Decoder;
use regatta_lm::training::{Restored, Trial};
use regatta_records::{Checkpoints, Kept, RecordError, Stretch, TrialFolder, Written};
use serde::{Deserialize, Serialize};

/// Where a trial begins: at its first step, or after a checkpoint.
#[derive(Default)]
pub(super) struct Began {
    pub restored: Option<Restored>,
    pub written: Written,
    pub seconds: f64,
    pub joules: Option<f64>,
    /// Machines that trained it before, in order.
    pub machines: Vec<Stretch>,
}

/// The file of a checkpoint that holds what is neither weights nor moments.
pub(super) const STATE: &str = "state.json";

/// What it holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Progress {
    pub steps: usize,
    pub wall_seconds: f64,
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// The machines that trained it up to here, in order; empty in checkpoints of older versions.
    #[serde(default)]
    pub machines: Vec<Stretch>,
}

/// Reads the newest checkpoint that can be used, with the lines that were written before it.
pub(super) fn begin(trial: &Trial<'_>, folder: &TrialFolder, checkpoints: &Checkpoints) -> Result<Began, RecordError> {
    let mut began = Began::default();
    let accept = |kept: &Kept| {
        let config = trial.decoder().map_err(|error| error.to_string())?;
        began = read(&config, trial, folder, kept)?;
        Ok(())
    };
    match checkpoints.newest(accept)? {
        Some(_) => Ok(began),
        None => Ok(Began::default()),
    }
}

fn read(config: &Decoder, trial: &Trial<'_>, folder: &TrialFolder, kept: &Kept) -> Result<Began, String> {
    let file = |name: &str| kept.files.get(name).ok_or_else(|| format!("expected {name}, found none"));
    let progress: Progress = serde_json::from_slice(file(STATE)?).map_err(|error| format!("{STATE}: {error}"))?;
    let restored = Restored::read(config, trial.train, progress.steps, file(Restored::WEIGHTS)?, file(Restored::OPTIMIZER)?);
    let restored = restored.and_then(|restored| {
        restored.with_companions(trial.interventions, config, |name| kept.files.get(name).map(Vec::as_slice))
    });
    let restored = Some(restored.map_err(|error| error.to_string())?);
    let written = folder.written_before(progress.steps).map_err(|error| error.to_string())?;
    let Progress { wall_seconds: seconds, energy_joules: joules, machines, .. } = progress;
    Ok(Began { restored, written, seconds, joules, machines })
}
