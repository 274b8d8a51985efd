//! `regatta run STUDY.yaml`

use super::report;
use crate::failure::Failure;
use crate::{memory, progress, signals::Signals};
use regatta_study::{Ended, MemoryMeter, Options, StudyFile};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Folder for results [default: runs/<name>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Throw away the trials in the folder and start over
    #[arg(long)]
    fresh: bool,
}

/// Trains what is not done yet, then reports.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&file.study.name));
    let signals = Signals::listen()?;
    let meter = MemoryMeter { restart: memory::restart_peak, peak: memory::peak };
    let options = Options { out: &out, fresh: arguments.fresh, stop: &signals.stop, memory: Some(meter) };
    let mut watcher = progress::watcher();
    let ended = regatta_study::run(&file, &options, &mut *watcher)?;
    drop(watcher);
    report::write(&out, &regatta_study::results(&out).map_err(Failure::failed)?)?;
    Ok(match ended {
        Ended::AllDone => ExitCode::SUCCESS,
        Ended::SomeFailed => ExitCode::from(1),
        Ended::Interrupted => {
            tracing::warn!("stopped on request; the same command goes on with what is missing");
            ExitCode::from(signals.exit_code())
        }
    })
}
