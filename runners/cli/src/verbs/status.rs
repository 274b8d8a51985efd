//! `regatta status DIR`

use crate::failure::{Failure, say};
use comfy_table::{ContentArrangement, Table, TableStyle};
use regatta_study::Standing;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the state of each trial, and who is running the study. Changes nothing.
pub(crate) fn status(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let standing = Standing::read(&arguments.dir).map_err(Failure::refused)?;
    if arguments.json {
        say(serde_json::to_string(&standing).map_err(Failure::failed)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(standing)
}

/// The table of the trials, how many are in which state, and who is running the study.
pub(crate) fn print(standing: Standing) -> Result<ExitCode, Failure> {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["trial", "seed", "state", "steps", "", ""]);
    for trial in &standing.trials {
        let steps = format!("{}/{}", trial.made, trial.steps);
        let reason = trial.reason.as_deref().unwrap_or_default();
        let runner =
            trial.runner.as_ref().map(|runner| format!("by process {} on {}", runner.pid, runner.host)).unwrap_or_default();
        table.add_row([&trial.name, &trial.seed.to_string(), trial.state.word(), &steps, &runner, reason]);
    }
    say(table.trim_fmt())?;
    say(format_args!("\n{} of {} trials", standing.summary(), standing.trials.len()))?;
    for runner in &standing.runners {
        say(format_args!("run by {}", runner.card))?;
    }
    if standing.runners.is_empty() {
        say("nobody is running it")?;
    }
    Ok(ExitCode::SUCCESS)
}
