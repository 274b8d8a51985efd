//! Plain log lines: one as a trial begins and ends, and one every ten seconds between.

use super::pace::{Pace, words};
use regatta_lm::training::StepRecord;
use regatta_study::records::{State, Status};
use regatta_study::{Planned, Watcher};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// Lines for a pipe or a file.
#[derive(Default)]
pub(super) struct Plain {
    trials: Vec<Planned>,
    steps: usize,
    made: usize,
    pace: Option<Pace>,
    last_line: Option<Instant>,
    last_loss: f64,
}

impl Plain {
    fn name(&self, trial: usize) -> String {
        let Planned { arm, seed, .. } = &self.trials[trial];
        format!("[{}/{}] {arm} seed {seed}", trial + 1, self.trials.len())
    }

    fn remaining(&self) -> String {
        self.pace.as_ref().and_then(Pace::remaining).map(|left| format!(", {} left", words(left))).unwrap_or_default()
    }
}

impl Watcher for Plain {
    fn planned(&mut self, trials: &[Planned], steps: usize) {
        let settled = trials.iter().filter(|trial| trial.settled).count();
        if settled > 0 {
            tracing::info!("{settled} of {} trials are done already", trials.len());
        }
        self.pace = Some(Pace::new((trials.len() - settled) * steps));
        (self.trials, self.steps) = (trials.to_vec(), steps);
    }

    fn begun(&mut self, trial: usize) {
        self.made = 0;
        self.last_line = Some(Instant::now());
        tracing::info!("{} begins{}", self.name(trial), self.remaining());
    }

    fn step(&mut self, trial: usize, record: &StepRecord) {
        self.made += 1;
        self.last_loss = record.loss;
        self.pace.iter_mut().for_each(Pace::step);
        if self.last_line.is_some_and(|time| time.elapsed() >= EVERY) {
            self.last_line = Some(Instant::now());
            tracing::info!(
                "{} step {}/{} loss {:.4}{}",
                self.name(trial),
                record.step + 1,
                self.steps,
                record.loss,
                self.remaining()
            );
        }
    }

    fn ended(&mut self, trial: usize, status: &Status) {
        let missing = self.steps - self.made;
        self.pace.iter_mut().for_each(|pace| pace.skip(missing));
        match (status.state, &status.reason) {
            (State::Done, _) => tracing::info!("{} done, last loss {:.4}{}", self.name(trial), self.last_loss, self.remaining()),
            (state, reason) => {
                tracing::warn!("{} {}: {}", self.name(trial), state.word(), reason.as_deref().unwrap_or("no reason given"))
            }
        }
    }
}
