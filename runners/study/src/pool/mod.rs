//! The worker processes of a run: hands out trials, passes on what happens in them, kills what hangs or takes too much memory.

mod worker;

use crate::ended::{Ended, RunError};
use crate::event::{Event, Watcher};
use crate::options::Options;
use crate::plan::PlannedTrial;
use crate::process::Output;
use crate::protocol::Setup;
use crate::trial::now;
use regatta_records::{Fence, RecordError, State, Status};
use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use worker::Worker;

const TICK: Duration = Duration::from_millis(50);

/// A run's workers, and the trials that they are given.
pub(crate) struct Pool<'a, 'b> {
    trials: &'a [PlannedTrial],
    options: &'a Options<'a>,
    fence: &'a Fence,
    watcher: &'b mut dyn Watcher,
    /// Trials that wait for a worker, by their places among `trials`.
    queue: VecDeque<usize>,
    /// How often each trial was begun.
    tries: Vec<usize>,
    /// A place is free where a worker is gone.
    workers: Vec<Option<Worker>>,
    any_failed: bool,
    sender: Sender<(usize, Output<Event>)>,
    receiver: Receiver<(usize, Output<Event>)>,
}

impl<'a, 'b> Pool<'a, 'b> {
    /// Of the trials at the places `missing`.
    pub fn new(
        trials: &'a [PlannedTrial],
        missing: VecDeque<usize>,
        options: &'a Options<'a>,
        fence: &'a Fence,
        watcher: &'b mut dyn Watcher,
    ) -> Self {
        let (sender, receiver) = channel();
        let (tries, workers) = (vec![0; trials.len()], Vec::new());
        Self { trials, options, fence, watcher, queue: missing, tries, workers, any_failed: false, sender, receiver }
    }

    /// Runs them all.
    ///
    /// # Errors
    /// When a worker cannot be started, a status cannot be written, or another runner took the folder over.
    pub fn run(mut self) -> Result<Ended, RunError> {
        loop {
            if self.is_stopped() {
                self.queue.clear();
                self.workers.iter_mut().flatten().for_each(Worker::stop);
            } else if self.any_failed && self.options.limits.fail_fast {
                self.queue.clear();
            }
            self.hand_out()?;
            if self.workers.iter().flatten().all(|worker| worker.trial.is_none()) {
                break;
            }
            self.wait()?;
            self.workers.iter_mut().flatten().for_each(|worker| worker.enforce(&self.options.limits));
        }
        for worker in self.workers.iter_mut().flatten() {
            worker.wait().map_err(|error| RecordError::new(self.options.out, error))?;
        }
        self.check_fence()?;
        if self.is_stopped() {
            return Ok(Ended::Interrupted);
        }
        let mut all_done = true;
        for trial in self.trials {
            all_done &= trial.folder.status()?.is_some_and(|status| status.state == State::Done);
        }
        Ok(if all_done { Ended::AllDone } else { Ended::SomeFailed })
    }

    fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    fn check_fence(&self) -> Result<(), RecordError> {
        self.fence.check().map_err(|error| RecordError::new(self.options.out, error))
    }

    /// Gives trials to idle workers, and starts workers as long as there may be more.
    fn hand_out(&mut self) -> Result<(), RunError> {
        while let Some(&trial) = self.queue.front() {
            let idle = self.workers.iter().position(|worker| worker.as_ref().is_some_and(Worker::is_idle));
            let place = match idle {
                Some(place) => place,
                None if self.workers.iter().flatten().count() < self.options.limits.jobs => self.start()?,
                None => return Ok(()),
            };
            self.queue.pop_front();
            self.tries[trial] += 1;
            let planned = &self.trials[trial];
            if let Some(worker) = &mut self.workers[place] {
                worker.begin(trial, &planned.request()).map_err(|error| RecordError::new(planned.folder.path(), error))?;
            }
        }
        Ok(())
    }

    /// Starts a worker; its place among them.
    fn start(&mut self) -> Result<usize, RunError> {
        let place = self.workers.iter().position(Option::is_none).unwrap_or(self.workers.len());
        let Options { out, every, worker, limits, .. } = self.options;
        let setup = Setup { out: out.as_os_str().to_owned(), holder: self.fence.holder().clone(), every: *every };
        let threads = (rayon::current_num_threads() / limits.jobs).max(1);
        let mut command = worker();
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let sender = self.sender.clone();
        let hear = move |output| drop(sender.send((place, output))); // the run may have ended
        let failed = |error| RecordError::new(out, format!("could not start a worker process: {error}"));
        let started = Some(Worker::start(command, &setup, hear).map_err(failed)?);
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
                self.check_fence()?;
                if let Some(trial) = trial {
                    let status = self.record_death(trial, &worker, exit)?;
                    self.ended(trial, status);
                }
            }
        }
        Ok(())
    }

    /// Reports that a trial ended, and queues it again where it failed and may be retried.
    fn ended(&mut self, trial: usize, status: Status) {
        if status.state == State::Failed {
            if self.tries[trial] <= self.options.limits.retry {
                self.queue.push_back(trial);
            } else {
                self.any_failed = true;
            }
        }
        self.watcher.event(trial, &Event::Ended(status));
    }

    /// Records the end of a trial whose worker is gone.
    fn record_death(&self, trial: usize, worker: &Worker, exit: ExitStatus) -> Result<Status, RecordError> {
        let trial = &self.trials[trial];
        let folder = trial.folder.clone().guarded(self.fence);
        folder.create()?;
        let stopped = self.is_stopped() && !worker.was_killed();
        let before = folder.status()?.filter(|status| status.identity == trial.identity.hash);
        let status = Status {
            state: if stopped { State::Pending } else { State::Failed },
            reason: Some(worker.reason(exit)),
            identity: trial.identity.hash.clone(),
            started: before.as_ref().and_then(|status| status.started),
            ended: Some(now()),
            attempt: self.fence.attempt(),
            resumed_from: before.and_then(|status| status.resumed_from),
            records: None,
        };
        folder.set_status(&status)?;
        Ok(status)
    }
}
