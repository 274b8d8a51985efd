//! `regatta report DIR`

use crate::failure::{Failure, say};
use regatta_records::{Fence, disk, write_whole_beside_others};
use regatta_report::Results;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Columns of the table without a terminal.
const WIDTH_IN_A_PIPE: u16 = 120;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
}

/// Prints the table and writes the page of a folder.
pub(crate) fn report(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let results = regatta_analysis::results(&arguments.dir).map_err(Failure::refused)?;
    write(&arguments.dir, &results, None)?;
    print(&arguments.dir, &results)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes results.csv, report.html and plots/. A runner does so in its turn, and writes by its fence; a user may
/// do so at any time.
pub(crate) fn write(folder: &Path, results: &Results, fence: Option<&Fence>) -> Result<(), Failure> {
    let put = |name: &Path, text: &str| {
        let (path, text) = (folder.join(name), text.as_bytes());
        fence
            .map_or_else(|| write_whole_beside_others(&path, text), |fence| fence.write_whole(&path, text))
            .map_err(Failure::failed)
    };
    put(Path::new("results.csv"), &regatta_report::csv(results))?;
    put(Path::new("report.html"), &regatta_report::page(results).map_err(Failure::failed)?)?;
    let plots = Path::new("plots");
    disk::create_folder(&folder.join(plots))?;
    for plot in regatta_report::plots(results) {
        put(&plots.join(&plot.name).with_extension("svg"), &plot.svg)?;
        put(&plots.join(&plot.name).with_extension("csv"), &plot.data_csv)?;
    }
    Ok(())
}

/// Prints the table, and where the page is.
pub(crate) fn print(folder: &Path, results: &Results) -> Result<(), Failure> {
    let width = columns(comfy_table::Table::new().width());
    say(regatta_report::terminal_table(results, width))?;
    say(format_args!("\n{}", folder.join("report.html").display()))?;
    Ok(())
}

/// Columns of the table. A terminal that reports 0 columns (a script's, a build server's) does not know its width.
fn columns(terminal: Option<u16>) -> usize {
    usize::from(terminal.filter(|&columns| columns > 0).unwrap_or(WIDTH_IN_A_PIPE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_no_columns_is_no_terminal() {
        assert_eq!([None, Some(0), Some(1), Some(200)].map(columns), [120, 120, 1, 200]);
    }
}
