//! The warning before `--fresh` discards finished trials, and the question on a terminal.

use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Whether this many finished trials in `out` may be discarded. Without a terminal nobody is asked: `--fresh` in a script is
/// deliberate, and the log reports what it discards.
pub(super) fn may(trials: usize, out: &Path, yes: bool, stop: &AtomicBool) -> bool {
    let what = match trials {
        1 => "1 finished trial".to_owned(),
        trials => format!("{trials} finished trials"),
    };
    if yes || !stdin().is_terminal() || !stderr().is_terminal() {
        tracing::warn!("--fresh discards {what} in {}", out.display());
        return true;
    }
    eprint!("--fresh discards {what} in {}, which the same command without it would resume. Discard? [y/N] ", out.display());
    let answer = answer(stop).unwrap_or_else(|| {
        eprintln!();
        String::new()
    });
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// A line from the terminal; `None` where a signal stops the run first, which would not interrupt a blocking read.
fn answer(stop: &AtomicBool) -> Option<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().read_line(&mut line).map(|_| line);
        drop(sender.send(read));
    });
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => return line.ok(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}
