//! Who may write to a study's folder: one runner at a time, and the latest wins.
//!
//! `run.lock` names its holder (host, process, attempt). The holder keeps it locked and touches it every few seconds. A runner
//! that finds it
//!
//! - locked and touched lately: gives way, naming the holder;
//! - not locked, by a process of this host: takes it over at once, since the lock ended with the process;
//! - from another host, or locked by a process that stopped touching it: watches it, and takes it over when nothing touches it.
//!
//! Whoever takes it over writes its own name and a higher attempt. Everything that writes asks its [`Fence`] first, so one that was
//! frozen and wakes up finds another name and writes nothing.

mod fence;
mod lock;

pub use fence::Fence;
pub use lock::Holder;

use crate::{RecordError, disk};
use lock::{FRESH, age, host, is_alive, is_locked, put, read};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The holder touches its lock this often.
const BEAT: Duration = Duration::from_secs(2);

/// Why a folder cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Someone else holds it.
    #[error("{folder}: {holder} is running this study; wait for it, or name another --out")]
    Held {
        /// The folder.
        folder: String,
        /// Who.
        holder: Holder,
    },
    /// The lock cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The right to write to a folder, while it lives.
#[derive(Debug)]
pub struct Lease {
    fence: Fence,
    end: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the folder, which must exist.
    ///
    /// # Errors
    /// When another runner holds it, or its lock cannot be read or written.
    pub fn take(folder: &Path) -> Result<Self, LeaseError> {
        let lock = lock::path_in(folder);
        let failed = |error: io::Error| RecordError::new(&lock, error);
        // One at a time looks and decides; the file stays empty, and a process that dies lets go of it.
        let guard = folder.join("run.lock.guard");
        let guard = disk::open_guard(&guard).map_err(|error| RecordError::new(&guard, error))?;
        guard.lock().map_err(failed)?;

        let before = read(&lock).map_err(failed)?;
        if before.is_none() && lock.exists() {
            tracing::warn!("{}: it names no runner, so nobody holds the folder", lock.display());
        }
        if let Some(holder) = before.as_ref().filter(|holder| !holder.released) {
            if is_alive(&lock, holder).map_err(failed)? {
                return Err(LeaseError::Held { folder: folder.display().to_string(), holder: holder.clone() });
            }
            tracing::warn!("{holder} ended without giving {} back; this run resumes from what it left", folder.display());
        }
        let attempt = before.map_or(1, |holder| holder.attempt + 1);
        let holder = Holder { host: host(), pid: std::process::id(), attempt, released: false };
        let file = put(&lock, &holder).map_err(failed)?;
        let fence = Fence::of(folder, holder);
        let (end, ended) = channel();
        let beating = fence.clone();
        let beats = std::thread::spawn(move || beat(&beating, &file, &ended));
        Ok(Self { fence, end: Some(end), beats: Some(beats) })
    }

    /// Whether [`take`](Self::take) would be refused now; changes nothing. A holder that is frozen is not watched for long.
    ///
    /// # Errors
    /// When another runner holds the folder and showed it lately, or its lock cannot be read.
    pub fn look(folder: &Path) -> Result<(), LeaseError> {
        let lock = lock::path_in(folder);
        let found = holder(folder).map(|holder| holder.filter(|_| age(&lock).is_ok_and(|age| age < FRESH)));
        match found.map_err(|error| RecordError::new(&lock, error))? {
            Some(holder) => Err(LeaseError::Held { folder: folder.display().to_string(), holder }),
            None => Ok(()),
        }
    }

    /// To be asked before each write.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }
}

/// Touches the lock every few seconds until the lease ends or another runner has the folder. A lock that cannot be read or touched
/// once may be the next time: a holder that stopped for good would be taken for dead.
fn beat(fence: &Fence, file: &disk::Open, ended: &Receiver<()>) {
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        let touched = match fence.lost() {
            Ok(Some(_)) => return,
            Ok(None) => file.touch(),
            Err(error) => Err(error),
        };
        if let Err(error) = touched {
            tracing::warn!("{}: {error}", fence.lock.display());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.end.take());
        self.beats.take().into_iter().for_each(|beats| drop(beats.join()));
        if self.fence.check().is_ok() {
            let released = Holder { released: true, ..self.fence.holder().clone() };
            if let Err(error) = put(&self.fence.lock, &released) {
                tracing::warn!("{}: {error}", self.fence.lock.display());
            }
        }
    }
}

/// Who holds a study's folder now; `None` where nobody does.
///
/// # Errors
/// When the lock cannot be read.
pub fn holder(folder: &Path) -> io::Result<Option<Holder>> {
    let lock = lock::path_in(folder);
    let Some(holder) = read(&lock)?.filter(|holder| !holder.released) else { return Ok(None) };
    let alive = is_locked(&lock)? || (holder.host != host() && age(&lock)? < FRESH);
    Ok(alive.then_some(holder))
}

/// Time since the holder of a study's folder last touched its lock.
///
/// # Errors
/// When there is no lock.
pub fn heartbeat(folder: &Path) -> io::Result<Duration> {
    age(&lock::path_in(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::atomic::Ordering;
    use std::time::{Instant, SystemTime};

    fn old(lock: &Path) {
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        File::options().append(true).open(lock).unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn a_second_runner_gives_way_and_one_after_the_other_counts_up() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::take(folder.path()).unwrap();
        let started = Instant::now();
        let refused = Lease::take(folder.path()).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(refused.contains(&format!("process {} on {}", std::process::id(), host())), "{refused}");
        assert_eq!(holder(folder.path()).unwrap().unwrap().attempt, 1);
        drop(first);
        assert_eq!(holder(folder.path()).unwrap(), None);
        assert_eq!(Lease::take(folder.path()).unwrap().fence().attempt(), 2);
    }

    #[test]
    fn a_frozen_holder_is_fenced() {
        let folder = tempfile::tempdir().unwrap();
        let mut frozen = Lease::take(folder.path()).unwrap();
        drop(frozen.end.take()); // its heart stops, and it keeps its lock
        let beats = frozen.beats.take();
        let lock = folder.path().join("run.lock");
        let kept = File::options().append(true).open(&lock).unwrap();
        beats.into_iter().for_each(|beats| beats.join().unwrap());
        kept.lock().unwrap();
        old(&lock);
        let second = Lease::take(folder.path()).unwrap();
        assert!(frozen.fence().check().unwrap_err().to_string().contains("taken over by"));
        second.fence().check().unwrap();
        drop(frozen);
        second.fence().check().unwrap(); // the frozen one let go of what was not its own
    }

    #[test]
    fn a_dead_holder_is_taken_over_at_once_and_one_of_another_host_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("run.lock");
        let dead = Holder { host: host(), pid: 1, attempt: 6, released: false }; // a pid that lives: it was reused
        std::fs::write(&lock, serde_json::to_string(&dead).unwrap()).unwrap();
        assert_eq!(Lease::take(folder.path()).unwrap().fence().attempt(), 7);
        let elsewhere = Holder { host: "elsewhere".into(), attempt: 9, ..dead };
        std::fs::write(&lock, serde_json::to_string(&elsewhere).unwrap()).unwrap();
        assert!(Lease::take(folder.path()).unwrap_err().to_string().contains("on elsewhere (attempt 9)"));
        old(&lock);
        assert_eq!(Lease::take(folder.path()).unwrap().fence().attempt(), 10);

        // a clock that was set back by a day leaves a touch in the future: nothing touches it again
        std::fs::write(&lock, serde_json::to_string(&elsewhere).unwrap()).unwrap();
        let ahead = SystemTime::now() + Duration::from_secs(86_400);
        File::options().append(true).open(&lock).unwrap().set_modified(ahead).unwrap();
        assert_eq!(Lease::take(folder.path()).unwrap().fence().attempt(), 10);
    }

    /// The fence asks by the lock's identity: it is read once, and again whenever another file, or a change, is there.
    #[test]
    fn a_lock_that_is_unchanged_is_read_once_and_any_other_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("run.lock");
        let lease = Lease::take(folder.path()).unwrap();
        let fence = Fence::of(folder.path(), lease.fence().holder().clone());
        (0..1000).for_each(|_| fence.check().unwrap());
        let reads = fence.reads.load(Ordering::Relaxed);
        assert!(reads <= 3, "read {reads} times, and the holder touches it every two seconds");

        // the same bytes in another file, as long as before: another file is read
        let text = std::fs::read(&lock).unwrap();
        std::fs::write(folder.path().join("other"), &text).unwrap();
        std::fs::rename(folder.path().join("other"), &lock).unwrap();
        fence.check().unwrap();
        assert!(fence.reads.load(Ordering::Relaxed) > reads);

        // a change in place, and one that keeps the time of modification
        let touched = std::fs::metadata(&lock).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(20)); // longer than a tick of the file system's clock
        let stranger = Holder { pid: 1, ..lease.fence().holder().clone() };
        std::fs::write(&lock, serde_json::to_string(&stranger).unwrap()).unwrap();
        File::options().append(true).open(&lock).unwrap().set_modified(touched).unwrap();
        assert!(fence.check().unwrap_err().to_string().contains("taken over by process 1 "));

        std::fs::write(&lock, "no lock").unwrap();
        assert!(fence.check().unwrap_err().to_string().contains("names no runner"));
        std::fs::remove_file(&lock).unwrap();
        assert!(fence.check().unwrap_err().to_string().contains("gone"));
        std::fs::write(&lock, text).unwrap();
        fence.check().unwrap(); // the holder's own, put back
    }

    /// A worker whose runner died is frozen through many takeovers, each of which may be given an inode that was free again.
    #[test]
    fn a_process_that_is_frozen_through_many_takeovers_stays_fenced() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::take(folder.path()).unwrap();
        let worker = Fence::of(folder.path(), first.fence().holder().clone());
        worker.check().unwrap();
        drop(first);
        for _ in 0..50 {
            drop(Lease::take(folder.path()).unwrap());
            assert!(worker.check().unwrap_err().to_string().contains("taken over by"));
        }
    }

    /// Without the lock the attempts count from 1 again: a runner is known by more than its attempt.
    #[test]
    fn a_holder_whose_lock_was_removed_is_fenced_by_the_next_first_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::take(folder.path()).unwrap();
        let other = Holder { pid: 1, ..first.fence().holder().clone() };
        std::fs::remove_file(folder.path().join("run.lock")).unwrap();
        std::fs::write(folder.path().join("run.lock"), serde_json::to_string(&other).unwrap()).unwrap();
        assert!(first.fence().check().unwrap_err().to_string().contains("taken over by process 1 "));
    }
}
