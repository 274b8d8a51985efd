//! What a runner does before it trains, while no other runner does the same in the folder.

use super::folder::{begin, discard, rows};
use super::others::refuse_others;
use super::{Plan, note};
use crate::adopt::{adopt, settled};
use crate::ended::RunError;
use crate::fingerprints::Fingerprints;
use crate::options::Options;
use crate::plan::PlannedTrial;
use crate::tuning;
use regatta_records::{Card, Holder, Lease, Manifest, Others, RecordError, Runner, TuningRow, not_of_trials, present, read_json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A folder that is ready for trials.
pub(super) struct Opened {
    /// The trials that come first.
    pub first: Vec<PlannedTrial>,
    /// As it is in the folder.
    pub manifest: Manifest,
}

/// This runner's turn at what concerns the study as a whole; `None` where it is asked to stop first.
pub(super) fn turn(runner: &Runner, others: &mut Others, options: &Options<'_>) -> Result<Option<Lease>, RunError> {
    let (begun, mut told) = (Instant::now(), None);
    let wait = |holder: &Holder| {
        if told.as_ref() != Some(holder) && begun.elapsed() > Duration::from_secs(1) {
            tracing::info!("waits for {holder}, which prepares the folder");
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
    let stop = || options.stop.load(Ordering::Relaxed);
    let known = plan.fingerprints.agree(out).map_err(RunError::Folder)?;
    let (study, mut first) = (file.study.to_yaml(), plan.first()?);
    let shown = shown(&study, &first);
    let is_other = |card: &Card| card.study.as_ref().is_some_and(|theirs| options.fresh || *theirs != shown);
    if let Some(other) = runner.living_other(others, stop, is_other).map_err(RunError::Folder)? {
        let same = other.study.as_ref() == Some(&shown);
        let what = if same { "this study" } else { "another study, or another version of this one," };
        return Err(RunError::Held { folder: out.display().to_string(), runner: Box::new(other), what });
    }
    if stop() {
        return Ok(None);
    }
    if options.fresh {
        let trials = out.join("trials");
        if let Some(file) = not_of_trials(&trials).map_err(RunError::Folder)? {
            let message =
                "expected trials alone, found a file that no run made and --fresh would remove: move it elsewhere first";
            return Err(RunError::Folder(RecordError::new(&file, message)));
        }
        let count = settled(&trials).map_err(RunError::Folder)?;
        if count > 0 && !(options.may_discard)(count) {
            return Err(RunError::Kept { folder: out.display().to_string(), trials: count });
        }
        discard(&trials, fence).map_err(RunError::Folder)?;
    }
    let mismatches = refuse_others(&mut first, options)?;
    // The manifest is that of the runner that opened the folder first, of those that work now.
    let is_open = present(out).map_err(RunError::Folder)?.iter().any(|other| other.card.study.is_some());
    let before: Option<Manifest> = if is_open { read_json(&out.join("manifest.json")).map_err(RunError::Folder)? } else { None };
    let mut manifest = before.unwrap_or(manifest);
    note(&mut manifest, mismatches);
    begin(out, &study, &manifest, fence).map_err(RunError::Folder)?;
    fence.write_json(&Fingerprints::file(out), &known).map_err(RunError::Folder)?;
    adopt(&first, out, fence).map_err(RunError::Folder)?;
    let chosen = chosen(plan, &first, runner).map_err(RunError::Folder)?;
    fence.write_json(&out.join("plan.json"), &rows(file, &plan.supplies, &chosen)?).map_err(RunError::Folder)?;
    runner.show(&shown).map_err(RunError::Folder)?;
    Ok(Some(Opened { first, manifest }))
}

/// What runners that share a folder must have in common: the study, and the identities of its first trials.
fn shown(study: &str, first: &[PlannedTrial]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(study.as_bytes());
    for trial in first {
        hash.update(trial.identity.hash.as_bytes());
    }
    hash.finalize().to_hex().to_string()
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
    let table = tuning::table(plan.file, tuning)?;
    // As long as this session tries again what failed before, what was chosen then stands.
    let before = if has_ended { None } else { read_json::<Vec<TuningRow>>(&plan.options.out.join("tuning.json"))? };
    let is_of_them = |row: &TuningRow, now: &TuningRow| {
        let candidates = |row: &TuningRow| row.candidates.iter().map(|(candidate, _)| *candidate).collect::<Vec<_>>();
        row.place == now.place && candidates(row) == candidates(now)
    };
    let before =
        before.filter(|rows| rows.len() == table.len() && rows.iter().zip(&table).all(|(row, now)| is_of_them(row, now)));
    match before {
        Some(rows) => Ok(rows.iter().map(TuningRow::chosen).collect()),
        None if has_ended => Ok(table.iter().map(TuningRow::chosen).collect()),
        None => Ok(vec![None; plan.file.variants().len()]),
    }
}
