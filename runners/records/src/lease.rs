//! Who may write to a study's folder: one runner at a time, and the latest wins.
//!
//! `run.lock` names its holder (host, process, attempt). The holder keeps it locked and touches it every few seconds. A runner
//! that finds it
//!
//! - locked and touched lately: gives way, naming the holder;
//! - not locked, by a process of this host: takes it over at once, since the lock ended with the process;
//! - from another host, or locked by a process that stopped touching it: watches it, and takes it over when nothing touches it.
//!
//! Whoever takes it over writes a higher attempt. Everything that writes asks its [`Fence`] first, so one that was frozen and
//! wakes up finds the higher attempt and writes nothing.

use super::{RecordError, disk};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The holder touches its lock this often.
const BEAT: Duration = Duration::from_secs(2);
/// A lock that was touched this lately is held.
const FRESH: Duration = Duration::from_secs(30);
/// One that was not is watched so long, in case the clocks of two hosts differ.
const WATCHED: Duration = Duration::from_secs(5);

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Counts the runners of a folder; a higher one fences all lower ones.
    pub attempt: u64,
    /// Whether it has given the folder back.
    pub released: bool,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {} (attempt {})", self.pid, self.host, self.attempt)
    }
}

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
    holder: Holder,
    end: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

/// What everything that writes asks first.
#[derive(Debug, Clone)]
pub struct Fence {
    lock: PathBuf,
    attempt: u64,
}

impl Lease {
    /// Takes the folder, which must exist.
    ///
    /// # Errors
    /// When another runner holds it, or its lock cannot be read or written.
    pub fn take(folder: &Path) -> Result<Self, LeaseError> {
        let lock = folder.join("run.lock");
        let failed = |error: io::Error| RecordError::new(&lock, error);
        // One at a time looks and decides; the file stays empty, and a process that dies lets go of it.
        let guard = folder.join("run.lock.guard");
        let guard = File::options().create(true).append(true).open(&guard).map_err(|error| RecordError::new(&guard, error))?;
        guard.lock().map_err(failed)?;

        let before = read(&lock).map_err(failed)?;
        if let Some(holder) = before.clone().filter(|holder| !holder.released && is_alive(&lock, holder).unwrap_or(true)) {
            return Err(LeaseError::Held { folder: folder.display().to_string(), holder });
        }
        if let Some(dead) = before.as_ref().filter(|holder| !holder.released) {
            tracing::warn!("{dead} ended without giving {} back; this run goes on from what it left", folder.display());
        }
        let attempt = before.map_or(1, |holder| holder.attempt + 1);
        let holder = Holder { host: host(), pid: std::process::id(), attempt, released: false };
        let file = put(&lock, &holder).map_err(failed)?;
        let fence = Fence { lock, attempt };
        let (end, ended) = channel();
        let beating = fence.clone();
        let beats = std::thread::spawn(move || {
            while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) && beating.check().is_ok() {
                if let Err(error) = file.set_modified(SystemTime::now()) {
                    tracing::warn!("{}: {error}", beating.lock.display());
                }
            }
        });
        Ok(Self { fence, holder, end: Some(end), beats: Some(beats) })
    }

    /// Whether [`take`](Self::take) would be refused now; changes nothing. One that is frozen is not looked at for long.
    ///
    /// # Errors
    /// When another runner holds the folder and showed it lately, or its lock cannot be read.
    pub fn look(folder: &Path) -> Result<(), LeaseError> {
        let lock = folder.join("run.lock");
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

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.end.take());
        self.beats.take().into_iter().for_each(|beats| drop(beats.join()));
        if self.fence.check().is_ok() {
            let released = Holder { released: true, ..self.holder.clone() };
            if let Err(error) = put(&self.fence.lock, &released) {
                tracing::warn!("{}: {error}", self.fence.lock.display());
            }
        }
    }
}

impl Fence {
    /// The fence of one attempt at a folder, for a process that works for its holder.
    pub fn of(folder: &Path, attempt: u64) -> Self {
        Self { lock: folder.join("run.lock"), attempt }
    }

    /// Which attempt may write.
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Whether this attempt still may write.
    ///
    /// # Errors
    /// When another holds the folder now, or nobody can tell.
    pub fn check(&self) -> io::Result<()> {
        match read(&self.lock)? {
            Some(holder) if holder.attempt == self.attempt && !holder.released => Ok(()),
            Some(holder) => {
                Err(io::Error::other(format!("{}: taken over by {holder}; this run writes no more", self.lock.display())))
            }
            None => Err(io::Error::other(format!("{}: gone; this run writes no more", self.lock.display()))),
        }
    }
}

/// Who holds a study's folder now; `None` where nobody does.
///
/// # Errors
/// When the lock cannot be read.
pub fn holder(folder: &Path) -> io::Result<Option<Holder>> {
    let lock = folder.join("run.lock");
    let Some(holder) = read(&lock)?.filter(|holder| !holder.released) else { return Ok(None) };
    let alive = is_locked(&lock)? || (holder.host != host() && age(&lock)? < FRESH);
    Ok(alive.then_some(holder))
}

/// Time since the holder of a study's folder last gave a sign of life.
///
/// # Errors
/// When there is no lock.
pub fn heartbeat(folder: &Path) -> io::Result<Duration> {
    age(&folder.join("run.lock"))
}

fn read(lock: &Path) -> io::Result<Option<Holder>> {
    match std::fs::read(lock) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()), // what is no lock holds nothing
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the lock, and keeps it locked while the file is open.
fn put(lock: &Path, holder: &Holder) -> io::Result<File> {
    let partial = lock.with_extension("lock.partial");
    disk::write_synced(&partial, serde_json::to_string(holder)?.as_bytes())?;
    let file = File::options().append(true).open(&partial)?;
    file.lock()?;
    disk::rename(&partial, lock)?;
    Ok(file)
}

fn is_alive(lock: &Path, holder: &Holder) -> io::Result<bool> {
    if !is_locked(lock)? && holder.host == host() {
        return Ok(false);
    }
    if age(lock)? < FRESH {
        return Ok(true);
    }
    let (touched, started) = (std::fs::metadata(lock)?.modified()?, Instant::now());
    tracing::info!("{holder} seems to be gone; making sure");
    while started.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(100));
        if std::fs::metadata(lock)?.modified()? != touched {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process holds the lock. Asked with a shared lock: that needs no right to write, and who only looks is never taken
/// for the holder by another who looks.
fn is_locked(lock: &Path) -> io::Result<bool> {
    match File::open(lock)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Since the lock was touched; a touch that lies ahead, by a clock that was set back, is as good as an old one.
fn age(lock: &Path) -> io::Result<Duration> {
    let touched = std::fs::metadata(lock)?.modified()?;
    Ok(SystemTime::now().duration_since(touched).unwrap_or_else(|ahead| ahead.duration()))
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.map_or_else(|| "an unnamed host".into(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
