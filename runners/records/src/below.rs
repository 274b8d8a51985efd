//! The trials in a folder, of any study.

use crate::files::entries;
use crate::{INPUTS, RecordError, STATUS_FILE, TrialFolder};
use std::path::{Path, PathBuf};

/// Every trial below `folder`, in the order of their paths; none without a folder. A trial's folder is one that holds `status.json`
/// or `trial.json`.
///
/// # Errors
/// When a folder cannot be listed.
pub fn trials_below(folder: &Path) -> Result<Vec<TrialFolder>, RecordError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        if [STATUS_FILE, INPUTS].iter().any(|file| folder.join(file).is_file()) {
            found.push(TrialFolder::at(folder));
        } else {
            folders.extend(entries(&folder)?.into_iter().filter(|path| path.is_dir()));
        }
    }
    found.sort_by(|one, other| one.path().cmp(other.path()));
    Ok(found)
}

/// The first file below `folder` that lies in no trial's folder: no run made it. A trial's folder is one as in [`trials_below`], or one
/// that holds a lease, which a runner takes before it writes anything else. Links are not followed.
///
/// # Errors
/// When a folder cannot be listed.
pub fn not_of_trials(folder: &Path) -> Result<Option<PathBuf>, RecordError> {
    let is_lease = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lease."));
    let (mut folders, mut foreign) = (vec![folder.to_owned()], None::<PathBuf>);
    while let Some(folder) = folders.pop() {
        let all = entries(&folder)?;
        if [STATUS_FILE, INPUTS].iter().any(|file| folder.join(file).is_file()) || all.iter().any(is_lease) {
            continue;
        }
        let (within, files): (Vec<PathBuf>, Vec<PathBuf>) = all.into_iter().partition(|path| path.is_dir() && !path.is_symlink());
        folders.extend(within);
        foreign = foreign.into_iter().chain(files).min();
    }
    Ok(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_found_by_their_files_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        for (trial, file) in [("b/seed-0", STATUS_FILE), ("a/lr=1/seed-0", INPUTS), ("a/seed-1", "metrics.jsonl")] {
            std::fs::create_dir_all(folder.path().join(trial)).unwrap();
            std::fs::write(folder.path().join(trial).join(file), "not read").unwrap();
        }
        let found = trials_below(folder.path()).unwrap();
        let names: Vec<&Path> = found.iter().map(|trial| trial.path().strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a/lr=1/seed-0"), Path::new("b/seed-0")]);
        assert!(trials_below(&folder.path().join("none")).unwrap().is_empty());
        let file = folder.path().join("a/seed-1/metrics.jsonl");
        assert!(trials_below(&file).unwrap_err().to_string().contains("metrics.jsonl"), "a file is not a folder");
    }

    #[test]
    fn a_file_outside_of_trials_is_no_runs() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        assert_eq!(not_of_trials(&folder.path().join("none")).unwrap(), None);
        std::fs::create_dir_all(folder.path().join("a/empty")).unwrap();
        [STATUS_FILE, "checkpoint/model.safetensors"].iter().for_each(|file| write(&format!("a/seed-0/{file}")));
        ["lease.1", "anything"].iter().for_each(|file| write(&format!("a/seed-1/{file}")));
        assert_eq!(not_of_trials(folder.path()).unwrap(), None);
        write("mine/x");
        write("mine/a/y");
        assert_eq!(not_of_trials(folder.path()).unwrap(), Some(folder.path().join("mine/a/y")));
    }
}
