//! The worker processes of a run: hands out trials, passes on what happens in them, kills what hangs or takes too much memory.

mod taking;
mod worker;

use crate::ended::{Ended, RunError};
use crate::event::{Event, Watcher};
use crate::options::Options;
use crate::plan::PlannedTrial;
use crate::process::Output;
use crate::protocol::Setup;
use crate::trial::now;
use regatta_records::{Fence, Lease, RecordError, Runner, State, Status};
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use taking::{Next, Taking};
use worker::Worker;

const TICK: Duration = Duration::from_millis(50);

/// A run's workers, and the trials that they are given.
pub(crate) struct Pool<'a, 'b> {
    trials: &'a [PlannedTrial],
    /// Of each worker.
    setup: Setup,
    options: &'a Options<'a>,
    watcher: &'b mut dyn Watcher,
    /// The trials that no worker has yet.
    taking: Taking<'a>,
    /// Of the trials that workers run, and of those that are to be tried again.
    leases: Vec<Option<Lease>>,
    /// How often each trial was begun.
    tries: Vec<usize>,
    /// A place is free where a worker is gone.
    workers: Vec<Option<Worker>>,
    any_failed: bool,
    sender: Sender<(usize, Output<Event>)>,
    receiver: Receiver<(usize, Output<Event>)>,
}

/// What a pool waits for after its last trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Nobody trains any of the trials.
    AllSettled,
    /// Runners that live train all that is left.
    NothingToTake,
}

impl<'a, 'b> Pool<'a, 'b> {
    /// Of the trials at the places `missing`.
    pub fn new(
        trials: &'a [PlannedTrial],
        missing: Vec<usize>,
        setup: Setup,
        options: &'a Options<'a>,
        runner: &'a Runner,
        watcher: &'b mut dyn Watcher,
    ) -> Self {
        let (sender, receiver) = channel();
        let leases = trials.iter().map(|_| None).collect();
        let (tries, workers) = (vec![0; trials.len()], Vec::new());
        let taking = Taking::new(trials, missing, options, runner);
        Self { trials, setup, options, watcher, taking, leases, tries, workers, any_failed: false, sender, receiver }
    }

    /// Runs those that other runners do not, and waits for these.
    ///
    /// # Errors
    /// When a worker cannot be started, or a status cannot be written. Workers have saved what they could by then.
    pub fn run(mut self, until: Until) -> Result<Ended, RunError> {
        let ran = self.train(until);
        self.workers.iter_mut().flatten().for_each(Worker::stop);
        // After an error, workers still train: one that hangs is killed, as at any other time.
        while ran.is_err() && self.workers.iter().flatten().any(|worker| worker.trial.is_some()) {
            if self.wait().is_err() {
                break; // the first error is the one to report
            }
            self.workers.iter_mut().flatten().for_each(|worker| worker.enforce(&self.options.limits));
        }
        for worker in self.workers.iter_mut().flatten() {
            let waited = worker.wait().map_err(|error| RecordError::new(self.options.out, error));
            if ran.is_ok() {
                waited?;
            }
        }
        self.leases.clear(); // not before the workers have ended: they save their trials for as long as these are held
        ran?;
        if self.is_stopped() {
            return Ok(Ended::Interrupted);
        }
        let (mut all_done, mut left) = (true, false);
        for (trial, tries) in self.trials.iter().zip(&self.tries) {
            all_done &= trial.folder.status()?.is_some_and(|status| status.state == State::Done);
            left |= *tries == 0 && trial.over(self.taking.session())?.is_none();
        }
        let fails_fast = self.options.limits.fail_fast && (self.any_failed || self.taking.others_failed);
        Ok(if all_done {
            Ended::AllDone
        } else if left && !self.any_failed && !fails_fast {
            Ended::LeftToOthers
        } else {
            Ended::SomeFailed
        })
    }

    fn train(&mut self, until: Until) -> Result<(), RunError> {
        loop {
            if self.is_stopped() {
                self.taking.stop();
                self.workers.iter_mut().flatten().for_each(Worker::stop);
            } else if (self.any_failed || self.taking.others_failed) && self.options.limits.fail_fast {
                self.taking.stop();
            }
            let waits = self.hand_out(until)?;
            let is_idle = self.workers.iter().flatten().all(|worker| worker.trial.is_none());
            if is_idle && !waits {
                return Ok(());
            }
            self.wait()?;
            self.taking.watch();
            self.workers.iter_mut().flatten().for_each(|worker| worker.enforce(&self.options.limits));
        }
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Gives trials to idle workers, and starts workers as long as there may be more; whether there may be another trial later.
    fn hand_out(&mut self, until: Until) -> Result<bool, RunError> {
        loop {
            let idle = self.workers.iter().position(|worker| worker.as_ref().is_some_and(Worker::is_idle));
            let is_full = self.workers.iter().flatten().count() >= self.options.limits.jobs;
            if idle.is_none() && is_full {
                return Ok(true);
            }
            let works = self.workers.iter().flatten().any(|worker| worker.trial.is_some());
            let (trial, lease) = match self.taking.next(works, self.watcher)? {
                Next::Take(trial, lease) => (trial, lease),
                // a holder that has not shown yet that it lives may be gone, and its trial this runner's to take
                Next::Wait { all_live } => return Ok(until == Until::AllSettled || !all_live),
                Next::Nothing => return Ok(false),
            };
            let place = match idle {
                Some(place) => place,
                None => self.start()?,
            };
            self.tries[trial] += 1;
            let planned = &self.trials[trial];
            if let Some(worker) = &mut self.workers[place] {
                let request = planned.request(lease.fence().holder());
                worker.begin(trial, &request).map_err(|error| RecordError::new(planned.folder.path(), error))?;
            }
            self.leases[trial] = Some(lease);
        }
    }

    /// Starts a worker; its place among them.
    fn start(&mut self) -> Result<usize, RunError> {
        let place = self.workers.iter().position(Option::is_none).unwrap_or(self.workers.len());
        let Options { out, worker, limits, .. } = self.options;
        let threads = (rayon::current_num_threads() / limits.jobs).max(1);
        let mut command = worker();
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let sender = self.sender.clone();
        let hear = move |output| drop(sender.send((place, output))); // the run may have ended
        let failed = |error| RecordError::new(out, format!("could not start a worker process: {error}"));
        let started = Some(Worker::start(command, &self.setup, hear).map_err(failed)?);
        if place == self.workers.len() {
            self.workers.push(started);
        } else {
            self.workers[place] = started;
        }
        Ok(place)
    }

    /// Waits briefly for one line of a worker's output.
    fn wait(&mut self) -> Result<(), RunError> {
        let (place, output) = match self.receiver.recv_timeout(TICK) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Some(worker) = &mut self.workers[place] else { return Ok(()) };
        worker.is_heard();
        match (output, worker.trial) {
            (Output::Text(line), _) => worker.log(line),
            (Output::Message(Event::Ended(status)), Some(trial)) => {
                worker.trial = None;
                self.ended(trial, status);
            }
            (Output::Message(event), Some(trial)) => {
                if matches!(event, Event::Step(_))
                    && let Some(waited) = worker.first_step()
                {
                    let PlannedTrial { name, key, .. } = &self.trials[trial];
                    tracing::debug!("{name}, seed {}: first step {:.2} s after its order", key.seed, waited.as_secs_f64());
                }
                self.watcher.event(trial, &event);
            }
            (Output::Message(_), None) => {}
            (Output::Ended, trial) => {
                let Some(mut worker) = self.workers[place].take() else { return Ok(()) };
                let exit = worker.wait().map_err(|error| RecordError::new(self.options.out, error))?;
                if let Some(trial) = trial {
                    self.worker_died(trial, &worker, exit)?;
                }
            }
        }
        Ok(())
    }

    /// Reports that a trial ended, and tries it again where it failed and may be retried.
    fn ended(&mut self, trial: usize, status: Status) {
        if status.state == State::Failed && self.tries[trial] <= self.options.limits.retry {
            if let Some(lease) = self.leases[trial].take() {
                self.taking.again(trial, lease);
            }
        } else {
            self.any_failed |= status.state == State::Failed;
            self.leases[trial] = None;
        }
        self.taking.look_again();
        self.watcher.event(trial, &Event::Ended(status));
    }

    /// Records the end of a trial whose worker is gone. Where another runner took the trial over, it is that runner's.
    fn worker_died(&mut self, trial: usize, worker: &Worker, exit: ExitStatus) -> Result<(), RunError> {
        let Some(lease) = &self.leases[trial] else { return Ok(()) };
        let lost = lease.fence().lost().map_err(|error| RecordError::new(self.trials[trial].folder.path(), error))?;
        match lost {
            Some(reason) => {
                tracing::warn!("{reason}");
                (self.leases[trial], self.tries[trial]) = (None, 0);
                self.taking.give_up(trial);
            }
            None => {
                let status = self.record_death(trial, lease.fence(), worker, exit)?;
                self.ended(trial, status);
            }
        }
        Ok(())
    }

    fn record_death(&self, trial: usize, fence: &Fence, worker: &Worker, exit: ExitStatus) -> Result<Status, RecordError> {
        let trial = &self.trials[trial];
        let folder = trial.folder.clone().guarded(fence);
        folder.create()?;
        let stopped = self.is_stopped() && !worker.was_killed();
        let before = folder.status()?.filter(|status| status.identity == trial.identity.hash);
        let status = Status {
            state: if stopped { State::Pending } else { State::Failed },
            reason: Some(worker.reason(exit)),
            identity: trial.identity.hash.clone(),
            started: before.as_ref().and_then(|status| status.started),
            ended: Some(now()),
            attempt: fence.attempt(),
            runner: Some(fence.holder().runner.clone()),
            session: Some(self.taking.session().to_owned()),
            resumed_from: before.and_then(|status| status.resumed_from),
            records: None,
        };
        folder.set_status(&status)?;
        Ok(status)
    }
}
