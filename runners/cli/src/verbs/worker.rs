//! `regatta worker`: what `run` starts to run its trials. Not for people: requests come on stdin.

use crate::failure::Failure;
use crate::{memory, signals::Signals};
use regatta_study::{Work, work};
use std::io::{BufReader, stdin, stdout};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

pub(crate) fn worker() -> Result<ExitCode, Failure> {
    let signals = Signals::listen()?;
    let todo = Work { stop: Arc::clone(&signals.stop), memory: memory::meter() };
    // not locked: a plugin that prints from a thread of its own would wait for the lock forever
    work(&todo, BufReader::new(stdin()), stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// The command that starts a worker.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("worker");
    command
}
