//! Plain log lines: one when a trial begins, one when it ends, and one every ten seconds in between.

use super::pace::{Pace, words};
use regatta_lm::training::StepRecord;
use regatta_records::{State, Status};
use regatta_study::{Event, Planned, Watcher};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// Lines for a pipe or a file.
#[derive(Default)]
pub(super) struct Plain {
    trials: Vec<Planned>,
    /// Steps made of each trial, and its last loss.
    made: Vec<(usize, f64)>,
    pace: Option<Pace>,
    last_line: Option<Instant>,
}

impl Plain {
    fn name(&self, trial: usize) -> String {
        let Planned { name, seed, .. } = &self.trials[trial];
        format!("[{}/{}] {name} seed {seed}", trial + 1, self.trials.len())
    }

    fn remaining(&self) -> String {
        self.pace
            .as_ref()
            .and_then(|pace| pace.remaining(Instant::now()))
            .map(|left| format!(", {} left", words(left)))
            .unwrap_or_default()
    }
}

impl Watcher for Plain {
    fn planned(&mut self, trials: &[Planned]) {
        let settled = trials.iter().filter(|trial| trial.settled).count();
        if settled > 0 {
            tracing::info!("{settled} of {} trials are done already", trials.len());
        }
        let missing = trials.iter().filter(|trial| !trial.settled);
        self.pace = Some(Pace::new(missing.map(|trial| trial.steps).sum()));
        (self.trials, self.made) = (trials.to_vec(), vec![(0, f64::NAN); trials.len()]);
    }

    fn event(&mut self, trial: usize, event: &Event) {
        match event {
            Event::Begun { from } => self.begun(trial, *from),
            Event::Step(record) => self.step(trial, record),
            Event::Alive => {}
            Event::Ended(status) => self.ended(trial, status),
        }
    }
}

impl Plain {
    fn begun(&mut self, trial: usize, from: usize) {
        self.last_line = Some(Instant::now());
        self.pace.iter_mut().for_each(|pace| pace.skip(from.saturating_sub(self.made[trial].0)));
        self.made[trial].0 = self.made[trial].0.max(from);
        match from {
            0 => tracing::info!("{} begins{}", self.name(trial), self.remaining()),
            from => tracing::info!("{} resumes after step {from}{}", self.name(trial), self.remaining()),
        }
    }

    fn step(&mut self, trial: usize, record: &StepRecord) {
        let made = (record.step + 1).saturating_sub(self.made[trial].0);
        self.made[trial] = (record.step + 1, record.loss);
        self.pace.iter_mut().for_each(|pace| pace.steps(made, Instant::now()));
        if self.last_line.is_some_and(|time| time.elapsed() >= EVERY) {
            self.last_line = Some(Instant::now());
            tracing::info!(
                "{} step {}/{} loss {:.4}{}",
                self.name(trial),
                record.step + 1,
                self.trials[trial].steps,
                record.loss,
                self.remaining()
            );
        }
    }

    fn ended(&mut self, trial: usize, status: &Status) {
        let (made, last_loss) = self.made[trial];
        self.pace.iter_mut().for_each(|pace| pace.skip(self.trials[trial].steps.saturating_sub(made)));
        match (status.state, &status.reason) {
            (State::Done, _) if last_loss.is_nan() && made == 0 => {
                tracing::info!("{} done by another runner{}", self.name(trial), self.remaining())
            }
            (State::Done, _) => tracing::info!("{} done, last loss {last_loss:.4}{}", self.name(trial), self.remaining()),
            (state, reason) => {
                tracing::warn!("{} {}: {}", self.name(trial), state.word(), reason.as_deref().unwrap_or("no reason given"))
            }
        }
    }
}
