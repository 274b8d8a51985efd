//! What hears of each step of a trial.

use super::begin::Progress;
use super::{Event, Every, STATE};
use crate::energy::EnergyMeter;
use regatta_lm::spec::OnSpike;
use regatta_lm::training::{Diagnosis, Learner, Recorder, StepRecord, TrainError};
use regatta_records::{Checkpoints, Lines, State, Validation};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Puts what happens into the trial's files, keeps checkpoints, and hears the request to stop.
pub(super) struct ToFolder<'a> {
    /// Arm and seed, as people name the trial.
    pub name: &'a str,
    pub on_spike: OnSpike,
    pub metrics: Lines,
    pub validations: Lines,
    pub diagnoses: Option<Lines>,
    pub checkpoints: &'a Checkpoints,
    pub every: Every,
    pub stop: &'a AtomicBool,
    pub tell: std::cell::RefCell<&'a mut dyn FnMut(Event)>,
    pub rates: Vec<f64>,
    pub last_validation: f64,
    pub started: Instant,
    pub seconds_before: f64,
    pub energy: std::cell::RefCell<EnergyMeter>,
    /// Of the runs that this one goes on from; none where one of them was not told.
    pub joules_before: Option<f64>,
    /// When the last checkpoint was tried, and after how many steps.
    pub kept: (Instant, usize),
}

impl ToFolder<'_> {
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    pub fn joules(&mut self) -> Option<f64> {
        Some(self.joules_before? + self.energy.get_mut().joules()?)
    }

    pub fn sync(&self) -> std::io::Result<()> {
        self.metrics.sync()?;
        self.validations.sync()?;
        self.diagnoses.as_ref().map_or(Ok(()), Lines::sync)?;
        self.check()
    }

    /// Whether the trial's lines are still there for who reads them.
    fn check(&self) -> std::io::Result<()> {
        self.metrics.check()?;
        self.validations.check()?;
        self.diagnoses.as_ref().map_or(Ok(()), Lines::check)
    }

    /// One that ends the trial is said as the trial's end.
    fn warn_of_spike(&self, record: &StepRecord) {
        let fate = match self.on_spike {
            OnSpike::Record => "recorded, and its update made all the same (train.on_spike: record)",
            OnSpike::Skip => "its update is left out (train.on_spike: skip)",
            OnSpike::Stop => return,
        };
        if let Some(outlier) = record.outlier() {
            tracing::warn!("{}: {outlier}: {fate}", self.name);
        }
    }

    fn keep(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let snapshot = learner.snapshot();
        self.kept = (Instant::now(), snapshot.steps);
        self.sync()?; // the lines before a checkpoint must be there when it is
        let progress = Progress { steps: snapshot.steps, wall_seconds: self.seconds(), energy_joules: self.joules() };
        let mut files = snapshot.files().map_err(std::io::Error::other)?;
        files.push((STATE, serde_json::to_vec(&progress)?));
        self.checkpoints.save(snapshot.steps, &files).map_err(std::io::Error::other)
    }

    pub fn interrupted(mut self, learner: &Learner<'_>) -> Result<(State, Option<String>), TrainError> {
        self.keep(learner)?;
        Ok((State::Pending, Some(format!("interrupted after {} steps", learner.snapshot().steps))))
    }
}

impl Recorder for ToFolder<'_> {
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()> {
        self.metrics.push(record)?;
        self.warn_of_spike(record);
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

    /// A checkpoint that cannot be kept is said loudly and tried again when the next is due: training loses nothing by it yet. Of
    /// lines that are gone nothing can be made good: the trial ends.
    fn between(&mut self, learner: &Learner<'_>) -> std::io::Result<()> {
        let (when, steps) = self.kept;
        let due = match self.every {
            Every::Time(time) => when.elapsed() >= time,
            Every::Steps(count) => learner.snapshot().steps >= steps + count,
        };
        if due {
            self.check()?;
        }
        if due && let Err(error) = self.keep(learner) {
            tracing::error!("{}: could not keep a checkpoint: {error}; it is tried again when the next is due", self.name);
        }
        Ok(())
    }
}
