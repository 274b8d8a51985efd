//! `regatta run STUDY.yaml`

use super::check::slow_precision;
use super::device::study_for;
use super::probe::this_program;
use super::submitted::Submitted;
use super::{discard, probe, report, worker};
use crate::failure::Failure;
use crate::progress::Tokens;
use crate::{memory, progress, signals::Signals};
use clap::Parser;
use regatta_config::StudyFile;
use regatta_lm::Device;
use regatta_records::{Fence, present};
use regatta_slurm::memory_of_job;
use regatta_study::{Ended, Every, Limits, Options, RunError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
    /// Discard the trials in the folder and start over; on a terminal, ask first if any is finished
    #[arg(long)]
    fresh: bool,
    /// With --fresh: do not ask
    #[arg(long, requires = "fresh")]
    yes: bool,
    /// Keep finished trials that other versions of the program or its plugins, or another device, trained; the results report it
    #[arg(long, conflicts_with = "fresh")]
    allow_mismatch: bool,
    /// What to train on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Trials to run in parallel, each in its own process; threads are divided between them
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// How often a running trial saves a checkpoint: 45s, 10m, or 200steps
    #[arg(long, value_name = "TIME|STEPS", default_value = "60s")]
    checkpoint_every: CheckpointEvery,
    /// End a trial that shows no sign of life for this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// End a trial that holds more memory than this [default: 90% of the machine's, divided by the jobs]
    #[arg(long, value_name = "MIB")]
    memory_limit: Option<u64>,
    /// Retry a failed trial up to this many times
    #[arg(long, value_name = "N", default_value = "0")]
    retry: usize,
    /// Start no further trial after a failure
    #[arg(long)]
    fail_fast: bool,
    /// Train only the trials of these seeds, and leave the rest to other runners of the folder
    #[arg(long, value_name = "SEED", value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    /// End when other runners of the folder train all that is left; while they tune, wait for what they find
    #[arg(long)]
    no_wait: bool,
    /// The submission of which this run is a task
    #[arg(long, value_name = "DIR", hide = true)]
    submission: Option<PathBuf>,
}

/// `45s`, `10m` or `200steps`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CheckpointEvery(pub Every);

impl FromStr for CheckpointEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected a time or a count of steps above 0, such as 45s, 10m or 200steps, found `{text}`");
        let count = |text: &str| text.parse::<u32>().ok().filter(|count| *count > 0).ok_or_else(refused);
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = count(&text[..text.len() - unit.len()])?;
        Ok(Self(match unit {
            "s" => Every::Time(Duration::from_secs(count.into())),
            "m" => Every::Time(Duration::from_secs(60 * u64::from(count))),
            "steps" => Every::Steps(count as usize),
            _ => return Err(refused()),
        }))
    }
}

/// Warns of what in a study may not be meant.
fn warn_of(file: &StudyFile) {
    if let Some(note) = slow_precision(file.variants()) {
        tracing::warn!("precision: {note}");
    }
    for (arm, first) in file.study.twins() {
        tracing::warn!("{arm} is {first} under another name: their trials have the same bytes");
    }
    for note in file.without_effect() {
        tracing::warn!("{note}");
    }
}

fn check_seeds(arguments: &Arguments, file: &StudyFile) -> Result<(), Failure> {
    let Some(seed) = arguments.seeds.iter().flatten().find(|seed| !file.study.seeds.contains(seed)) else { return Ok(()) };
    let known: Vec<String> = file.study.seeds.iter().map(u64::to_string).collect();
    Err(Failure::refused(format!("--seeds: expected seeds of the study ({}), found {seed}", known.join(", "))))
}

/// Memory is by default an equal part of nine tenths of the machine's, or of the job's.
fn limits(arguments: &Arguments) -> Limits {
    let here = memory::of_the_machine().into_iter().chain(memory_of_job()).min();
    let share = here.map(|bytes| bytes / 10 * 9 / u64::from(arguments.jobs));
    Limits {
        jobs: arguments.jobs.into(),
        timeout: Duration::from_secs(arguments.timeout.into()),
        memory: arguments.memory_limit.map(|mib| mib << 20).or(share),
        retry: arguments.retry,
        fail_fast: arguments.fail_fast,
    }
}

/// Writes the report and prints its table, while no other runner works on the results as a whole.
fn write_report(out: &Path, signals: &Signals) -> Result<(), Failure> {
    let write = |fence: &Fence| {
        let results = regatta_analysis::results(out).map_err(Failure::failed)?;
        report::write(out, &results, Some(fence)).map(|()| results)
    };
    match regatta_study::in_turn(out, &signals.stop, write).map_err(Failure::failed)? {
        Some(results) => report::print(out, &results?),
        None => Ok(()),
    }
}

/// Trains what is not done yet, then reports.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let signals = Signals::listen()?;
    let file = study_for(arguments.device, &arguments.study, &arguments.set)?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&file.study.name));
    warn_of(&file);
    check_seeds(arguments, &file)?;
    let program = this_program()?;
    let worker = || worker::command(&program);
    let probe = || probe::command(&program);
    let (fresh, allow_mismatch) = (arguments.fresh, arguments.allow_mismatch);
    let may_discard = |trials| discard::may(trials, &out, arguments.yes, &signals.stop);
    let tokens = Tokens::new(&signals.stop);
    // what failed under another task of the submission fails under this one: it waits for the next `submit`
    let session = arguments.submission.as_deref().map(|folder| folder.display().to_string());
    let options = Options {
        out: &out,
        fresh,
        may_discard: &may_discard,
        allow_mismatch,
        device: arguments.device,
        every: arguments.checkpoint_every.0,
        stop: &signals.stop,
        tokens: &tokens,
        worker: &worker,
        probe: &probe,
        limits: limits(arguments),
        session: session.as_deref(),
        seeds: arguments.seeds.as_deref(),
        no_wait: arguments.no_wait,
    };
    let submitted = arguments.submission.as_deref().map(Submitted::at);
    let stopped = || submitted.as_ref().filter(|_| signals.of_a_scheduler()).map_or(Ok(None), |task| task.stopped(&out));
    match submitted.as_ref().map_or(Ok(()), |task| task.check(&file, &out, arguments.device, &tokens)) {
        Err(failure) if !signals.stop.load(Ordering::Relaxed) => return Err(failure),
        _ => {}
    }
    let mut watcher = progress::watcher();
    let ended = match regatta_study::run(&file, &options, &mut *watcher) {
        Err(RunError::Refused(_)) if signals.stop.load(Ordering::Relaxed) => {
            if let Some(code) = stopped()? {
                return Ok(code);
            }
            tracing::warn!("stopped on request before anything was trained");
            return Ok(ExitCode::from(signals.exit_code()));
        }
        ended => ended?,
    };
    drop(watcher);
    if ended == Ended::LeftToOthers {
        tracing::info!("what is left is trained by other runners, or left to them; the last one writes the report");
        return Ok(ExitCode::SUCCESS);
    }
    if ended == Ended::Interrupted
        && let Some(code) = stopped()?
    {
        return Ok(code); // Slurm ends this process in seconds; whoever goes on writes the report
    }
    if ended != Ended::Interrupted || is_mine_to_report(&out)? {
        write_report(&out, &signals)?;
    }
    Ok(match ended {
        Ended::AllDone | Ended::LeftToOthers => ExitCode::SUCCESS,
        Ended::SomeFailed => ExitCode::from(1),
        Ended::Interrupted => {
            tracing::warn!("stopped on request; the same command resumes from here");
            ExitCode::from(signals.exit_code())
        }
    })
}

/// Whether a runner that was asked to stop reports what is there: not before it opened the folder, nor beside others that go on.
fn is_mine_to_report(out: &Path) -> Result<bool, Failure> {
    Ok(out.join("plan.json").exists() && present(out).map_err(Failure::failed)?.is_empty())
}

/// The flags of `run` by themselves.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    arguments: Arguments,
}

/// Refuses anything that is not a flag of `run`, and the flags that `submit` sets itself.
pub(super) fn check_passed_on(flags: &[String]) -> Result<(), Failure> {
    let words = ["run", "study.yaml"].into_iter().chain(flags.iter().map(String::as_str));
    let Flags { arguments } = Flags::try_parse_from(words).map_err(|error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Failure::refused(format!("after `--`: {first}"))
    })?;
    let Arguments { out, set, fresh, submission, seeds, no_wait, allow_mismatch, device, .. } = arguments;
    let has_device = device != Device::default();
    if has_device
        || out.is_some()
        || !set.is_empty()
        || fresh
        || submission.is_some()
        || seeds.is_some()
        || no_wait
        || allow_mismatch
    {
        let message =
            "after `--`: expected flags of `run` but --out, --set, --device, --fresh, --allow-mismatch, --no-wait and --seeds";
        return Err(Failure::refused(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Program = Flags;

    #[test]
    fn a_task_gets_flags_of_run_alone() {
        let check = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            check_passed_on(&flags).map_err(|failure| format!("{failure:?}"))
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["--jobs", "4", "--retry=1"]), Ok(()));
        assert!(check(&["--job-count", "4"]).unwrap_err().contains("after `--`: unexpected argument '--job-count'"));
        assert!(check(&["--fresh"]).unwrap_err().contains("but --out, --set, --device, --fresh, "));
        assert!(check(&["--no-wait"]).is_err(), "every task has it");
        assert!(check(&["--device", "cuda"]).is_err(), "`submit` has a --device of its own");
    }

    #[test]
    fn times_and_steps_are_read() {
        for (text, seconds) in [("45s", 45), ("600s", 600), ("10m", 600)] {
            assert_eq!(text.parse(), Ok(CheckpointEvery(Every::Time(Duration::from_secs(seconds)))));
        }
        assert_eq!("200steps".parse(), Ok(CheckpointEvery(Every::Steps(200))));
        for text in ["", "0s", "s", "3", "-1s", "3 s", "2h", "99999999999steps"] {
            assert!(text.parse::<CheckpointEvery>().unwrap_err().contains(&format!("found `{text}`")));
        }
    }

    #[test]
    fn yes_answers_a_question_that_only_fresh_asks() {
        assert!(Program::try_parse_from(["run", "study.yaml", "--fresh", "--yes"]).unwrap().arguments.yes);
        let refused = Program::try_parse_from(["run", "study.yaml", "--yes"]).unwrap_err().to_string();
        assert!(refused.contains("--fresh"), "{refused}");
    }
}
