//! Every change to the disk, in one place, so that a test can make the n-th of them fail, or kill the process there.
//! `tests/tests/disk_changes.rs` scans the sources for changes made anywhere else.

use regatta_lm::data::{Disk, Output};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Called with each change before it is made; an error stands in for the change.
pub type Hook = fn(&'static str, &Path) -> io::Result<()>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// From now on, calls `hook` with the kind and the file of every change that this process makes to a study's folder, before the
/// change. For tests of disk failures. Later calls have no effect.
pub fn before_each_change(hook: Hook) {
    HOOK.get_or_init(|| hook);
}

fn announce(what: &'static str, path: &Path) -> io::Result<()> {
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

/// Writes a file that nothing depends on after a loss of power.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    announce("write", path)?;
    std::fs::write(path, content)
}

/// Links the file `from`, which holds `content`, to another name, unless something has that name already; whether it did. Where a
/// file system has no hard links, the file is created and then written.
pub(super) fn create_from(from: &Path, path: &Path, content: &[u8]) -> io::Result<bool> {
    announce("create", path)?;
    let exists = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    match std::fs::hard_link(from, path) {
        Ok(()) => Ok(true),
        // the reply of a network file system may be lost after it did so, and the call that is sent again finds the name there
        Err(error) if exists(&error) => Ok(std::fs::read(path).is_ok_and(|found| found == content)),
        Err(error) if !has_no_links(&error) => Err(error),
        Err(_) => match File::options().write(true).create_new(true).open(path) {
            Ok(mut file) => file.write_all(content).map(|()| true),
            Err(error) if exists(&error) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// Whether a file system has no hard links.
fn has_no_links(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied, io::ErrorKind::TooManyLinks];
    kinds.contains(&error.kind())
}

/// Sets a file's time of modification to now.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    announce("touch", path)?;
    File::options().append(true).open(path)?.set_modified(SystemTime::now())
}

/// Renames a file or folder.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    announce("rename", to)?;
    std::fs::rename(from, to)
}

/// Gives a folder another name.
pub fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    rename(from, to)
}

/// Flushes the names in a folder to disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    announce("sync", path)?;
    File::open(path)?.sync_all()
}

/// Creates a folder and its parents.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    announce("create", path)?;
    std::fs::create_dir_all(path)
}

/// Creates a folder where there is nothing yet.
pub(super) fn create_new_folder(path: &Path) -> io::Result<()> {
    announce("create", path)?;
    std::fs::create_dir(path)
}

/// Copies a file with its permissions, flushed to disk.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    announce("create", to)?;
    std::fs::copy(from, to)?;
    announce("sync", to)?;
    File::open(to)?.sync_all()
}

/// Removes a file.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    announce("remove", path)?;
    std::fs::remove_file(path)
}

/// Removes a folder and its contents, if it exists.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    announce("remove", path)?;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes an empty folder.
pub fn remove_empty_folder(path: &Path) -> io::Result<()> {
    announce("remove", path)?;
    std::fs::remove_dir(path)
}

/// The disk of a study's cache of tokens.
pub struct TokensDisk;

impl Disk for TokensDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        announce("create", path)?;
        Ok(Box::new(Open { path: path.to_owned(), file: File::create(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        sync_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        remove_folder(path)
    }

    fn remove_empty_folder(&self, path: &Path) -> io::Result<()> {
        remove_empty_folder(path)
    }
}

impl Output for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        Self::append(self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Self::sync(self)
    }

    fn lock(&self) -> io::Result<()> {
        Self::lock(self)
    }
}

/// A file that is kept open: to be appended to or locked.
#[derive(Debug)]
pub(super) struct Open {
    path: PathBuf,
    file: File,
}

impl Open {
    /// Opens a file that exists.
    pub fn existing(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: File::options().append(true).open(path)? })
    }

    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        announce("write", &self.path)?;
        self.file.write_all(bytes)
    }

    pub fn sync(&self) -> io::Result<()> {
        announce("sync", &self.path)?;
        self.file.sync_all()
    }

    /// Locks it for as long as it is open.
    pub fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }
}
