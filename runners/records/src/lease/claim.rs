//! Numbered files, of which the highest names who holds a folder.
//!
//! `NAME.1`, `NAME.2`, ...: a file is created whole and only where there is none, so of two that would hold a folder one succeeds.
//! It is replaced once, when its holder gives the folder back. Old files stay while there are few: a number that was used is never
//! free again.

use crate::{RecordError, disk, files::entries};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// More attempts than anybody makes.
const MOST: u64 = 1 << 60;
/// How many files below the highest are kept.
const KEPT: u64 = 8;

/// Who holds a folder, or held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which runner.
    pub runner: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Counts the holders of a folder; a higher one fences all lower ones.
    pub attempt: u64,
    /// Whether it has given the folder back.
    pub released: bool,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {} (attempt {})", self.pid, self.host, self.attempt)
    }
}

/// The file that names the holder of `folder` with this attempt.
pub(super) fn file_of(folder: &Path, name: &str, attempt: u64) -> PathBuf {
    folder.join(format!("{name}.{attempt}"))
}

/// The highest file, and whom it names: nobody where it cannot be understood. `None` where there is no file.
pub(super) fn highest(folder: &Path, name: &str) -> Result<Option<(u64, Option<Holder>)>, RecordError> {
    let Some(attempt) = attempts(folder, name)?.pop() else { return Ok(None) };
    let path = file_of(folder, name, attempt);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((attempt, serde_json::from_slice(&bytes).ok()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None), // the folder was removed meanwhile
        Err(_) if path.is_dir() => Ok(Some((attempt, None))),
        Err(error) => Err(RecordError::new(&path, error)),
    }
}

/// The numbers of all files, in order.
fn attempts(folder: &Path, name: &str) -> Result<Vec<u64>, RecordError> {
    let number = |path: &PathBuf| {
        let text = path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
        // a name that no runner writes, such as `lease.007`, is not one of these
        text.parse().ok().filter(|number: &u64| number.to_string() == text && *number < MOST)
    };
    let mut attempts: Vec<u64> = entries(folder)?.iter().filter_map(number).collect();
    attempts.sort_unstable();
    Ok(attempts)
}

/// Creates the file of `holder`; whether there was none. `scratch` is a name that only this runner uses.
pub(super) fn create(folder: &Path, name: &str, holder: &Holder, scratch: &Path) -> Result<bool, RecordError> {
    let path = file_of(folder, name, holder.attempt);
    let failed = |error: io::Error| RecordError::new(&path, error);
    let content = serde_json::to_vec(holder).map_err(|error| failed(error.into()))?;
    disk::write(scratch, &content).map_err(failed)?;
    let created = disk::create_from(scratch, &path, &content).map_err(failed)?;
    match disk::remove_file(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Whoever was too slow may have created a number that was used and removed since: it is not the highest.
    let mut attempts = attempts(folder, name)?;
    let is_highest = attempts.last() == Some(&holder.attempt);
    attempts.retain(|&other| other + KEPT < holder.attempt);
    if created && is_highest {
        for old in attempts {
            match disk::remove_file(&file_of(folder, name, old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    Ok(created && is_highest)
}

/// Writes over the file of a holder that another took for gone, in place: one that was frozen opens it before it writes anything.
pub(super) fn mark_lost(path: &Path, next: &Holder) -> io::Result<()> {
    disk::write(path, &serde_json::to_vec(next)?)
}

/// Replaces the file of `holder`, who gives the folder back.
pub(super) fn release(folder: &Path, name: &str, holder: &Holder, scratch: &Path) -> io::Result<()> {
    let released = Holder { released: true, ..holder.clone() };
    disk::write(scratch, &serde_json::to_vec(&released)?)?;
    disk::rename(scratch, &file_of(folder, name, holder.attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(attempt: u64) -> Holder {
        Holder { runner: "a".into(), host: "here".into(), pid: 1, attempt, released: false }
    }

    #[test]
    fn a_number_is_given_once_and_old_files_go_when_there_are_many() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, scratch) = (folder.path(), folder.path().join("scratch"));
        assert_eq!(highest(folder, "lease").unwrap(), None);
        for attempt in 1..=20 {
            assert!(create(folder, "lease", &holder(attempt), &scratch).unwrap());
            assert!(create(folder, "lease", &holder(attempt), &scratch).unwrap(), "its own: a reply was lost");
            let other = Holder { runner: "b".into(), ..holder(attempt) };
            assert!(!create(folder, "lease", &other, &scratch).unwrap(), "it is there");
        }
        assert_eq!(attempts(folder, "lease").unwrap(), (12..=20).collect::<Vec<_>>());
        assert_eq!(highest(folder, "lease").unwrap(), Some((20, Some(holder(20)))));
        assert!(!create(folder, "lease", &holder(3), &scratch).unwrap(), "a number of long ago, which was free again");
        release(folder, "lease", &holder(20), &scratch).unwrap();
        assert!(highest(folder, "lease").unwrap().unwrap().1.unwrap().released);
        for odd in ["lease.021", "lease.+22", "lease.18446744073709551615", "lease.x", "lease."] {
            std::fs::write(folder.join(odd), "").unwrap();
        }
        std::fs::create_dir(folder.join("lease.21")).unwrap();
        assert_eq!(highest(folder, "lease").unwrap(), Some((21, None)));
        std::fs::write(folder.join("lease.22"), "").unwrap();
        assert_eq!(highest(folder, "lease").unwrap(), Some((22, None)));
        assert!(!scratch.exists());
    }

    /// Eight threads, each with a scratch file of its own: every number has one winner.
    #[test]
    fn of_many_that_create_one_number_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for attempt in 1..=50 {
            let holder = |thread: usize| Holder { runner: thread.to_string(), ..holder(attempt) };
            let scratch = |thread: usize| folder.join(format!("scratch-{thread}"));
            let wins = |thread: usize| create(folder, "lease", &holder(thread), &scratch(thread)).unwrap();
            let winners = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || wins(thread))).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
            });
            assert_eq!(winners, 1, "attempt {attempt}");
        }
    }
}
