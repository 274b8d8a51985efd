//! The checkpoints that an interrupted trial resumes from.
//!
//! ```text
//! resume/step-000120/model.safetensors  optimizer.safetensors  state.json  MANIFEST.json
//! ```
//!
//! And `companions.safetensors`, where interventions keep moving averages or parameters of their own.
//!
//! A checkpoint is written under another name, file by file, each flushed to disk; its manifest, with length and BLAKE3 of each
//! file, comes last; then the folder gets its final name. A folder with that name is therefore a whole checkpoint, and the manifest
//! proves it. Two are kept: the older one is used where the newest is damaged.

use super::files::entries;
use super::lease::Fence;
use super::{RecordError, disk};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SCHEMA: u32 = 1;
const KEPT: usize = 2;
const MANIFEST: &str = "MANIFEST.json";

/// The checkpoints of one trial.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    fence: Fence,
    identity: String,
}

/// A checkpoint that was read and verified.
#[derive(Debug)]
pub struct Kept {
    /// Updates made.
    pub steps: usize,
    /// Name and content of each file.
    pub files: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    identity: String,
    attempt: u64,
    steps: usize,
    files: BTreeMap<String, Mark>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    bytes: u64,
    blake3: String,
}

impl Checkpoints {
    /// The checkpoints in `folder` of the trial with this identity.
    pub fn of(folder: PathBuf, fence: Fence, identity: &str) -> Self {
        Self { folder, fence, identity: identity.to_owned() }
    }

    /// Saves `files` as the state after `steps` updates, and removes all but the newest two checkpoints.
    ///
    /// # Errors
    /// When it cannot be written, or another runner has taken the folder over; earlier checkpoints are then still there.
    pub fn save(&self, steps: usize, files: &[(&str, Vec<u8>)]) -> Result<(), RecordError> {
        let name = format!("step-{steps:06}");
        let (whole, partial) = (self.folder.join(&name), self.folder.join(format!("{name}.tmp-{}", self.fence.attempt())));
        let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
        let failed = |error| RecordError::new(&whole, format!("could not write {bytes} bytes: {error}"));
        self.write(&whole, &partial, steps, files).map_err(|error| {
            if let Err(left) = disk::remove_folder(&partial) {
                tracing::warn!("{}: left behind: {left}", partial.display());
            }
            failed(error)
        })?;
        self.prune()
    }

    fn write(&self, whole: &Path, partial: &Path, steps: usize, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
        self.fence.check()?;
        disk::create_folder(&self.folder)?;
        disk::remove_folder(partial)?;
        disk::create_folder(partial)?;
        let mut marks = BTreeMap::new();
        for (name, content) in files {
            disk::write_synced(&partial.join(name), content)?;
            marks.insert((*name).to_owned(), Mark::of(content));
        }
        let (identity, attempt) = (self.identity.clone(), self.fence.attempt());
        let manifest = Manifest { schema: SCHEMA, identity, attempt, steps, files: marks };
        disk::write_synced(&partial.join(MANIFEST), serde_json::to_string_pretty(&manifest)?.as_bytes())?;
        disk::sync_folder(partial)?;
        self.fence.check()?;
        if whole.exists() {
            disk::remove_folder(whole)?; // of an earlier attempt that was cut off at the same step, or one that is broken
        }
        disk::rename(partial, whole)?;
        disk::sync_folder(&self.folder)
    }

    /// The newest whole checkpoint of this trial, if any. Warnings report what is wrong with newer ones.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn newest(&self, mut accept: impl FnMut(&Kept) -> Result<(), String>) -> Result<Option<Kept>, RecordError> {
        for (steps, path) in list(&self.folder)?.into_iter().rev() {
            let read = self.read(steps, &path).and_then(|kept| accept(&kept).map(|()| kept));
            match read {
                Ok(kept) => return Ok(Some(kept)),
                Err(message) => tracing::warn!("{}: {message}; using the checkpoint before it", path.display()),
            }
        }
        Ok(None)
    }

    /// The folder of the newest, whole or not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn latest(&self) -> Result<Option<PathBuf>, RecordError> {
        Ok(list(&self.folder)?.pop().map(|(_, path)| path))
    }

    /// Removes all.
    ///
    /// # Errors
    /// When they cannot be removed, or another runner has taken the folder over.
    pub fn clear(&self) -> Result<(), RecordError> {
        if !self.folder.exists() {
            return Ok(());
        }
        let cleared = self.fence.check().and_then(|()| disk::remove_folder(&self.folder));
        cleared.map_err(|error| RecordError::new(&self.folder, error))
    }

    fn read(&self, steps: usize, path: &Path) -> Result<Kept, String> {
        let text = std::fs::read(path.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
        if manifest.schema != SCHEMA || manifest.steps != steps {
            let found = (manifest.schema, manifest.steps);
            return Err(format!("{MANIFEST}: expected schema {SCHEMA} and step {steps}, found {found:?}"));
        }
        if manifest.identity != self.identity {
            return Err(format!("{MANIFEST}: it is of another trial"));
        }
        let mut files = BTreeMap::new();
        for (name, mark) in manifest.files {
            if Path::new(&name).components().count() != 1 {
                return Err(format!("{MANIFEST}: expected the name of a file, found `{name}`"));
            }
            let file = path.join(&name);
            let length = std::fs::metadata(&file).map_err(|error| format!("{name}: {error}"))?.len();
            if length != mark.bytes {
                return Err(format!("{name}: expected {} bytes, found {length}", mark.bytes));
            }
            let content = std::fs::read(&file).map_err(|error| format!("{name}: {error}"))?;
            if Mark::of(&content).blake3 != mark.blake3 {
                return Err(format!("{name}: it is not what was written"));
            }
            files.insert(name, content);
        }
        Ok(Kept { steps, files })
    }

    /// Removes all but the newest, and the leftovers of killed processes.
    fn prune(&self) -> Result<(), RecordError> {
        let old = list(&self.folder)?.into_iter().rev().skip(KEPT).map(|(_, path)| path);
        let is_partial = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".tmp-"));
        for path in old.chain(entries(&self.folder)?.into_iter().filter(is_partial)) {
            self.fence.check().and_then(|()| disk::remove_folder(&path)).map_err(|error| RecordError::new(&path, error))?;
        }
        Ok(())
    }
}

/// Steps and folders of the checkpoints in a folder that have their final name, oldest first.
pub(super) fn list(folder: &Path) -> Result<Vec<(usize, PathBuf)>, RecordError> {
    let steps = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
    let mut found: Vec<(usize, PathBuf)> = entries(folder)?.into_iter().filter_map(|path| Some((steps(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

impl Mark {
    fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, blake3: blake3::hash(content).to_hex().to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::tests::taken;
    use crate::{Lease, Runner};

    fn setup() -> (tempfile::TempDir, (Runner, Lease), Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let (runner, lease) = taken(folder.path());
        let checkpoints = Checkpoints::of(folder.path().join("resume"), lease.fence().clone(), "one");
        for steps in [5, 10, 15] {
            checkpoints.save(steps, &files(steps)).unwrap();
        }
        (folder, (runner, lease), checkpoints)
    }

    fn files(steps: usize) -> [(&'static str, Vec<u8>); 2] {
        [("model", vec![steps as u8; 4000]), ("state", steps.to_string().into_bytes())]
    }

    fn newest(checkpoints: &Checkpoints) -> Option<usize> {
        checkpoints.newest(|_| Ok(())).unwrap().map(|kept| {
            let expected = files(kept.steps).map(|(name, content)| (name.to_owned(), content));
            assert_eq!(kept.files, BTreeMap::from(expected));
            kept.steps
        })
    }

    #[test]
    fn two_are_kept_and_the_newest_is_read() {
        let (_folder, _lease, checkpoints) = setup();
        let steps: Vec<usize> = list(&checkpoints.folder).unwrap().into_iter().map(|(steps, _)| steps).collect();
        assert_eq!(steps, [10, 15]);
        assert_eq!(newest(&checkpoints), Some(15));
        checkpoints.clear().unwrap();
        assert_eq!(newest(&checkpoints), None);
    }

    /// Every kind of damage to every file of the newest: the one before it is used.
    #[test]
    fn damage_is_found_and_the_one_before_is_used() {
        let (folder, _lease, checkpoints) = setup();
        let newest_path = folder.path().join("resume/step-000015");
        for name in ["model", "state", MANIFEST] {
            let path = newest_path.join(name);
            let whole = std::fs::read(&path).unwrap();
            let mut damaged = vec![Vec::new(), vec![0; whole.len()], [&whole[..], b" "].concat()];
            damaged.extend((0..50).map(|cut| whole[..cut * whole.len() / 50].to_vec()));
            damaged.extend((0..50).map(|place| {
                let mut flipped = whole.clone();
                flipped[place * whole.len() / 50] ^= 1 << (place % 8);
                flipped
            }));
            let mut survived = 0;
            for bytes in damaged {
                std::fs::write(&path, &bytes).unwrap();
                survived += usize::from(newest(&checkpoints) == Some(15));
            }
            // a space behind a manifest's JSON, or a flipped bit of its attempt or of a blank, changes nothing that is read
            assert!(
                if name == MANIFEST { survived <= 8 } else { survived == 0 },
                "{name}: {survived} kinds of damage went unseen"
            );
            std::fs::write(&path, whole).unwrap();
        }
        std::fs::remove_file(newest_path.join("model")).unwrap();
        assert_eq!(newest(&checkpoints), Some(10));
        std::fs::copy(folder.path().join("resume/step-000010/model"), newest_path.join("model")).unwrap();
        assert_eq!(newest(&checkpoints), Some(10), "a file of another step");
    }

    #[test]
    fn one_of_another_trial_and_one_that_is_not_accepted_are_passed_over() {
        let (folder, (_runner, lease), checkpoints) = setup();
        let other = Checkpoints::of(folder.path().join("resume"), lease.fence().clone(), "other");
        assert!(other.newest(|_| Ok(())).unwrap().is_none());
        let accept = |kept: &Kept| if kept.steps > 10 { Err("too new".to_owned()) } else { Ok(()) };
        assert_eq!(checkpoints.newest(accept).unwrap().unwrap().steps, 10);
    }

    #[test]
    fn a_fenced_runner_keeps_nothing() {
        let (folder, (runner, lease), checkpoints) = setup();
        drop((lease, runner));
        let _next = taken(folder.path());
        assert!(checkpoints.save(20, &files(20)).unwrap_err().to_string().contains("taken over"));
        assert!(checkpoints.clear().is_err());
        assert_eq!(newest(&checkpoints), Some(15));
    }
}
