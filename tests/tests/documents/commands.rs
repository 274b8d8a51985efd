//! Commands in documents run, on studies made small.

use crate::sandbox::Sandbox;
use crate::{Block, documents, expect_none};
use rayon::prelude::*;
use std::time::Duration;

/// `regatta` and `cargo run` are the program under test. Its studies have few steps, unless the document says how many.
const PRELUDE: &str = r#"
set -eu
regatta() {
    verb=$1
    shift
    if [ "$verb" = run ] || [ "$verb" = check ]; then
        set -- --set seeds=1 --set train.steps=4 --set train.batch_size=2 --set evaluate.max_windows=4 "$@"
    fi
    "$REGATTA_UNDER_TEST" "$verb" "$@"
}
cargo() {
    if [ "$1" != run ]; then echo "cargo $1 takes long: mark the block \`no_run\`" >&2; return 1; fi
    while [ "$1" != -- ]; do shift; done
    shift
    regatta "$@"
}
"#;

/// Runs `body` in the folder of `sandbox`; the output of a failure.
fn run(sandbox: &Sandbox, body: &str) -> Result<(), String> {
    let output = assert_cmd::Command::new("sh")
        .current_dir(sandbox.path())
        .env("REGATTA_UNDER_TEST", env!("CARGO_BIN_EXE_regatta-under-test"))
        .env("RAYON_NUM_THREADS", "1")
        .args(["-c", &format!("{PRELUDE}{body}")])
        .timeout(Duration::from_secs(120))
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Blocks of commands that are run: of one document in order, in one folder, so that one may use what another made.
#[test]
fn every_command_in_a_document_runs() {
    let documents = documents();
    let is_run = |block: &&Block| block.language() == "sh" && !block.is("no_run");
    let count = documents.iter().flat_map(|document| &document.blocks).filter(is_run).count();
    assert!(count > 5, "{count} blocks of commands found: are they no longer marked?");
    let failures = documents.par_iter().flat_map_iter(|document| {
        let mut blocks = document.blocks.iter().filter(is_run).peekable();
        let sandbox = blocks.peek().map(|_| Sandbox::with_checkpoint());
        blocks.filter_map(move |block| {
            let failed = run(sandbox.as_ref().expect("a block was there"), &block.body).err();
            failed.map(|message| format!("{}:\n{}{message}", block.place, block.body))
        })
    });
    expect_none(failures.collect());
}

#[test]
fn a_failing_command_is_seen() {
    let sandbox = Sandbox::new();
    assert!(
        run(&sandbox, "cargo run --release -- check base.yaml --set train.stesp=2\n")
            .unwrap_err()
            .contains("did you mean `steps`")
    );
    assert!(run(&sandbox, "cargo test\n").unwrap_err().contains("no_run"));
    assert_eq!(run(&sandbox, "cargo run --release -- check base.yaml # a remark\n"), Ok(()));
}
