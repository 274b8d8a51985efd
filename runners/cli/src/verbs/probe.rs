//! `regatta probe`: what `run` starts to measure what the study's plugins compute. Not for people.

use crate::failure::Failure;
use crate::signals::Signals;
use std::io::{BufReader, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub(crate) fn probe() -> Result<ExitCode, Failure> {
    let _deaf = Signals::listen()?; // an interrupt is meant for the run, which ends this when it has its answers
    regatta_study::probe(BufReader::new(stdin()), stdout())?;
    Ok(ExitCode::SUCCESS)
}

/// The command that starts the probe.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("probe");
    command
}

/// This program itself, for workers that start later: after a rebuild, the file of this name is another program, whose plugins may
/// compute something else.
pub(crate) fn this_program() -> std::io::Result<PathBuf> {
    let itself = PathBuf::from("/proc/self/exe"); // of the process that asks, which a worker still is when it is begun
    if itself.exists() { Ok(itself) } else { std::env::current_exe() }
}
