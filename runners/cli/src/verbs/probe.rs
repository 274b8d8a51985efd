//! `regatta probe`: what `run` starts to learn what the study's plugins compute. Not for people.

use crate::failure::Failure;
use crate::signals::Signals;
use std::io::{BufReader, stdin, stdout};
use std::process::ExitCode;

pub(crate) fn probe() -> Result<ExitCode, Failure> {
    let _deaf = Signals::listen()?; // an interrupt is meant for the run, which ends this when it has its answers
    regatta_study::probe(BufReader::new(stdin()), stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
