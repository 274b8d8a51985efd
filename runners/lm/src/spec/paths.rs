//! Files of a split: a path, a pattern, or a list of them.

use regatta_core::forms;
use regatta_core::forms::Forms;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// One or many files, in order: each entry is the path of a file or a pattern (`*`, `?`, `[..]`, `**`) of such paths.
///
/// What has the very name of an entry is that entry's file, even where the name looks like a pattern. The files of a pattern are
/// sorted by name; those whose names begin with a dot belong only to patterns that begin with one, and folders to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    entries: Vec<PathBuf>,
    /// Whether it is written as a list.
    list: bool,
}

/// Why an entry stands for no files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// No file's name fits.
    #[error("expected files, found none that match `{pattern}` in {}", folder.display())]
    NoMatch {
        /// The pattern, below the folder.
        pattern: String,
        /// The longest part of the pattern without special characters.
        folder: PathBuf,
    },
    /// Not a pattern at all.
    #[error("expected a path or a pattern, found `{pattern}`: {message} (character {position})")]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        message: &'static str,
        /// Where, counted from 1.
        position: usize,
    },
    /// A folder that may not be listed.
    #[error("{}: cannot be listed: {message}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl From<PathBuf> for Paths {
    fn from(path: PathBuf) -> Self {
        Self { entries: vec![path], list: false }
    }
}

impl From<Vec<PathBuf>> for Paths {
    fn from(entries: Vec<PathBuf>) -> Self {
        Self { entries, list: true }
    }
}

impl Paths {
    /// The paths and patterns, as they are written.
    pub fn entries(&self) -> &[PathBuf] {
        &self.entries
    }

    /// The paths and patterns, with the index of each where they are written as a list.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = (Option<usize>, &mut PathBuf)> {
        let list = self.list;
        self.entries.iter_mut().enumerate().map(move |(index, path)| (list.then_some(index), path))
    }

    /// The files, in order. An entry that is not a pattern stands for itself, whether or not the file exists.
    ///
    /// # Errors
    /// When a pattern is malformed or no file has a name of its form.
    pub fn files(&self) -> Result<Vec<PathBuf>, PathsError> {
        let mut files = Vec::new();
        for entry in &self.entries {
            if is_pattern(entry) {
                files.extend(matching(entry)?);
            } else {
                files.push(entry.clone());
            }
        }
        Ok(files)
    }
}

/// Whether an entry is a pattern: it has special characters, and nothing has this very name.
pub fn is_pattern(entry: &Path) -> bool {
    entry.to_str().is_some_and(|entry| entry.contains(['*', '?', '['])) && entry.symlink_metadata().is_err()
}

/// The path of `pattern` in `folder`, whose own name is no pattern.
pub fn pattern_in(folder: &Path, pattern: &Path) -> PathBuf {
    if pattern.is_absolute() {
        return pattern.to_path_buf();
    }
    Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern)
}

/// The files whose names have the form of `pattern`, sorted by name.
///
/// # Errors
/// When the pattern is malformed, a folder cannot be listed, or there is no such file.
pub fn matching(pattern: &Path) -> Result<Vec<PathBuf>, PathsError> {
    let written = pattern.to_string_lossy();
    let malformed = |error: glob::PatternError| PathsError::Pattern {
        pattern: written.to_string(),
        message: error.msg,
        position: error.pos + 1,
    };
    let options = glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let mut files = Vec::new();
    for found in glob::glob_with(&written, options).map_err(malformed)? {
        let found = found
            .map_err(|error| PathsError::Unreadable { path: error.path().to_path_buf(), message: error.error().to_string() })?;
        if !found.is_dir() {
            files.push(found);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        let (folder, pattern) = folder_of(&written);
        return Err(PathsError::NoMatch { pattern, folder });
    }
    Ok(files)
}

/// The folder that a pattern looks in, and the rest: `/a[*]b/c_*.bin`, with the name `a*b` escaped, is `/a*b` and `c_*.bin`.
fn folder_of(pattern: &str) -> (PathBuf, String) {
    let parts: Vec<&str> = pattern.split('/').collect();
    let literal = |part: &str| {
        let unescaped = ["?", "*", "[", "]"].iter().fold(part.to_owned(), |part, c| part.replace(&format!("[{c}]"), c));
        (glob::Pattern::escape(&unescaped) == part).then_some(unescaped)
    };
    let folder: Vec<String> = parts[..parts.len() - 1].iter().map_while(|part| literal(part)).collect();
    let rest = parts[folder.len()..].join("/");
    let folder = match folder.join("/") {
        folder if folder.is_empty() && pattern.starts_with('/') => "/".to_owned(),
        folder if folder.is_empty() => ".".to_owned(),
        folder => folder,
    };
    (folder.into(), rest)
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.entries[..] {
            [one] if !self.list => one.serialize(serializer),
            entries => entries.serialize(serializer),
        }
    }
}

forms! {
    Paths => Forms::expecting("a path, a pattern of paths or a list of them")
        .text(".+", |path| Some(Self::from(PathBuf::from(path))))
        .meaning("A file, or a pattern of files such as `shards/train_*.bin`, which are read in the order of their names.")
        .list(|entries: Vec<PathBuf>| {
            let empty = || "expected at least one file, found an empty list".to_owned();
            if entries.is_empty() { Err(empty()) } else { Ok(Self::from(entries)) }
        })
        .meaning("Files and patterns of files, in this order.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder(name: &str, files: &[&str]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for file in files {
            let path = folder.path().join(name).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    /// The files of `pattern` in the folder `name` of `folder`, below it.
    fn files(folder: &TempDir, name: &str, pattern: &str) -> Vec<String> {
        let folder = folder.path().join(name);
        let files = Paths::from(pattern_in(&folder, Path::new(pattern))).files().unwrap();
        files.iter().map(|file| file.strip_prefix(&folder).unwrap().to_string_lossy().replace('\\', "/")).collect()
    }

    #[test]
    fn the_files_of_a_pattern_come_in_the_order_of_their_names() {
        let folder = folder("data", &["b_10.bin", "b_02.bin", "a.bin", ".b_03.bin", "more/b_04.bin", "b_folder.bin/b_05.bin"]);
        assert_eq!(files(&folder, "data", "b_*.bin"), ["b_02.bin", "b_10.bin"], "neither hidden files nor folders");
        assert_eq!(files(&folder, "data", "?.bin"), ["a.bin"]);
        assert_eq!(files(&folder, "data", "b_[01]?.bin"), ["b_02.bin", "b_10.bin"]);
        assert_eq!(files(&folder, "data", "**/b_0*.bin"), ["b_02.bin", "b_folder.bin/b_05.bin", "more/b_04.bin"]);
    }

    #[test]
    fn a_list_keeps_its_order_and_names_that_look_like_patterns_are_names() {
        let folder = folder("data [v2]*", &["b[1].bin", "b1.bin", "a.bin"]);
        assert_eq!(files(&folder, "data [v2]*", "[ab]*.bin"), ["a.bin", "b1.bin", "b[1].bin"]);
        let base = folder.path().join("data [v2]*");
        let list = Paths::from(vec![base.join("b[1].bin"), pattern_in(&base, Path::new("a*")), "missing.bin".into()]);
        assert_eq!(list.files().unwrap(), [base.join("b[1].bin"), base.join("a.bin"), "missing.bin".into()]);
    }

    #[test]
    fn a_pattern_of_no_file_is_refused_with_its_folder() {
        let folder = folder("data[1]", &["a.bin"]);
        let base = folder.path().join("data[1]");
        let refused = |pattern: &str| Paths::from(pattern_in(&base, Path::new(pattern))).files().unwrap_err().to_string();
        let expected = |pattern: &str, below: &str| {
            let folder = if below.is_empty() { base.clone() } else { base.join(below) };
            format!("expected files, found none that match `{pattern}` in {}", folder.display())
        };
        assert_eq!(refused("b_*.bin"), expected("b_*.bin", ""));
        assert_eq!(refused("shards/**/b_?.bin"), expected("**/b_?.bin", "shards"));
        let refused = refused("a**b");
        assert!(refused.starts_with("expected a path or a pattern, found `") && refused.contains("a**b`: "), "{refused}");
    }

    #[test]
    fn a_path_is_written_back_as_it_was() {
        for text in [r#""a.bin""#, r#"["a.bin"]"#, r#"["a.bin","b_*.bin"]"#] {
            let paths: Paths = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&paths).unwrap(), text);
        }
        let refused = |text| serde_json::from_str::<Paths>(text).unwrap_err().to_string();
        assert!(refused("[]").contains("expected at least one file, found an empty list"));
        assert!(refused("3").contains("a path, a pattern of paths or a list of them"));
    }
}
