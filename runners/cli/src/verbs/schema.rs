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
        Some(file) => regatta_records::write_whole(file, (schema + "\n").as_bytes()).map_err(Failure::failed)?,
    }
    Ok(ExitCode::SUCCESS)
}
