//! The documents are true as far as a machine can see: their commands run, their studies are legal, their links and paths exist.
//!
//! Every fenced block names its language, which says what is done with it:
//!
//! | info string | what is tested |
//! |---|---|
//! | `yaml` | `regatta check` accepts it as a study |
//! | `yaml fragment` | the same, on top of the study [`sandbox::BASE`], which it extends |
//! | `sh` | the commands run in order, in one folder for each document; [`commands`] makes their studies small |
//! | `sh no_run REASON` | they are not run; each script, package, verb and flag exists |
//! | `json` | each line is JSON |
//! | `rust` | it compiles and runs: the documentation tests of `regatta_tests` include the pages that have any |
//! | `rust ignore REASON` | nothing |
//! | `toml`, `text` | nothing; no line of a `text` block is a command |
//!
//! Inline code that begins with `regatta` or `cargo` is checked as `no_run` is. Inline code that ends in `.rs` or `.py` is the end
//! of a path in the repository.

mod commands;
mod document;
mod flags;
mod links;
mod sandbox;
mod studies;

use document::{Block, Document};
use std::path::{Path, PathBuf};

const LANGUAGES: [&str; 8] = ["yaml", "sh", "json", "rust", "toml", "text", "python", "r"];

/// The documents outside the book.
const PAGES: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "METHODOLOGY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/byo-plugin/README.md",
    "fuzz/README.md",
    "tests/devices/README.md",
    "tests/golden/README.md",
    "tests/peers/README.md",
    "tests/processors/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn documents() -> Vec<Document> {
    let root = root();
    let mut paths = PAGES.map(PathBuf::from).to_vec();
    for folder in ["docs", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        paths.extend(pages.map(|path| path.strip_prefix(&root).unwrap().to_owned()));
    }
    paths.sort();
    paths.into_iter().map(|path| Document::read(&root, path)).collect()
}

/// Fails with all that was found, if anything.
fn expect_none(found: Vec<String>) {
    assert!(found.is_empty(), "{} found:\n\n{}\n", found.len(), found.join("\n\n"));
}

#[test]
fn every_block_says_what_it_is() {
    let escapes = |block: &Block| {
        let command = |line: &str| ["regatta ", "cargo ", "$ "].iter().any(|word| line.starts_with(word));
        block.language() == "text" && block.body.lines().any(command)
    };
    let mut found = Vec::new();
    for block in documents().iter().flat_map(|document| &document.blocks) {
        if !LANGUAGES.contains(&block.language()) {
            found.push(format!("{}: expected one of {LANGUAGES:?} behind the fence, found `{}`", block.place, block.info));
        }
        if escapes(block) {
            found.push(format!("{}: a command in a block of text is never tested: make it `sh`", block.place));
        }
        if (block.is("no_run") || block.is("ignore")) && block.info.split_whitespace().count() < 3 {
            found.push(format!("{}: expected a reason after `{}`", block.place, block.info));
        }
        if block.language() == "json" {
            let bad = block.body.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
            found.extend(bad.map(|line| format!("{}: not JSON: {line}", block.place)));
        }
    }
    expect_none(found);
}
