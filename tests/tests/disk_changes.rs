//! Every change to the disk goes through `records/disk`, so that tests can make each of them fail or be the last. This test scans
//! the sources for calls that change a disk anywhere else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What changes a disk: functions and methods of the standard library, as they are written in a call.
const CHANGES: [&str; 21] = [
    "fs::write(",
    "fs::rename(",
    "fs::copy(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "fs::symlink",
    "File::create",
    "File::options(",
    "OpenOptions",
    "DirBuilder",
    ".set_len(",
    ".set_modified(",
    ".set_times(",
    ".set_permissions(",
    ".sync_all(",
    ".sync_data(",
];

/// Where changes are made.
const DISK: &str = "runners/records/src/disk.rs";

/// (file, calls in it, why they are not in a study's folder).
const ELSEWHERE: [(&str, usize, &str); 6] = [
    (
        "runners/lm/src/checkpoint/mod.rs",
        1,
        "`Model::write`: a folder of the caller's own; a trial's checkpoint is `Model::files`, written by its records",
    ),
    ("runners/lm/src/data/tokenizer/mod.rs", 1, "`Tokenizer::save`: likewise beside `Tokenizer::files`"),
    (
        "runners/cli/src/verbs/evaluate.rs",
        1,
        "`--items FILE`: a file that the user names, perhaps a pipe, which must not be replaced by another file of that name",
    ),
    ("runners/cli/src/verbs/bench/training/mod.rs", 1, "`bench --costs`: a teacher in a temporary folder"),
    ("runners/cli/src/memory.rs", 1, "`/proc/self/clear_refs`, which is not on a disk"),
    ("runners/cli/src/verbs/bench/costs.rs", 1, "`bench --costs`: removes that folder"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests folder lies in the workspace").to_owned()
}

/// Every Rust file below `folder` that is code of the program: neither tests nor build output.
fn sources(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !["target", "tests", "examples"].contains(&name) {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.insert(path);
        }
    }
}

/// The changes to a disk in a file's code, each with its line; comments and the tests at the file's foot are left out.
fn changes(text: &str) -> Vec<(usize, &'static str)> {
    let above_tests = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(super) mod ", "#[cfg(test)]\npub(crate) mod ", "#[cfg(all(test"]
        .iter()
        .filter_map(|tests| text.find(tests))
        .min();
    let code = &text[..above_tests.unwrap_or(text.len())];
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let line = &line[..line.find("//").unwrap_or(line.len())];
        found.extend(CHANGES.into_iter().filter(|call| line.contains(call)).map(|call| (index + 1, call)));
    }
    found
}

#[test]
fn every_change_to_the_disk_goes_through_the_records() {
    let mut files = BTreeSet::new();
    for folder in ["core", "regularizers", "interventions", "runners"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 250, "only {} files were scanned", files.len());
    let (mut wrong, mut in_disk) = (Vec::new(), 0);
    let mut unused: BTreeSet<&str> = ELSEWHERE.iter().map(|(file, ..)| *file).collect();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let file = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        let found = changes(&text);
        if file == DISK {
            in_disk = found.len();
            continue;
        }
        let (allowed, reason) = ELSEWHERE
            .iter()
            .find(|(known, ..)| *known == file)
            .map_or((0, "all other files change the disk through regatta_records::disk"), |&(_, calls, reason)| (calls, reason));
        unused.remove(file.as_str());
        if found.len() != allowed {
            wrong.push(format!("{file}: expected {allowed} changes to the disk ({reason}), found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "exceptions for files that are gone: {unused:?}");
    assert!(in_disk >= 10, "only {in_disk} changes were found in {DISK}: does the scan see them?");
}

/// Each function of `records/disk` asks the hook before it changes anything: as many calls as changes, or more.
#[test]
fn the_disk_announces_what_it_changes() {
    let text = std::fs::read_to_string(root().join(DISK)).expect("a source file");
    let functions: Vec<&str> = text.split("fn ").skip(1).collect();
    let mut changing = 0;
    for function in functions {
        let (name, body) = function.split_once('(').expect("a function's parameters");
        let found = changes(body);
        // opening a file that exists to append to it changes nothing yet
        if found.is_empty() || name == "existing" {
            continue;
        }
        changing += 1;
        let announced = body.matches("announce(").count();
        let changed = found.iter().filter(|(_, call)| *call != "File::options(").count().max(1);
        assert!(announced >= changed, "`{name}` makes {changed} changes to the disk and announces {announced}");
    }
    assert!(changing >= 8, "only {changing} functions that change the disk were found");
}

#[test]
fn a_change_is_seen_in_code_and_in_code_alone() {
    let text = "use std::fs;\n// fs::write(\nfn a() { fs::write(path, b\"\") }\nstd::fs::File::create(path)\n\
                #[cfg(test)]\nmod tests {\n    fs::write(\n}\n";
    assert_eq!(changes(text), [(3, "fs::write("), (4, "File::create")]);
    assert!(changes("std::fs::read(path)").is_empty());
}
