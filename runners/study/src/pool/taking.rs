//! Which trial a runner takes next, of those that it shares with others.

use crate::ended::RunError;
use crate::event::{Event, Watcher};
use crate::options::Options;
use crate::plan::PlannedTrial;
use regatta_records::{Claim, Holder, Lease, Others, RecordError, Runner, State, Status, holder_of};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time between two looks at trials that others hold.
const LOOK: Duration = Duration::from_secs(1);

/// What comes next.
pub(super) enum Next {
    /// A trial, by its place, which is this runner's now.
    Take(usize, Lease),
    /// Others train all that is left; whether each of them is known to live.
    Wait {
        /// Since this runner began to look.
        all_live: bool,
    },
    /// Nothing is left that anybody trains.
    Nothing,
}

/// The trials that this runner has not taken and not seen settled.
pub(super) struct Taking<'a> {
    trials: &'a [PlannedTrial],
    options: &'a Options<'a>,
    runner: &'a Runner,
    others: Others,
    /// In the order in which they are to be trained.
    left: Vec<usize>,
    /// Failed, and held to be tried again.
    again: VecDeque<(usize, Lease)>,
    /// Trials that this runner has begun: none is begun twice because it failed elsewhere.
    begun: Vec<bool>,
    looked: Option<Instant>,
    /// When this runner last looked at all others, and whether those that hold what is left are known to live.
    watched: Option<Instant>,
    all_live: bool,
    /// For whom a line was logged.
    told: Option<(usize, Holder)>,
    /// Whether a trial of this session failed under another runner.
    pub others_failed: bool,
}

impl<'a> Taking<'a> {
    pub fn new(trials: &'a [PlannedTrial], left: Vec<usize>, options: &'a Options<'a>, runner: &'a Runner) -> Self {
        Self {
            trials,
            options,
            runner,
            others: Others::of(options.out),
            left,
            again: VecDeque::new(),
            begun: vec![false; trials.len()],
            looked: None,
            watched: None,
            all_live: false,
            told: None,
            others_failed: false,
        }
    }

    /// The session that this runner is in.
    pub fn session(&self) -> &str {
        &self.runner.card().session
    }

    /// Takes no more.
    pub fn stop(&mut self) {
        self.left.clear();
        self.again.clear();
    }

    /// Keeps a trial that failed, to try it again.
    pub fn again(&mut self, trial: usize, lease: Lease) {
        self.again.push_back((trial, lease));
    }

    /// A trial that this runner had begun is another runner's now.
    pub fn give_up(&mut self, trial: usize) {
        self.left.push(trial);
        self.left.sort_unstable();
        self.look_again();
    }

    /// The next trial; `works` where this runner trains some already.
    ///
    /// # Errors
    /// When a trial's folder cannot be read or written.
    pub fn next(&mut self, works: bool, watcher: &mut dyn Watcher) -> Result<Next, RunError> {
        if let Some((trial, lease)) = self.again.pop_front() {
            return Ok(Next::Take(trial, lease));
        }
        if self.left.is_empty() {
            return Ok(Next::Nothing);
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(Next::Wait { all_live: self.all_live });
        }
        let (mut held, mut place, mut all_live) = (None, 0, true);
        while place < self.left.len() {
            let trial = self.left[place];
            match self.take(trial)? {
                Taken::Mine(lease) => {
                    self.left.remove(place);
                    self.looked = None;
                    return Ok(Next::Take(trial, lease));
                }
                Taken::Over(status) => {
                    self.left.remove(place);
                    self.others_failed |= status.state == State::Failed;
                    watcher.event(trial, &Event::Ended(status));
                    if self.others_failed && self.options.limits.fail_fast {
                        self.stop();
                        return Ok(Next::Nothing);
                    }
                }
                Taken::Held(holder) => {
                    all_live &= self.others.has_shown(&holder.runner);
                    held.get_or_insert((trial, holder));
                    place += 1;
                }
                Taken::NotMine => place += 1,
            }
        }
        (self.looked, self.all_live) = (Some(Instant::now()), all_live);
        let Some((trial, holder)) = held else { return Ok(Next::Nothing) };
        if !works && self.told.as_ref() != Some(&(trial, holder.clone())) {
            let PlannedTrial { name, key, .. } = &self.trials[trial];
            let others = self.left.len() - 1;
            let more = if others > 0 { format!(" ({others} more are held or left to others)") } else { String::new() };
            tracing::info!("waits for {holder}, which trains {name} seed {}{more}", key.seed);
            self.told = Some((trial, holder));
        }
        Ok(Next::Wait { all_live })
    }

    /// Looks at the other runners now and then while this one trains: whether one that holds a trial is gone is then known when this
    /// one has nothing else to do.
    pub fn watch(&mut self) {
        if self.watched.is_none_or(|watched| watched.elapsed() >= LOOK) {
            self.watched = Some(Instant::now());
            if let Err(error) = self.others.look(&self.runner.card().id) {
                tracing::warn!("{error}");
            }
        }
    }

    /// A trial is free, or settled, that was not at the last look.
    pub fn look_again(&mut self) {
        self.looked = None;
    }

    fn take(&mut self, trial: usize) -> Result<Taken, RecordError> {
        let planned = &self.trials[trial];
        if let Some(status) = self.over(trial)? {
            return Ok(Taken::Over(status));
        }
        if !planned.key.tuning && !self.options.seeds.is_none_or(|seeds| seeds.contains(&planned.key.seed)) {
            return Ok(Taken::NotMine);
        }
        let lease = match self.runner.take(planned.folder.path(), &mut self.others)? {
            Claim::Held(holder) => return Ok(Taken::Held(holder)),
            Claim::Taken(lease) => lease,
        };
        // It may have ended while this runner took it.
        let ended = planned.folder.status()?.filter(|status| planned.is_meant_by(status) && self.has_ended(trial, status));
        match ended {
            Some(status) => Ok(Taken::Over(status)),
            None => {
                self.begun[trial] = true;
                Ok(Taken::Mine(lease))
            }
        }
    }

    /// The status of a trial that needs no training by this runner, and that nobody tries again.
    fn over(&self, trial: usize) -> Result<Option<Status>, RecordError> {
        let planned = &self.trials[trial];
        if !self.begun[trial] {
            return planned.over(self.session());
        }
        let is_held = holder_of(planned.folder.path())?.is_some(); // first: its holder may end between the two
        let ended = |status: &Status| planned.is_meant_by(status) && self.has_ended(trial, status);
        match planned.folder.status()?.filter(ended) {
            Some(status) if !is_held => Ok(Some(status)), // elsewhere, after this runner lost it
            _ => planned.over(self.session()),
        }
    }

    /// Whether a trial that nobody holds and that has this status needs no training by this runner.
    fn has_ended(&self, trial: usize, status: &Status) -> bool {
        match status.state {
            State::Failed => self.begun[trial] || status.session.as_deref() == Some(self.session()),
            state => state.is_settled(),
        }
    }
}

enum Taken {
    Mine(Lease),
    Held(Holder),
    Over(Status),
    /// Left to other runners.
    NotMine,
}
