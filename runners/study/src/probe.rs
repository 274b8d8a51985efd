//! What the plugins of a study compute, measured in a process of its own: a plugin that crashes, hangs or takes all memory costs
//! its fingerprint, neither the run nor, by what it leaves behind in its process, a bit of a trial.
//!
//! A plugin comes in and its fingerprint goes out, a JSON value a line.

use crate::identity::known_fingerprints;
use crate::pool::{Limits, resident};
use regatta_config::{Arm, StudyFile};
use regatta_core::{Fingerprint, Intervention, Plugin};
use regatta_records::RecordError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A fingerprint takes milliseconds: a plugin that gives none for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// A plugin to be measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Probed {
    Regularizer(Plugin),
    Intervention(Plugin<dyn Intervention>),
}

/// A fingerprint, or why there is none.
type Answer = Result<Fingerprint, String>;

/// Answers with the fingerprint of each plugin that is asked for, until nobody asks any more: then the process ends, whatever a
/// plugin is at.
///
/// # Errors
/// When nobody listens.
pub fn probe(plugins: impl BufRead + Send + 'static, mut answers: impl Write) -> std::io::Result<()> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        plugins.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        std::process::exit(0);
    });
    std::panic::set_hook(Box::new(|_| {})); // a panic is an answer
    while let Ok(line) = receiver.recv() {
        let mut answer = serde_json::to_vec(&answer(&line))?;
        answer.push(b'\n');
        answers.write_all(&answer)?;
        answers.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Answer {
    let probed: Probed = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let fingerprint = || match &probed {
        Probed::Regularizer(plugin) => Fingerprint::of_regularizer(&*plugin.0),
        Probed::Intervention(plugin) => Fingerprint::of_intervention(&*plugin.0),
    };
    match catch_unwind(AssertUnwindSafe(fingerprint)) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked".into()),
    }
}

/// The fingerprints of a study's plugins, by how a plugin with its fields is written; none where it could not be told.
pub(crate) struct Fingerprints(BTreeMap<String, Option<Fingerprint>>);

impl Fingerprints {
    /// Measures every plugin that an arm of `file` lists, once. Where a trial below `out` was trained with the same formula, its
    /// numbers stand for those found here, which may differ in their last digits: a trial's identity is that of its first machine.
    ///
    /// # Errors
    /// When no process can be started to measure them.
    pub fn measure(file: &StudyFile, out: &Path, limits: &Limits, command: &dyn Fn() -> Command) -> Result<Self, RecordError> {
        let arms = file.variants().iter().map(|variant| variant.arm());
        let plugins: BTreeMap<String, &'static str> = arms.flat_map(listed).collect();
        let known = if plugins.is_empty() { Vec::new() } else { known_fingerprints(&out.join("trials")) };
        let (mut found, mut prober) = (BTreeMap::new(), None);
        for (plugin, name) in plugins {
            let answer = ask(&mut prober, command, &plugin, limits).map_err(|error| {
                RecordError::new(out, format!("could not start a process that measures what plugins compute: {error}"))
            })?;
            let fingerprint = answer.map_err(|reason| {
                tracing::warn!("what `{name}` computes could not be measured, so a change of its formula goes unseen: {reason}");
            });
            let first = |mine: Fingerprint| {
                let same = known.iter().find(|(other, theirs)| other == name && theirs.agrees(&mine));
                same.map_or(mine, |(_, theirs)| theirs.clone())
            };
            found.insert(plugin, fingerprint.ok().map(first));
        }
        Ok(Self(found))
    }

    /// Those of the plugins that an arm lists, in order.
    pub fn of(&self, arm: &Arm) -> Vec<Option<Fingerprint>> {
        listed(arm).map(|(plugin, _)| self.0.get(&plugin).cloned().flatten()).collect()
    }
}

/// The plugins that an arm lists, in order, as they are written, and their names.
fn listed(arm: &Arm) -> impl Iterator<Item = (String, &'static str)> {
    let list = serde_json::to_value(arm.list()).unwrap_or_default();
    let entries = list.as_array().cloned().unwrap_or_default().into_iter().zip(arm.plugins());
    entries.map(|(entry, name)| {
        let kind = if entry["regularizer"].is_null() { "intervention" } else { "regularizer" };
        (serde_json::json!({ kind: entry[kind] }).to_string(), name)
    })
}

/// A process that measures plugins.
struct Prober {
    child: Child,
    plugins: ChildStdin,
    answers: Receiver<String>,
}

/// The answer to one plugin, by a process that is started where none is left.
fn ask(prober: &mut Option<Prober>, command: &dyn Fn() -> Command, plugin: &str, limits: &Limits) -> std::io::Result<Answer> {
    let mut asked = match prober.take() {
        Some(living) => living,
        None => Prober::start(command())?,
    };
    Ok(match asked.ask(plugin, limits) {
        Ok(answer) => {
            *prober = Some(asked);
            answer
        }
        Err(reason) => Err(reason),
    })
}

impl Prober {
    fn start(mut command: Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(plugins), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { unreachable!("both are piped") };
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Ok(Self { child, plugins, answers })
    }

    /// The answer; an error where it gives none, and is of no more use.
    fn ask(&mut self, plugin: &str, limits: &Limits) -> Result<Answer, String> {
        let patience = PATIENCE.min(limits.timeout);
        let asked = Instant::now();
        let _ = writeln!(self.plugins, "{plugin}").and_then(|()| self.plugins.flush()); // that it is gone will be heard
        loop {
            match self.answers.recv_timeout(TICK) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(answer) => return Ok(answer),
                    Err(_) => continue, // a plugin that prints
                },
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.child.wait().map_or_else(|error| error.to_string(), |exit| exit.to_string());
                    return Err(format!("its process ended ({ended})"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if asked.elapsed() > patience {
                return Err(format!("it hung for {} s", patience.as_secs()));
            }
            if let (Some(most), Some(held)) = (limits.memory, resident(self.child.id()))
                && held > most
            {
                return Err(format!("it held {} MiB, more than the {} MiB that a trial may", held >> 20, most >> 20));
            }
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails where it is gone already
        let _ = self.child.wait();
    }
}
