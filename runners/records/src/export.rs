//! A folder of files for another program, which may be watching it while they are written.

use super::{RecordError, disk, files::entries, read_json, write_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file that marks a folder as an export.
const MARK: &str = "export.json";

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    study: String,
}

/// A folder that holds an export of one study and nothing else.
#[derive(Debug)]
pub struct ExportFolder {
    path: PathBuf,
    /// The files that belong to this export.
    kept: BTreeSet<PathBuf>,
}

impl ExportFolder {
    /// A folder that is new, empty, or an earlier export of the same study.
    ///
    /// # Errors
    /// When it holds anything else, or cannot be made.
    pub fn open(path: &Path, study: &str) -> Result<Self, RecordError> {
        if path.exists() && !path.is_dir() {
            return Err(RecordError::new(path, "expected a folder for the export, found a file"));
        }
        let refuse = |found: &str| {
            let expected = "expected a new folder, an empty one or an earlier export of the study";
            Err(RecordError::new(path, format!("{expected}, found {found}: name another --out")))
        };
        match read_json::<Mark>(&path.join(MARK))? {
            Some(mark) if mark.study != study => return refuse(&format!("an export of `{}`", mark.study)),
            Some(_) => {}
            None => {
                if let Some(name) = entries(path)?.iter().min().and_then(|first| first.file_name()) {
                    return refuse(&name.display().to_string());
                }
                disk::create_folder(path).map_err(|error| RecordError::new(path, error))?;
                write_json(&path.join(MARK), &Mark { study: study.to_owned() })?;
            }
        }
        Ok(Self { path: path.to_owned(), kept: BTreeSet::new() })
    }

    /// Writes a file whole or not at all; returns whether it was not there already with the same content.
    ///
    /// Until it is whole, its name is `unfinished`, which readers ignore.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, folder: &Path, name: &str, content: &[u8]) -> Result<bool, RecordError> {
        let folder = self.path.join(folder);
        let path = folder.join(name);
        self.kept.insert(path.clone());
        if std::fs::read(&path).is_ok_and(|found| found == content) {
            return Ok(false);
        }
        let partial = folder.join("unfinished");
        let write = || {
            disk::create_folder(&folder)?;
            disk::write_synced(&partial, content)?;
            disk::rename(&partial, &path)
        };
        write().map_err(|error| RecordError::new(&path, format!("could not write {} bytes: {error}", content.len())))?;
        Ok(true)
    }

    /// Retires the files of earlier exports that this one has replaced. `is_exported` knows them by their names; all others stay.
    ///
    /// A file whose folder has a newer one is emptied now and removed by the next export: a reader that has it open continues with
    /// the newer file when it reaches the end, and would wait forever if the file were gone. In other folders it is removed at
    /// once.
    ///
    /// # Errors
    /// When one cannot be emptied or removed.
    pub fn retire_others(self, is_exported: impl Fn(&str) -> bool) -> Result<(), RecordError> {
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            let has_newer = self.kept.iter().any(|kept| kept.parent() == Some(&folder));
            for entry in entries(&folder)? {
                let is_old = entry.file_name().and_then(|name| name.to_str()).is_some_and(&is_exported);
                if entry.is_dir() && !entry.is_symlink() {
                    folders.push(entry);
                } else if is_old && !self.kept.contains(&entry) {
                    let holds_events = std::fs::metadata(&entry).is_ok_and(|file| file.len() > 0);
                    let retire =
                        if has_newer && holds_events { disk::write_synced(&entry, b"") } else { disk::remove_file(&entry) };
                    retire.map_err(|error| RecordError::new(&entry, error))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = entries(folder).unwrap();
        let mut names: Vec<String> = entries.iter().map(|path| path.file_name().unwrap().display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path, study: &str| ExportFolder::open(path, study).map_err(|error| error.to_string());
        let out = folder.path().join("new/out");
        open(&out, "a").unwrap();
        open(&out, "a").unwrap();
        assert_eq!(names(&out), ["export.json"]);
        assert!(open(&out, "b").unwrap_err().ends_with("found an export of `a`: name another --out"));
        let full = folder.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("thesis.txt"), "").unwrap();
        let refusal = open(&full, "a").unwrap_err();
        assert!(refusal.ends_with("an earlier export of the study, found thesis.txt: name another --out"), "{refusal}");
        assert_eq!(names(&full), ["thesis.txt"]);
        assert!(open(&full.join("thesis.txt"), "a").unwrap_err().ends_with("found a file"));
    }

    #[test]
    fn files_are_written_once_and_replaced_ones_retired() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let run = Path::new("arm/seed-0");
        let export = |name: &str| {
            let mut export = ExportFolder::open(&out, "a").unwrap();
            let is_new = export.put(run, name, name.as_bytes()).unwrap();
            export.retire_others(|name| name.starts_with("events.")).unwrap();
            is_new
        };
        assert!(export("events.1"));
        assert!(!export("events.1"), "it is there already");
        std::fs::write(out.join("arm/notes.txt"), "").unwrap();
        std::fs::write(out.join("arm/events.0"), "of a run that is not in the study any more").unwrap();
        assert!(export("events.2"));
        assert_eq!(names(&out.join(run)), ["events.1", "events.2"]);
        assert_eq!(std::fs::read(out.join(run).join("events.1")).unwrap(), b"", "emptied, as a reader may have it open");
        assert_eq!(names(&out.join("arm")), ["notes.txt", "seed-0"]);
        assert!(export("events.3"));
        assert_eq!(names(&out.join(run)), ["events.2", "events.3"]);
    }
}
