//! `submissions/<n>/`: what was submitted to a scheduler, as it was then. A rebuilt program or an edited study changes nothing that
//! waits in the queue.
//!
//! ```text
//! submissions/<n>/study.yaml    the study with every default spelled out
//!                /<program>     a copy of the program, under its own name
//!                /frozen.json   hashes of the two, and the trials known then with all that they depend on
//!                /job.sh        the batch script
//!                /jobs.json     the jobs
//!                /cancelled     where they were withdrawn
//!                /tasks/        how often a task was requeued, and how far the study was then
//!                /logs/         what the tasks print
//! ```

use crate::files::entries;
use crate::requeues::Requeues;
use crate::{RecordError, disk, read_json, write_json, write_whole};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FOLDER: &str = "submissions";

/// The folder of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    folder: PathBuf,
}

/// What a submission holds on to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Name of the program's file.
    pub program: String,
    /// BLAKE3 of that file.
    pub program_hash: String,
    /// BLAKE3 of the study's file.
    pub study_hash: String,
    /// The trials that were known, finished ones too. Where the study tunes, others follow.
    pub trials: Vec<FrozenTrial>,
}

/// A trial as it was when it was submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrozenTrial {
    /// The arm, its point, and what is tuned.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Hash of all that its results depend on.
    pub identity: String,
    /// All that its results depend on.
    pub inputs: Value,
}

impl Submission {
    /// The submission in this folder.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The submissions of a study's folder, in order.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn all(out: &Path) -> Result<Vec<Self>, RecordError> {
        let number = |path: PathBuf| Some((path.file_name()?.to_str()?.parse::<u64>().ok()?, path));
        let mut found: Vec<(u64, PathBuf)> = entries(&out.join(FOLDER))?.into_iter().filter_map(number).collect();
        found.sort();
        Ok(found.into_iter().map(|(_, folder)| Self { folder }).collect())
    }

    /// The place of the next one, which is not made yet.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn next(out: &Path) -> Result<Self, RecordError> {
        let last = Self::all(out)?.pop().map_or(0, |last| last.number());
        Ok(Self { folder: out.join(FOLDER).join((last + 1).to_string()) })
    }

    /// Makes the folder of the next one; two that submit at the same time get one each.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(out: &Path) -> Result<Self, RecordError> {
        loop {
            let next = Self::next(out)?;
            let made = disk::create_folder(&out.join(FOLDER)).and_then(|()| disk::create_new_folder(&next.folder));
            match made {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| next.clone()).map_err(|error| RecordError::new(&next.folder, error)),
            }
        }
    }

    /// Counts the submissions of a folder, from 1.
    pub fn number(&self) -> u64 {
        self.folder.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The study's file.
    pub fn study(&self) -> PathBuf {
        self.folder.join("study.yaml")
    }

    /// The folder for what the tasks print.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Keeps the study, a copy of the program under the name `name`, and what the trials depend on.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn freeze(&self, study: &str, (program, name): (&Path, &str), trials: Vec<FrozenTrial>) -> Result<(), RecordError> {
        let copy = self.folder.join(name);
        disk::create_folder(&self.logs()).map_err(|error| RecordError::new(&self.logs(), error))?;
        disk::copy_file(program, &copy).map_err(|error| RecordError::new(&copy, error))?;
        write_whole(&self.study(), study.as_bytes())?;
        let (program_hash, study_hash) = (hash(&copy)?, hash(&self.study())?);
        write_json(&self.frozen_file(), &Frozen { program: name.to_owned(), program_hash, study_hash, trials })
    }

    /// What it holds on to.
    ///
    /// # Errors
    /// When that is not there or cannot be read.
    pub fn frozen(&self) -> Result<Frozen, RecordError> {
        let file = self.frozen_file();
        read_json(&file)?.ok_or_else(|| RecordError::new(&file, "expected what was submitted, found no such file"))
    }

    /// Which of the frozen files are others now.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn changed_files(&self) -> Result<Vec<PathBuf>, RecordError> {
        let Frozen { program, program_hash, study_hash, .. } = self.frozen()?;
        let mut changed = Vec::new();
        for (file, was) in [(self.folder.join(program), program_hash), (self.study(), study_hash)] {
            if hash(&file)? != was {
                changed.push(file);
            }
        }
        Ok(changed)
    }

    /// Writes a batch script.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_script(&self, name: &str, text: &str) -> Result<PathBuf, RecordError> {
        let file = self.folder.join(name);
        write_whole(&file, text.as_bytes())?;
        Ok(file)
    }

    /// The jobs that it consists of.
    ///
    /// # Errors
    /// When their file is there and cannot be read.
    pub fn jobs<T: DeserializeOwned>(&self) -> Result<Vec<T>, RecordError> {
        Ok(read_json(&self.folder.join("jobs.json"))?.unwrap_or_default())
    }

    /// Records the jobs that it consists of.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn set_jobs<T: Serialize>(&self, jobs: &[T]) -> Result<(), RecordError> {
        write_json(&self.folder.join("jobs.json"), &jobs)
    }

    /// Records that its jobs are withdrawn: a task that is asked to stop does not requeue itself.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn set_cancelled(&self) -> Result<(), RecordError> {
        write_whole(&self.folder.join("cancelled"), b"")
    }

    /// Whether its jobs were withdrawn.
    pub fn is_cancelled(&self) -> bool {
        self.folder.join("cancelled").exists()
    }

    /// How often a task was requeued.
    ///
    /// # Errors
    /// When the record is there and cannot be read.
    pub fn requeues(&self, task: &str) -> Result<Requeues, RecordError> {
        Ok(read_json(&self.requeues_file(task))?.unwrap_or_default())
    }

    /// Records how often a task was requeued.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn set_requeues(&self, task: &str, requeues: Requeues) -> Result<(), RecordError> {
        let file = self.requeues_file(task);
        let folder = file.parent().unwrap_or(&self.folder);
        disk::create_folder(folder).map_err(|error| RecordError::new(folder, error))?;
        write_json(&file, &requeues)
    }

    /// Removes it: nothing was submitted.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<(), RecordError> {
        disk::remove_folder(&self.folder).map_err(|error| RecordError::new(&self.folder, error))
    }

    fn frozen_file(&self) -> PathBuf {
        self.folder.join("frozen.json")
    }

    fn requeues_file(&self, task: &str) -> PathBuf {
        self.folder.join("tasks").join(format!("{task}.json"))
    }
}

fn hash(file: &Path) -> Result<String, RecordError> {
    let mut hash = blake3::Hasher::new();
    let read = File::open(file).and_then(|file| hash.update_reader(file).map(drop));
    read.map_err(|error| RecordError::new(file, error))?;
    Ok(hash.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_are_counted_and_those_of_two_at_once_differ() {
        let out = tempfile::tempdir().unwrap();
        assert_eq!(Submission::next(out.path()).unwrap().path(), out.path().join("submissions/1"));
        assert!(Submission::all(out.path()).unwrap().is_empty() && !out.path().join("submissions").exists());
        let numbers: Vec<u64> = (0..12).map(|_| Submission::create(out.path()).unwrap().number()).collect();
        assert!(numbers.iter().copied().eq(1..=12), "{numbers:?}");
        std::fs::create_dir(out.path().join("submissions/notes")).unwrap();
        let all: Vec<u64> = Submission::all(out.path()).unwrap().iter().map(Submission::number).collect();
        assert!(all.iter().copied().eq(1..=12), "12 comes after 2: {all:?}");
    }

    #[test]
    fn what_is_frozen_stays_when_program_and_study_change() {
        let out = tempfile::tempdir().unwrap();
        let program = out.path().join("built");
        std::fs::write(&program, "one").unwrap();
        let submission = Submission::create(out.path()).unwrap();
        let trial = FrozenTrial { name: "a".into(), seed: 3, identity: "i".into(), inputs: serde_json::json!({"seed": 3}) };
        submission.freeze("name: a\n", (&program, "regatta"), vec![trial.clone()]).unwrap();
        std::fs::write(&program, "another").unwrap();
        assert_eq!(std::fs::read(submission.path().join("regatta")).unwrap(), b"one");
        assert_eq!(submission.frozen().unwrap().trials, [trial]);
        assert!(submission.changed_files().unwrap().is_empty() && submission.logs().is_dir());
        std::fs::write(submission.path().join("regatta"), "two").unwrap();
        std::fs::write(submission.study(), "name: b\n").unwrap();
        assert_eq!(submission.changed_files().unwrap(), [submission.path().join("regatta"), submission.study()]);
    }

    #[test]
    fn jobs_and_their_end_are_kept() {
        let out = tempfile::tempdir().unwrap();
        let submission = Submission::create(out.path()).unwrap();
        assert!(submission.jobs::<String>().unwrap().is_empty() && !submission.is_cancelled());
        submission.set_jobs(&["12", "13"]).unwrap();
        submission.set_cancelled().unwrap();
        let again = Submission::at(submission.path());
        assert!(again.jobs::<String>().unwrap() == ["12", "13"] && again.is_cancelled());
        submission.remove().unwrap();
        assert!(Submission::all(out.path()).unwrap().is_empty());
    }
}
