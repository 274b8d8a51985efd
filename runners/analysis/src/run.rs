//! The curves of a finished trial.

use super::timeline::Timeline;
use regatta_lm::training::StepRecord;
use regatta_records::{Cost, RecordError, TrialFolder};

/// Most points of a curve: a page cannot show more.
const POINTS: usize = 300;

/// A finished trial along training.
pub(super) struct Run {
    /// Step and training loss; long runs are cut into stretches of equal length, each shown by its mean.
    pub training: Vec<(usize, f64)>,
    /// Updates made and validation loss.
    pub validation: Vec<(usize, f64)>,
    /// Tokens of a batch.
    pub batch_tokens: f64,
    /// Validation loss by training time; none where the times are not known.
    pub timeline: Option<Timeline>,
}

impl Run {
    /// Reads the lines of a trial that is done.
    pub fn read(trial: &TrialFolder, cost: &Cost) -> Result<Self, RecordError> {
        let steps = trial.metrics()?;
        let validations = trial.validations()?;
        let stretch = steps.len().div_ceil(POINTS).max(1);
        let mean = |steps: &[StepRecord]| {
            (steps[steps.len() / 2].step, steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64)
        };
        Ok(Self {
            training: steps.chunks(stretch).map(mean).collect(),
            validation: validations.iter().map(|validation| (validation.step, validation.loss)).collect(),
            batch_tokens: (cost.step_ms / 1e3 * cost.tokens_per_second).round(),
            timeline: Timeline::new(&steps, &validations, cost),
        })
    }
}
