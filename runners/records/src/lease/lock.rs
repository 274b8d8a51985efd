//! The file `run.lock`: its holder, whether a process keeps it locked, and when it was last touched. It is replaced whole, never
//! changed in place.

use crate::disk;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A lock touched within this time is held.
pub(super) const FRESH: Duration = Duration::from_secs(30);
/// Any other lock is watched for this long, in case the clocks of two hosts differ.
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

/// Where a study's lock is.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("run.lock")
}

/// The lock, opened to be read; `None` where there is none.
pub(super) fn open(lock: &Path) -> io::Result<Option<File>> {
    match File::open(lock) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whom an open lock names; `None` where it holds something else, which names nobody.
pub(super) fn named(mut file: &File) -> io::Result<Option<Holder>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Whom the lock names; `None` where there is none, or something else in its place.
pub(super) fn read(lock: &Path) -> io::Result<Option<Holder>> {
    open(lock)?.map_or(Ok(None), |file| named(&file))
}

/// Writes the lock, and keeps it locked while what is returned is open.
pub(super) fn put(lock: &Path, holder: &Holder) -> io::Result<disk::Open> {
    let partial = lock.with_extension("lock.partial");
    disk::write_synced(&partial, serde_json::to_string(holder)?.as_bytes())?;
    let file = disk::Open::existing(&partial)?;
    file.lock()?;
    disk::rename(&partial, lock)?;
    Ok(file)
}

/// Whether the holder that the lock names still works.
pub(super) fn is_alive(lock: &Path, holder: &Holder) -> io::Result<bool> {
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

/// Whether a process keeps the lock locked. This tries a shared lock, which needs no write permission, and two readers never
/// mistake each other for the holder.
pub(super) fn is_locked(lock: &Path) -> io::Result<bool> {
    match File::open(lock)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Time since the lock was touched; a time in the future, after a clock was set back, counts as old.
pub(super) fn age(lock: &Path) -> io::Result<Duration> {
    let touched = std::fs::metadata(lock)?.modified()?;
    Ok(SystemTime::now().duration_since(touched).unwrap_or_else(|ahead| ahead.duration()))
}

pub(super) fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.map_or_else(|| "an unnamed host".into(), |name| name.trim().to_owned())
}
