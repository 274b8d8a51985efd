//! A run of a study, from its YAML to its records: train what is not done yet.

mod folder;
mod others;

use crate::adopt::{adopt, settled};
use crate::ended::{Ended, RunError};
use crate::event::{Planned, Watcher};
use crate::fingerprints::Fingerprints;
use crate::options::Options;
use crate::plan::{PlannedTrial, judged_keys, planned, tuning_keys};
use crate::pool::Pool;
use crate::prepare::prepare_with;
use crate::supply::Supply;
use crate::tokens::tokens_of;
use crate::tuning;
use folder::{put, rows};
use others::refuse_others;
use regatta_config::StudyFile;
use regatta_records::{Fence, Lease, LeaseError, RecordError, State, Status, TuningRow, check_out, disk};

/// Trains every trial of the study that is not settled yet, seed by seed so that a run cut short still has whole pairs. A trial
/// that was interrupted resumes from its last checkpoint. Where the study tunes, all tuning trials come first.
///
/// # Errors
/// Before anything is trained, when the study, its data or the folder cannot be used; later only when a status cannot be
/// written, or another runner took the folder over. A trial that fails, panics or diverges is a record, and the others go on.
pub fn run(file: &StudyFile, options: &Options<'_>, watcher: &mut dyn Watcher) -> Result<Ended, RunError> {
    let out = options.out;
    check_out(out).map_err(RunError::Folder)?;
    let prepared = prepare_with(file, Some(&tokens_of(out)), options.tokens)?;
    Lease::look(out).map_err(refuse_lease)?; // at once, and again when all else is known to be in order
    let fingerprints = Fingerprints::measure(file, out, &options.limits, options.probe)?;
    let supplies = Supply::of(&prepared);
    let mut manifest = prepared[0].manifest(file)?;
    drop(prepared); // the tokens are the workers'
    let planned = |keys| planned(file, &supplies, out, &fingerprints, keys);
    let mut chosen = vec![None; file.variants().len()];
    let mut tuning = planned(tuning_keys(file))?;
    let mut judged = planned(judged_keys(file, &chosen))?; // none before tuning has chosen
    let first = if tuning.is_empty() { &mut judged } else { &mut tuning };
    manifest.mismatches = refuse_others(first, options)?;
    disk::create_folder(out).map_err(|error| RunError::Folder(RecordError::new(out, error)))?;
    let lease = Lease::take(out).map_err(refuse_lease)?;
    let fence = lease.fence();
    let trials = if options.fresh { settled(&out.join("trials")).map_err(RunError::Folder)? } else { 0 };
    if trials > 0 && !(options.may_discard)(trials) {
        return Err(RunError::Kept { folder: out.display().to_string(), trials });
    }
    folder::begin(file, &manifest, options, fence).map_err(RunError::Folder)?;
    put(fence, &out.join("plan.json"), &rows(file, &supplies, &chosen)?).map_err(RunError::Folder)?;
    let ended = train(first, options, fence, watcher)?;
    if tuning.is_empty() || ended == Ended::Interrupted {
        return Ok(ended);
    }

    let table = tuning::table(file, &tuning)?;
    put(fence, &out.join("tuning.json"), &table)?;
    chosen = table.iter().map(TuningRow::chosen).collect();
    for row in table.iter().filter(|row| row.winner.is_none()) {
        tracing::warn!("{}: no candidate could be trained with every tuning seed, so there is none to judge", row.name);
    }
    put(fence, &out.join("plan.json"), &rows(file, &supplies, &chosen)?)?;
    judged = planned(judged_keys(file, &chosen))?;
    let mismatches = refuse_others(&mut judged, options)?;
    if !mismatches.is_empty() {
        manifest.mismatches.extend(mismatches);
        put(fence, &out.join("manifest.json"), &manifest)?;
    }
    let judged_ended = train(&judged, options, fence, watcher)?;
    let all_chosen = chosen.iter().all(Option::is_some);
    Ok(if judged_ended == Ended::AllDone && !(all_chosen && ended == Ended::AllDone) { Ended::SomeFailed } else { judged_ended })
}

fn refuse_lease(error: LeaseError) -> RunError {
    match error {
        LeaseError::Record(error) => RunError::Folder(error),
        held => RunError::Held(held),
    }
}

/// Trains what is not settled of these trials.
fn train(trials: &[PlannedTrial], options: &Options<'_>, fence: &Fence, watcher: &mut dyn Watcher) -> Result<Ended, RunError> {
    adopt(trials, options.out, fence).map_err(RunError::Folder)?;
    let mut planned = Vec::new();
    for trial in trials {
        let status = trial.folder.status().map_err(RunError::Folder)?;
        if let Some(Status { state: State::Incomplete, reason: Some(reason), .. }) = &status {
            tracing::warn!("{}, seed {}: {reason}", trial.name, trial.key.seed);
        }
        let settled = status.is_some_and(|status| status.state.is_settled() && trial.is_meant_by(&status));
        planned.push(Planned { name: trial.name.clone(), seed: trial.key.seed, steps: trial.steps(), settled });
    }
    watcher.planned(&planned);
    let missing = (0..trials.len()).filter(|&trial| !planned[trial].settled).collect();
    Pool::new(trials, missing, options, fence, watcher).run()
}
