//! A live table on a terminal: one row per trial, and one for the study.

use super::pace::{Pace, words};
use crate::log;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use regatta_lm::training::StepRecord;
use regatta_records::{State, Status};
use regatta_study::{Event, Planned, Watcher};
use std::time::Instant;

/// Most rows of the table; of a longer study it shows only the trials around the running one.
const MOST_ROWS: usize = 24;

/// The live table.
#[derive(Default)]
pub(super) struct Live {
    trials: Vec<Planned>,
    rows: Vec<Option<ProgressBar>>,
    study: Option<ProgressBar>,
    pace: Option<Pace>,
    /// Steps made of each trial.
    made: Vec<usize>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

impl Live {
    fn row(&self, trial: usize) -> ProgressBar {
        let row = log::table().add(ProgressBar::new(self.trials[trial].steps as u64));
        row.set_style(style("{prefix:<26!} {bar:20} {pos:>6}/{len:<6} {wide_msg}"));
        row.set_prefix(format!("{} seed {}", self.trials[trial].name, self.trials[trial].seed));
        row
    }

    fn show_pace(&self) {
        let (Some(study), Some(pace)) = (&self.study, &self.pace) else { return };
        study.set_message(pace.remaining(Instant::now()).map(|left| format!("{} left", words(left))).unwrap_or_default());
    }
}

impl Watcher for Live {
    fn planned(&mut self, trials: &[Planned]) {
        (self.trials, self.made) = (trials.to_vec(), vec![0; trials.len()]);
        self.rows.drain(..).flatten().chain(self.study.take()).for_each(|row| log::table().remove(&row)); // of tuning
        let settled = trials.iter().filter(|trial| trial.settled).count();
        let missing = trials.iter().filter(|trial| !trial.settled);
        self.pace = Some(Pace::new(missing.map(|trial| trial.steps).sum()));
        log::table().set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        self.rows = vec![None; trials.len()];
        if trials.len() <= MOST_ROWS {
            for (index, trial) in trials.iter().enumerate() {
                let row = self.row(index);
                if trial.settled {
                    row.finish_with_message("done before");
                } else {
                    row.set_message("waits");
                }
                row.tick();
                self.rows[index] = Some(row);
            }
        }
        let study = log::table().add(ProgressBar::new(trials.len() as u64));
        study.set_style(style("{prefix:<26!} {bar:20} {pos:>6}/{len:<6} {wide_msg}"));
        study.set_prefix("trials");
        study.set_position(settled as u64);
        self.study = Some(study);
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

impl Live {
    fn begun(&mut self, trial: usize, from: usize) {
        self.pace.iter_mut().for_each(|pace| pace.skip(from.saturating_sub(self.made[trial])));
        self.made[trial] = self.made[trial].max(from);
        if self.rows[trial].is_none() {
            let row = self.row(trial);
            self.rows[trial] = Some(row);
        }
        self.show_pace();
    }

    fn step(&mut self, trial: usize, record: &StepRecord) {
        let made = (record.step + 1).saturating_sub(self.made[trial]);
        self.made[trial] = record.step + 1;
        self.pace.iter_mut().for_each(|pace| pace.steps(made, Instant::now()));
        if let Some(row) = &self.rows[trial] {
            row.set_position(record.step as u64 + 1);
            row.set_message(format!("loss {:.4}  {:.0} tokens/s", record.loss, record.tokens_per_second));
        }
        self.show_pace();
    }

    fn ended(&mut self, trial: usize, status: &Status) {
        let missing = self.trials[trial].steps.saturating_sub(self.made[trial]);
        self.pace.iter_mut().for_each(|pace| pace.skip(missing));
        if let Some(row) = &self.rows[trial] {
            match (status.state, &status.reason) {
                (State::Done, _) if self.made[trial] == 0 => row.finish_with_message("done by another runner"),
                (State::Done, _) => row.finish(),
                (state, reason) => {
                    row.abandon_with_message(format!("{}: {}", state.word(), reason.as_deref().unwrap_or("no reason given")))
                }
            }
            if self.trials.len() > MOST_ROWS {
                log::table().remove(row);
            }
        }
        if status.state != State::Done {
            let Planned { name, seed, .. } = &self.trials[trial];
            tracing::warn!(
                "{name} seed {seed} {}: {}",
                status.state.word(),
                status.reason.as_deref().unwrap_or("no reason given")
            );
        }
        self.study.iter().for_each(|study| study.inc(1));
        self.show_pace();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.rows.iter().flatten().filter(|row| !row.is_finished()).for_each(ProgressBar::abandon);
        self.study.iter().for_each(ProgressBar::abandon);
    }
}
