//! Records each step of a trial.

use super::begin::{Began, Progress, STATE};
use super::surroundings::Surroundings;
use crate::energy::EnergyMeter;
use crate::event::Event;
use crate::options::Every;
use regatta_lm::spec::OnSpike;
use regatta_lm::tasks::ScoredTasks;
use regatta_lm::training::{Diagnosis, Learner, Recorder, StepRecord, TrainError, Trial};
use regatta_records::{Checkpoints, Lines, Machine, RecordError, State, Stretch, Validation, Written, went_on};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Writes what happens to the trial's files, saves checkpoints, and passes on the request to stop.
pub(super) struct ToFolder<'a> {
    /// Arm and seed, for messages.
    pub name: &'a str,
    pub on_spike: OnSpike,
    pub metrics: Lines,
    pub validations: Lines,
    pub diagnoses: Option<Lines>,
    pub scored: Option<Lines>,
    pub checkpoints: &'a Checkpoints,
    pub every: Every,
    pub stop: &'a AtomicBool,
    pub emit: RefCell<&'a mut dyn FnMut(Event)>,
    pub rates: Vec<f64>,
    pub last_validation: f64,
    pub started: Instant,
    pub seconds_before: f64,
    pub energy: RefCell<EnergyMeter>,
    /// Energy of the runs that this one resumes from; none where that of one is not known.
    pub joules_before: Option<f64>,
    /// The machine that trains it now, and what was trained of it before, wherever.
    pub machine: Machine,
    pub machines_before: Vec<Stretch>,
    /// When the last checkpoint was tried, and after how many steps.
    pub kept: (Instant, usize),
}

impl<'a> ToFolder<'a> {
    /// Opens the trial's files after the lines that were written before it begins.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn open(
        trial: &Trial<'_>,
        surroundings: &'a mut Surroundings<'_>,
        checkpoints: &'a Checkpoints,
        began: &Began,
    ) -> Result<Self, RecordError> {
        let Surroundings { name, folder, every, stop, .. } = *surroundings;
        let Written { made, measured, diagnosed, scored } = &began.written;
        let diagnosed = trial.evaluate.diagnostics.as_ref().map(|_| folder.diagnoses_after(diagnosed));
        let scored = trial.evaluate.scores_on_the_way().then(|| folder.scored_tasks_after(scored));
        Ok(Self {
            name,
            on_spike: trial.train.on_spike,
            metrics: folder.metrics_after(made)?,
            validations: folder.validations_after(measured)?,
            diagnoses: diagnosed.transpose()?,
            scored: scored.transpose()?,
            checkpoints,
            every,
            stop,
            emit: RefCell::new(&mut *surroundings.emit),
            rates: made.iter().map(|record| record.tokens_per_second).collect(),
            last_validation: f64::NAN,
            started: Instant::now(),
            seconds_before: began.seconds,
            energy: RefCell::new(EnergyMeter::start()),
            joules_before: if began.restored.is_some() { began.joules } else { Some(0.0) },
            machine: Machine::this(rayon::current_num_threads(), trial.compute.words(), trial.recompute),
            machines_before: began.machines.clone(),
            kept: (Instant::now(), made.len()),
        })
    }

    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// The machines that trained it so far, in order. What an older version trained before a checkpoint counts as trained here.
    pub fn machines(&self) -> Vec<Stretch> {
        let before: f64 = self.machines_before.iter().map(|part| part.wall_seconds).sum();
        went_on(self.machines_before.clone(), &self.machine, self.seconds() - before)
    }

    pub fn joules(&mut self) -> Option<f64> {
        Some(self.joules_before? + self.energy.get_mut().joules()?)
    }

    pub fn sync(&self) -> std::io::Result<()> {
        self.metrics.sync()?;
        self.validations.sync()?;
        self.diagnoses.iter().chain(&self.scored).try_for_each(Lines::sync)?;
        self.check()
    }

    /// Whether the trial's lines are still under their names.
    fn check(&self) -> std::io::Result<()> {
        self.metrics.check()?;
        self.validations.check()?;
        self.diagnoses.iter().chain(&self.scored).try_for_each(Lines::check)
    }

    /// A spike that ends the trial is reported as the trial's end.
    fn warn_of_spike(&self, record: &StepRecord) {
        let fate = match self.on_spike {
            OnSpike::Record => "recorded, and its update is made (train.on_spike: record)",
            OnSpike::Skip => "its update is skipped (train.on_spike: skip)",
            OnSpike::Stop => return,
        };
        if let Some(outlier) = record.outlier() {
            tracing::warn!("{}: {outlier}: {fate}", self.name);
        }
    }

    fn keep(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let snapshot = learner.snapshot().map_err(std::io::Error::other)?;
        self.kept = (Instant::now(), snapshot.steps);
        self.sync()?; // the lines before a checkpoint must be there when it is
        let (wall_seconds, energy_joules, machines) = (self.seconds(), self.joules(), self.machines());
        let progress = Progress { steps: snapshot.steps, wall_seconds, energy_joules, machines };
        let mut files = snapshot.files().map_err(std::io::Error::other)?;
        files.push((STATE, serde_json::to_vec(&progress)?));
        self.checkpoints.save(snapshot.steps, &files).map_err(std::io::Error::other)
    }

    pub fn interrupted(mut self, learner: &Learner<'_>) -> Result<(State, Option<String>), TrainError> {
        self.keep(learner)?;
        Ok((State::Pending, Some(format!("interrupted after {} steps", learner.made()))))
    }
}

impl Recorder for ToFolder<'_> {
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.metrics.push(record)?;
        self.warn_of_spike(record);
        self.rates.push(record.tokens_per_second);
        (self.emit.get_mut())(Event::Step(record.clone()));
        Ok(())
    }

    fn validation(&mut self, step: usize, loss: f64) -> std::io::Result<()> {
        self.last_validation = loss;
        self.validations.push(&Validation { step, loss })
    }

    fn diagnosis(&mut self, diagnosis: &Diagnosis) -> std::io::Result<()> {
        self.diagnoses.as_mut().map_or(Ok(()), |lines| lines.push(diagnosis))
    }

    fn tasks(&mut self, scored: &ScoredTasks) -> std::io::Result<()> {
        self.scored.as_mut().map_or(Ok(()), |lines| lines.push(scored))
    }

    fn stop(&self) -> bool {
        (self.emit.borrow_mut())(Event::Alive);
        self.energy.borrow_mut().tick(); // here, since it is asked between the batches of a measurement too
        self.stop.load(Ordering::Relaxed)
    }

    /// A checkpoint that cannot be saved is logged as an error and tried again when the next is due: training has lost nothing yet.
    /// Lines that are gone cannot be restored: the trial ends.
    fn between(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let (when, steps) = self.kept;
        let due = match self.every {
            Every::Time(time) => when.elapsed() >= time,
            Every::Steps(count) => learner.made() >= steps + count,
        };
        if due {
            self.check()?;
        }
        if due && let Err(error) = self.keep(learner) {
            tracing::error!("{}: could not save a checkpoint: {error}; the next attempt is when the next one is due", self.name);
        }
        Ok(())
    }
}
