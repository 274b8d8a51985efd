//! `regatta watch DIR`: reads a run's files from another process, and writes nothing.

mod chart;
mod draw;
mod live;
mod palette;
mod screen;
mod table;

#[cfg(test)]
mod tests;

use super::status;
use crate::failure::Failure;
use regatta_study::{Standing, Watched};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
}

/// Shows the study until the user leaves; without a terminal to draw on, prints its state once.
pub(crate) fn watch(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if dumb || !std::io::stdout().is_terminal() {
        return status::print(&arguments.dir, Standing::read(&arguments.dir).map_err(Failure::refused)?);
    }
    let watched = Watched::open(&arguments.dir).map_err(Failure::refused)?;
    live::live(watched)?;
    Ok(ExitCode::SUCCESS)
}
