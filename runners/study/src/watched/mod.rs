//! A study that is read repeatedly while it runs. Only what changed since the last read is read again.

mod curve;
mod trail;

#[cfg(test)]
mod tests;

use crate::standing::{Listed, Listing, Standing, trainer};
use curve::{Curve, can_be_drawn, smoothed};
use regatta_records::{RecordError, Stamp, Status, present};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trail::{LEAST_TIMED, Trail, seconds};

pub use trail::TrialTime;

/// A study's folder, as it was at the last refresh. Nothing in it is written.
#[derive(Debug)]
pub struct Watched {
    folder: PathBuf,
    listing: Listing,
    /// Of the files that the listing was read from.
    stamps: [Option<Stamp>; 2],
    trials: Vec<(Listed, Trail)>,
    standing: Standing,
    /// What could not be read, when it is not a trial's.
    fault: Option<String>,
    /// Seconds since 1970.
    now: f64,
}

/// The measures that curves show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Training loss by step, smoothed.
    TrainingLoss,
    /// Validation loss by step.
    ValidationLoss,
    /// Weighted sum of the penalties by step, smoothed.
    Penalty,
    /// Mean cosine by layer, of trials that are done.
    MeanCosine,
}

/// The state of a study as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Somebody runs it.
    Running,
    /// Nobody does, and trials are missing.
    Stopped,
    /// Every trial has ended.
    Done,
}

/// Steps of all trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Made.
    pub made: usize,
    /// Made and to be made; those that a failed trial is short of are not.
    pub steps: usize,
    /// Until they are made, at the pace of those who run it now.
    pub left: Option<Duration>,
    /// Whether more trials may come that nobody has listed yet: while settings are tuned.
    pub is_open: bool,
}

impl Watched {
    /// The study in `folder`. Its trials are read by [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// When the folder holds no study.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let listing = Listing::read(folder)?;
        let trials = listing.trials(folder)?.into_iter().map(followed).collect();
        Ok(Self {
            folder: folder.to_owned(),
            listing,
            stamps: stamps(folder),
            trials,
            standing: Standing::default(),
            fault: None,
            now: 0.0,
        })
    }

    /// Reads what changed, at most about `budget` bytes of lines; returns whether there is more to read at once. What cannot be
    /// read is reported by [`fault`](Self::fault) or the trial's standing, and tried again at the next refresh.
    pub fn refresh(&mut self, now: SystemTime, mut budget: usize) -> bool {
        self.now = now.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        self.fault = self.list().err().map(|error| error.to_string());
        match present(&self.folder) {
            Ok(runners) => self.standing.runners = runners,
            Err(error) => self.fault = Some(error.to_string()),
        }
        self.standing.device.clone_from(&self.listing.device);
        let mut has_more = false;
        for (_, trail) in &mut self.trials {
            has_more |= trail.refresh(&mut budget);
        }
        let (steps, runners) = (self.listing.steps, &self.standing.runners);
        let trainer = |listed: &Listed, trail: &Trail| trainer(&listed.folder, trail.status(), runners).ok().flatten();
        let standing = |(listed, trail): &(Listed, Trail)| trail.standing(listed, steps, trainer(listed, trail));
        self.standing.trials = self.trials.iter().map(standing).collect();
        has_more
    }

    /// Lists the trials again where the study or its plan changed, or tuning may have begun another.
    fn list(&mut self) -> Result<(), RecordError> {
        let found = stamps(&self.folder);
        if found != self.stamps || self.fault.is_some() {
            self.listing = Listing::read(&self.folder)?;
            self.stamps = found;
        } else if !self.listing.is_tuned {
            return Ok(());
        }
        let listed = self.listing.trials(&self.folder)?;
        let mut known: HashMap<PathBuf, Trail> = HashMap::new();
        for (listed, trail) in self.trials.drain(..) {
            known.insert(listed.folder.path().to_owned(), trail);
        }
        self.trials = listed
            .into_iter()
            .map(|listed| match known.remove(listed.folder.path()) {
                Some(trail) => (listed, trail),
                None => followed(listed),
            })
            .collect();
        Ok(())
    }

    /// The study's name.
    pub fn name(&self) -> &str {
        &self.listing.name
    }

    /// Each trial, and who runs the study.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What could not be read at the last refresh, except for trials.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The state of the study as a whole.
    pub fn phase(&self) -> Phase {
        match &self.standing.runners[..] {
            [_, ..] => Phase::Running,
            [] if self.standing.trials.iter().all(|trial| trial.state.has_ended()) => Phase::Done,
            [] => Phase::Stopped,
        }
    }

    /// Steps of all trials.
    pub fn progress(&self) -> Progress {
        let (mut made, mut steps, mut of_this_run, mut began) = (0, 0_usize, 0_usize, f64::INFINITY);
        let is_of_them = |status: &&Status| {
            let runner = status.runner.as_ref();
            runner.is_some_and(|id| self.standing.runners.iter().any(|runner| runner.card.id == *id))
        };
        for ((_, trail), standing) in self.trials.iter().zip(&self.standing.trials) {
            made += standing.made;
            steps = steps.saturating_add(if standing.state.has_steps_left() {
                standing.steps.max(standing.made)
            } else {
                standing.made
            });
            if let Some(status) = trail.status().filter(is_of_them)
                && let Some(started) = status.started
            {
                began = began.min(started as f64);
                of_this_run += standing.made.saturating_sub(status.resumed_from.unwrap_or(0));
            }
        }
        let elapsed = self.now - began;
        let pace = of_this_run as f64 / elapsed;
        let left = seconds((steps - made) as f64 / pace).filter(|_| pace > 0.0 && elapsed >= LEAST_TIMED);
        let no_judged_trial = |(listed, trail): &(Listed, Trail)| listed.is_tuning || trail.status().is_none();
        Progress { made, steps, left, is_open: self.listing.is_tuned && self.trials.iter().all(no_judged_trial) }
    }

    /// Loss of a trial's last step.
    pub fn loss(&self, trial: usize) -> Option<f64> {
        self.trials.get(trial)?.1.loss
    }

    /// How long a trial takes.
    pub fn time(&self, trial: usize) -> Option<TrialTime> {
        let ((_, trail), standing) = (self.trials.get(trial)?, self.standing.trials.get(trial)?);
        trail.time(standing, self.now)
    }

    /// The arms, each at each point of the sweep.
    pub fn variants(&self) -> impl ExactSizeIterator<Item = &str> {
        self.listing.variants.iter().map(|(_, name)| name.as_str())
    }

    /// Which of the variants a trial is of.
    pub fn variant(&self, trial: usize) -> Option<usize> {
        Some(self.trials.get(trial)?.0.variant)
    }

    /// Steps that the longest trial is to make.
    pub fn longest(&self) -> usize {
        self.standing.trials.iter().map(|trial| trial.steps.max(trial.made)).max().unwrap_or_default()
    }

    /// A measure of a variant: steps, or layers, and the mean over seeds; of tuning trials as long as none is judged.
    pub fn curve(&self, variant: usize, measure: Measure) -> Vec<(f64, f64)> {
        let of = |tuning: bool| {
            let trials = self.trials.iter().filter(move |(listed, _)| listed.variant == variant && listed.is_tuning == tuning);
            trials.map(|(_, trail)| trail)
        };
        let is_judged = of(false).any(|trail| !trail.training.is_empty());
        let trails = of(!is_judged);
        match measure {
            Measure::TrainingLoss => smoothed(&Curve::mean(trails.map(|trail| &trail.training))),
            Measure::ValidationLoss => Curve::mean(trails.map(|trail| &trail.validation)),
            Measure::Penalty => smoothed(&Curve::mean(trails.map(|trail| &trail.penalty))),
            Measure::MeanCosine => mean_by_layer(trails.map(Trail::mean_cosine).collect()),
        }
    }
}

fn followed(listed: Listed) -> (Listed, Trail) {
    let trail = Trail::of(listed.folder.clone());
    (listed, trail)
}

fn stamps(folder: &Path) -> [Option<Stamp>; 2] {
    ["study.yaml", "plan.json"].map(|file| Stamp::of(&folder.join(file)))
}

/// Mean over trials at each layer that some have.
fn mean_by_layer(mut trials: Vec<&[f64]>) -> Vec<(f64, f64)> {
    trials.retain(|layers| layers.iter().all(|value| can_be_drawn(*value)));
    let layers = trials.iter().map(|layers| layers.len()).max().unwrap_or_default();
    let mean = |layer: usize| {
        let values: Vec<f64> = trials.iter().filter_map(|layers| layers.get(layer).copied()).collect();
        (layer as f64, values.iter().sum::<f64>() / values.len() as f64)
    };
    (0..layers).map(mean).collect()
}
