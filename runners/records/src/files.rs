//! Files that are read and written whole.

use crate::{RecordError, disk};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// In the names of files that are not whole yet.
pub(super) const PARTIAL: &str = "partial";

/// Writes a file whole or not at all: under another name first, flushed to disk, then renamed.
///
/// # Errors
/// When the folder cannot be written or the disk is full.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    whole(path, &path.with_extension("partial"), content, || Ok(()))
}

/// As [`write_whole`], for a file that several processes may write at the same time: each has a name of its own to write to first.
///
/// # Errors
/// As [`write_whole`].
pub fn write_whole_beside_others(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let partial = path.with_extension(format!("{}-{now:x}.partial", std::process::id())); // containers number processes alike
    whole(path, &partial, content, || Ok(()))
}

/// Writes a file under another name, and gives it its own where `may` still lets it.
pub(super) fn whole(
    path: &Path,
    partial: &Path,
    content: &[u8],
    may: impl FnOnce() -> std::io::Result<()>,
) -> Result<(), RecordError> {
    let write = || disk::write_synced(partial, content).and_then(|()| may()).and_then(|()| disk::rename(partial, path));
    let written = write().inspect_err(|_| _ = std::fs::metadata(partial).is_ok_and(|_| disk::remove_file(partial).is_ok()));
    written.map_err(|error| RecordError::new(path, format!("could not write {} bytes: {error}", content.len())))
}

/// Reads a JSON file; `None` where there is none.
///
/// # Errors
/// When it cannot be read or does not hold a `T`.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| RecordError::new(path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::new(path, error)),
    }
}

/// Writes a JSON file, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    write_whole(path, &json(path, value)?)
}

/// A value as the text of a JSON file.
pub(super) fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, RecordError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| RecordError::new(path, error))?;
    Ok((text + "\n").into_bytes())
}

/// The entries of a folder, in no order; none without a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let list = || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    match list() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| RecordError::new(folder, error)),
    }
}
