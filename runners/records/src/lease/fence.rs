//! Whether a process may still write, asked before each write.
//!
//! The lock is opened each time, and read only where it is not the very file that was read before. That is enough, since a lock is
//! replaced whole and never changed in place: whoever takes the folder over puts another file under its name. A file is known by
//! device and inode, and by the time of its last change, so that whatever else touches it has it read again (the holder's heartbeat
//! does, every two seconds). The file that was read last stays open: its inode is not given to another one.

use super::lock::{self, Holder};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What everything that writes asks first.
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

/// By it a file that is unchanged is known.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Mark {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self { device: file.dev(), inode: file.ino(), changed: (file.ctime(), file.ctime_nsec()) })
    }

    /// Where files have no inode, the lock is read each time.
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
