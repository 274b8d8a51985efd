//! `regatta worker`: what `run` starts to run its trials. Not for people.

use super::run::CheckpointEvery;
use crate::failure::Failure;
use crate::{memory, signals::Signals};
use regatta_config::StudyFile;
use regatta_study::{Work, work};
use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Folder for results
    #[arg(long)]
    out: PathBuf,
    /// The attempt at that folder
    #[arg(long)]
    attempt: u64,
    #[arg(long = "set")]
    set: Vec<String>,
    #[arg(long)]
    checkpoint_every: CheckpointEvery,
}

pub(crate) fn worker(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let signals = Signals::listen()?;
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let todo = Work {
        out: &arguments.out,
        attempt: arguments.attempt,
        every: arguments.checkpoint_every.0,
        stop: Arc::clone(&signals.stop),
        memory: memory::meter(),
    };
    work(&file, &todo, BufReader::new(stdin()), stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
