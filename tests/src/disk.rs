//! A disk that fails when the environment says so: `REGATTA_DISK=worker:kill:17` ends the worker process at its 17th change,
//! `run:fail:3` makes the third change of the run itself fail, `worker:full:9` all from the ninth on.

use regatta_records::before_each_change;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Copy, PartialEq)]
enum How {
    Kill,
    Fail,
    Full,
}

static FAULT: OnceLock<(How, usize)> = OnceLock::new();
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// Reads the environment.
pub fn fail_as_told() {
    let Ok(told) = std::env::var("REGATTA_DISK") else { return };
    let parts: Vec<&str> = told.split(':').collect();
    let [whose, how, count] = parts[..] else { panic!("expected PROCESS:HOW:COUNT, found {told}") };
    let mine = if std::env::args().nth(1).as_deref() == Some("worker") { "worker" } else { "run" };
    if whose != mine {
        return;
    }
    let how = match how {
        "kill" => How::Kill,
        "fail" => How::Fail,
        "full" => How::Full,
        _ => panic!("expected kill, fail or full, found {how}"),
    };
    let _ = FAULT.set((how, count.parse().expect("a count")));
    before_each_change(change);
}

fn change(what: &'static str, path: &Path) -> io::Result<()> {
    let number = CHANGES.fetch_add(1, Ordering::Relaxed) + 1;
    let Some(&(how, count)) = FAULT.get() else { return Ok(()) };
    match how {
        How::Kill if number == count => {
            let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            unreachable!("killed before {what} of {}", path.display())
        }
        How::Fail if number == count => Err(io::Error::other("the disk failed on purpose")),
        How::Full if number >= count => Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full on purpose")),
        _ => Ok(()),
    }
}
