//! The check before each write that a process may still write.
//!
//! The lock is opened each time, and read only where it is not the very file that was read before. That is enough, since a lock is
//! replaced whole and never changed in place: whoever takes the folder over puts another file under its name. A file is known by
//! device and inode. Two things keep an inode from standing for another file:
//!
//! - the file that was read last stays open, so its inode is not free;
//! - on network file systems, which may free it anyway, times and length must be equal too. A lock is taken over from a
//!   frozen holder after half a minute at the earliest, so its times differ. The holder's heartbeat changes them as well, and has
//!   the lock read again every two seconds.

use super::lock::{self, Holder};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The check that everything makes before it writes.
#[derive(Debug, Clone)]
pub struct Fence {
    pub(super) lock: PathBuf,
    holder: Holder,
    /// The lock when it last named the holder.
    seen: Arc<Mutex<Option<Seen>>>,
    #[cfg(test)]
    pub(super) reads: Arc<std::sync::atomic::AtomicUsize>,
}

#[derive(Debug)]
struct Seen {
    mark: Mark,
    _open: File,
}

/// Identifies an unchanged file.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds of the last write, and of the last change of any kind.
    times: [(i64, i64); 2],
}

impl Mark {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let times = [(file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())];
        Some(Self { device: file.dev(), inode: file.ino(), bytes: file.len(), times })
    }

    /// Where a file has no inode, the lock is read each time.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Option<Self> {
        None
    }
}

impl Fence {
    /// The fence of one runner of a folder, for itself and for processes that work for it.
    pub fn of(folder: &Path, holder: Holder) -> Self {
        Self {
            lock: lock::path_in(folder),
            holder,
            seen: Arc::default(),
            #[cfg(test)]
            reads: Arc::default(),
        }
    }

    /// The runner that may write.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Which attempt at the folder may write.
    pub fn attempt(&self) -> u64 {
        self.holder.attempt
    }

    /// Whether this runner may still write.
    ///
    /// # Errors
    /// When another holds the folder now, or the lock cannot be read.
    pub fn check(&self) -> io::Result<()> {
        self.lost()?.map_or(Ok(()), |reason| Err(io::Error::other(reason)))
    }

    /// Why this runner may no longer write; `None` where it may.
    ///
    /// # Errors
    /// When the lock cannot be read, so that nobody can tell.
    pub(super) fn lost(&self) -> io::Result<Option<String>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = lock::open(&self.lock)? else {
            *seen = None;
            return Ok(Some(format!("{}: gone; this run writes no more", self.lock.display())));
        };
        let mark = Mark::of(&file.metadata()?);
        if mark.is_some() && mark.as_ref() == seen.as_ref().map(|seen| &seen.mark) {
            return Ok(None);
        }
        *seen = None;
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match lock::named(&file)? {
            Some(found) if found == self.holder => {
                *seen = mark.map(|mark| Seen { mark, _open: file });
                Ok(None)
            }
            Some(found) => Ok(Some(format!("{}: taken over by {found}; this run writes no more", self.lock.display()))),
            None => Ok(Some(format!("{}: it names no runner; this run writes no more", self.lock.display()))),
        }
    }
}
