//! A process that runs trials for the process that runs the study: what goes wrong in one trial costs that trial.
//!
//! Orders come in and messages go out, a JSON value a line. Where the orders end, so does the work: the trial at hand keeps a
//! checkpoint and stops, whether the other process said so or died.

use crate::plan::{Order, PlannedTrial};
use crate::prepare::prepare;
use crate::run::RunError;
use crate::trial::{Event, Every, MemoryMeter, Surroundings, run_trial};
use regatta_config::StudyFile;
use regatta_core::Fingerprint;
use regatta_records::{Fence, RecordError};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Steps are told this often at most.
const STEPS_APART: Duration = Duration::from_millis(40);
/// Signs of life are given this often at most.
const SIGNS_APART: Duration = Duration::from_millis(500);

/// A trial to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub order: Order,
    /// What it is, in case the study's files have changed since the plan was made.
    pub identity: String,
    /// What its plugins compute, as it was measured when the plan was made: never here, where a plugin would be called otherwise
    /// than in a trial by itself.
    pub fingerprints: Vec<Option<Fingerprint>>,
}

/// How a worker works.
pub struct Work<'a> {
    /// The folder for results.
    pub out: &'a Path,
    /// The attempt at that folder which it works for.
    pub attempt: u64,
    /// How often a trial keeps a checkpoint.
    pub every: Every,
    /// Set when it should stop.
    pub stop: Arc<AtomicBool>,
    /// How memory is counted, where it is.
    pub memory: Option<MemoryMeter>,
}

/// Runs the trials that are asked for until there are no more orders.
///
/// # Errors
/// When the study cannot be run, its files have changed, or a status cannot be written.
pub fn work(
    file: &StudyFile,
    work: &Work<'_>,
    orders: impl BufRead + Send + 'static,
    mut messages: impl Write,
) -> Result<(), RunError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let stop = Arc::clone(&work.stop);
    std::thread::spawn(move || {
        let read = orders.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Task>(&line).ok());
        read.for_each(|task| drop(sender.send(task)));
        stop.store(true, Ordering::Relaxed);
    });
    let prepared = prepare(file)?;
    let fence = Fence::of(work.out, work.attempt);
    while let Ok(Task { order, identity, fingerprints }) = receiver.recv() {
        if work.stop.load(Ordering::Relaxed) {
            break;
        }
        let changed = || RecordError::new(work.out, "the study or its data changed while it ran");
        if order.variant >= file.variants().len() {
            return Err(changed().into());
        }
        let trial = PlannedTrial::new(file, &prepared, work.out, order, fingerprints)?;
        if trial.identity.hash != identity {
            return Err(changed().into());
        }
        let folder = trial.folder.clone().guarded(&fence);
        let (mut last, mut held_back) = (Instant::now(), None);
        let mut tell = |event: Event| {
            let apart = match event {
                Event::Step(_) => STEPS_APART,
                Event::Alive => SIGNS_APART,
                Event::Begun { .. } | Event::Ended(_) => Duration::ZERO,
            };
            if last.elapsed() < apart {
                held_back = Some(event).filter(|event| matches!(event, Event::Step(_))).or(held_back.take());
                return;
            }
            last = Instant::now();
            let before = held_back.take().filter(|_| matches!(event, Event::Ended(_))); // the last step is always told
            if before.into_iter().chain([event]).any(|event| send(&mut messages, &event).is_err()) {
                work.stop.store(true, Ordering::Relaxed); // nobody listens any more
            }
        };
        let name = format!("{} seed {}", trial.name, trial.order.seed);
        let surroundings = Surroundings {
            name: &name,
            folder: &folder,
            tasks: trial.tasks(),
            identity: &trial.identity,
            attempt: work.attempt,
            every: work.every,
            stop: &work.stop,
            memory: work.memory,
            tell: &mut tell,
        };
        run_trial(&trial.trial(), surroundings)?;
    }
    Ok(())
}

fn send(messages: &mut impl Write, event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    messages.write_all(&line)?;
    messages.flush()
}
