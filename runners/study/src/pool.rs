//! The worker processes of a run: hands out trials, hears what happens, ends what hangs or takes too much.

use crate::plan::PlannedTrial;
use crate::run::{Ended, Options, RunError, Watcher};
use crate::trial::{Event, now};
use crate::worker::Task;
use regatta_records::{Fence, RecordError, State, Status};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(50);

/// What the workers may take, and what becomes of trials that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Worker processes side by side; the threads are divided between them.
    pub jobs: usize,
    /// A worker that gives no sign of life for so long is ended.
    pub timeout: Duration,
    /// A worker that holds more bytes is ended.
    pub memory: Option<u64>,
    /// How often a trial that failed is tried again.
    pub retry: usize,
    /// Whether no trial is begun after one that failed.
    pub fail_fast: bool,
}

impl Default for Limits {
    /// One worker, ended after ten minutes without a sign of life; nothing is tried again.
    fn default() -> Self {
        Self { jobs: 1, timeout: Duration::from_secs(600), memory: None, retry: 0, fail_fast: false }
    }
}

/// What a worker's pipes say.
enum Heard {
    Event(Event),
    Complaint(String),
    Gone,
}

struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    trial: Option<usize>,
    heard: Instant,
    /// Why it was ended, where it was.
    ended_for: Option<String>,
    last_words: VecDeque<String>,
}

/// Runs the trials at these places of the plan.
pub(crate) struct Pool<'a, 'b> {
    pub trials: &'a [PlannedTrial],
    pub options: &'a Options<'a>,
    pub fence: &'a Fence,
    pub watcher: &'b mut dyn Watcher,
}

impl Pool<'_, '_> {
    /// # Errors
    /// When a worker cannot be started, a status cannot be written, or another runner took the folder over.
    pub fn run(mut self, missing: Vec<usize>) -> Result<Ended, RunError> {
        let (sender, receiver) = channel();
        let mut queue: VecDeque<(usize, usize)> = missing.into_iter().map(|trial| (trial, 0)).collect();
        let mut tries = vec![0; self.trials.len()];
        let mut workers: Vec<Option<Worker>> = Vec::new();
        let mut any_failed = false;
        loop {
            let stopping = self.options.stop.load(Ordering::Relaxed) || (any_failed && self.options.limits.fail_fast);
            if stopping {
                queue.clear();
                if self.options.stop.load(Ordering::Relaxed) {
                    workers.iter_mut().flatten().for_each(|worker| drop(worker.orders.take())); // no more orders: keep and stop
                }
            }
            self.hand_out(&mut queue, &mut workers, &mut tries, &sender)?;
            if workers.iter().flatten().all(|worker| worker.trial.is_none()) {
                break;
            }
            self.wait(&receiver, &mut workers, &mut |trial, status| {
                let again = status.state == State::Failed && tries[trial] <= self.options.limits.retry;
                any_failed |= status.state == State::Failed && !again;
                if again {
                    queue.push_back((trial, tries[trial]));
                }
            })?;
            workers.iter_mut().flatten().for_each(|worker| worker.judge(&self.options.limits));
        }
        for worker in workers.iter_mut().flatten() {
            drop(worker.orders.take());
            worker.child.wait().map_err(|error| RecordError::new(self.options.out, error))?;
        }
        self.fence.check().map_err(|error| RecordError::new(self.options.out, error))?;
        if self.options.stop.load(Ordering::Relaxed) {
            return Ok(Ended::Interrupted);
        }
        let mut all_done = true;
        for trial in self.trials {
            all_done &= trial.folder.status()?.is_some_and(|status| status.state == State::Done);
        }
        Ok(if all_done { Ended::AllDone } else { Ended::SomeFailed })
    }

    fn hand_out(
        &self,
        queue: &mut VecDeque<(usize, usize)>,
        workers: &mut Vec<Option<Worker>>,
        tries: &mut [usize],
        sender: &Sender<(usize, Heard)>,
    ) -> Result<(), RunError> {
        while let Some(&(trial, _)) = queue.front() {
            let idle = workers.iter().position(|worker| worker.as_ref().is_some_and(Worker::is_idle));
            let place = match idle {
                Some(place) => place,
                None if workers.iter().flatten().count() < self.options.limits.jobs => self.start(workers, sender)?,
                None => return Ok(()),
            };
            queue.pop_front();
            tries[trial] += 1;
            let planned = &self.trials[trial];
            let task = Task {
                order: planned.order.clone(),
                identity: planned.identity.hash.clone(),
                fingerprints: planned.fingerprints.clone(),
            };
            if let Some(worker) = &mut workers[place] {
                (worker.trial, worker.heard) = (Some(trial), Instant::now());
                worker.order(&task);
            }
        }
        Ok(())
    }

    /// Starts a worker; its place among them.
    fn start(&self, workers: &mut Vec<Option<Worker>>, sender: &Sender<(usize, Heard)>) -> Result<usize, RunError> {
        let place = workers.iter().position(Option::is_none).unwrap_or(workers.len());
        let threads = (rayon::current_num_threads() / self.options.limits.jobs).max(1);
        let mut command: Command = (self.options.worker)(self.fence.attempt());
        command.env("RAYON_NUM_THREADS", threads.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |error| RecordError::new(self.options.out, format!("could not start a worker process: {error}"));
        let mut child = command.spawn().map_err(failed)?;
        if let (Some(messages), Some(complaints)) = (child.stdout.take(), child.stderr.take()) {
            let (told, complained) = (sender.clone(), sender.clone());
            let listening = std::thread::spawn(move || {
                let lines = BufReader::new(complaints).lines().map_while(Result::ok);
                lines.for_each(|line| drop(complained.send((place, Heard::Complaint(line)))));
            });
            std::thread::spawn(move || {
                for line in BufReader::new(messages).lines().map_while(Result::ok) {
                    match serde_json::from_str(&line) {
                        Ok(event) => drop(told.send((place, Heard::Event(event)))),
                        Err(_) => drop(told.send((place, Heard::Complaint(line)))), // a plugin that prints
                    }
                }
                drop(listening.join());
                drop(told.send((place, Heard::Gone)));
            });
        }
        let orders = child.stdin.take();
        let worker = Worker { child, orders, trial: None, heard: Instant::now(), ended_for: None, last_words: VecDeque::new() };
        if place == workers.len() {
            workers.push(Some(worker))
        } else {
            workers[place] = Some(worker)
        }
        Ok(place)
    }

    /// Hears one thing, or nothing for a while.
    fn wait(
        &mut self,
        receiver: &Receiver<(usize, Heard)>,
        workers: &mut [Option<Worker>],
        ended: &mut dyn FnMut(usize, &Status),
    ) -> Result<(), RunError> {
        let (place, heard) = match receiver.recv_timeout(TICK) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Some(worker) = &mut workers[place] else { return Ok(()) };
        worker.heard = Instant::now();
        match (heard, worker.trial) {
            (Heard::Complaint(line), _) => worker.complain(line),
            (Heard::Event(Event::Begun { from }), Some(trial)) => self.watcher.begun(trial, from),
            (Heard::Event(Event::Step(record)), Some(trial)) => self.watcher.step(trial, &record),
            (Heard::Event(Event::Ended(status)), Some(trial)) => {
                worker.trial = None;
                self.watcher.ended(trial, &status);
                ended(trial, &status);
            }
            (Heard::Event(_), _) => {}
            (Heard::Gone, trial) => {
                let Some(mut worker) = workers[place].take() else { return Ok(()) };
                let exit = worker.child.wait().map_err(|error| RecordError::new(self.options.out, error))?;
                self.fence.check().map_err(|error| RecordError::new(self.options.out, error))?;
                if let Some(trial) = trial {
                    let status = self.died(trial, &worker, exit)?;
                    self.watcher.ended(trial, &status);
                    ended(trial, &status);
                }
            }
        }
        Ok(())
    }

    /// Records a trial whose worker is gone.
    fn died(&self, trial: usize, worker: &Worker, exit: ExitStatus) -> Result<Status, RecordError> {
        let trial = &self.trials[trial];
        let folder = trial.folder.clone().guarded(self.fence);
        folder.create()?;
        let stopped = self.options.stop.load(Ordering::Relaxed) && worker.ended_for.is_none();
        let words = worker.last_words.iter().cloned().collect::<Vec<_>>().join("; ");
        let said = if words.is_empty() { String::new() } else { format!("; its last words: {words}") };
        let reason = worker.ended_for.clone().unwrap_or_else(|| format!("its process ended ({exit}){said}"));
        let before = folder.status()?.filter(|status| status.identity == trial.identity.hash);
        let status = Status {
            state: if stopped { State::Pending } else { State::Failed },
            reason: Some(reason),
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

impl Worker {
    fn is_idle(&self) -> bool {
        self.trial.is_none() && self.orders.is_some() && self.ended_for.is_none()
    }

    /// A worker that is gone cannot be written to; that it is gone will be heard.
    fn order(&mut self, task: &Task) {
        if let (Some(orders), Ok(line)) = (&mut self.orders, serde_json::to_string(task)) {
            let _ = writeln!(orders, "{line}").and_then(|()| orders.flush());
        }
    }

    fn complain(&mut self, line: String) {
        const KEPT: usize = 4;
        tracing::warn!("{line}");
        self.last_words.push_back(line);
        if self.last_words.len() > KEPT {
            self.last_words.pop_front();
        }
    }

    /// Ends it where it hangs or holds too much.
    fn judge(&mut self, limits: &Limits) {
        if self.trial.is_none() || self.ended_for.is_some() {
            return;
        }
        let silent = self.heard.elapsed();
        let reason = if silent > limits.timeout {
            format!("it hung: no sign of life for {} s, so its process was ended", silent.as_secs())
        } else if let (Some(most), Some(held)) = (limits.memory, resident(self.child.id()))
            && held > most
        {
            let mib = |bytes: u64| bytes >> 20;
            format!("it held {} MiB, more than the {} MiB that a trial may, so its process was ended", mib(held), mib(most))
        } else {
            return;
        };
        self.ended_for = Some(reason);
        let _ = self.child.kill(); // fails where it is gone already, which will be heard
    }
}

/// Bytes of memory that a process holds, where the system tells.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
