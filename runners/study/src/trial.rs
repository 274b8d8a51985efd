//! One trial, from its start or its last checkpoint to its records.

use crate::energy::EnergyMeter;
use crate::identity::Identity;
use crate::records::{
    Checkpoints, Cost, Kept, Lines, RecordError, State, Status, TrialEvaluation, TrialFolder, Validation, Written,
};
use regatta_lm::model::Gpt2Config;
use regatta_lm::tasks::Tasks;
use regatta_lm::training::{
    Diagnosis, Evaluation, Learner, Outcome, Recorder, Restored, StepRecord, TrainError, Trial, evaluate, flops_per_token, train,
    worth,
};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let Surroundings { folder, tasks, identity, attempt, every, stop, memory, tell } = surroundings;
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
    };
    folder.set_status(&running)?;
    tell(Event::Begun { from: from.unwrap_or(0) });
    let mut run = Run { trial, folder, tasks, checkpoints: &checkpoints, every, stop, memory, tell };
    let result = catch_unwind(AssertUnwindSafe(|| run.train_and_measure(began)));
    let (state, reason) = match result {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => (State::Failed, Some(error.to_string())),
        Err(panic) => (State::Failed, Some(format!("panicked: {}", panic_message(&*panic)))),
    };
    let status = Status { state, reason, ended: Some(now()), ..running };
    folder.set_status(&status)?;
    if state == State::Done {
        checkpoints.clear()?; // of one that diverged they are what a search for the cause begins with
    }
    tell(Event::Ended(status));
    Ok(())
}

/// Where a trial begins: at its first step, or after a checkpoint.
#[derive(Default)]
struct Began {
    restored: Option<Restored>,
    written: Written,
    seconds: f64,
    joules: Option<f64>,
}

/// What a checkpoint says besides weights and moments.
#[derive(Serialize, Deserialize)]
struct Progress {
    steps: usize,
    wall_seconds: f64,
    #[serde(default)]
    energy_joules: Option<f64>,
}

/// Reads the newest checkpoint that can be used, with the lines that were written before it.
fn begin(trial: &Trial<'_>, folder: &TrialFolder, checkpoints: &Checkpoints) -> Result<Began, RecordError> {
    let mut began = Began::default();
    let accept = |kept: &Kept| {
        let config = trial.config().map_err(|error| error.to_string())?;
        began = read(&config, folder, kept)?;
        Ok(())
    };
    match checkpoints.newest(accept)? {
        Some(_) => Ok(began),
        None => Ok(Began::default()),
    }
}

fn read(config: &Gpt2Config, folder: &TrialFolder, kept: &Kept) -> Result<Began, String> {
    let file = |name: &str| kept.files.get(name).ok_or_else(|| format!("expected {name}, found none"));
    let progress: Progress = serde_json::from_slice(file(STATE)?).map_err(|error| format!("{STATE}: {error}"))?;
    let restored = Restored::read(config, progress.steps, file(Restored::WEIGHTS)?, file(Restored::OPTIMIZER)?);
    let restored = Some(restored.map_err(|error| error.to_string())?);
    let written = folder.written_before(progress.steps).map_err(|error| error.to_string())?;
    Ok(Began { restored, written, seconds: progress.wall_seconds, joules: progress.energy_joules })
}

struct Run<'a, 'b> {
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
        let model = &learner.model;
        let (context, rows) = (trial.context(model.config()), trial.train.batch_size.get());
        let split = if trial.corpus.test.is_some() { "test" } else { "validation" };
        let (held_out, spec, watch) = (trial.corpus.held_out(), trial.evaluate, &|| !Recorder::stop(&recorder));
        let measured = evaluate(model, held_out, context, rows, spec, watch).and_then(|measures| {
            Ok(Evaluation { worth: worth(model, self.tasks, held_out, context, rows, spec, watch)?, ..measures })
        });
        let measures = match measured {
            Err(TrainError::Interrupted) => return recorder.interrupted(&learner),
            other => other?,
        };
        recorder.sync()?;
        write_checkpoint(trial, folder, model)?;
        let tokens_per_second = median(&mut recorder.rates);
        let flops_per_token = flops_per_token(model.config(), context, trial.train, trial.terms);
        let cost = Cost {
            wall_seconds: recorder.seconds(),
            step_ms: 1e3 * (rows * context) as f64 / tokens_per_second,
            tokens_per_second,
            peak_memory_mib: self.memory.map(|meter| mib((meter.peak)())),
            peak_rss_mib: self.memory.and_then(|meter| (meter.peak_resident)()).map(mib),
            flops_per_token: Some(flops_per_token),
            training_flops: Some(flops_per_token * (trial.train.steps.get() * rows * context) as f64),
            energy_joules: recorder.joules(),
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
fn write_checkpoint(trial: &Trial<'_>, folder: &TrialFolder, model: &regatta_lm::model::Gpt2) -> Result<(), TrainError> {
    let checkpoint = folder.create_checkpoint().map_err(record)?;
    model.write(&checkpoint)?;
    if let Some(tokenizer) = &trial.corpus.tokenizer {
        tokenizer.save(&checkpoint)?;
    }
    Ok(())
}

/// Puts what happens into the trial's files, keeps checkpoints, and hears the request to stop.
struct ToFolder<'a> {
    metrics: Lines,
    validations: Lines,
    diagnoses: Option<Lines>,
    checkpoints: &'a Checkpoints,
    every: Every,
    stop: &'a AtomicBool,
    tell: std::cell::RefCell<&'a mut dyn FnMut(Event)>,
    rates: Vec<f64>,
    last_validation: f64,
    started: Instant,
    seconds_before: f64,
    energy: std::cell::RefCell<EnergyMeter>,
    /// Of the runs that this one goes on from; none where one of them was not told.
    joules_before: Option<f64>,
    /// When the last checkpoint was tried, and after how many steps.
    kept: (Instant, usize),
}

impl ToFolder<'_> {
    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn joules(&mut self) -> Option<f64> {
        Some(self.joules_before? + self.energy.get_mut().joules()?)
    }

    fn sync(&self) -> std::io::Result<()> {
        self.metrics.sync()?;
        self.validations.sync()?;
        self.diagnoses.as_ref().map_or(Ok(()), Lines::sync)
    }

    fn keep(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let snapshot = learner.snapshot();
        self.kept = (Instant::now(), snapshot.steps);
        self.sync()?; // the lines before a checkpoint must be there when it is
        let progress = Progress { steps: snapshot.steps, wall_seconds: self.seconds(), energy_joules: self.joules() };
        let [weights, optimizer] = snapshot.files().map_err(std::io::Error::other)?;
        let files = [weights, optimizer, (STATE, serde_json::to_vec(&progress)?)];
        self.checkpoints.save(snapshot.steps, &files).map_err(std::io::Error::other)
    }

    fn interrupted(mut self, learner: &Learner<'_>) -> Result<(State, Option<String>), TrainError> {
        self.keep(learner)?;
        Ok((State::Pending, Some(format!("interrupted after {} steps", learner.snapshot().steps))))
    }
}

impl Recorder for ToFolder<'_> {
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.metrics.push(record)?;
        self.rates.push(record.tokens_per_second);
        (self.tell.get_mut())(Event::Step(record.clone()));
        Ok(())
    }

    fn validation(&mut self, step: usize, loss: f64) -> std::io::Result<()> {
        self.last_validation = loss;
        self.validations.push(&Validation { step, loss })
    }

    fn diagnosis(&mut self, diagnosis: &Diagnosis) -> std::io::Result<()> {
        self.diagnoses.as_mut().map_or(Ok(()), |lines| lines.push(diagnosis))
    }

    fn stop(&self) -> bool {
        (self.tell.borrow_mut())(Event::Alive);
        self.energy.borrow_mut().tick(); // here, since it is asked between the batches of a measurement too
        self.stop.load(Ordering::Relaxed)
    }

    /// A checkpoint that cannot be kept is said loudly and tried again when the next is due: training loses nothing by it yet.
    fn between(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let (when, steps) = self.kept;
        let due = match self.every {
            Every::Time(time) => when.elapsed() >= time,
            Every::Steps(count) => learner.snapshot().steps >= steps + count,
        };
        if due && let Err(error) = self.keep(learner) {
            tracing::error!("could not keep a checkpoint: {error}; it is tried again when the next is due");
        }
        Ok(())
    }
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
