//! Trials of other settings, or of other code, in the folder of a run.

use crate::ended::RunError;
use crate::options::Options;
use crate::plan::PlannedTrial;
use regatta_records::State;
use std::collections::BTreeSet;

/// Refuses a folder whose trials are those of another study: neither are their results overwritten, nor what they could go on
/// from. A trial that only failed may be tried with other settings. Where the code alone may differ, a finished trial stands in
/// for the one that is planned, one that is not finished starts over, and what differs is returned.
pub(super) fn refuse_others(trials: &mut [PlannedTrial], options: &Options<'_>) -> Result<Vec<String>, RunError> {
    let known: BTreeSet<String> = trials.iter().map(|trial| trial.identity.hash.clone()).collect();
    let mut mismatches = Vec::new();
    for trial in trials.iter_mut().filter(|_| !options.fresh) {
        let status = trial.folder.status().map_err(RunError::Folder)?;
        let Some(status) = status.filter(|status| !known.contains(&status.identity) && status.state != State::Failed) else {
            continue;
        };
        let inputs = trial.folder.inputs().map_err(RunError::Folder)?.unwrap_or_default();
        let differences = if inputs.is_null() { Vec::new() } else { trial.differences(&inputs) };
        let differences = if differences.is_empty() { format!("identity {}", status.identity) } else { differences.join("; ") };
        let code = trial.identity.differing_code(&inputs);
        if code.is_none() || !options.allow_mismatch {
            return Err(RunError::OtherStudy {
                folder: options.out.display().to_string(),
                name: trial.name.clone(),
                seed: trial.key.seed,
                code,
                what: trial.identity.differing(&inputs),
                differences,
            });
        }
        let kept = status.state.is_settled();
        let fate = if kept { "kept" } else { "starts over" };
        tracing::warn!("{}, seed {}, {fate}: {differences}", trial.name, trial.key.seed);
        if kept {
            mismatches.push(format!("{}, seed {}: {differences}", trial.name, trial.key.seed));
            trial.stand_in = Some(status.identity);
        }
    }
    Ok(mismatches)
}
