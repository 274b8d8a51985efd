//! The records of one arm at one point of the sweep.

use super::diagnosed::Diagnosed;
use super::outcomes;
use super::run::Run;
use super::terms::Terms;
use regatta_core::kernels::Precision;
use regatta_lm::tasks::{Outcomes, ScoredTasks};
use regatta_records::{Machine, Manifest, RecordError, State, Status, TrialEvaluation, TrialFolder};
use std::collections::BTreeMap;
use std::path::Path;

/// The records of one arm at one point of the sweep: a row of the results.
pub(super) struct ArmRecords {
    /// The arm and its point, unique among the rows.
    pub name: String,
    pub arm: String,
    /// The point; empty without a sweep.
    pub point: String,
    /// The folder of its trials, below `trials/`.
    pub place: String,
    /// Index of the row that it is compared with; its own index for a baseline.
    pub baseline: usize,
    pub terms: Terms,
    /// Trainable parameters, where a plan names them.
    pub parameters: Option<usize>,
    /// Training tokens of a trial, where a plan names them.
    pub tokens: Option<usize>,
    /// The learning rate that tuning chose.
    pub lr: Option<f64>,
    /// Whether its training rounds the factors of products to bfloat16, once [`Self::read_precision`] has read it.
    pub rounds_factors: bool,
    /// By seed, of trials with a status.
    pub statuses: BTreeMap<u64, Status>,
    /// By seed; trials that are done.
    pub evaluations: BTreeMap<u64, TrialEvaluation>,
    /// By seed; trials that are done, once [`Self::read_runs`] has read them.
    pub runs: BTreeMap<u64, Run>,
    /// By seed; trials that are done and were diagnosed, once [`Self::read_runs`] has read them.
    pub diagnosed: BTreeMap<u64, Diagnosed>,
    /// By seed; of trials that are done and have tasks, which items they have right, once [`Self::read_runs`] has read them.
    pub outcomes: BTreeMap<u64, Vec<Outcomes>>,
    /// By seed; of trials that are done, the scores on tasks before the end, once [`Self::read_runs`] has read them.
    pub scored: BTreeMap<u64, Vec<ScoredTasks>>,
}

impl ArmRecords {
    /// Reads status and evaluation of each trial.
    pub fn read(&mut self, folder: &Path, seeds: &[u64]) -> Result<(), RecordError> {
        for &seed in seeds {
            let trial = TrialFolder::of(folder, &self.place, seed);
            let Some(status) = trial.status()? else { continue };
            if status.state == State::Done {
                let missing = || RecordError::new(trial.path(), "expected evaluation.json of a trial that is done, found none");
                self.evaluations.insert(seed, trial.evaluation()?.ok_or_else(missing)?);
            }
            self.statuses.insert(seed, status);
        }
        Ok(())
    }

    /// Trials of versions that recorded no machine count as trained by the one that the manifest names.
    pub fn assume_machine(&mut self, manifest: &Manifest) {
        for cost in self.evaluations.values_mut().map(|evaluation| &mut evaluation.cost) {
            let instructions = cost.instructions.or(manifest.instructions);
            cost.machine.get_or_insert_with(|| Machine { instructions, ..manifest.machine() });
        }
    }

    /// Whether its trials round factors to bfloat16: as the first that is done recorded it, or else as the study says.
    pub fn read_precision(&mut self, folder: &Path, of_study: Precision) -> Result<(), RecordError> {
        let Some((&seed, _)) = self.evaluations.first_key_value() else { return Ok(()) };
        let inputs = TrialFolder::of(folder, &self.place, seed).inputs()?.unwrap_or_default();
        let recorded = serde_json::from_value::<Precision>(inputs["train"]["precision"].clone());
        self.rounds_factors = recorded.unwrap_or(of_study) == Precision::BFloat16;
        Ok(())
    }

    /// The lines of each trial that is done: they are long, and not every question needs them.
    pub fn read_runs(&mut self, folder: &Path) -> Result<(), RecordError> {
        for (&seed, evaluation) in &self.evaluations {
            let trial = TrialFolder::of(folder, &self.place, seed);
            self.runs.insert(seed, Run::read(&trial, &evaluation.cost)?);
            if let Some(diagnosed) = Diagnosed::read(&trial)? {
                self.diagnosed.insert(seed, diagnosed);
            }
            if let Some(outcomes) = outcomes::read(&trial, &evaluation.measures.worth)? {
                self.outcomes.insert(seed, outcomes);
            }
            self.scored.insert(seed, trial.scored_tasks()?);
        }
        Ok(())
    }

    /// An arm without records.
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            arm: name.to_owned(),
            point: String::new(),
            place: name.to_owned(),
            baseline: 0,
            terms: Terms::default(),
            parameters: None,
            tokens: None,
            lr: None,
            rounds_factors: false,
            statuses: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            runs: BTreeMap::new(),
            diagnosed: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            scored: BTreeMap::new(),
        }
    }

    /// Held-out losses of the trials that are done.
    pub fn losses(&self) -> Vec<f64> {
        self.evaluations.values().map(|evaluation| evaluation.measures.loss).collect()
    }

    /// The terms as a reader would write them in one line of YAML, and the learning rate where it was tuned.
    pub fn terms_in_one_line(&self) -> String {
        let tuned = self.lr.map(|lr| format!("lr: {lr}, tuned"));
        let terms = Some(self.terms.in_one_line()).filter(|_| !self.terms.is_empty());
        terms.into_iter().chain(tuned).collect::<Vec<_>>().join("; ")
    }
}
