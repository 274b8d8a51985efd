//! A study, from its YAML to its records: train what is not done yet.

use crate::identity::Code;
use crate::plan::{Order, PlannedTrial, adopt, judged_orders, place, settled, tuning_orders};
use crate::pool::{Limits, Pool};
use crate::prepare::{Prepared, prepare};
use crate::probe::Fingerprints;
use crate::tuning;
use regatta_config::{Candidate, Refusal, StudyFile, Variant};
use regatta_lm::training::StepRecord;
use regatta_records::{
    Fence, Lease, LeaseError, Manifest, PlanRow, RecordError, State, Status, TuningRow, check_out, write_json, write_whole,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// How to run a study.
pub struct Options<'a> {
    /// The folder for results.
    pub out: &'a Path,
    /// Throw away the trials that are there and start over.
    pub fresh: bool,
    /// Asked, where `fresh` would throw away so many trials that are finished, whether it may.
    pub may_discard: &'a dyn Fn(usize) -> bool,
    /// Keep finished trials that differ from the plan in the code alone: versions of program and plugins, and what those compute.
    pub allow_mismatch: bool,
    /// Set from outside when the run should stop after the step it is at.
    pub stop: &'a AtomicBool,
    /// The program that runs [`work`](crate::work) for an attempt at the folder.
    pub worker: &'a dyn Fn(u64) -> Command,
    /// The program that runs [`probe`](crate::probe()).
    pub probe: &'a dyn Fn() -> Command,
    /// What workers may take.
    pub limits: Limits,
}

/// One trial of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The arm, its point of the sweep, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Its steps.
    pub steps: usize,
    /// Whether an earlier run settled it.
    pub settled: bool,
}

/// Someone who is told what happens, as it happens. Trials may run side by side.
pub trait Watcher {
    /// All trials, in the order in which they begin. Told again where tuning comes first: once for its trials, and once for those
    /// that are judged.
    fn planned(&mut self, trials: &[Planned]);
    /// A trial begins, after so many steps that were made before it was cut off.
    fn begun(&mut self, trial: usize, from: usize);
    /// A step was made; of quick steps not every one is told.
    fn step(&mut self, trial: usize, record: &StepRecord);
    /// A trial ended; one that failed may begin again.
    fn ended(&mut self, trial: usize, status: &Status);
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every trial is done.
    AllDone,
    /// Some trial failed or diverged.
    SomeFailed,
    /// It was asked to stop.
    Interrupted,
}

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The study cannot be run as it is; nothing was trained.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The folder for results cannot be used; nothing was trained.
    #[error(transparent)]
    Folder(RecordError),
    /// Finished trials were not to be thrown away; nothing was trained.
    #[error("{folder}: kept as it was, with its finished trials ({trials}): without --fresh the same command goes on from them")]
    Kept {
        /// The folder for results.
        folder: String,
        /// How many are finished.
        trials: usize,
    },
    /// Another runner holds the folder; nothing was trained.
    #[error(transparent)]
    Held(LeaseError),
    /// The folder holds results of another study.
    #[error(
        "{folder}: trial {name}, seed {seed}, is there with other {what} ({differences}): name another --out, say --fresh to start over{}",
        if *.what != "settings" { ", or --allow-mismatch to keep what is finished" } else { "" }
    )]
    OtherStudy {
        /// The folder for results.
        folder: String,
        /// The trial's arm and point.
        name: String,
        /// The trial's seed.
        seed: u64,
        /// `settings`; or, where nothing else differs, `versions` or `formulas`.
        what: &'static str,
        /// What differs, where that is known.
        differences: String,
    },
}

/// Trains every trial of the study that is not settled yet, seed by seed so that a run cut short still has whole pairs. A trial
/// that was cut off goes on from its last checkpoint. Where the study tunes, all tuning trials come first.
///
/// # Errors
/// Before anything is trained, when the study, its data or the folder cannot be used; later only when a status cannot be
/// written, or another runner took the folder over. A trial that fails, panics or diverges is a record, and the others go on.
pub fn run(file: &StudyFile, options: &Options<'_>, watcher: &mut dyn Watcher) -> Result<Ended, RunError> {
    let out = options.out;
    check_out(out).map_err(RunError::Folder)?;
    let prepared = prepare(file)?;
    Lease::look(out).map_err(refuse_lease)?; // at once, and again when all else is known to be in order
    let fingerprints = Fingerprints::measure(file, out, &options.limits, options.probe)?;
    let planned = |orders: Vec<Order>| -> Result<Vec<PlannedTrial>, RecordError> {
        let of = |order: &Order| fingerprints.of(file.variants()[order.variant].arm());
        orders.into_iter().map(|order| PlannedTrial::new(file, &prepared, out, order.clone(), of(&order))).collect()
    };
    let mut chosen = vec![None; file.variants().len()];
    let mut tuning = planned(tuning_orders(file))?;
    let mut judged = planned(judged_orders(file, &chosen))?; // none before tuning has chosen
    let first = if tuning.is_empty() { &mut judged } else { &mut tuning };
    let mut manifest = prepared[0].manifest(file);
    manifest.mismatches = refuse_others(first, options)?;
    std::fs::create_dir_all(out).map_err(|error| RunError::Folder(RecordError::new(out, error)))?;
    let lease = Lease::take(out).map_err(refuse_lease)?;
    let fence = lease.fence();
    let trials = if options.fresh { settled(&out.join("trials")) } else { 0 };
    if trials > 0 && !(options.may_discard)(trials) {
        return Err(RunError::Kept { folder: out.display().to_string(), trials });
    }
    begin_folder(file, &manifest, options).map_err(RunError::Folder)?;
    write_json(&out.join("plan.json"), &rows(file, &prepared, &chosen)).map_err(RunError::Folder)?;
    let ended = train(first, options, fence, watcher)?;
    if tuning.is_empty() || ended == Ended::Interrupted {
        return Ok(ended);
    }

    let table = tuning::table(file, &tuning)?;
    write_json(&out.join("tuning.json"), &table)?;
    chosen = table.iter().map(TuningRow::chosen).collect();
    for row in table.iter().filter(|row| row.winner.is_none()) {
        tracing::warn!("{}: no candidate could be trained with every tuning seed, so there is none to judge", row.name);
    }
    write_json(&out.join("plan.json"), &rows(file, &prepared, &chosen))?;
    judged = planned(judged_orders(file, &chosen))?;
    let mismatches = refuse_others(&mut judged, options)?;
    if !mismatches.is_empty() {
        manifest.mismatches.extend(mismatches);
        write_json(&out.join("manifest.json"), &manifest)?;
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
            tracing::warn!("{}, seed {}: {reason}", trial.name, trial.order.seed);
        }
        let settled = status.is_some_and(|status| status.state.is_settled() && trial.is_meant_by(&status));
        planned.push(Planned { name: trial.name.clone(), seed: trial.order.seed, steps: trial.steps(), settled });
    }
    watcher.planned(&planned);
    let missing = (0..trials.len()).filter(|&trial| !planned[trial].settled).collect();
    Pool { trials, options, fence, watcher }.run(missing)
}

/// Refuses a folder whose trials are those of another study: neither are their results overwritten, nor what they could go on
/// from. A trial that only failed may be tried with other settings. Where the code alone may differ, a finished trial stands in
/// for the one that is planned, one that is not finished starts over, and what differs is returned.
fn refuse_others(trials: &mut [PlannedTrial], options: &Options<'_>) -> Result<Vec<String>, RunError> {
    let known: BTreeSet<String> = trials.iter().map(|trial| trial.identity.hash.clone()).collect();
    let mut mismatches = Vec::new();
    for trial in trials.iter_mut().filter(|_| !options.fresh) {
        let status = trial.folder.status().map_err(RunError::Folder)?;
        let Some(status) = status.filter(|status| !known.contains(&status.identity) && status.state != State::Failed) else {
            continue;
        };
        let inputs = trial.folder.inputs().map_err(RunError::Folder)?.unwrap_or_default();
        let differences = if inputs.is_null() { Vec::new() } else { trial.identity.differences(&inputs) };
        let differences = if differences.is_empty() { format!("identity {}", status.identity) } else { differences.join("; ") };
        let code = trial.identity.differing_code(&inputs);
        if code.is_none() || !options.allow_mismatch {
            return Err(RunError::OtherStudy {
                folder: options.out.display().to_string(),
                name: trial.name.clone(),
                seed: trial.order.seed,
                what: match code {
                    None => "settings",
                    Some(Code::Versions) => "versions",
                    Some(Code::Formulas) => "formulas",
                },
                differences,
            });
        }
        let kept = status.state.is_settled();
        let fate = if kept { "kept" } else { "starts over" };
        tracing::warn!("{}, seed {}, {fate}: {differences}", trial.name, trial.order.seed);
        if kept {
            mismatches.push(format!("{}, seed {}: {differences}", trial.name, trial.order.seed));
            trial.stand_in = Some(status.identity);
        }
    }
    Ok(mismatches)
}

/// Empties the folder of trials where that is asked for, and says what the results are made with.
fn begin_folder(file: &StudyFile, manifest: &Manifest, options: &Options<'_>) -> Result<(), RecordError> {
    let out = options.out;
    let folder = out.join("trials");
    if options.fresh && folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| RecordError::new(&folder, error))?;
    }
    write_whole(&out.join("study.yaml"), file.study.to_yaml().as_bytes())?;
    write_json(&out.join("manifest.json"), manifest)
}

/// A row for each variant: what is compared with what.
fn rows(file: &StudyFile, prepared: &[Prepared], chosen: &[Option<Candidate>]) -> Vec<PlanRow> {
    let row = |((variant, prepared), chosen): ((&Variant, &Prepared), &Option<Candidate>)| {
        let study = match chosen {
            Some(candidate) => variant.study.with(variant.index, candidate),
            None => variant.study.with(variant.index, &Candidate::default()),
        };
        PlanRow {
            arm: variant.arm.clone(),
            point: variant.label().to_owned(),
            place: place(variant),
            baseline: place(file.baseline_of(variant)),
            terms: serde_json::to_value(study.arms[variant.index].list()).unwrap_or_default(),
            parameters: prepared.model.parameters(),
            tokens: prepared.tokens(),
            steps: Some(prepared.steps.get()),
            chosen: *chosen,
        }
    };
    file.variants().iter().zip(prepared).zip(chosen).map(row).collect()
}
