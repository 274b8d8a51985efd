//! `regatta compare DIR ARM ARM`

use crate::failure::{Failure, say};
use regatta_report::comparison;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
    /// The arm to judge
    arm: String,
    /// The arm to compare it with
    reference: String,
}

/// Prints the paired statistics of two arms, and writes nothing.
pub(crate) fn compare(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { dir, arm, reference } = arguments;
    let results = regatta_analysis::compare(dir, arm, reference).map_err(Failure::refused)?;
    say(comparison(&results).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
