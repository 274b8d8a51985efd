//! One trial, from its start to its records.

use crate::records::{Cost, Lines, RecordError, State, Status, TrialEvaluation, TrialFolder, Validation};
use regatta_lm::training::{Outcome, Recorder, StepRecord, TrainError, Trial, evaluate, train};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How the program counts the memory that it holds; the allocator is the program's own.
#[derive(Debug, Clone, Copy)]
pub struct MemoryMeter {
    /// Starts a new count of the most memory held at once.
    pub restart: fn(),
    /// The most memory held at once since then, bytes.
    pub peak: fn() -> u64,
}

/// What a trial needs besides its [`Trial`].
pub(crate) struct Surroundings<'a> {
    pub folder: &'a TrialFolder,
    pub identity: &'a str,
    pub stop: &'a AtomicBool,
    pub memory: Option<MemoryMeter>,
    pub on_step: &'a mut dyn FnMut(&StepRecord),
}

/// Trains, measures and records one trial. Whatever the trial does (an error, a panic, a loss that is not finite) ends in
/// its status; only a status that cannot be written is an error.
pub(crate) fn run_trial(trial: &Trial<'_>, surroundings: Surroundings<'_>) -> Result<Status, RecordError> {
    let (folder, identity) = (surroundings.folder, surroundings.identity);
    folder.create()?;
    let running =
        Status { state: State::Running, reason: None, identity: identity.to_owned(), started: Some(now()), ended: None };
    folder.set_status(&running)?;
    let result = catch_unwind(AssertUnwindSafe(|| train_and_measure(trial, surroundings)));
    let (state, reason) = match result {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => (State::Failed, Some(error.to_string())),
        Err(panic) => (State::Failed, Some(format!("panicked: {}", panic_message(&*panic)))),
    };
    let status = Status { state, reason, ended: Some(now()), ..running };
    folder.set_status(&status)?;
    Ok(status)
}

fn train_and_measure(trial: &Trial<'_>, surroundings: Surroundings<'_>) -> Result<(State, Option<String>), TrainError> {
    let Surroundings { folder, stop, memory, on_step, .. } = surroundings;
    let started = Instant::now();
    if let Some(meter) = memory {
        (meter.restart)();
    }
    let failed = |error: RecordError| TrainError::Record(std::io::Error::other(error.to_string()));
    let mut recorder = ToFolder {
        metrics: folder.new_metrics().map_err(failed)?,
        validations: folder.new_validations().map_err(failed)?,
        stop,
        on_step,
        rates: Vec::new(),
        last_validation: f64::NAN,
    };
    let outcome = train(trial, &mut recorder)?;
    recorder.metrics.sync()?;
    recorder.validations.sync()?;
    let model = match outcome {
        Outcome::Finished(model) => model,
        Outcome::Diverged { reason } => return Ok((State::Diverged, Some(reason))),
        Outcome::Stopped { steps } => return Ok((State::Pending, Some(format!("interrupted after {steps} steps")))),
    };

    let context = trial.context(model.config());
    let rows = trial.train.batch_size.get();
    let split = if trial.corpus.test.is_some() { "test" } else { "validation" };
    let measures = evaluate(&model, trial.corpus.held_out(), context, rows, trial.evaluate)?;
    write_checkpoint(trial, folder, &model)?;
    let tokens_per_second = median(&mut recorder.rates);
    let cost = Cost {
        wall_seconds: started.elapsed().as_secs_f64(),
        step_ms: 1e3 * (rows * context) as f64 / tokens_per_second,
        tokens_per_second,
        peak_memory_mib: memory.map(|meter| (meter.peak)() as f64 / f64::from(1 << 20)),
    };
    let evaluation = TrialEvaluation { split: split.into(), measures, validation_loss: recorder.last_validation, cost };
    folder.set_evaluation(&evaluation).map_err(failed)?;
    Ok((State::Done, None))
}

/// The trained model and its tokenizer, for any program that reads Hugging Face's layout.
fn write_checkpoint(trial: &Trial<'_>, folder: &TrialFolder, model: &regatta_lm::model::Gpt2) -> Result<(), TrainError> {
    let checkpoint = folder.checkpoint();
    std::fs::create_dir_all(&checkpoint)?;
    model.write(&checkpoint)?;
    if let Some(tokenizer) = &trial.corpus.tokenizer {
        tokenizer.save(&checkpoint)?;
    }
    Ok(())
}

/// Puts what happens into the trial's files, and hears the signal to stop.
struct ToFolder<'a> {
    metrics: Lines,
    validations: Lines,
    stop: &'a AtomicBool,
    on_step: &'a mut dyn FnMut(&StepRecord),
    rates: Vec<f64>,
    last_validation: f64,
}

impl Recorder for ToFolder<'_> {
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.metrics.push(record)?;
        self.rates.push(record.tokens_per_second);
        (self.on_step)(record);
        Ok(())
    }

    fn validation(&mut self, step: usize, loss: f64) -> std::io::Result<()> {
        self.last_validation = loss;
        self.validations.push(&Validation { step, loss })
    }

    fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    if numbers.is_empty() { f64::NAN } else { numbers[numbers.len() / 2] }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
