//! What `--fresh` says before it throws finished trials away, and asks on a terminal.

use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Whether so many finished trials in `out` may be thrown away. Where nobody can be asked, `--fresh` itself is the answer, and what
/// is thrown away is said: a script that names it means it.
pub(super) fn may(trials: usize, out: &Path, yes: bool, stop: &AtomicBool) -> bool {
    let what = match trials {
        1 => "1 finished trial".to_owned(),
        trials => format!("{trials} finished trials"),
    };
    if yes || !stdin().is_terminal() || !stderr().is_terminal() {
        tracing::warn!("--fresh discards {what} in {}", out.display());
        return true;
    }
    eprint!("--fresh discards {what} in {}, which the same command without it would go on from. Discard? [y/N] ", out.display());
    let answer = answer(stop).unwrap_or_else(|| {
        eprintln!();
        String::new()
    });
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// A line from the terminal; none where the run was asked to stop instead, of which waiting for a line hears nothing.
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
