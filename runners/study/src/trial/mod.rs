//! One trial, from its start or its last checkpoint to its records.

mod begin;
mod recorder;
mod surroundings;

pub(crate) use surroundings::Surroundings;

use crate::event::Event;
use crate::memory::MemoryMeter;
use begin::{Began, begin};
use recorder::ToFolder;
use regatta_core::simd;
use regatta_lm::measure::MeasureError;
use regatta_lm::tasks::Tasks;
use regatta_lm::training::{
    Evaluated, Evaluation, Learner, Outcome, Recorder, TrainError, Trial, evaluate, flops_per_token, train, worth,
};
use regatta_records::{Asked, Checkpoints, Cost, RecordError, State, Status, TrialEvaluation, TrialFolder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

/// Trains, measures and records one trial. Whatever the trial does (an error, a panic, a loss that is not finite) ends in
/// its status; only a status that cannot be written is an error.
pub(crate) fn run_trial(trial: &Trial<'_>, mut surroundings: Surroundings<'_>) -> Result<(), RecordError> {
    let Surroundings { folder, tasks, identity, holder, session, .. } = surroundings;
    folder.create()?;
    folder.sweep()?;
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
        attempt: holder.attempt,
        runner: Some(holder.runner.clone()),
        session: Some(session.to_owned()),
        resumed_from: from,
        records: None,
    };
    folder.set_status(&running)?;
    (surroundings.emit)(Event::Begun { from: from.unwrap_or(0) });
    let result = catch_unwind(AssertUnwindSafe(|| train_and_measure(trial, &mut surroundings, &checkpoints, began)));
    let (state, reason) = match result {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => (State::Failed, Some(error.to_string())),
        Err(panic) => (State::Failed, Some(format!("panicked: {}", panic_message(&*panic)))),
    };
    let status = whole(trial, (folder, tasks), Status { state, reason, ended: Some(now()), ..running });
    folder.create()?; // it may have been removed, and a trial that failed has a record
    folder.set_status(&status)?;
    if status.state == State::Done {
        checkpoints.clear()?; // those of a trial that diverged are kept for whoever looks for the cause
    }
    (surroundings.emit)(Event::Ended(status));
    Ok(())
}

/// The status with the bytes of each record; a trial of which one is missing failed.
fn whole(trial: &Trial<'_>, (folder, tasks): (&TrialFolder, &Tasks), status: Status) -> Status {
    if !status.state.is_settled() {
        return status;
    }
    let asked = Asked {
        diagnoses: trial.evaluate.diagnostics.is_some(),
        tasks: trial.evaluate.scores_on_the_way(),
        items: tasks.have_items(),
    };
    let count = || -> Result<_, String> {
        let config = trial.decoder().map_err(|error| error.to_string())?;
        let steps = trial.train.steps_of(&config)?.get();
        folder.count_records(status.state, steps, asked).map_err(|error| error.to_string())
    };
    match count() {
        Ok(records) => Status { records: Some(records), ..status },
        Err(reason) => Status { state: State::Failed, reason: Some(reason), ..status },
    }
}

fn train_and_measure(
    trial: &Trial<'_>,
    surroundings: &mut Surroundings<'_>,
    checkpoints: &Checkpoints,
    began: Began,
) -> Result<(State, Option<String>), TrainError> {
    let Surroundings { folder, tasks, memory, .. } = *surroundings;
    if let Some(meter) = memory {
        (meter.restart)();
    }
    let mut recorder = ToFolder::open(trial, surroundings, checkpoints, &began).map_err(record)?;
    let from = began.restored.map(|restored| (restored, &began.written.made[..]));
    let learner = match train(trial, from, &mut recorder)? {
        Outcome::Finished(learner) => learner,
        Outcome::Diverged { reason } => {
            recorder.sync()?;
            let kept = checkpoints.latest().map_err(record)?;
            let kept = kept.map(|path| format!("; the last checkpoint before it is {}", path.display())).unwrap_or_default();
            return Ok((State::Diverged, Some(reason + &kept)));
        }
        Outcome::Stopped(learner) => return recorder.interrupted(&learner),
    };
    let model = learner.measured();
    let (context, rows) = (trial.context(model.decoder()), trial.train.batch_size.get());
    let split = if trial.corpus.test.is_some() { "test" } else { "validation" };
    let of = Evaluated { split: trial.corpus.held_out(), context, rows, spec: trial.evaluate };
    let watch = &|| !Recorder::stop(&recorder);
    let measured =
        evaluate(model, of, watch).and_then(|measures| Ok(Evaluation { worth: worth(model, tasks, of, watch)?, ..measures }));
    let measures = match measured {
        Err(MeasureError::Interrupted) => return recorder.interrupted(&learner),
        other => other?,
    };
    recorder.sync()?;
    write_checkpoint(trial, folder, &*model.model()?)?;
    if tasks.have_items() {
        folder.set_outcomes(&measures.worth.outcomes).map_err(record)?;
    }
    let cost = cost(trial, memory, &mut recorder, &learner)?;
    let evaluation = TrialEvaluation { split: split.into(), measures, validation_loss: recorder.last_validation, cost };
    folder.set_evaluation(&evaluation).map_err(record)?;
    Ok((State::Done, None))
}

fn cost(
    trial: &Trial<'_>,
    memory: Option<MemoryMeter>,
    recorder: &mut ToFolder<'_>,
    learner: &Learner<'_>,
) -> Result<Cost, TrainError> {
    let decoder = learner.decoder();
    let (context, rows) = (trial.context(decoder), trial.train.batch_size.get());
    let tokens_per_second = median(&mut recorder.rates);
    let steps = trial.train.steps_of(decoder).map_err(TrainError::Length)?;
    let flops_per_token = flops_per_token(decoder, context, (trial.train, steps), trial.terms, trial.interventions);
    let mut earlier_machines = recorder.machines();
    let machine = earlier_machines.pop().map(|last| last.machine);
    Ok(Cost {
        wall_seconds: recorder.seconds(),
        step_ms: 1e3 * (rows * context) as f64 / tokens_per_second,
        tokens_per_second,
        peak_memory_mib: memory.map(|meter| mib((meter.peak)())),
        peak_rss_mib: memory.and_then(|meter| (meter.peak_resident)()).map(mib),
        flops_per_token: Some(flops_per_token),
        training_flops: Some(flops_per_token * (steps.get() * rows * context) as f64),
        energy_joules: recorder.joules(),
        instructions: Some(simd::level()),
        machine,
        earlier_machines,
    })
}

fn record(error: RecordError) -> TrainError {
    TrainError::Record(std::io::Error::other(error.to_string()))
}

/// The trained model and its tokenizer, for any program that reads Hugging Face's layout.
fn write_checkpoint(trial: &Trial<'_>, folder: &TrialFolder, model: &regatta_lm::model::Model) -> Result<(), TrainError> {
    let mut files = model.files()?.to_vec();
    if let Some(tokenizer) = &trial.corpus.tokenizer {
        files.extend(tokenizer.files()?);
    }
    folder.write_checkpoint(&files).map_err(record)
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
