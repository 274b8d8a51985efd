//! `regatta submit STUDY.yaml --out DIR`: the study as an array of runners on a Slurm cluster.

mod share;

use super::device::study_for;
use super::probe::{self, this_program};
use super::run;
use crate::failure::{Failure, say};
use crate::progress::Tokens;
use crate::signals::Signals;
use clap::ValueHint;
use regatta_config::StudyFile;
use regatta_lm::Device;
use regatta_records::{FrozenTrial, RecordError, Submission, check_out};
use regatta_slurm::{Array, Batch, InQueue, Settings, Slurm, Stage, site_defaults};
use regatta_study::{Outlook, prepare_with, tokens_of, tokens_there};
use share::{Share, shares};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Folder for results, on a disk that this machine and the nodes share
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// What to ask Slurm for, a YAML file; what it does not name is as in regatta/slurm.yaml in $XDG_CONFIG_HOME or ~/.config
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    slurm: Option<PathBuf>,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// What each task trains on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Print the batch script; write and submit nothing
    #[arg(long)]
    print: bool,
    /// Flags that each task gives to `run`, as in `-- --jobs 4 --retry 1`
    #[arg(last = true, value_name = "FLAGS OF RUN")]
    run: Vec<String>,
}

/// Judges the study as `run` would, freezes it, and submits tasks for the trials that are missing.
pub(crate) fn submit(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = [site_defaults(), arguments.slurm.clone()];
    let files: Vec<&Path> = files.iter().flatten().map(PathBuf::as_path).collect();
    let settings = Settings::read(&files)?;
    run::check_passed_on(&arguments.run)?;
    check_device(arguments.device)?;
    let slurm = Slurm::default();
    if !arguments.print {
        slurm.look().map_err(Failure::refused)?;
    }
    let file = study_for(arguments.device, &arguments.study, &arguments.set)?;
    let out = std::path::absolute(&arguments.out)?;
    let outlook = judged(&file, &out, arguments.device, arguments.print)?;
    let (shown, trials) = (arguments.out.display(), outlook.settled + outlook.missing());
    tracing::info!("{shown}: {trials} trials, {} of them settled, {} missing", outlook.settled, outlook.missing());
    if outlook.missing() == 0 {
        say(format_args!("nothing to submit: all {trials} trials are settled"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let yaml = file.study.to_yaml();
    let queued = if arguments.print { Vec::new() } else { queued(&slurm, &out, &yaml)? };
    let shares = shares(&settings, &file, &outlook);
    let open: Vec<(&Share, usize)> =
        shares.iter().map(|share| (share, share.tasks(&settings, &queued))).filter(|(_, tasks)| *tasks > 0).collect();
    if open.is_empty() {
        let tasks: usize = queued.iter().map(|(_, task)| task.tasks).sum();
        let tasks = format!("{tasks} {}", plural("task", tasks));
        say(format_args!("nothing to submit: the queue has {tasks} of earlier submissions for what is missing"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = program_name();
    if arguments.print {
        let next = Submission::next(&out).map_err(Failure::refused)?;
        for (share, tasks) in open {
            let script = script(&next, &program, (&file, &settings, share), (&out, arguments), tasks)?;
            say(script.trim_end())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let submission = frozen(&out, &yaml, &program, &outlook)?;
    let mut jobs: Vec<Array> = Vec::new();
    for (share, tasks) in open {
        let write = |tasks| {
            let text = script(&submission, &program, (&file, &settings, share), (&out, arguments), tasks)?;
            submission.set_script(&share.script(), &text).map_err(Failure::failed)
        };
        let array = match slurm.submit(tasks, write) {
            Ok(array) => Array { constraint: share.constraint.clone(), seeds: share.seeds.clone(), ..array },
            Err(failure) => {
                let script = submission.path().join(share.script());
                if slurm.has(&script) != Some(false) {
                    let kept = submission.path().display();
                    tracing::warn!("the job may be in the queue all the same: {kept} is kept, and `squeue` shows it");
                } else if jobs.is_empty() {
                    submission.remove().map_err(Failure::failed)?;
                }
                return Err(failure);
            }
        };
        let pinned = share.constraint.iter().map(|constraint| format!(", {constraint}, seeds {}", listed(&share.seeds)));
        let said = format!("job {}: {} {}{}", array.job, array.tasks, plural("task", array.tasks), pinned.collect::<String>());
        jobs.push(array);
        submission.set_jobs(&jobs).map_err(Failure::failed)?;
        say(said)?;
    }
    tracing::info!("study, program, script and logs: {}", submission.path().display());
    tracing::info!("`regatta status {shown}` shows how far they are, and `regatta cancel {shown}` withdraws them");
    if outlook.after_tuning > 0 {
        tracing::info!(
            "these tasks are for tuning, and go on to judge; `submit` again when tuning has ended adds tasks for the rest"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a device that this program, which each task runs a copy of, cannot open on any node. Whether it is there is for each task
/// to see: the machine that submits need have none.
fn check_device(device: Device) -> Result<(), Failure> {
    device.check_built_in()?;
    match device {
        Device::Cuda(index) if index > 0 => Err(Failure::refused(format!(
            "--device: expected cuda, found {device}: Slurm shows each task its own GPUs, counted from 0"
        ))),
        _ => Ok(()),
    }
}

/// What a run would do, and refuse, with data, study and folder as they are. Only where something is submitted are tokens of text
/// kept.
fn judged(file: &StudyFile, out: &Path, device: Device, print: bool) -> Result<Outlook, Failure> {
    check_out(out).map_err(Failure::refused)?;
    let signals = Signals::listen()?;
    let cache = if print { tokens_there(out) } else { tokens_of(out) };
    let prepared = prepare_with(file, Some(&cache), &Tokens::new(&signals.stop))?;
    let program = this_program()?;
    let outlook = Outlook::of(file, &prepared, out, device, &|| probe::command(&program)).map_err(Failure::refused)?;
    match &outlook.others {
        Some(others) => Err(Failure::refused(format!("{}: {others}: `run` would refuse it; name another --out", out.display()))),
        None => Ok(outlook),
    }
}

/// The tasks in the queue that earlier submissions of the same study put there, with their arrays. Those that would wait forever are
/// reported and not counted.
fn queued(slurm: &Slurm, out: &Path, yaml: &str) -> Result<Vec<(Array, InQueue)>, Failure> {
    let (mut arrays, mut others) = (Vec::new(), Vec::new());
    for submission in Submission::all(out).map_err(Failure::refused)? {
        let same = std::fs::read_to_string(submission.study()).is_ok_and(|text| text == yaml);
        let jobs: Vec<Array> = submission.jobs().map_err(Failure::refused)?;
        if same { arrays.extend(jobs) } else { others.extend(jobs) }
    }
    let counts = |task: &InQueue| matches!(task.stage, Stage::Waiting | Stage::Running);
    let tasks = slurm.queue(&others)?.iter().filter(|task| counts(task)).map(|task| task.tasks).sum::<usize>();
    if tasks > 0 {
        let (folder, tasks) = (out.display(), format!("{tasks} {}", plural("task", tasks)));
        return Err(Failure::refused(format!(
            "{folder}: the queue has {tasks} of an earlier study for this folder, and runners of two studies refuse each other: \
             wait for them, or say `regatta cancel {folder}` first"
        )));
    }
    let in_queue = slurm.queue(&arrays)?;
    for stuck in in_queue.iter().filter(|task| task.stage == Stage::Stuck) {
        tracing::warn!(
            "job {}: {} {} in the queue cannot start ({})",
            stuck.job,
            stuck.tasks,
            plural("task", stuck.tasks),
            stuck.reason
        );
    }
    let of = |task: InQueue| Some((arrays.iter().find(|array| array.job == task.job)?.clone(), task));
    Ok(in_queue.into_iter().filter(counts).filter_map(of).collect())
}

/// Keeps the study, this program and what the trials depend on, and starts the copy once: a disk may refuse to run programs.
fn frozen(out: &Path, yaml: &str, program: &str, outlook: &Outlook) -> Result<Submission, Failure> {
    let submission = Submission::create(out).map_err(Failure::refused)?;
    let trials = outlook.trials.iter().map(|trial| FrozenTrial {
        name: trial.name.clone(),
        seed: trial.seed,
        identity: trial.identity.clone(),
        inputs: trial.inputs.clone(),
    });
    let copy = submission.path().join(program);
    let frozen = submission.freeze(yaml, (&this_program()?, program), trials.collect()).and_then(|()| {
        let started = Command::new(&copy).arg("--version").output();
        let failed = match started {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => output.status.to_string(),
            Err(error) => error.to_string(),
        };
        Err(RecordError::new(
            &copy,
            format!("the program cannot be started from there ({failed}): name an --out on a disk that runs programs"),
        ))
    });
    if let Err(error) = frozen {
        submission.remove().map_err(Failure::failed)?;
        return Err(Failure::refused(error));
    }
    Ok(submission)
}

/// The batch script of a share.
fn script(
    submission: &Submission,
    program: &str,
    (file, settings, share): (&StudyFile, &Settings, &Share),
    (out, arguments): (&Path, &Arguments),
    tasks: usize,
) -> Result<String, Failure> {
    let word = |path: &Path| {
        let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
        text.map(str::to_owned)
            .ok_or_else(|| Failure::refused(format!("{}: expected a path in UTF-8 and in one line", path.display())))
    };
    let folder = submission.path();
    let mut command = vec![word(&folder.join(program))?, "run".into(), word(&submission.study())?, "--out".into(), word(out)?];
    command.extend(["--no-wait".into(), "--submission".into(), word(folder)?]);
    if share.constraint.is_some() {
        command.extend(["--seeds".into(), listed(&share.seeds)]);
    }
    if arguments.device != Device::default() {
        command.extend(["--device".into(), arguments.device.to_string()]);
    }
    command.extend(arguments.run.iter().cloned());
    let needs_gpu = matches!(arguments.device, Device::Cuda(_));
    let (constraint, logs) = (share.constraint.as_deref(), submission.logs());
    let batch = Batch { name: &file.study.name, settings, constraint, needs_gpu, logs: &logs, command: &command };
    batch.script(tasks).map_err(Failure::refused)
}

/// The name that this program was started by, under which its copy is kept.
fn program_name() -> String {
    let started_as = std::env::args_os().next().map(PathBuf::from);
    started_as.as_deref().and_then(|path| path.file_name()?.to_str()).unwrap_or("regatta").to_owned()
}

fn listed(seeds: &[u64]) -> String {
    seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
