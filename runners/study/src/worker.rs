//! A process that runs trials for the process that runs the study: what goes wrong in one trial costs that trial alone.
//!
//! Requests come in on stdin and events go out on stdout, a JSON value per line. Where stdin ends, so does the work: the current
//! trial saves a checkpoint and stops, whether the run closed it or died.

use crate::ended::RunError;
use crate::event::Event;
use crate::identity::{Checkpoints, Tokens, identity};
use crate::memory::MemoryMeter;
use crate::prepare::read_tasks;
use crate::protocol::{Order, Request, Setup};
use crate::resolved::{Received, Resolved};
use crate::trial::{Surroundings, run_trial};
use regatta_lm::Compute;
use regatta_lm::data::{Corpus, Recipe};
use regatta_lm::spec::EvaluateSpec;
use regatta_lm::tasks::Tasks;
use regatta_records::{Fence, RecordError, TrialFolder};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Time between two steps that are reported, at least.
const STEPS_APART: Duration = Duration::from_millis(40);
/// Time between two signs of life, at least.
const SIGNS_APART: Duration = Duration::from_millis(500);

/// What a worker has of its program.
pub struct Work {
    /// Set when it should stop.
    pub stop: Arc<AtomicBool>,
    /// How memory is counted, where it is.
    pub memory: Option<MemoryMeter>,
}

/// Runs the trials that are requested until stdin ends.
///
/// # Errors
/// When a request cannot be read, the device cannot be opened, data cannot be read or have changed, or a status cannot be written.
pub fn work(work: &Work, stdin: impl BufRead + Send + 'static, stdout: impl Write) -> Result<(), RunError> {
    let requests = read_requests(stdin, Arc::clone(&work.stop));
    let mut events = Events { stdout, last: Instant::now(), held_back: None };
    let mut ready: Option<Ready> = None;
    while let Ok(request) = requests.recv() {
        match (request?, &mut ready) {
            (Request::Setup(setup), _) => ready = Some(Ready::of(setup)?),
            (Request::Trial(_), None) => return Err(unexpected("expected a setup before the first trial").into()),
            (Request::Trial(_), Some(_)) if work.stop.load(Ordering::Relaxed) => break,
            (Request::Trial(order), Some(ready)) => ready.run(*order, work, &mut events)?,
        }
    }
    Ok(())
}

fn unexpected(message: impl std::fmt::Display) -> RecordError {
    RecordError::new(Path::new("stdin of a worker"), message)
}

/// Reads requests in a thread of its own, which asks for a stop when there are no more.
fn read_requests(
    stdin: impl BufRead + Send + 'static,
    stop: Arc<AtomicBool>,
) -> Receiver<Result<Request<'static, Received>, RecordError>> {
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for line in stdin.lines() {
            let request = line.map_err(unexpected).and_then(|line| serde_json::from_str(&line).map_err(unexpected));
            let is_last = request.is_err();
            if sender.send(request).is_err() || is_last {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    requests
}

/// A worker that knows for whom it runs trials.
struct Ready {
    setup: Setup,
    /// Opened once, for all trials.
    compute: Compute,
    /// The data of the last trial: most trials of a study have the same.
    held: Option<Held>,
}

/// Data in memory.
struct Held {
    recipe: Recipe,
    corpus: Corpus,
    /// Those of the last trial, and what asks for them.
    tasks: Option<(EvaluateSpec, Tasks)>,
}

impl Ready {
    fn of(setup: Setup) -> Result<Self, RunError> {
        Ok(Self { compute: setup.device.open()?, setup, held: None })
    }

    fn run(&mut self, order: Order<'_, Received>, work: &Work, events: &mut Events<impl Write>) -> Result<(), RunError> {
        let Order { name, folder, holder, identity: planned, fingerprints, trial, data } = order;
        let (out, trial) = (Path::new(&self.setup.out), trial.resolved());
        let (corpus, tasks) = held(&mut self.held, data.into_owned(), trial).map_err(|message| RecordError::new(out, message))?;
        let tokens = Tokens::of(corpus);
        let identity = identity(trial, self.setup.device, &fingerprints, &tokens, tasks, &mut Checkpoints::default())?;
        if identity.hash != planned {
            return Err(RecordError::new(out, "the study or its data changed while it ran").into());
        }
        let fence = Fence::of_trial(Path::new(&folder), holder);
        let folder = TrialFolder::at(folder.into()).guarded(&fence);
        let mut emit = |event: Event| {
            if events.emit(event).is_err() {
                work.stop.store(true, Ordering::Relaxed); // the run is gone
            }
        };
        let name = format!("{name} seed {}", trial.seed);
        let surroundings = Surroundings {
            name: &name,
            folder: &folder,
            tasks,
            identity: &identity,
            holder: fence.holder(),
            session: &self.setup.session,
            every: self.setup.every,
            stop: &work.stop,
            memory: work.memory,
            emit: &mut emit,
        };
        Ok(run_trial(&trial.on(corpus, tasks, &self.compute, self.setup.recompute), surroundings)?)
    }
}

/// The data and tasks of `trial`, read where those of the trial before are others; these are let go first.
fn held<'a>(held: &'a mut Option<Held>, recipe: Recipe, trial: Resolved<'_>) -> Result<(&'a Corpus, &'a Tasks), String> {
    let again = |error: &dyn std::fmt::Display| format!("the data could not be read again: {error}");
    if held.as_ref().is_none_or(|held| held.recipe != recipe) {
        *held = None;
        let corpus = recipe.make().map_err(|error| again(&error))?;
        *held = Some(Held { recipe, corpus, tasks: None });
    }
    let Some(Held { corpus, tasks, .. }) = held else { unreachable!("it was filled above") };
    if tasks.as_ref().is_none_or(|(evaluate, _)| evaluate != trial.evaluate) {
        let read = read_tasks(trial.evaluate, corpus).map_err(|(field, error)| again(&format!("evaluate.{field}: {error}")))?;
        *tasks = Some((trial.evaluate.clone(), read));
    }
    Ok((corpus, tasks.as_ref().map(|(_, tasks)| tasks).expect("they were read above")))
}

/// The worker's stdout. Events that come fast are left out, but never the last step.
struct Events<W> {
    stdout: W,
    last: Instant,
    held_back: Option<Event>,
}

impl<W: Write> Events<W> {
    fn emit(&mut self, event: Event) -> std::io::Result<()> {
        let apart = match event {
            Event::Step(_) => STEPS_APART,
            Event::Alive => SIGNS_APART,
            Event::Begun { .. } | Event::Ended(_) => Duration::ZERO,
        };
        if self.last.elapsed() < apart {
            if matches!(event, Event::Step(_)) {
                self.held_back = Some(event);
            }
            return Ok(());
        }
        self.last = Instant::now();
        if let Some(step) = self.held_back.take().filter(|_| matches!(event, Event::Ended(_))) {
            self.write(&step)?;
        }
        self.write(&event)
    }

    /// Writes a line of its own: a plugin may have printed the beginning of one.
    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        let mut line = b"\n".to_vec();
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        self.stdout.write_all(&line)?;
        self.stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_lm::Device;
    use regatta_lm::training::StepRecord;
    use regatta_records::{State, Status};
    use std::io::Cursor;

    fn refused(stdin: String) -> String {
        let worker = Work { stop: Arc::default(), memory: None };
        work(&worker, Cursor::new(stdin), Vec::new()).unwrap_err().to_string()
    }

    /// A request that could not be read was passed over: the run waited for its trial until the timeout.
    #[test]
    fn a_request_that_cannot_be_read_is_an_error() {
        assert!(refused("{\"Trial\": 3}\n".into()).starts_with("stdin of a worker: invalid type"));
        assert!(refused("hello\n".into()).starts_with("stdin of a worker: expected value"));
        let every = crate::options::Every::Steps(1);
        let setup = Setup { out: "out".into(), session: String::new(), every, device: Device::Cpu, recompute: false };
        let line = serde_json::to_string(&Request::<()>::Setup(setup.clone())).unwrap();
        let nowhere = Setup { device: Device::Cuda(usize::MAX), ..setup };
        let message = refused(serde_json::to_string(&Request::<()>::Setup(nowhere)).unwrap() + "\n");
        assert!(message.starts_with(&format!("cuda:{}: ", usize::MAX)), "{message}");
        assert!(refused(line + "\n{\"Trial\": {\"name\": \"a\"}}\n").starts_with("stdin of a worker: missing field `folder`"));
    }

    fn step(step: usize) -> Event {
        let line = format!(r#"{{"step":{step},"loss":1,"penalty":0,"terms":{{}},"grad_norm":1,"lr":1,"tokens_per_second":1}}"#);
        Event::Step(serde_json::from_str::<StepRecord>(&line).unwrap())
    }

    #[test]
    fn quick_steps_are_left_out_but_not_the_last_and_each_event_has_a_line_of_its_own() {
        let status = Status {
            state: State::Done,
            reason: None,
            identity: "x".into(),
            started: None,
            ended: None,
            attempt: 1,
            runner: None,
            session: None,
            resumed_from: None,
            records: None,
        };
        let mut stdout = b"a plugin prints".to_vec();
        let mut events = Events { stdout: &mut stdout, last: Instant::now(), held_back: None };
        let sent = [Event::Begun { from: 0 }, step(0), step(1), Event::Alive, Event::Ended(status)];
        sent.iter().for_each(|event| events.emit(event.clone()).unwrap());
        let text = String::from_utf8(stdout).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "a plugin prints");
        let heard: Vec<Event> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(heard, [sent[0].clone(), sent[2].clone(), sent[4].clone()]);
    }
}
