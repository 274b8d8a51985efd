//! A study, from its YAML to its records: train what is not done yet.

use crate::identity::identity;
use crate::prepare::{Prepared, prepare};
use crate::records::{RecordError, State, Status, TrialFolder, write_json, write_whole};
use crate::spec::{Refusal, StudyFile};
use crate::trial::{MemoryMeter, Surroundings, run_trial};
use regatta_lm::training::{StepRecord, Trial};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to run a study.
pub struct Options<'a> {
    /// The folder for results.
    pub out: &'a Path,
    /// Throw away the trials that are there and start over.
    pub fresh: bool,
    /// Set from outside when the run should stop after the step it is at.
    pub stop: &'a AtomicBool,
    /// How memory is counted, where it is.
    pub memory: Option<MemoryMeter>,
}

/// One trial of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The arm's name.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Whether an earlier run settled it.
    pub settled: bool,
}

/// Someone who is told what happens, as it happens.
pub trait Watcher {
    /// All trials, in the order in which they run, and the steps of each.
    fn planned(&mut self, trials: &[Planned], steps: usize);
    /// A trial begins.
    fn begun(&mut self, trial: usize);
    /// A step was made.
    fn step(&mut self, trial: usize, record: &StepRecord);
    /// A trial ended.
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
    /// The folder holds results of another study.
    #[error("{folder}: trial {arm}, seed {seed}, is there with another {what}: name another --out, or say --fresh to start over")]
    OtherStudy {
        /// The folder for results.
        folder: String,
        /// The trial's arm.
        arm: String,
        /// The trial's seed.
        seed: u64,
        /// What differs.
        what: &'static str,
    },
}

/// Trains every trial of the study that is not settled yet, seed by seed so that a run cut short still has whole pairs.
///
/// # Errors
/// Before anything is trained, when the study, its data or the folder cannot be used; later only when a status cannot be
/// written. A trial that fails, panics or diverges is a record, and the others go on.
pub fn run(file: &StudyFile, options: &Options<'_>, watcher: &mut dyn Watcher) -> Result<Ended, RunError> {
    if options.out.exists() && !options.out.is_dir() {
        return Err(RunError::Folder(RecordError::new(options.out, "expected a folder for results, found a file")));
    }
    let prepared = prepare(file)?;
    let study = &file.study;
    let mut trials = Vec::new();
    for &seed in &study.seeds {
        for arm in &study.arms {
            let folder = TrialFolder::of(options.out, &arm.name, seed);
            trials.push((arm, seed, folder, identity(study, arm, seed, &prepared.corpus)?));
        }
    }
    let mut planned = Vec::new();
    for (arm, seed, folder, identity) in &trials {
        let status = if options.fresh { None } else { folder.status().map_err(RunError::Folder)? };
        let settled = status.as_ref().is_some_and(|status| status.state.is_settled());
        if settled && status.is_some_and(|status| status.identity != *identity) {
            let folder = options.out.display().to_string();
            return Err(RunError::OtherStudy {
                folder,
                arm: arm.name.clone(),
                seed: *seed,
                what: "model, training, data or terms",
            });
        }
        planned.push(Planned { arm: arm.name.clone(), seed: *seed, settled });
    }
    begin_folder(file, &prepared, options).map_err(RunError::Folder)?;
    watcher.planned(&planned, study.train.steps.get());

    for (index, (arm, seed, folder, identity)) in trials.iter().enumerate() {
        if planned[index].settled {
            continue;
        }
        if options.stop.load(Ordering::Relaxed) {
            return Ok(Ended::Interrupted);
        }
        watcher.begun(index);
        let (model, train, evaluate, terms) = (&study.model, &study.train, &study.evaluate, &arm.terms);
        let trial = Trial { model, train, evaluate, terms, corpus: &prepared.corpus, seed: *seed };
        let mut on_step = |record: &StepRecord| watcher.step(index, record);
        let surroundings = Surroundings { folder, identity, stop: options.stop, memory: options.memory, on_step: &mut on_step };
        let status = run_trial(&trial, surroundings)?;
        watcher.ended(index, &status);
        if status.state == State::Pending {
            return Ok(Ended::Interrupted);
        }
    }
    let mut all_done = true;
    for (_, _, folder, _) in &trials {
        all_done &= folder.status()?.is_some_and(|status| status.state == State::Done);
    }
    Ok(if all_done { Ended::AllDone } else { Ended::SomeFailed })
}

/// Makes the folder, or empties it of trials, and says what the results are made with.
fn begin_folder(file: &StudyFile, prepared: &Prepared, options: &Options<'_>) -> Result<(), RecordError> {
    let out = options.out;
    let at_out = |error: std::io::Error| RecordError::new(out, error);
    let trials = out.join("trials");
    if options.fresh && trials.exists() {
        std::fs::remove_dir_all(&trials).map_err(at_out)?;
    }
    std::fs::create_dir_all(out).map_err(at_out)?;
    write_whole(&out.join("study.yaml"), file.study.to_yaml().as_bytes())?;
    write_json(&out.join("manifest.json"), &prepared.manifest(file))
}
