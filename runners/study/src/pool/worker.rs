//! A worker process, as the run sees it.

use crate::event::Event;
use crate::options::Limits;
use crate::process::{Output, Process};
use crate::protocol::{Request, Setup};
use crate::resolved::Resolved;
use std::collections::VecDeque;
use std::io;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Lines of stderr that go into the reason of a trial whose worker died.
const TAIL: usize = 4;

/// Time between two counts of silence counts up to this much.
const LONGEST_GAP: Duration = Duration::from_secs(3);

pub(super) struct Worker {
    process: Process,
    /// The trial that it runs.
    pub trial: Option<usize>,
    /// When that was ordered, until its first step is reported.
    ordered: Option<Instant>,
    /// How long it has written nothing, and when that was counted.
    silent: Duration,
    counted: Instant,
    /// Why it was killed, where it was.
    killed_for: Option<String>,
    stderr_tail: VecDeque<String>,
}

impl Worker {
    /// Starts one and sends it its setup; `hear` is called with all that it writes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: Command, setup: &Setup, hear: impl Fn(Output<Event>) + Clone + Send + 'static) -> io::Result<Self> {
        let mut process = Process::start(command, hear)?;
        process.send(&Request::<()>::Setup(setup.clone()))?;
        let (trial, ordered, killed_for, stderr_tail) = (None, None, None, VecDeque::new());
        Ok(Self { process, trial, ordered, silent: Duration::ZERO, counted: Instant::now(), killed_for, stderr_tail })
    }

    /// Has it run a trial.
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn begin(&mut self, trial: usize, request: &Request<'_, Resolved<'_>>) -> io::Result<()> {
        self.is_heard();
        (self.trial, self.ordered) = (Some(trial), Some(self.counted));
        self.process.send(request)
    }

    /// The time since its order, where a step is its trial's first that is reported.
    pub fn first_step(&mut self) -> Option<Duration> {
        self.ordered.take().map(|ordered| ordered.elapsed())
    }

    pub fn is_idle(&self) -> bool {
        self.trial.is_none() && self.process.is_open() && self.killed_for.is_none()
    }

    /// Ends its stdin: it saves a checkpoint and stops.
    pub fn stop(&mut self) {
        self.process.close();
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }

    /// Notes that it wrote something.
    pub fn is_heard(&mut self) {
        (self.silent, self.counted) = (Duration::ZERO, Instant::now());
    }

    /// Logs a line that is not a message, and keeps the last ones.
    pub fn log(&mut self, line: String) {
        tracing::warn!("{line}");
        self.stderr_tail.push_back(line);
        if self.stderr_tail.len() > TAIL {
            self.stderr_tail.pop_front();
        }
    }

    /// Kills it where it hangs or holds too much memory.
    pub fn enforce(&mut self, limits: &Limits) {
        if self.trial.is_none() || self.killed_for.is_some() {
            return;
        }
        // a suspended machine, or a scheduler that stopped all processes, does not mean that this worker hangs
        self.silent += self.counted.elapsed().min(LONGEST_GAP);
        self.counted = Instant::now();
        let silent = self.silent;
        let reason = if silent > limits.timeout {
            format!("it hung: no sign of life for {} s", silent.as_secs())
        } else if let Some(excess) = self.process.excess(limits.memory) {
            excess
        } else {
            return;
        };
        self.killed_for = Some(format!("{reason}, so its process was ended"));
        self.process.kill();
    }

    pub fn was_killed(&self) -> bool {
        self.killed_for.is_some()
    }

    /// Why its trial failed, when it ended like this.
    pub fn reason(&self, exit: ExitStatus) -> String {
        if let Some(reason) = &self.killed_for {
            return reason.clone();
        }
        let tail = self.stderr_tail.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
        if tail.is_empty() {
            format!("its process ended ({exit})")
        } else {
            format!("its process ended ({exit}); stderr ends with: {tail}")
        }
    }
}
