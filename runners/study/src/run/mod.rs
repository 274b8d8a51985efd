//! A run of a study, from its YAML to its records: train what is not done yet, beside other runners of the same folder.

mod folder;
mod opening;
mod others;

use crate::adopt::adopt;
use crate::ended::{Ended, RunError};
use crate::event::{Planned, Watcher};
use crate::fingerprints::Fingerprints;
use crate::fits::{Room, fits};
use crate::options::Options;
use crate::plan::{PlannedTrial, TrialKey, judged_keys, planned, tuning_keys};
use crate::pool::{Pool, Until};
use crate::prepare::{Prepared, prepare_with};
use crate::protocol::Setup;
use crate::supply::Supply;
use crate::tokens::tokens_of;
use crate::tuning;
use folder::rows;
use opening::{Opened, open, turn};
use others::refuse_others;
use regatta_config::StudyFile;
use regatta_lm::{Compute, Device};
use regatta_records::{Fence, Lease, Manifest, Others, REPORT, RecordError, Runner, State, Status, TuningRow, check_out, disk};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Trains every trial of the study that is not settled yet and that no other runner of the folder trains, seed by seed so that a
/// run cut short still has whole pairs. A trial that was interrupted resumes from its last checkpoint. Where the study tunes, all
/// tuning trials come first.
///
/// # Errors
/// Before anything is trained, when the study, its data, the device or the folder cannot be used; later only when a status cannot be
/// written. A trial that fails, panics or diverges is a record, and the others go on.
pub fn run(file: &StudyFile, options: &Options<'_>, watcher: &mut dyn Watcher) -> Result<Ended, RunError> {
    let out = options.out;
    check_out(out).map_err(RunError::Folder)?;
    let compute = options.device.open()?;
    let device = compute.words();
    if options.device != Device::Cpu {
        tracing::info!("device: {device}");
    }
    let prepared = prepare_with(file, Some(&tokens_of(out)), options.tokens)?;
    let fingerprints = Fingerprints::measure(file, out, &options.limits, options.probe).map_err(RunError::Folder)?;
    let supplies = Supply::of(&prepared);
    let manifest = Manifest { device: (options.device != Device::Cpu).then_some(device), ..prepared[0].manifest(file)? };
    let mut plan = Plan { file, supplies, fingerprints, options, recompute: false };
    let mut first = plan.first()?;
    refuse_others(&mut first, options)?; // at once, and again when nobody else can change the folder
    plan.recompute = plan.recomputes(&first, &prepared, &compute)?;
    drop((first, prepared, compute)); // tokens and device are the workers'
    disk::create_folder(out).map_err(|error| RunError::Folder(RecordError::new(out, error)))?;
    let runner = Runner::join(out, options.session).map_err(RunError::Folder)?;
    let mut others = Others::of(out);
    let Some(Opened { first, mut manifest }) = open(&mut plan, manifest, &runner, &mut others)? else {
        return Ok(Ended::Interrupted);
    };
    if !plan.is_tuned() {
        return plan.train(&first, &runner, watcher, plan.until());
    }
    let ended = plan.train(&first, &runner, watcher, Until::AllSettled)?;
    // a candidate that diverged is a result of tuning, and no failure
    if ended == Ended::Interrupted || (options.limits.fail_fast && has_failed(&first)?) {
        return Ok(ended);
    }
    let Some(turn) = turn(&runner, &mut others, options)? else { return Ok(Ended::Interrupted) };
    let (judged, all_chosen) = judged(&plan, &first, &mut manifest, &turn)?;
    drop(turn);
    let judged_ended = plan.train(&judged, &runner, watcher, plan.until())?;
    Ok(if judged_ended == Ended::AllDone && !(all_chosen && ended == Ended::AllDone) { Ended::SomeFailed } else { judged_ended })
}

fn has_failed(trials: &[PlannedTrial]) -> Result<bool, RecordError> {
    for trial in trials {
        if trial.folder.status()?.is_some_and(|status| status.state == State::Failed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does what concerns the results of the folder `out` as a whole while no other runner does; `None` where it is asked to stop first.
/// What is written by the fence does not replace what a runner wrote that took this one for gone.
///
/// # Errors
/// When a file of the runners cannot be read or written.
pub fn in_turn<T>(out: &Path, stop: &AtomicBool, work: impl FnOnce(&Fence) -> T) -> Result<Option<T>, RecordError> {
    let runner = Runner::join(out, Some(REPORT))?;
    let turn = runner.turn(&mut Others::of(out), |_| !stop.load(Ordering::Relaxed))?;
    if turn.is_none() {
        tracing::warn!("stopped while another runner was at work on the results; `regatta report {}` writes them", out.display());
    }
    Ok(turn.map(|turn| work(turn.fence())))
}

/// A study, and all that its trials are planned from.
struct Plan<'a> {
    file: &'a StudyFile,
    supplies: Vec<Supply>,
    fingerprints: Fingerprints,
    options: &'a Options<'a>,
    /// Whether trials recompute activations, to fit beside each other on the device.
    recompute: bool,
}

impl Plan<'_> {
    fn is_tuned(&self) -> bool {
        !tuning_keys(self.file).is_empty()
    }

    /// The tuning trials; where there are none, those that are judged.
    fn first(&self) -> Result<Vec<PlannedTrial>, RecordError> {
        let tuning = tuning_keys(self.file);
        self.planned(if tuning.is_empty() { judged_keys(self.file, &vec![None; self.file.variants().len()]) } else { tuning })
    }

    fn planned(&self, keys: Vec<TrialKey>) -> Result<Vec<PlannedTrial>, RecordError> {
        planned(self.file, &self.supplies, self.options.out, &self.fingerprints, self.options.device, keys)
    }

    /// Whether trials have to recompute activations to fit on the device, of which those of tuning, or that are judged, are `first`.
    ///
    /// # Errors
    /// When they do not fit in any way. Where none is left, none has to fit.
    fn recomputes(&self, first: &[PlannedTrial], prepared: &[Prepared], compute: &Compute) -> Result<bool, RunError> {
        let at_once = self.left(first)?.min(self.options.limits.jobs);
        if at_once == 0 {
            return Ok(false);
        }
        let room = Room::of(compute, at_once, self.options.limits.memory);
        let recompute = fits(self.file, prepared, compute, room)?.is_some_and(|neediest| neediest.recompute);
        if recompute {
            let what = if at_once == 1 { "a trial fits".to_owned() } else { format!("{at_once} trials fit at once") };
            tracing::info!("{}: activations are recomputed in the backward pass, so that {what}", compute.words());
        }
        Ok(recompute)
    }

    /// How many trials are left that this runner may train, of which `first` are those of tuning where there is any. While it is not
    /// over, those that are judged count as left.
    fn left(&self, first: &[PlannedTrial]) -> Result<usize, RunError> {
        let is_meant = |key: &TrialKey| key.tuning || self.options.seeds.is_none_or(|seeds| seeds.contains(&key.seed));
        let unsettled = |trials: &[PlannedTrial]| {
            let mut left = 0;
            for trial in trials.iter().filter(|trial| is_meant(&trial.key)) {
                let status = trial.folder.status().map_err(RunError::Folder)?;
                let settled = status.is_some_and(|status| trial.is_settled_by(&status));
                left += usize::from(self.options.fresh || !settled);
            }
            Ok::<_, RunError>(left)
        };
        let left = unsettled(first)?;
        if !self.is_tuned() {
            return Ok(left);
        }
        if left > 0 {
            return Ok(left.max(judged_keys(self.file, &vec![None; self.file.variants().len()]).len()));
        }
        let chosen: Vec<_> = tuning::table(self.file, first)?.iter().map(TuningRow::chosen).collect();
        unsettled(&self.planned(judged_keys(self.file, &chosen))?)
    }

    fn until(&self) -> Until {
        if self.options.no_wait { Until::NothingToTake } else { Until::AllSettled }
    }

    /// Trains what is not settled of these trials.
    fn train(
        &self,
        trials: &[PlannedTrial],
        runner: &Runner,
        watcher: &mut dyn Watcher,
        until: Until,
    ) -> Result<Ended, RunError> {
        let mut planned = Vec::new();
        for trial in trials {
            let status = trial.folder.status().map_err(RunError::Folder)?;
            if let Some(Status { state: State::Incomplete, reason: Some(reason), .. }) = &status {
                tracing::warn!("{}, seed {}: {reason}", trial.name, trial.key.seed);
            }
            let settled = status.is_some_and(|status| trial.is_settled_by(&status));
            planned.push(Planned { name: trial.name.clone(), seed: trial.key.seed, steps: trial.steps(), settled });
        }
        watcher.planned(&planned);
        let missing = (0..trials.len()).filter(|&trial| !planned[trial].settled).collect();
        Pool::new(trials, missing, self.setup(runner), self.options, runner, watcher).run(until)
    }

    /// Of each worker.
    fn setup(&self, runner: &Runner) -> Setup {
        let Options { out, every, device, .. } = *self.options;
        Setup { out: out.into(), session: runner.card().session.clone(), every, device, recompute: self.recompute }
    }
}

/// Adds what differs from the plan, each once.
fn note(manifest: &mut Manifest, mismatches: Vec<String>) {
    for found in mismatches {
        if !manifest.mismatches.contains(&found) {
            manifest.mismatches.push(found);
        }
    }
}

/// Records what tuning found, and plans the trials that are judged; whether there is one for every variant.
fn judged(
    plan: &Plan<'_>,
    tuned: &[PlannedTrial],
    manifest: &mut Manifest,
    turn: &Lease,
) -> Result<(Vec<PlannedTrial>, bool), RunError> {
    let Plan { file, supplies, options, .. } = plan;
    let (out, fence) = (options.out, turn.fence());
    let table = tuning::table(file, tuned)?;
    let chosen: Vec<_> = table.iter().map(TuningRow::chosen).collect();
    let mut judged = plan.planned(judged_keys(file, &chosen))?;
    let mismatches = refuse_others(&mut judged, options)?; // before the plan is replaced by one that its trials are not of
    fence.write_json(&out.join("tuning.json"), &table)?;
    for row in table.iter().filter(|row| row.winner.is_none()) {
        tracing::warn!("{}: no candidate could be trained with every tuning seed, so there is none to judge", row.name);
    }
    fence.write_json(&out.join("plan.json"), &rows(file, supplies, &chosen)?)?;
    if !mismatches.is_empty() {
        note(manifest, mismatches);
        fence.write_json(&out.join("manifest.json"), manifest)?;
    }
    adopt(&judged, out, fence).map_err(RunError::Folder)?;
    Ok((judged, chosen.iter().all(Option::is_some)))
}
