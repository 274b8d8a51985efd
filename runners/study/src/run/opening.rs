//! What a runner does before it trains, while no other runner does the same in the folder.

use super::Plan;
use super::folder::{begin, discard, put, rows};
use super::others::refuse_others;
use crate::adopt::{adopt, settled};
use crate::ended::RunError;
use crate::fingerprints::Fingerprints;
use crate::options::Options;
use crate::plan::PlannedTrial;
use crate::tuning;
use regatta_records::{Holder, Lease, Manifest, Others, RecordError, Runner, TuningRow, present, read_json};
use std::sync::atomic::Ordering;

/// A folder that is ready for trials.
pub(super) struct Opened {
    /// The trials that come first.
    pub first: Vec<PlannedTrial>,
    /// As it is in the folder.
    pub manifest: Manifest,
}

/// This runner's turn at what concerns the study as a whole; `None` where it is asked to stop first.
pub(super) fn turn(runner: &Runner, others: &mut Others, options: &Options<'_>) -> Result<Option<Lease>, RunError> {
    let mut told = None;
    let wait = |holder: &Holder| {
        if told.as_ref() != Some(holder) {
            tracing::debug!("waits for {holder}, which prepares the folder");
            told = Some(holder.clone());
        }
        !options.stop.load(Ordering::Relaxed)
    };
    runner.turn(others, wait).map_err(RunError::Folder)
}

/// Discards the trials that are there, where that is asked for, moves those of arms that were renamed, and records the study and
/// what its results are made with. `None` where the runner is asked to stop first.
pub(super) fn open(
    plan: &mut Plan<'_>,
    manifest: Manifest,
    runner: &Runner,
    others: &mut Others,
) -> Result<Option<Opened>, RunError> {
    let (options, file) = (plan.options, plan.file);
    let out = options.out;
    let Some(turn) = turn(runner, others, options)? else { return Ok(None) };
    let fence = turn.fence();
    let study = file.study.to_yaml();
    let is_another = std::fs::read_to_string(out.join("study.yaml")).is_ok_and(|before| before != study);
    let what = if options.fresh { "this study" } else { "another study" };
    if (options.fresh || is_another)
        && let Some(other) = runner.living_other(others).map_err(RunError::Folder)?
    {
        return Err(RunError::Held { folder: out.display().to_string(), runner: Box::new(other), what });
    }
    if options.fresh {
        let trials = out.join("trials");
        let count = settled(&trials).map_err(RunError::Folder)?;
        if count > 0 && !(options.may_discard)(count) {
            return Err(RunError::Kept { folder: out.display().to_string(), trials: count });
        }
        discard(&trials, fence).map_err(RunError::Folder)?;
    }
    let known = plan.fingerprints.agree(out).map_err(RunError::Folder)?;
    let mut first = plan.first()?;
    let mismatches = refuse_others(&mut first, options)?;
    let is_alone = present(out).map_err(RunError::Folder)?.iter().all(|other| other.card.id == runner.card().id);
    let before: Option<Manifest> =
        if is_alone { None } else { read_json(&out.join("manifest.json")).map_err(RunError::Folder)? };
    let mut manifest = before.unwrap_or(manifest);
    manifest.mismatches.extend(mismatches.into_iter().filter(|found| !manifest.mismatches.contains(found)).collect::<Vec<_>>());
    begin(out, &study, &manifest, fence).map_err(RunError::Folder)?;
    put(fence, &Fingerprints::file(out), &known).map_err(RunError::Folder)?;
    adopt(&first, out, fence).map_err(RunError::Folder)?;
    let chosen = chosen(plan, &first, runner).map_err(RunError::Folder)?;
    put(fence, &out.join("plan.json"), &rows(file, &plan.supplies, &chosen)?).map_err(RunError::Folder)?;
    Ok(Some(Opened { first, manifest }))
}

/// What tuning chose for each variant, where it has ended.
fn chosen(
    plan: &Plan<'_>,
    tuning: &[PlannedTrial],
    runner: &Runner,
) -> Result<Vec<Option<regatta_config::Candidate>>, RecordError> {
    let mut has_ended = plan.is_tuned();
    for trial in tuning {
        has_ended = has_ended && trial.over(&runner.card().session)?.is_some();
    }
    if has_ended {
        Ok(tuning::table(plan.file, tuning)?.iter().map(TuningRow::chosen).collect())
    } else {
        Ok(vec![None; plan.file.variants().len()])
    }
}
