//! The state of a study, from what is on disk, whether or not it is being run.

mod listing;
mod state;

use regatta_records::{FrozenTrial, Holder, Present, RecordError, State, Status, Submission, TrialFolder, holder_of, present};
use serde::Serialize;
use std::path::Path;

pub(crate) use listing::{Listed, Listing};
pub use state::TrialState;

/// A study's trials, and who is running it.
#[derive(Debug, Default, Serialize)]
pub struct Standing {
    /// What trials are trained on, where that is not the CPU's kernels: `candle`, or a GPU with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The runners that seem to live.
    pub runners: Vec<Present>,
    /// Every trial that is planned, and every tuning trial that was begun.
    pub trials: Vec<TrialStanding>,
}

/// The state of one trial.
#[derive(Debug, Serialize)]
pub struct TrialStanding {
    /// The arm, its point of the sweep, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Its state.
    pub state: TrialState,
    /// Steps that were made.
    pub made: usize,
    /// Steps in all.
    pub steps: usize,
    /// Why, where it did not end well.
    pub reason: Option<String>,
    /// The runner that trains it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<Holder>,
}

impl Standing {
    /// The state of the study in `folder`, which may have been submitted while no task has opened the folder yet.
    ///
    /// # Errors
    /// When the folder holds no study, or a record that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        if !folder.join("study.yaml").exists()
            && let Some(submission) = Submission::all(folder)?.pop()
        {
            let trials = submission.frozen()?.trials.into_iter().map(TrialStanding::submitted).collect();
            return Ok(Self { trials, ..Self::default() });
        }
        let listing = Listing::read(folder)?;
        let runners = present(folder)?;
        let read = |listed: Listed| {
            let trial = &listed.folder;
            let (status, made) = (trial.status()?, trial.steps_written()?);
            let steps = own_steps(trial, status.as_ref())?.unwrap_or(listing.steps);
            Ok(TrialStanding::new(&listed, status.as_ref(), made, steps, trainer(trial, status.as_ref(), &runners)?))
        };
        let trials = listing.trials(folder)?.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { device: listing.device, runners, trials })
    }

    /// `3 done, 1 failed, 2 pending`, in the order in which states follow each other.
    pub fn summary(&self) -> String {
        let counted = self.counted().into_iter().map(|(state, count)| format!("{count} {state}"));
        counted.collect::<Vec<_>>().join(", ")
    }

    /// The states that trials are in, in the order in which states follow each other, and how many are in each.
    pub fn counted(&self) -> Vec<(TrialState, usize)> {
        let count = |state| self.trials.iter().filter(|trial| trial.state == state).count();
        TrialState::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0).collect()
    }
}

impl TrialStanding {
    fn submitted(FrozenTrial { name, seed, inputs, .. }: FrozenTrial) -> Self {
        let steps = inputs["train"]["steps"].as_u64().and_then(|steps| usize::try_from(steps).ok()).unwrap_or_default();
        Self { name, seed, state: TrialState::Pending, made: 0, steps, reason: None, runner: None }
    }

    /// From a trial's status, its number of steps, and who trains it now.
    pub(crate) fn new(listed: &Listed, status: Option<&Status>, made: usize, steps: usize, runner: Option<Holder>) -> Self {
        let state = status.map_or(State::Pending, |status| status.state);
        Self {
            name: listed.name.clone(),
            seed: listed.seed,
            state: TrialState::new(state, runner.is_some()),
            made,
            steps,
            reason: status.and_then(|status| status.reason.clone()),
            runner,
        }
    }
}

/// The runner that trains a trial now, if it is among those that seem to live. A trial that is not recorded as running is not asked
/// about.
///
/// # Errors
/// When the trial's folder cannot be read.
pub(crate) fn trainer(trial: &TrialFolder, status: Option<&Status>, runners: &[Present]) -> Result<Option<Holder>, RecordError> {
    if runners.is_empty() || status.is_none_or(|status| status.state != State::Running) {
        return Ok(None);
    }
    Ok(holder_of(trial.path())?.filter(|holder| runners.iter().any(|runner| runner.card.id == holder.runner)))
}

/// The steps in a trial's `trial.json`: those of its point of the sweep. The file may be what an incomplete trial lacks.
pub(crate) fn own_steps(trial: &TrialFolder, status: Option<&Status>) -> Result<Option<usize>, RecordError> {
    let inputs = match trial.inputs() {
        Err(_) if status.is_some_and(|status| status.state == State::Incomplete) => None,
        read => read?,
    };
    let steps = inputs.and_then(|inputs| inputs["train"]["steps"].as_u64());
    Ok(steps.and_then(|steps| usize::try_from(steps).ok()))
}
