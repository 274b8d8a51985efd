//! `--fresh` throws finished trials away: it says how many, and asks where somebody can answer.

use crate::{Study, tiny};
use std::io::Write;
use std::process::{Command, Stdio};

fn finished() -> Study {
    let study = Study::new(&tiny(""));
    study.run("out", &[], 0);
    study
}

fn ended(study: &Study) -> std::time::SystemTime {
    std::fs::metadata(study.trial("out", "baseline", 0).join("status.json")).unwrap().modified().unwrap()
}

#[test]
fn where_nobody_can_be_asked_it_says_what_it_discards() {
    let study = finished();
    for more in [&["--fresh"][..], &["--fresh", "--yes"]] {
        let before = ended(&study);
        let said = String::from_utf8_lossy(&study.run("out", more, 0).stderr).into_owned();
        assert!(said.contains("--fresh discards 2 finished trials in out"), "{said}");
        assert!(ended(&study) > before);
    }
    let said = String::from_utf8_lossy(&study.run("empty", &["--fresh"], 0).stderr).into_owned();
    assert!(!said.contains("discards"), "{said}");
}

#[test]
fn what_no_run_made_is_not_discarded() {
    let study = finished();
    let (mine, before) = (study.path().join("out/trials/mine/notes.txt"), ended(&study));
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "keep").unwrap();
    let said = String::from_utf8_lossy(&study.run("out", &["--fresh", "--yes"], 2).stderr).into_owned();
    assert!(said.contains("out/trials/mine/notes.txt: expected trials alone, found a file that no run made"), "{said}");
    assert!(std::fs::read_to_string(&mine).unwrap() == "keep" && ended(&study) == before, "nothing is discarded");
    std::fs::remove_file(&mine).unwrap();
    study.run("out", &["--fresh", "--yes"], 0);
    assert!(ended(&study) > before && !mine.parent().unwrap().exists());
}

/// Runs with `--fresh` on a terminal, by `script` of util-linux, and types an answer; what was on the screen, and the exit status.
fn asked(study: &Study, more: &str, answer: &str) -> Option<(String, Option<i32>)> {
    let command = format!("'{}' run study.yaml --out out --fresh {more}", env!("CARGO_BIN_EXE_regatta-under-test"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(study.path()).env("SHELL", "/bin/sh");
    let mut child = script.env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

#[test]
fn on_a_terminal_it_asks_and_only_yes_discards() {
    let study = finished();
    for (more, answer, discarded) in [("", "n\n", false), ("", "\n", false), ("", "y\n", true), ("--yes", "", true)] {
        let before = ended(&study);
        let Some((said, code)) = asked(&study, more, answer) else {
            return eprintln!("not tested: there is no `script`");
        };
        assert!(said.contains("--fresh discards 2 finished trials in out"), "{said}");
        assert_eq!(said.contains("[y/N]"), more.is_empty(), "{said}");
        assert_eq!((ended(&study) > before, code), (discarded, Some(if discarded { 0 } else { 2 })), "{answer:?}: {said}");
        assert_eq!(said.contains("without --fresh the same command resumes them"), !discarded, "{said}");
    }
}
