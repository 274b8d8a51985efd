//! `regatta results DIR`

use crate::failure::{Failure, say};
use regatta_report::arms_table;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
    /// Format of the table; a program built with `--features parquet` has `parquet` too
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A Markdown table, with the answer below
    Md,
    /// One row per arm with every figure in full
    Csv,
    /// A LaTeX tabular that needs no package
    Latex,
    /// Everything but the curves; "NaN", "inf" and "-inf" are strings, and null was not measured
    Json,
    /// The columns of csv as a Parquet file, for a pipe or a file
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Prints the arms of a folder, and writes nothing.
pub(crate) fn results(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let results = regatta_analysis::results(&arguments.dir).map_err(Failure::refused)?;
    let format = match arguments.format {
        Format::Md => regatta_report::Format::Markdown,
        Format::Csv => regatta_report::Format::Csv,
        Format::Latex => regatta_report::Format::Latex,
        Format::Json => regatta_report::Format::Json,
        #[cfg(feature = "parquet")]
        Format::Parquet => return parquet(&results),
    };
    say(arms_table(&results, format).map_err(Failure::failed)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "parquet")]
fn parquet(results: &regatta_report::Results) -> Result<ExitCode, Failure> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        return Err(Failure::refused(
            "--format parquet: expected a file or a pipe to write to, as in > arms.parquet, found a terminal",
        ));
    }
    crate::failure::say_bytes(&regatta_report::arms_parquet(results).map_err(Failure::failed)?)?;
    Ok(ExitCode::SUCCESS)
}
