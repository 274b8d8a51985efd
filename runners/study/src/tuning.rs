//! What tuning found: the whole table, and the candidate that each arm is judged with.

use crate::plan::{PlannedTrial, place, variant_name};
use regatta_config::{Candidate, StudyFile, Winner};
use regatta_records::{RecordError, State, TuningRow, TuningTrial};

/// Reads the tuning trials and chooses for each variant the candidate with the lowest mean validation loss over its seeds. A
/// candidate of which a trial diverged or failed has no mean and is not chosen.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn table(file: &StudyFile, trials: &[PlannedTrial]) -> Result<Vec<TuningRow>, RecordError> {
    let mut rows = Vec::new();
    for (number, variant) in file.variants().iter().enumerate() {
        let mut candidates: Vec<(Candidate, Vec<TuningTrial>)> = Vec::new();
        for trial in trials.iter().filter(|trial| trial.key.variant == number) {
            let Some(candidate) = trial.key.candidate else { continue };
            let result = TuningTrial {
                seed: trial.key.seed,
                state: trial.folder.status()?.map_or(State::Pending, |status| status.state),
                validation_loss: trial.folder.evaluation()?.map(|evaluation| evaluation.validation_loss),
            };
            match candidates.last_mut().filter(|(last, _)| *last == candidate) {
                Some((_, results)) => results.push(result),
                None => candidates.push((candidate, vec![result])),
            }
        }
        let means: Vec<Option<f64>> = candidates.iter().map(|(_, results)| mean(results)).collect();
        let tried: Vec<Candidate> = candidates.iter().map(|(candidate, _)| *candidate).collect();
        rows.push(TuningRow {
            place: place(variant),
            name: variant_name(variant),
            winner: Winner::of(&tried, &means),
            means,
            candidates,
        });
    }
    Ok(rows)
}

fn mean(results: &[TuningTrial]) -> Option<f64> {
    let done = |result: &TuningTrial| result.validation_loss.filter(|_| result.state == State::Done);
    let losses: Option<Vec<f64>> = results.iter().map(done).collect();
    regatta_statistics::mean(&losses?)
}
