//! `regatta schema`

use crate::failure::{Failure, say};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write it to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints the JSON Schema of studies, with the plugins linked into this program.
pub(crate) fn schema(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let schema = serde_json::to_string_pretty(&regatta_config::schema()).map_err(Failure::failed)?;
    match &arguments.out {
        None => say(schema)?,
        Some(file) => std::fs::write(file, schema + "\n")
            .map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", file.display())))?,
    }
    Ok(ExitCode::SUCCESS)
}
