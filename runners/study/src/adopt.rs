//! Trials that exist already: found by their identities, and moved to the place that the plan has for them.

use crate::plan::PlannedTrial;
use regatta_records::{Fence, RecordError, Status, TrialFolder, disk, trials_below};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Moves trials that are there under another arm's name (it was renamed) to the folder that the plan has for them. All leave their
/// old places before the first takes its new one: two arms may have exchanged names.
///
/// # Errors
/// When a folder cannot be read or moved.
pub(crate) fn adopt(trials: &[PlannedTrial], out: &Path, fence: &Fence) -> Result<(), RecordError> {
    let there = by_identity(&out.join("trials"))?;
    let between = out.join("trials").join(".moving");
    let mut moved = Vec::new();
    for trial in trials {
        let place = trial.folder.path();
        let at_home = trial.folder.status()?.is_some_and(|status| trial.is_meant_by(&status));
        let Some(found) = there.get(&trial.identity.hash).filter(|_| !at_home) else { continue };
        let needed_there = trials.iter().any(|other| other.folder.path() == found && other.identity.hash == trial.identity.hash);
        if needed_there || moved.iter().any(|(stop, _): &(PathBuf, &Path)| stop.ends_with(&trial.identity.hash)) {
            continue;
        }
        tracing::info!("{} holds the same trial: it becomes {}", found.display(), place.display());
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
        disk::remove_empty_folder(&between).map_err(|error| RecordError::new(&between, error))?;
    }
    Ok(())
}

/// The folders below `folder` that hold a trial, by its identity.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn by_identity(folder: &Path) -> Result<BTreeMap<String, PathBuf>, RecordError> {
    Ok(there(folder)?.into_iter().map(|(folder, status)| (status.identity, folder)).collect())
}

/// The number of finished trials below `folder`, of any study.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn settled(folder: &Path) -> Result<usize, RecordError> {
    Ok(there(folder)?.iter().filter(|(_, status)| status.state.is_settled()).count())
}

/// The folders below `folder` that hold a trial, and its status. A folder whose status cannot be read is skipped: a run that needs
/// the trial there is refused with the same message.
fn there(folder: &Path) -> Result<Vec<(PathBuf, Status)>, RecordError> {
    let mut there = Vec::new();
    for trial in trials_below(folder)? {
        match trial.status() {
            Ok(Some(status)) => there.push((trial.path().to_owned(), status)),
            Ok(None) => {}
            Err(error) => tracing::warn!("{error}"),
        }
    }
    Ok(there)
}
