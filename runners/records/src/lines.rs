//! Files of one JSON value per line: appended to while a trial runs, read while it runs or afterwards.

use super::{Fence, RecordError, disk};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// A file that is written a line at a time. Each line reaches the system at once, so a killed process loses none.
pub struct Lines {
    path: PathBuf,
    file: disk::Open,
    fence: Fence,
    bytes: u64,
}

impl Lines {
    /// A file that holds these values, in place of one that was there, to be added to while `fence` lets it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn after<T: Serialize>(path: &Path, values: &[T], fence: &Fence) -> Result<Self, RecordError> {
        let lines = values.iter().map(line).collect::<Result<Vec<_>, _>>().map_err(|error| RecordError::new(path, error))?;
        let lines = lines.concat();
        fence.write_whole(path, &lines)?;
        let file = disk::Open::existing(path).map_err(|error| RecordError::new(path, error))?;
        Ok(Self { path: path.to_owned(), file, fence: fence.clone(), bytes: lines.len() as u64 })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the disk is full or gone, or another runner has taken the folder over.
    pub fn push<T: Serialize>(&mut self, value: &T) -> std::io::Result<()> {
        let line = line(value)?;
        let written = self.fence.check().and_then(|()| self.file.append(&line));
        written.map_err(|error| {
            let message = format!("{}: could not write {} bytes: {error}", self.path.display(), line.len());
            std::io::Error::new(error.kind(), message)
        })?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Checks that the file's name still leads to what was written: writing to a removed file is not an error.
    ///
    /// # Errors
    /// When it is not there, or holds something else.
    pub fn check(&self) -> std::io::Result<()> {
        let found = std::fs::metadata(&self.path).map(|file| file.len());
        let found = match found {
            Ok(bytes) if bytes == self.bytes => return Ok(()),
            Ok(bytes) => format!("{bytes}"),
            Err(error) => format!("none ({error})"),
        };
        let (path, expected) = (self.path.display(), self.bytes);
        let message = format!("{path}: expected {expected} bytes, found {found}: it was removed or changed while the trial ran");
        Err(std::io::Error::other(message))
    }

    /// Flushes to disk what was written.
    ///
    /// # Errors
    /// When the disk is gone.
    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync().map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }
}

fn line<T: Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A file's bytes; empty without a file.
pub(super) fn read_or_empty(path: &Path) -> Result<Vec<u8>, RecordError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| RecordError::new(path, error)),
    }
}

/// The values of a file's first lines, for as long as `wanted` holds; later lines are not read.
///
/// # Errors
/// When the file cannot be read.
pub fn first_lines<T: DeserializeOwned>(path: &Path, wanted: impl Fn(&T) -> bool) -> Result<Vec<T>, RecordError> {
    let text = read_or_empty(path)?;
    let whole = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let values = whole.map_while(|line| serde_json::from_slice(line).ok());
    Ok(values.take_while(wanted).collect())
}

/// The values of a file of lines; none without a file. A last line that a crash cut short is left out; any other line that cannot
/// be read is an error that names it.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, RecordError> {
    let text = read_or_empty(path)?;
    let whole = text.ends_with(b"\n");
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut values = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_slice(line) {
            Ok(value) => values.push(value),
            Err(_) if index + 1 == lines.len() && !whole => {
                tracing::warn!("{}: the last line is cut short and left out", path.display())
            }
            Err(error) => return Err(RecordError::new(path, format!("line {}: {error}", index + 1))),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::tests::taken;

    #[test]
    fn a_torn_last_line_is_left_out_and_garbage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.jsonl");
        let (_runner, lease) = taken(folder.path());
        let mut lines = Lines::after(&path, &[0], lease.fence()).unwrap();
        (1..3).for_each(|number| lines.push(&number).unwrap());
        assert_eq!(read_lines::<u32>(&path).unwrap(), [0, 1, 2]);
        std::fs::write(&path, "0\n1\n{\"a").unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), [0, 1]);
        assert_eq!(first_lines(&path, |number: &u32| *number < 9).unwrap(), [0, 1]);
        assert_eq!(first_lines(&path, |number: &u32| *number < 1).unwrap(), [0]);
        std::fs::write(&path, "0\nhello\n2\n").unwrap();
        assert!(read_lines::<u32>(&path).unwrap_err().to_string().contains("line 2"));
        assert!(read_lines::<u32>(&folder.path().join("none")).unwrap().is_empty());
    }
}
