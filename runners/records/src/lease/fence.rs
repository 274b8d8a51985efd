//! The check before each write that a runner may still write to a folder.
//!
//! Two names are looked at each time: the file of the runner's own attempt, which is read only where it is not the very file that
//! was read before, and that of the next attempt, which exists once another runner has taken the folder over. A file is known by
//! device and inode. Two things keep an inode from standing for another file: the file that was read last stays open, so its inode
//! is not free; and on network file systems, which may free it anyway, times and length must be equal too.

use super::claim::{Holder, file_of};
use crate::RecordError;
use crate::files::{PARTIAL, json, whole};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The check that everything makes before it writes.
#[derive(Debug, Clone)]
pub struct Fence {
    own: PathBuf,
    next: PathBuf,
    holder: Holder,
    /// The runner's own file when it last named it.
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

    /// Where a file has no inode, it is read each time.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Option<Self> {
        None
    }
}

impl Fence {
    /// The fence of the holder of a trial's folder, for itself and for processes that work for it.
    pub fn of_trial(folder: &Path, holder: Holder) -> Self {
        Self::of(folder, super::TRIAL, holder)
    }

    pub(super) fn of(folder: &Path, name: &str, holder: Holder) -> Self {
        Self {
            own: file_of(folder, name, holder.attempt),
            next: file_of(folder, name, holder.attempt + 1),
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
    /// When another holds the folder now, or nobody can tell.
    pub fn check(&self) -> io::Result<()> {
        self.lost()?.map_or(Ok(()), |reason| Err(io::Error::other(reason)))
    }

    /// Writes a file whole or not at all. This runner may be frozen in the middle of it, and another may take the folder over: it asks
    /// again before the file gets its name, and until then the file has one that is this attempt's alone.
    ///
    /// # Errors
    /// When the file cannot be written, or this runner may no longer write.
    pub fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), RecordError> {
        self.check().map_err(|error| RecordError::new(path, error))?;
        let partial = path.with_extension(format!("{PARTIAL}-{}", self.attempt()));
        whole(path, &partial, content, || self.check())
    }

    /// As [`write_whole`](Self::write_whole), of a value as JSON.
    ///
    /// # Errors
    /// As there.
    pub fn write_json<T: serde::Serialize>(&self, path: &Path, value: &T) -> Result<(), RecordError> {
        self.write_whole(path, &json(path, value)?)
    }

    /// Why this runner may no longer write; `None` where it may.
    ///
    /// # Errors
    /// When a file cannot be looked at, so that nobody can tell.
    pub fn lost(&self) -> io::Result<Option<String>> {
        if self.next.try_exists()? {
            return Ok(Some(format!(
                "{}: taken over by {}; this run writes no more there",
                self.own.display(),
                self.next_holder()
            )));
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match File::open(&self.own) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *seen = None;
                return Ok(Some(format!("{}: gone; this run writes no more there", self.own.display())));
            }
            Err(error) => return Err(error),
        };
        let mark = Mark::of(&file.metadata()?);
        if mark.is_some() && mark.as_ref() == seen.as_ref().map(|seen| &seen.mark) {
            return Ok(None);
        }
        *seen = None;
        #[cfg(test)]
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        match serde_json::from_slice::<Holder>(&bytes) {
            Ok(found) if found == self.holder => {
                *seen = mark.map(|mark| Seen { mark, _open: file });
                Ok(None)
            }
            Ok(found) => Ok(Some(format!("{}: taken over by {found}; this run writes no more there", self.own.display()))),
            Err(_) => Ok(Some(format!("{}: it names no runner; this run writes no more there", self.own.display()))),
        }
    }

    fn next_holder(&self) -> String {
        let read = std::fs::read(&self.next).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
        read.map_or_else(|| "another runner".into(), |holder| holder.to_string())
    }
}
