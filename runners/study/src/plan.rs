//! Which trials a study is made of, and where each is kept.

use crate::identity::{Identity, identity};
use crate::prepare::Prepared;
use crate::records::{Fence, RecordError, TrialFolder};
use crate::spec::{Arm, Study, StudyFile};
use regatta_lm::training::Trial;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A trial of the plan.
pub(crate) struct PlannedTrial<'a> {
    pub study: &'a Study,
    pub arm: &'a Arm,
    pub seed: u64,
    pub folder: TrialFolder,
    pub identity: Identity,
    pub prepared: &'a Prepared,
}

impl PlannedTrial<'_> {
    /// What the trainer needs of it.
    pub fn trial(&self) -> Trial<'_> {
        let Study { model, train, evaluate, .. } = self.study;
        Trial { model, train, evaluate, terms: &self.arm.terms, corpus: &self.prepared.corpus, seed: self.seed }
    }
}

/// All trials, seed by seed, so that a run cut short still has whole pairs.
///
/// # Errors
/// When a checkpoint to start from cannot be read.
pub(crate) fn plan<'a>(file: &'a StudyFile, prepared: &'a Prepared, out: &Path) -> Result<Vec<PlannedTrial<'a>>, RecordError> {
    let study = &file.study;
    let mut trials = Vec::new();
    for &seed in &study.seeds {
        for arm in &study.arms {
            let folder = TrialFolder::of(out, &arm.name, seed);
            let identity = identity(study, arm, seed, &prepared.corpus)?;
            trials.push(PlannedTrial { study, arm, seed, folder, identity, prepared });
        }
    }
    Ok(trials)
}

/// Gives trials that are there under another arm's name (it was renamed) the folder that the plan has for them. All leave their
/// old places before the first takes its new one: two arms may have exchanged names.
///
/// # Errors
/// When a folder cannot be read or moved.
pub(crate) fn adopt(trials: &[PlannedTrial<'_>], out: &Path, fence: &Fence) -> Result<(), RecordError> {
    let there = by_identity(&out.join("trials"));
    let between = out.join("trials").join(".moving");
    let mut moved = Vec::new();
    for trial in trials {
        let place = trial.folder.path();
        let at_home = trial.folder.status()?.is_some_and(|status| status.identity == trial.identity.hash);
        let Some(found) = there.get(&trial.identity.hash).filter(|_| !at_home) else { continue };
        let needed_there = trials.iter().any(|other| other.folder.path() == found && other.identity.hash == trial.identity.hash);
        if needed_there || moved.iter().any(|(stop, _): &(PathBuf, &Path)| stop.ends_with(&trial.identity.hash)) {
            continue;
        }
        tracing::info!("{} holds this very trial: it becomes {}", found.display(), place.display());
        let stop = between.join(&trial.identity.hash);
        if found != &stop {
            TrialFolder::at(found.clone()).guarded(fence).become_folder(&stop)?;
        }
        moved.push((stop, place));
    }
    for (stop, place) in &moved {
        TrialFolder::at(place.to_path_buf()).guarded(fence).remove()?; // a trial that failed; any other was refused or moved
        TrialFolder::at(stop.clone()).guarded(fence).become_folder(place)?;
    }
    if !moved.is_empty() {
        std::fs::remove_dir(&between).map_err(|error| RecordError::new(&between, error))?;
    }
    Ok(())
}

/// The folders below `folder` that hold a trial, by its identity.
fn by_identity(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut there = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        match TrialFolder::at(folder.clone()).status().ok().flatten() {
            Some(status) => drop(there.insert(status.identity, folder)),
            None => folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir())),
        }
    }
    there
}
