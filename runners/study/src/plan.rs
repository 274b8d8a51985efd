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

/// Gives trials that are there under another arm's name (it was renamed) the folder that the plan has for them.
///
/// # Errors
/// When a folder cannot be read or moved.
pub(crate) fn adopt(trials: &[PlannedTrial<'_>], out: &Path, fence: &Fence) -> Result<(), RecordError> {
    let mut there: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut folders = vec![out.join("trials")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let known = TrialFolder::at(folder.clone()).status().ok().flatten();
        match known {
            Some(status) => drop(there.insert(status.identity, folder)),
            None => folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir())),
        }
    }
    let planned: Vec<&Path> = trials.iter().map(|trial| trial.folder.path()).collect();
    for trial in trials {
        let Some(found) = there.get(&trial.identity.hash) else { continue };
        if trial.folder.status()?.is_some() || planned.contains(&found.as_path()) {
            continue;
        }
        let folder = trial.folder.path();
        tracing::info!("{} holds this very trial: it becomes {}", found.display(), folder.display());
        TrialFolder::at(found.clone()).guarded(fence).become_folder(folder)?;
        there.remove(&trial.identity.hash);
    }
    Ok(())
}
