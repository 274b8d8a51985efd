//! One trial, followed: of its files only what changed is read.

use super::curve::Curve;
use crate::standing::{Listed, TrialStanding, TrialState, own_steps};
use regatta_lm::training::StepRecord;
use regatta_records::{
    Holder, METRICS_FILE, RecordError, STATUS_FILE, Stamp, State, Status, Tail, TrialEvaluation, TrialFolder, VALIDATIONS_FILE,
    Validation,
};
use serde::de::DeserializeOwned;
use std::time::{Duration, SystemTime};

/// Bytes of a file that are read at once: no line of ours is that long.
const PART: usize = 1 << 20;

/// Seconds of a run before its pace is reported: statuses know their beginning to the second, and a run begins with reading and
/// measuring.
pub(super) const LEAST_TIMED: f64 = 5.0;

/// What is known of a trial.
#[derive(Debug)]
pub(super) struct Trail {
    folder: TrialFolder,
    /// Of the status and of the folder around it: a file that is removed or put there changes the folder's.
    stamp: Option<(Stamp, Option<SystemTime>)>,
    status: Option<Status>,
    /// What is wrong with its records.
    fault: Option<String>,
    evaluation: Option<TrialEvaluation>,
    own_steps: Option<usize>,
    metrics: Tail,
    validations: Tail,
    /// Whether there may be lines that were not read.
    has_news: bool,
    /// Whole lines of its steps, whatever they hold.
    pub made: usize,
    /// Loss of its last step.
    pub loss: Option<f64>,
    pub training: Curve,
    pub penalty: Curve,
    pub validation: Curve,
}

/// How long a trial takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrialTime {
    /// Until it has made its steps, at its pace so far.
    Left(Duration),
    /// It took so long.
    Took(Duration),
}

impl Trail {
    pub fn of(folder: TrialFolder) -> Self {
        let file = |name: &str| Tail::of(folder.path().join(name));
        let (metrics, validations) = (file(METRICS_FILE), file(VALIDATIONS_FILE));
        let (training, penalty, validation) = Default::default();
        Self {
            folder,
            metrics,
            validations,
            training,
            penalty,
            validation,
            stamp: None,
            status: None,
            fault: None,
            evaluation: None,
            own_steps: None,
            has_news: true,
            made: 0,
            loss: None,
        }
    }

    /// Reads what changed; of its lines a part, if `budget` still has bytes, and takes them off. Says whether there is more.
    pub fn refresh(&mut self, budget: &mut usize) -> bool {
        let changed = std::fs::metadata(self.folder.path()).and_then(|folder| folder.modified()).ok();
        let stamp = Stamp::of(&self.folder.path().join(STATUS_FILE)).map(|stamp| (stamp, changed));
        if stamp != self.stamp || self.fault.is_some() {
            match self.read_status() {
                Ok(()) => (self.stamp, self.fault) = (stamp, None),
                Err(error) => self.fault = Some(error.to_string()), // and it is read again at the next look
            }
            self.has_news = true;
        }
        self.has_news |= self.status.as_ref().is_some_and(|status| status.state == State::Running);
        if self.has_news && *budget > 0 {
            self.has_news = self.read_lines(budget).unwrap_or_else(|error| {
                self.fault.get_or_insert(format!("{}: {error}", self.folder.path().display()));
                false
            });
        }
        self.has_news
    }

    fn read_status(&mut self) -> Result<(), RecordError> {
        let status = self.folder.status()?;
        self.own_steps = own_steps(&self.folder, status.as_ref())?;
        let is_done = status.as_ref().is_some_and(|status| status.state == State::Done);
        self.evaluation = if is_done { self.folder.evaluation()? } else { None };
        self.status = status;
        Ok(())
    }

    fn read_lines(&mut self, budget: &mut usize) -> std::io::Result<bool> {
        let steps = self.metrics.read(PART)?;
        *budget = budget.saturating_sub(steps.lines.len());
        if steps.restarted {
            (self.made, self.loss) = (0, None);
            (self.training, self.penalty) = Default::default();
        }
        self.made += steps.lines.iter().filter(|&&byte| byte == b'\n').count();
        for record in values::<StepRecord>(&steps.lines) {
            self.loss = Some(record.loss);
            self.training.push(record.step, record.loss);
            self.penalty.push(record.step, record.penalty);
        }
        let measured = self.validations.read(PART)?;
        *budget = budget.saturating_sub(measured.lines.len());
        if measured.restarted {
            self.validation = Curve::default();
        }
        values::<Validation>(&measured.lines).for_each(|validation| self.validation.push(validation.step, validation.loss));
        Ok(steps.more || measured.more)
    }

    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Mean cosine of each layer, where it was measured.
    pub fn mean_cosine(&self) -> &[f64] {
        self.evaluation.as_ref().map_or(&[], |evaluation| &evaluation.measures.mean_cosine)
    }

    /// The trial's state.
    pub fn standing(&self, listed: &Listed, steps: usize, runner: Option<Holder>) -> TrialStanding {
        let steps = self.own_steps.unwrap_or(steps);
        let standing = TrialStanding::new(listed, self.status.as_ref(), self.made, steps, runner);
        match &self.fault {
            Some(fault) => TrialStanding { state: TrialState::Unreadable, reason: Some(fault.clone()), ..standing },
            None => standing,
        }
    }

    /// How long it takes, or took; `now` in seconds since 1970.
    pub fn time(&self, standing: &TrialStanding, now: f64) -> Option<TrialTime> {
        let status = self.status.as_ref()?;
        let started = status.started? as f64;
        match standing.state {
            state if state.has_ended() => {
                let measured = self.evaluation.as_ref().map(|evaluation| evaluation.cost.wall_seconds);
                seconds(measured.or_else(|| Some(status.ended? as f64 - started))?).map(TrialTime::Took)
            }
            TrialState::Running => {
                let made = self.made.checked_sub(status.resumed_from.unwrap_or(0)).filter(|made| *made > 0)? as f64;
                let elapsed = Some(now - started).filter(|elapsed| *elapsed >= LEAST_TIMED)?;
                let missing = standing.steps.saturating_sub(self.made) as f64;
                seconds(elapsed / made * missing).map(TrialTime::Left)
            }
            _ => None,
        }
    }
}

/// A time computed from files; `None` where it is negative or too long.
pub(super) fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// The lines that hold a `T`; others are skipped.
fn values<T: DeserializeOwned>(lines: &[u8]) -> impl Iterator<Item = T> + '_ {
    lines.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
