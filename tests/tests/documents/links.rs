//! Links lead to files and headings that exist.

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
