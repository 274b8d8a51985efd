//! How a cache changes the disk. This crate never writes by itself: all changes to the disk are made in one place, beside the records.

use std::io;
use std::path::Path;

/// Changes to a disk.
pub trait Disk: Sync {
    /// Creates a folder and its parents.
    ///
    /// # Errors
    /// As the system says.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Creates a file.
    ///
    /// # Errors
    /// As the system says.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// Renames a folder.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Flushes the names in a folder to disk.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and its contents, if it exists.
    ///
    /// # Errors
    /// As the system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As the system says.
    fn remove_empty_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written from front to back.
pub trait Output: Send {
    /// Writes all these bytes behind those before.
    ///
    /// # Errors
    /// As the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Flushes it to disk.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&self) -> io::Result<()>;

    /// Locks it for as long as it is open.
    ///
    /// # Errors
    /// As the system says.
    fn lock(&self) -> io::Result<()>;
}
