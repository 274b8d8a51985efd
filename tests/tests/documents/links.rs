//! Links lead to files and headings that exist, and source files that are named exist.

use crate::{documents, expect_none, root};
use std::path::{Component, Path, PathBuf};

/// `a/../b` is `b`, without asking the disk.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            assert!(parts.pop(), "{} leaves the repository", path.display())
        } else {
            parts.push(part)
        }
    }
    parts
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    let mut found = Vec::new();
    for document in &documents {
        for (place, link) in &document.links {
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { document.path.clone() } else { plain(&document.path.with_file_name(file)) };
            if !root().join(&target).exists() {
                found.push(format!("{place}: no file {}", target.display()));
            }
            let Some(anchor) = anchor else { continue };
            let known = documents.iter().find(|other| other.path == target);
            if known.is_none_or(|other| !other.anchors.iter().any(|heading| heading == anchor)) {
                found.push(format!("{place}: no heading `{anchor}` in {}", target.display()));
            }
        }
    }
    expect_none(found);
}

#[test]
fn the_book_has_every_page() {
    let documents = documents();
    let summary = documents.iter().find(|document| document.path.ends_with("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let chapters: Vec<PathBuf> = summary.links.iter().map(|(_, link)| Path::new("docs").join(link)).collect();
    let pages = documents.iter().map(|document| &document.path).filter(|path| path.starts_with("docs") && *path != &summary.path);
    expect_none(
        pages.filter(|path| !chapters.contains(path)).map(|path| format!("not in SUMMARY.md: {}", path.display())).collect(),
    );
}

/// Every file below `folder`, from there; hidden folders and build outputs aside.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if !path.is_dir() {
                found.push(path);
            } else if name != "target" && !name.starts_with('.') {
                folders.push(path);
            }
        }
    }
    found
}

/// Whether inline code names a source file that is none of `files`.
fn is_missing(code: &str, files: &[PathBuf]) -> bool {
    let is_source = [".rs", ".py"].iter().any(|end| code.ends_with(end)) && !code.contains(' ');
    is_source && !files.iter().any(|file| file.ends_with(code))
}

/// The changelog is left out: it names files of its time.
#[test]
fn source_files_that_are_named_exist() {
    let files = files(&root());
    let documents = documents();
    let spans = documents.iter().filter(|document| !document.path.ends_with("CHANGELOG.md")).flat_map(|document| &document.spans);
    let missing = spans.filter(|(_, code)| is_missing(code, &files));
    expect_none(missing.map(|(place, code)| format!("{place}: no source file {code}")).collect());
}

#[test]
fn a_source_file_that_moved_is_seen() {
    let files = ["/clone/runners/statistics/src/simulation.rs".into()];
    assert!(!is_missing("statistics/src/simulation.rs", &files) && !is_missing("simulation.rs", &files));
    assert!(is_missing("study/src/statistics/simulation.rs", &files) && is_missing("tion.rs", &files));
    assert!(!is_missing("simulation.yaml", &files) && !is_missing("rustfmt a.rs", &files));
}
