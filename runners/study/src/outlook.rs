//! What a run into a folder would do: which trials are done there, and which ones it would train.

use crate::adopt::by_identity;
use crate::fingerprints::Fingerprints;
use crate::identity::Identity;
use crate::options::Limits;
use crate::plan::{PlannedTrial, judged_keys, planned, tuning_keys};
use crate::prepare::Prepared;
use crate::supply::Supply;
use crate::tuning;
use regatta_config::StudyFile;
use regatta_lm::Device;
use regatta_records::{RecordError, State, TrialFolder, TuningRow};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What a run would do with the trials of a study.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Trials that need no further run.
    pub settled: usize,
    /// Trials that go on from a checkpoint.
    pub resumed: usize,
    /// Trials that start from their first step.
    pub fresh: usize,
    /// Trials that are known only when tuning has ended.
    pub after_tuning: usize,
    /// By variant, the steps that are still to be made, those after tuning included.
    pub steps: Vec<usize>,
    /// The trials that are known, in the order in which they are trained.
    pub trials: Vec<Foreseen>,
    /// The first trial that is there with other settings, with what differs: for it the run would be refused.
    pub others: Option<String>,
}

/// A trial of the plan, as it would be now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// The arm, its point, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Hash of all that its results depend on.
    pub identity: String,
    /// All that its results depend on.
    pub inputs: Value,
    /// Whether it needs no further run.
    pub settled: bool,
}

impl Foreseen {
    /// In what it differs from a trial that depends on other `inputs`: `train.lr: 0.001, was 0.01`.
    pub fn differences(&self, inputs: &Value) -> Vec<String> {
        Identity { hash: self.identity.clone(), inputs: self.inputs.clone() }.differences(inputs, &|_| Vec::new())
    }
}

impl Outlook {
    /// Trials that a run would train, those after tuning included.
    pub fn missing(&self) -> usize {
        self.resumed + self.fresh + self.after_tuning
    }

    /// Of the study in `file`, run into `out`, which need not be there, on `device`, which need not be there either. Nothing is written; `probe` starts a process that measures
    /// what plugins compute, which is part of a trial's identity.
    ///
    /// # Errors
    /// When a record, or a checkpoint to start from, cannot be read.
    pub fn of(
        file: &StudyFile,
        prepared: &[Prepared],
        out: &Path,
        device: Device,
        probe: &dyn Fn() -> Command,
    ) -> Result<Self, RecordError> {
        let mut outlook = Self { steps: vec![0; file.variants().len()], ..Self::default() };
        let fingerprints = Fingerprints::measure(file, out, &Limits::default(), probe)?;
        let supplies = Supply::of(prepared);
        let planned = |keys| planned(file, &supplies, out, &fingerprints, device, keys);
        let tuning = planned(tuning_keys(file))?;
        let tuned = outlook.add(&tuning, out)?;
        let chosen = if tuning.is_empty() || !tuned {
            vec![None; file.variants().len()]
        } else {
            tuning::table(file, &tuning)?.iter().map(TuningRow::chosen).collect()
        };
        if tuned {
            outlook.add(&planned(judged_keys(file, &chosen))?, out)?;
        } else {
            outlook.after_tuning = file.variants().len() * file.study.seeds.len();
            for (steps, prepared) in outlook.steps.iter_mut().zip(prepared) {
                *steps += prepared.steps.get() * file.study.seeds.len();
            }
        }
        Ok(outlook)
    }

    /// Counts `trials`; whether all of them are settled.
    fn add(&mut self, trials: &[PlannedTrial], out: &Path) -> Result<bool, RecordError> {
        let there = by_identity(&out.join("trials"))?;
        let before = self.settled;
        for trial in trials {
            let identity = &trial.identity;
            let status = trial.folder.status()?;
            if let Some(other) =
                status.as_ref().filter(|status| status.state != State::Failed && status.identity != identity.hash)
                && !trials.iter().any(|trial| trial.identity.hash == other.identity)
            {
                let inputs = trial.folder.inputs()?.unwrap_or_default();
                let differences = if inputs.is_null() { String::new() } else { trial.differences(&inputs).join("; ") };
                let (name, seed, what) = (&trial.name, trial.key.seed, identity.differing(&inputs));
                let what = format!("trial {name}, seed {seed}, is there with other {what} ({differences})");
                self.others.get_or_insert(what);
            }
            // A trial of an arm that was renamed lies elsewhere, and would be moved.
            let folder = there.get(&identity.hash).map(|path| TrialFolder::at(path.clone()));
            let status = folder.as_ref().map(TrialFolder::status).transpose()?.flatten();
            let settled = status.as_ref().is_some_and(|status| status.state.is_settled());
            let Identity { hash, inputs } = identity.clone();
            self.trials.push(Foreseen { name: trial.name.clone(), seed: trial.key.seed, identity: hash, inputs, settled });
            let left = match (status, folder) {
                _ if settled => {
                    self.settled += 1;
                    continue;
                }
                (Some(_), Some(folder)) => trial.steps().saturating_sub(folder.resumable_steps()?.unwrap_or(0)),
                _ => trial.steps(),
            };
            self.steps[trial.key.variant] += left;
            if left < trial.steps() { self.resumed += 1 } else { self.fresh += 1 }
        }
        Ok(self.settled - before == trials.len())
    }
}
