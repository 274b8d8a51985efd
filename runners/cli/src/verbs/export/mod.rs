//! `regatta export DIR --tensorboard`

mod curves;
mod settings;

use crate::failure::{Failure, say};
use curves::Curves;
use regatta_records::{ExportFolder, RecordError};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A study's folder of results, such as runs/quickstart
    dir: PathBuf,
    /// Write TensorBoard event files: one run per trial, with its curves, final measures and settings
    #[arg(long, required = true)]
    tensorboard: bool,
    /// Folder to write [default: DIR/tensorboard]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Writes an event file per trial that has made steps. What is exported again and has not changed is left alone.
pub(crate) fn export(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let curves = Curves::read(&arguments.dir).map_err(Failure::refused)?;
    let trials = curves.trials().map_err(Failure::refused)?;
    if trials.iter().all(|trial| trial.steps == 0) {
        let message = "expected at least one trial that has made steps, found none: `regatta run` trains them";
        return Err(Failure::refused(RecordError::new(&arguments.dir, message)));
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.dir.join("tensorboard"));
    let mut folder = ExportFolder::open(&out, curves.study()).map_err(Failure::refused)?;
    // printed at the end: whoever closes the pipe early must not leave trials behind
    let (mut lines, mut exported, mut left_out) = (Vec::new(), 0, 0);
    for trial in trials {
        let name = trial.place.display();
        match trial.run().map_err(Failure::failed)? {
            Ok(run) => {
                let is_new = folder.put(&trial.place, &run.file_name(), &run.events()).map_err(Failure::failed)?;
                let change = if is_new { "" } else { ", unchanged" };
                lines.push(format!("{name}: {} steps{change}", trial.steps));
                exported += 1;
            }
            Err(reason) => {
                lines.push(format!("{name}: left out, {reason}"));
                left_out += 1;
            }
        }
    }
    folder.retire_others(regatta_export::is_event_file).map_err(Failure::failed)?;
    let lines = lines.join("\n");
    say(format_args!("{lines}\n\n{exported} runs exported, {left_out} left out\ntensorboard --logdir {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}
