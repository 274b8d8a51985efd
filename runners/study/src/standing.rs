//! How a study stands, from what is on disk, whether or not it is being run.

use crate::records::{Holder, PlanRow, RecordError, State, TrialFolder, holder, read_json};
use crate::yaml;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// A study's trials, and who is running it.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// The runner that holds the folder now.
    pub holder: Option<Holder>,
    /// Every trial that is planned, and every tuning trial that was begun.
    pub trials: Vec<TrialStanding>,
}

/// How one trial stands.
#[derive(Debug, Serialize)]
pub struct TrialStanding {
    /// The arm, its point of the sweep, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// `running` with nobody running it is `cut off`: the next run goes on from its last checkpoint.
    pub state: &'static str,
    /// Steps that were made.
    pub made: usize,
    /// Steps that it is to make.
    pub steps: usize,
    /// Why, where it did not end well.
    pub reason: Option<String>,
}

impl Standing {
    /// How the study in `folder` stands.
    ///
    /// # Errors
    /// When the folder holds no study, or a record that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("study.yaml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| RecordError::new(&path, format!("expected the folder of a study: {error}")))?;
        let study = yaml::parse(&text).map_err(|fault| RecordError::new(&path, fault.message))?;
        let plan: Option<Vec<PlanRow>> = read_json(&folder.join("plan.json"))?;
        let arms = || study["arms"].as_object().into_iter().flatten().map(|(arm, _)| (arm.clone(), arm.clone()));
        let named = |row: PlanRow| (row.place, [row.arm, row.point].join(" ").trim_end().to_owned());
        let places: Vec<(String, String)> = plan.map_or_else(|| arms().collect(), |rows| rows.into_iter().map(named).collect());
        let seeds: Vec<u64> = study["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();

        let holder = holder(folder).map_err(|error| RecordError::new(folder, error))?;
        let steps = usize::try_from(study["train"]["steps"].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
        let read = |name: String, seed, trial: TrialFolder| trial_standing(name, seed, &trial, steps, holder.is_some());
        let mut trials = Vec::new();
        for (place, name) in &places {
            for (candidate, seed) in tuned(&folder.join("trials").join(place).join("tune")) {
                let trial = TrialFolder::of(folder, &format!("{place}/tune/{candidate}"), seed);
                trials.push(read(format!("{name} tuning {candidate}"), seed, trial)?);
            }
        }
        for &seed in &seeds {
            for (place, name) in &places {
                trials.push(read(name.clone(), seed, TrialFolder::of(folder, place, seed))?);
            }
        }
        Ok(Self { holder, trials })
    }

    /// `3 done, 1 failed, 2 pending`, in the order in which states follow each other.
    pub fn summary(&self) -> String {
        let states = ["done", "running", "cut off", "pending", "diverged", "failed"];
        let count = |state: &&str| self.trials.iter().filter(|trial| trial.state == *state).count();
        let counted = states.iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0);
        counted.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
    }
}

fn trial_standing(
    name: String,
    seed: u64,
    trial: &TrialFolder,
    steps: usize,
    is_run: bool,
) -> Result<TrialStanding, RecordError> {
    let status = trial.status()?;
    let state = status.as_ref().map_or(State::Pending, |status| status.state);
    let inputs = trial.inputs()?;
    let own_steps = inputs.as_ref().and_then(|inputs| inputs["train"]["steps"].as_u64()).map(|steps| steps as usize);
    Ok(TrialStanding {
        name,
        seed,
        state: if state == State::Running && !is_run { "cut off" } else { state.word() },
        made: trial.steps_written()?,
        steps: own_steps.unwrap_or(steps),
        reason: status.and_then(|status| status.reason),
    })
}

/// Candidates and seeds of the tuning trials that were begun.
fn tuned(folder: &Path) -> Vec<(String, u64)> {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let mut found = Vec::new();
    for candidate in names(folder) {
        let seeds = names(&folder.join(&candidate));
        let mut seeds: Vec<u64> = seeds.iter().filter_map(|name| name.strip_prefix("seed-")?.parse().ok()).collect();
        seeds.sort_unstable();
        found.extend(seeds.into_iter().map(|seed| (candidate.clone(), seed)));
    }
    found
}
