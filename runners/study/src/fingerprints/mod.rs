//! What the plugins of a study compute, measured in a separate process: a plugin that crashes, hangs or takes all memory costs only
//! its fingerprint, and nothing that it leaves in its process can affect a trial.

mod probe;

pub use probe::probe;

use crate::identity::FINGERPRINTS;
use crate::options::Limits;
use crate::process::{Output, Process};
use probe::{Answer, Probe};
use regatta_config::{Arm, StudyFile};
use regatta_core::Fingerprint;
use regatta_records::{RecordError, Submission, read_json, trials_below};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A fingerprint takes milliseconds: a plugin without one after this time hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// What plugins compute, as the first machine measured it: a list of names and fingerprints.
const FILE: &str = "fingerprints.json";

/// The fingerprints of a study's plugins.
pub(crate) struct Fingerprints(BTreeMap<String, Measured>);

/// One of them.
struct Measured {
    name: &'static str,
    /// As this machine measured it; none where it could not.
    here: Option<Fingerprint>,
    /// As it is part of a trial's identity.
    agreed: Option<Fingerprint>,
}

impl Fingerprints {
    /// Measures every plugin that an arm of `file` lists, once, and [agrees](Self::agree) with the folder `out`.
    ///
    /// # Errors
    /// When no process can be started to measure them, or the folder cannot be read.
    pub fn measure(file: &StudyFile, out: &Path, limits: &Limits, command: &dyn Fn() -> Command) -> Result<Self, RecordError> {
        let mut plugins: BTreeMap<String, (Probe<'_>, &'static str)> = BTreeMap::new();
        for variant in file.variants() {
            for listed in listed(variant.arm()) {
                let (key, probe, name) = listed?;
                plugins.entry(key).or_insert((probe, name));
            }
        }
        let (mut found, mut prober) = (BTreeMap::new(), None);
        for (key, (plugin, name)) in plugins {
            let answer = ask(&mut prober, command, &plugin, limits).map_err(|error| {
                RecordError::new(out, format!("could not start a process that measures what plugins compute: {error}"))
            })?;
            let fingerprint = answer.map_err(|reason| {
                tracing::warn!(
                    "what `{name}` computes could not be measured, so a change of its formula would go unnoticed: {reason}"
                );
            });
            let here = fingerprint.ok();
            found.insert(key, Measured { name, agreed: here.clone(), here });
        }
        let mut measured = Self(found);
        measured.agree(out)?;
        Ok(measured)
    }

    /// Where the same formula was measured for this folder before, those numbers stand for the ones found here, which may differ in
    /// their last digits: a trial's identity is that of its first machine. Returns all that are known for the folder then.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn agree(&mut self, out: &Path) -> Result<Vec<(String, Fingerprint)>, RecordError> {
        let before = if out.is_dir() { read_json(&out.join(FILE))? } else { None };
        let mut known: Vec<(String, Fingerprint)> = before.unwrap_or_default();
        let of = |known: &[(String, Fingerprint)], name: &str, here: &Fingerprint| {
            known.iter().find(|(other, theirs)| other == name && theirs.agrees(here)).map(|(_, theirs)| theirs.clone())
        };
        let mut are_trials_read = false;
        for Measured { name, here, agreed } in self.0.values_mut() {
            let Some(here) = here else { continue };
            let mut first = of(&known, name, here);
            if first.is_none() && !are_trials_read {
                are_trials_read = true;
                let found = known_fingerprints(out)?;
                let new: Vec<_> = found.into_iter().filter(|found| !known.contains(found)).collect();
                known.extend(new);
                first = of(&known, name, here);
            }
            if first.is_none() {
                known.push(((*name).to_owned(), here.clone()));
            }
            *agreed = Some(first.unwrap_or_else(|| here.clone()));
        }
        Ok(known)
    }

    /// The file of a folder that holds what [`agree`](Self::agree) returns.
    pub fn file(out: &Path) -> PathBuf {
        out.join(FILE)
    }

    /// Those of the plugins that an arm lists, in order.
    ///
    /// # Errors
    /// When a plugin cannot be written as JSON.
    pub fn of(&self, arm: &Arm) -> Result<Vec<Option<Fingerprint>>, RecordError> {
        listed(arm).into_iter().map(|listed| Ok(self.0.get(&listed?.0).and_then(|measured| measured.agreed.clone()))).collect()
    }
}

/// A plugin as JSON, the plugin, and its name.
type Listed<'a> = (String, Probe<'a>, &'static str);

/// The plugins that an arm lists, in order.
fn listed(arm: &Arm) -> Vec<Result<Listed<'_>, RecordError>> {
    let terms = arm.listed_terms().map(|(place, term)| {
        let plugin = &term.regularizer;
        (place, Probe::Regularizer(plugin), plugin.name())
    });
    let interventions = arm.listed_interventions().map(|(place, plugin)| (place, Probe::Intervention(plugin), plugin.name()));
    let mut plugins: Vec<(usize, Probe<'_>, &'static str)> = terms.chain(interventions).collect();
    plugins.sort_by_key(|(place, ..)| *place);
    plugins
        .into_iter()
        .map(|(_, probe, name)| match serde_json::to_string(&probe) {
            Ok(key) => Ok((key, probe, name)),
            Err(error) => Err(RecordError::new(Path::new(name), error)),
        })
        .collect()
}

/// Names and fingerprints of the plugins that the trials of a study's folder were trained with, in the order of their folders, and
/// then those that they were submitted with.
fn known_fingerprints(out: &Path) -> Result<Vec<(String, Fingerprint)>, RecordError> {
    let mut known: Vec<(String, Fingerprint)> = Vec::new();
    for trial in trials_below(&out.join("trials"))? {
        match trial.inputs() {
            Ok(inputs) => note(&mut known, &inputs.unwrap_or_default()),
            Err(error) => tracing::warn!("{error}: what its plugins computed is not known"), // an incomplete trial is trained again
        }
    }
    for submission in Submission::all(out)? {
        match submission.frozen() {
            Ok(frozen) => frozen.trials.iter().for_each(|trial| note(&mut known, &trial.inputs)),
            Err(error) => tracing::debug!("{error}"), // it is being made
        }
    }
    Ok(known)
}

/// Adds the plugins of one trial that are not known yet.
fn note(known: &mut Vec<(String, Fingerprint)>, inputs: &Value) {
    let lists = inputs["terms"].as_array().into_iter().flatten().zip(inputs[FINGERPRINTS].as_array().into_iter().flatten());
    for (listed, fingerprint) in lists {
        let plugin = listed.get("regularizer").or_else(|| listed.get("intervention")).and_then(Value::as_object);
        let name = plugin.and_then(|plugin| plugin.keys().next().cloned());
        if let (Some(name), Ok(fingerprint)) = (name, Fingerprint::deserialize(fingerprint)) {
            let found = (name, fingerprint);
            if !known.contains(&found) {
                known.push(found);
            }
        }
    }
}

/// A process that measures plugins.
struct Prober {
    process: Process,
    answers: Receiver<Output<Answer>>,
}

/// The answer to one plugin, by a process that is started where none is left.
fn ask(
    prober: &mut Option<Prober>,
    command: &dyn Fn() -> Command,
    plugin: &Probe<'_>,
    limits: &Limits,
) -> std::io::Result<Answer> {
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
    fn start(command: Command) -> std::io::Result<Self> {
        let (sender, answers) = channel();
        let process = Process::start(command, move |output| drop(sender.send(output)))?;
        Ok(Self { process, answers })
    }

    /// The answer; an error where it gives none, and is of no more use.
    fn ask(&mut self, plugin: &Probe<'_>, limits: &Limits) -> Result<Answer, String> {
        let patience = PATIENCE.min(limits.timeout);
        let asked = Instant::now();
        self.process.send(plugin).map_err(|error| error.to_string())?;
        loop {
            match self.answers.recv_timeout(TICK) {
                Ok(Output::Message(answer)) => return Ok(answer),
                Ok(Output::Text(_)) => {} // a plugin that prints
                Ok(Output::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.process.wait().map_or_else(|error| error.to_string(), |exit| exit.to_string());
                    return Err(format!("its process ended ({ended})"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if asked.elapsed() > patience {
                return Err(format!("it hung for {} s", patience.as_secs()));
            }
            if let Some(excess) = self.process.excess(limits.memory) {
                return Err(excess);
            }
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.process.kill();
        if let Err(error) = self.process.wait() {
            tracing::debug!("a process that measured plugins: {error}");
        }
    }
}
