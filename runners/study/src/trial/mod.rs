//! One trial, from its start or its last checkpoint to its records.

mod begin;
mod recorder;

use crate::energy::EnergyMeter;
use crate::identity::Identity;
use begin::{Began, begin};
use recorder::ToFolder;
use regatta_core::simd;
use regatta_lm::measure::MeasureError;
use regatta_lm::tasks::Tasks;
use regatta_lm::training::{
    Evaluated, Evaluation, Outcome, Recorder, StepRecord, TrainError, Trial, evaluate, flops_per_token, train, worth,
};
use regatta_records::{Checkpoints, Cost, RecordError, State, Status, TrialEvaluation, TrialFolder, Written};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file of a checkpoint that holds what is neither weights nor moments.
const STATE: &str = "state.json";

/// How the program counts the memory that it holds; the allocator is the program's own.
#[derive(Debug, Clone, Copy)]
pub struct MemoryMeter {
    /// Starts a new count of the most memory held at once.
    pub restart: fn(),
    /// The most memory held at once since then, bytes.
    pub peak: fn() -> u64,
    /// The most memory of the process that was resident at once since it began, bytes, where the system tells.
    pub peak_resident: fn() -> Option<u64>,
}

/// How often a trial keeps a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Every {
    /// After so much time, at the next step.
    Time(Duration),
    /// After so many steps.
    Steps(usize),
}

/// What happens in a trial, as it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It begins, with so many updates made before.
    Begun {
        /// Updates made by runs that were cut off.
        from: usize,
    },
    /// A step was made.
    Step(StepRecord),
    /// It is measuring: nothing to tell, and alive.
    Alive,
    /// It ended.
    Ended(Status),
}

/// What a trial needs besides its [`Trial`].
pub(crate) struct Surroundings<'a> {
    /// Arm and seed, as people name the trial.
    pub name: &'a str,
    pub folder: &'a TrialFolder,
    pub tasks: &'a Tasks,
    pub identity: &'a Identity,
    pub attempt: u64,
    pub every: Every,
    pub stop: &'a AtomicBool,
    pub memory: Option<MemoryMeter>,
    pub tell: &'a mut dyn FnMut(Event),
}

/// Trains, measures and records one trial. Whatever the trial does (an error, a panic, a loss that is not finite) ends in
/// its status; only a status that cannot be written is an error.
pub(crate) fn run_trial(trial: &Trial<'_>, surroundings: Surroundings<'_>) -> Result<(), RecordError> {
    let Surroundings { name, folder, tasks, identity, attempt, every, stop, memory, tell } = surroundings;
    folder.create()?;
    folder.set_inputs(&identity.inputs)?;
    let checkpoints = folder.checkpoints(&identity.hash)?;
    let began = begin(trial, folder, &checkpoints)?;
    let from = began.restored.as_ref().map(|restored| restored.steps);
    let running = Status {
        state: State::Running,
        reason: None,
        identity: identity.hash.clone(),
        started: Some(now()),
        ended: None,
        attempt,
        resumed_from: from,
        records: None,
    };
    folder.set_status(&running)?;
    tell(Event::Begun { from: from.unwrap_or(0) });
    let mut run = Run { name, trial, folder, tasks, checkpoints: &checkpoints, every, stop, memory, tell };
    let result = catch_unwind(AssertUnwindSafe(|| run.train_and_measure(began)));
    let (state, reason) = match result {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => (State::Failed, Some(error.to_string())),
        Err(panic) => (State::Failed, Some(format!("panicked: {}", panic_message(&*panic)))),
    };
    let status = whole(trial, folder, Status { state, reason, ended: Some(now()), ..running });
    folder.create()?; // it may have been removed, and a trial that failed says so
    folder.set_status(&status)?;
    if status.state == State::Done {
        checkpoints.clear()?; // of one that diverged they are what a search for the cause begins with
    }
    tell(Event::Ended(status));
    Ok(())
}

/// A trial is settled with all of its records, which are counted in its status; it failed where one is not there.
fn whole(trial: &Trial<'_>, folder: &TrialFolder, status: Status) -> Status {
    if !status.state.is_settled() {
        return status;
    }
    let is_diagnosed = trial.evaluate.diagnostics.is_some();
    let count = || -> Result<_, String> {
        let config = trial.decoder().map_err(|error| error.to_string())?;
        let steps = trial.train.steps_of(&config)?.get();
        folder.count_records(status.state, steps, is_diagnosed).map_err(|error| error.to_string())
    };
    match count() {
        Ok(records) => Status { records: Some(records), ..status },
        Err(reason) => Status { state: State::Failed, reason: Some(reason), ..status },
    }
}

struct Run<'a, 'b> {
    name: &'a str,
    trial: &'a Trial<'a>,
    folder: &'a TrialFolder,
    tasks: &'a Tasks,
    checkpoints: &'a Checkpoints,
    every: Every,
    stop: &'a AtomicBool,
    memory: Option<MemoryMeter>,
    tell: &'b mut dyn FnMut(Event),
}

impl Run<'_, '_> {
    fn train_and_measure(&mut self, began: Began) -> Result<(State, Option<String>), TrainError> {
        let (trial, folder) = (self.trial, self.folder);
        if let Some(meter) = self.memory {
            (meter.restart)();
        }
        let Written { made, measured, diagnosed } = &began.written;
        let diagnosed = trial.evaluate.diagnostics.as_ref().map(|_| folder.diagnoses_after(diagnosed));
        let mut recorder = ToFolder {
            name: self.name,
            on_spike: trial.train.on_spike,
            metrics: folder.metrics_after(made).map_err(record)?,
            validations: folder.validations_after(measured).map_err(record)?,
            diagnoses: diagnosed.transpose().map_err(record)?,
            checkpoints: self.checkpoints,
            every: self.every,
            stop: self.stop,
            tell: std::cell::RefCell::new(&mut *self.tell),
            rates: made.iter().map(|record| record.tokens_per_second).collect(),
            last_validation: f64::NAN,
            started: Instant::now(),
            seconds_before: began.seconds,
            energy: std::cell::RefCell::new(EnergyMeter::start()),
            joules_before: if began.restored.is_some() { began.joules } else { Some(0.0) },
            kept: (Instant::now(), made.len()),
        };
        let from = began.restored.map(|restored| (restored, &made[..]));
        let learner = match train(trial, from, &mut recorder)? {
            Outcome::Finished(learner) => learner,
            Outcome::Diverged { reason } => {
                recorder.sync()?;
                let kept = self.checkpoints.latest().map_err(record)?;
                let kept = kept.map(|path| format!("; the last checkpoint before it is {}", path.display())).unwrap_or_default();
                return Ok((State::Diverged, Some(reason + &kept)));
            }
            Outcome::Stopped(learner) => return recorder.interrupted(&learner),
        };
        let model = learner.model();
        let (context, rows) = (trial.context(model.decoder()), trial.train.batch_size.get());
        let split = if trial.corpus.test.is_some() { "test" } else { "validation" };
        let of = Evaluated { split: trial.corpus.held_out(), context, rows, spec: trial.evaluate };
        let watch = &|| !Recorder::stop(&recorder);
        let measured = evaluate(model, of, watch)
            .and_then(|measures| Ok(Evaluation { worth: worth(model, self.tasks, of, watch)?, ..measures }));
        let measures = match measured {
            Err(MeasureError::Interrupted) => return recorder.interrupted(&learner),
            other => other?,
        };
        recorder.sync()?;
        write_checkpoint(trial, folder, model)?;
        let tokens_per_second = median(&mut recorder.rates);
        let steps = trial.train.steps_of(model.decoder()).map_err(TrainError::Length)?;
        let flops_per_token = flops_per_token(model.decoder(), context, (trial.train, steps), trial.terms, trial.interventions);
        let steps = steps.get();
        let cost = Cost {
            wall_seconds: recorder.seconds(),
            step_ms: 1e3 * (rows * context) as f64 / tokens_per_second,
            tokens_per_second,
            peak_memory_mib: self.memory.map(|meter| mib((meter.peak)())),
            peak_rss_mib: self.memory.and_then(|meter| (meter.peak_resident)()).map(mib),
            flops_per_token: Some(flops_per_token),
            training_flops: Some(flops_per_token * (steps * rows * context) as f64),
            energy_joules: recorder.joules(),
            instructions: Some(simd::level()),
        };
        let evaluation = TrialEvaluation { split: split.into(), measures, validation_loss: recorder.last_validation, cost };
        folder.set_evaluation(&evaluation).map_err(record)?;
        Ok((State::Done, None))
    }
}

fn record(error: RecordError) -> TrainError {
    TrainError::Record(std::io::Error::other(error.to_string()))
}

/// The trained model and its tokenizer, for any program that reads Hugging Face's layout.
fn write_checkpoint(trial: &Trial<'_>, folder: &TrialFolder, model: &regatta_lm::model::Model) -> Result<(), TrainError> {
    let checkpoint = folder.create_checkpoint().map_err(record)?;
    model.write(&checkpoint)?;
    if let Some(tokenizer) = &trial.corpus.tokenizer {
        tokenizer.save(&checkpoint)?;
    }
    Ok(())
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    if numbers.is_empty() { f64::NAN } else { numbers[numbers.len() / 2] }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
