//! `regatta status DIR`

use super::table::wrapped;
use crate::failure::{Failure, say};
use regatta_records::{Holder, Submission};
use regatta_slurm::Array;
use regatta_study::Standing;
use std::path::{Path, PathBuf};
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
    print(&arguments.dir, standing)
}

/// The table of the trials, how many are in which state, who is running the study, and what was submitted.
pub(crate) fn print(dir: &Path, standing: Standing) -> Result<ExitCode, Failure> {
    let is_run = standing.trials.iter().any(|trial| trial.runner.is_some());
    let mut table = wrapped();
    let by = is_run.then_some("trained by");
    table.set_header(["trial", "seed", "state", "steps"].into_iter().chain(by).chain([""]));
    for trial in &standing.trials {
        let (seed, steps) = (trial.seed.to_string(), format!("{}/{}", trial.made, trial.steps));
        let name = |runner: &Holder| format!("process {} on {}", runner.pid, runner.host);
        let by = is_run.then(|| trial.runner.as_ref().map(name).unwrap_or_default());
        let reason = trial.reason.clone().unwrap_or_default();
        table.add_row([trial.name.clone(), seed, trial.state.word().to_owned(), steps].into_iter().chain(by).chain([reason]));
    }
    say(table.trim_fmt())?;
    say(format_args!("\n{} of {} trials", standing.summary(), standing.trials.len()))?;
    if let Some(device) = &standing.device {
        say(format_args!("trained on {device}"))?;
    }
    for runner in &standing.runners {
        say(format_args!("run by {}", runner.card))?;
    }
    if standing.runners.is_empty() {
        say("nobody is running it")?;
    }
    if standing.trials.iter().any(|trial| !trial.state.has_ended()) {
        submitted(dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The jobs that were submitted and not withdrawn, for whoever asks Slurm about them.
fn submitted(dir: &Path) -> Result<(), Failure> {
    for submission in Submission::all(dir).map_err(Failure::refused)?.iter().filter(|submission| !submission.is_cancelled()) {
        for array in submission.jobs::<Array>().map_err(Failure::refused)? {
            say(format_args!("submitted as Slurm job {} ({} tasks): `squeue -j {}`", array.job, array.tasks, array.job))?;
        }
    }
    Ok(())
}
