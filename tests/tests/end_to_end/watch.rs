//! `regatta watch`, with a terminal and without.

use crate::{Study, tiny};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

fn finished() -> Study {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    study
}

#[test]
fn without_a_terminal_it_says_once_how_the_study_stands() {
    let study = finished();
    let before = files(study.path());
    let watched = study.regatta(&["watch", "out"]);
    assert_eq!(watched.status.code(), Some(0), "{}", String::from_utf8_lossy(&watched.stderr));
    assert_eq!(watched.stdout, study.regatta(&["status", "out"]).stdout);
    assert!(String::from_utf8_lossy(&watched.stdout).contains("4 done of 4 trials"));
    assert_eq!(files(study.path()), before, "it wrote something");
    let nowhere = study.regatta(&["watch", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("expected the folder of a study"));
}

/// Every file below a folder, and when it was changed.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), path.metadata().unwrap().modified().unwrap()));
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found.sort();
    found
}

/// The program on a terminal of 80 by 24, by `script` of util-linux.
struct OnTerminal {
    script: Child,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl OnTerminal {
    /// `None` where there is no `script`.
    fn start(study: &Study, term: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_regatta-under-test");
        let command = format!("stty cols 80 rows 24; echo $$ > pid; exec '{program}' watch out");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(study.path()).env("TERM", term);
        let mut script = script.env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut stdout = script.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Self { script, output, seen: String::new() })
    }

    /// Waits until the screen was sent this.
    fn await_text(&mut self, text: &str) {
        let patience = Instant::now();
        while !self.seen.contains(text) {
            if patience.elapsed() > Duration::from_secs(60) {
                let _ = self.script.kill(); // its terminal hangs up, and the program ends
                panic!("no `{text}` after a minute: {}", self.seen);
            }
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
                self.seen += &String::from_utf8_lossy(&bytes);
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.script.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; all that was sent to the screen.
    fn end(mut self) -> (Option<i32>, String) {
        let patience = Instant::now();
        let status = loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                break status;
            }
            if patience.elapsed() > Duration::from_secs(60) {
                self.script.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.output.iter().for_each(|bytes| self.seen += &String::from_utf8_lossy(&bytes));
        (status.code(), self.seen)
    }
}

#[test]
fn on_a_terminal_it_stays_until_it_is_told_to_leave_and_gives_the_terminal_back() {
    let study = finished();
    for key in ["q", "\x03", "\x1b"] {
        let Some(mut terminal) = OnTerminal::start(&study, "xterm") else {
            return eprintln!("not tested: there is no `script`");
        };
        terminal.await_text("dispersion");
        terminal.press("\t?");
        terminal.await_text("leave;"); // a blank that is there already is not sent again
        terminal.press("?");
        std::thread::sleep(Duration::from_millis(1200));
        assert!(terminal.script.try_wait().unwrap().is_none(), "it left by itself: {}", terminal.seen);
        terminal.press(key);
        let (status, seen) = terminal.end();
        assert_eq!(status, Some(0), "{key:?}: {seen}");
        assert!(seen.contains("done") && seen.contains(ENTERED), "{key:?}: {seen}");
        assert!(seen.rfind(LEFT) > seen.rfind(ENTERED), "{key:?}: {seen}");
    }
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let study = finished();
    for signal in ["-TERM", "-HUP", "-INT"] {
        let Some(mut terminal) = OnTerminal::start(&study, "xterm") else {
            return eprintln!("not tested: there is no `script`");
        };
        terminal.await_text("dispersion");
        let pid = std::fs::read_to_string(study.path().join("pid")).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
        let (status, seen) = terminal.end();
        assert_eq!(status, Some(0), "{signal}: {seen}");
        assert!(seen.contains(LEFT), "{signal}: {seen}");
    }
}

#[test]
fn on_a_terminal_that_cannot_be_drawn_on_it_says_once_how_the_study_stands() {
    let study = finished();
    for term in ["dumb", ""] {
        let Some(terminal) = OnTerminal::start(&study, term) else {
            return eprintln!("not tested: there is no `script`");
        };
        let (status, seen) = terminal.end();
        assert_eq!(status, Some(0), "{seen}");
        assert!(seen.contains("4 done of 4 trials") && !seen.contains(ENTERED), "{seen}");
    }
}
