//! Every change to the disk, in one place: so that a test can make the n-th of them fail, or be the last that a process makes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

/// Told of each change before it is made; an error stands in for the change.
pub type Hook = fn(&'static str, &Path) -> io::Result<()>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Lets `hook` hear of every change that this process makes to a study's folder from now on: what, and to which file. For
/// tests of what happens when the disk fails. The first hook stays.
pub fn before_each_change(hook: Hook) {
    let _ = HOOK.set(hook);
}

/// Says that a change is about to be made.
pub(super) fn announce(what: &'static str, path: &Path) -> io::Result<()> {
    HOOK.get().map_or(Ok(()), |hook| hook(what, path))
}

/// Writes a new file, flushed to disk.
pub(super) fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    announce("create", path)?;
    let mut file = File::create(path)?;
    announce("write", path)?;
    file.write_all(content)?;
    announce("sync", path)?;
    file.sync_all()
}

/// Gives a file or folder another name.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    announce("rename", to)?;
    std::fs::rename(from, to)
}

/// Flushes the names in a folder to disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    announce("sync", path)?;
    File::open(path)?.sync_all()
}

/// Makes a folder and those above it.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    announce("create", path)?;
    std::fs::create_dir_all(path)
}

/// Removes a file.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    announce("remove", path)?;
    std::fs::remove_file(path)
}

/// Removes a folder with all that is in it, where there is one.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    announce("remove", path)?;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
