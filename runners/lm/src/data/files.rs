//! Files of text, read whole.

use super::DataError;
use std::fs::Metadata;
use std::io;
use std::path::Path;

/// Length and the like of a regular file.
pub(super) fn facts(path: &Path) -> Result<Metadata, DataError> {
    let facts = std::fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing { path: path.into() },
        _ => DataError::Read { path: path.into(), source },
    })?;
    // A pipe would give its text once, and a trial that resumes would find none.
    if !facts.is_file() {
        let found = if facts.is_dir() { "a folder" } else { "a pipe or a device" };
        return Err(DataError::NotAFile { path: path.into(), found });
    }
    Ok(facts)
}

/// The bytes of a regular file that is not empty.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    facts(path)?;
    let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
    if bytes.is_empty() { Err(DataError::Empty { path: path.into() }) } else { Ok(bytes) }
}

/// The text of a file: UTF-8 without its byte order mark, all else as it is, carriage returns and NULs too.
pub(crate) fn text(path: &Path) -> Result<String, DataError> {
    let mut text = String::from_utf8(bytes(path)?)
        .map_err(|e| DataError::NotUtf8 { path: path.into(), offset: e.utf8_error().valid_up_to() })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if text.is_empty() { Err(DataError::Empty { path: path.into() }) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn check<T: std::fmt::Debug>(read: fn(&Path) -> Result<T, DataError>, bytes: &[u8], expected: &str) {
        let folder = TempDir::new().unwrap();
        let found = read(&write(&folder, "data", bytes)).unwrap_err().to_string();
        assert!(found.contains("data: ") && found.ends_with(expected), "{found}");
    }

    #[test]
    fn files_that_hold_no_data_are_named() {
        check(text, b"", "expected text or tokens, found an empty file");
        check(text, b"\xef\xbb\xbf", "expected text or tokens, found an empty file");
        check(text, b"caf\xe9 au lait", "expected UTF-8 text, found an invalid sequence at byte 3");
    }

    #[test]
    fn what_is_not_a_file_is_named() {
        let folder = TempDir::new().unwrap();
        let check = |path: &Path, expected| {
            let found = text(path).unwrap_err().to_string();
            assert_eq!(found, format!("{}: expected a file, found {expected}", path.display()));
        };
        check(&folder.path().join("nothing.txt"), "nothing of that name");
        check(folder.path(), "a folder");
        #[cfg(unix)]
        check(Path::new("/dev/null"), "a pipe or a device");
    }

    #[test]
    fn the_byte_order_mark_goes_and_the_rest_stays() {
        let folder = TempDir::new().unwrap();
        assert_eq!(text(&write(&folder, "a.txt", b"\xef\xbb\xbfa\r\nb\0\n")).unwrap(), "a\r\nb\0\n");
    }
}
