//! `regatta submit STUDY.yaml --out DIR`: the study as an array of runners on a Slurm cluster.

use super::probe::{self, this_program};
use super::run;
use crate::failure::{Failure, say};
use crate::progress::Tokens;
use crate::signals::Signals;
use clap::ValueHint;
use regatta_config::StudyFile;
use regatta_records::{FrozenTrial, RecordError, Submission, check_out};
use regatta_slurm::{Array, Batch, InQueue, Settings, Slurm, Stage, site_defaults};
use regatta_study::{Outlook, prepare_with, tokens_of, tokens_there};
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
    let slurm = Slurm::default();
    if !arguments.print {
        slurm.look().map_err(Failure::refused)?;
    }
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let out = std::path::absolute(&arguments.out)?;
    let outlook = judged(&file, &out, arguments.print)?;
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
        say(format_args!("nothing to submit: the queue has {tasks} tasks of earlier submissions for what is missing"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let program = program_name();
    if arguments.print {
        let next = Submission::next(&out).map_err(Failure::refused)?;
        for (share, tasks) in open {
            let script = script(&next, &program, (&file, &settings, share), (&out, &arguments.run), tasks)?;
            say(script.trim_end())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let submission = frozen(&out, &yaml, &program, &outlook)?;
    let mut jobs: Vec<Array> = Vec::new();
    for (share, tasks) in open {
        let write = |tasks| {
            let text = script(&submission, &program, (&file, &settings, share), (&out, &arguments.run), tasks)?;
            submission.set_script(&share.script(), &text).map_err(Failure::failed)
        };
        let array = match slurm.submit(tasks, write) {
            Ok(array) => Array { constraint: share.constraint.clone(), seeds: share.seeds.clone(), ..array },
            Err(failure) => {
                if jobs.is_empty() {
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
    Ok(ExitCode::SUCCESS)
}

/// What a run would do, and refuse, with data, study and folder as they are. Only where something is submitted are tokens of text
/// kept.
fn judged(file: &StudyFile, out: &Path, print: bool) -> Result<Outlook, Failure> {
    check_out(out).map_err(Failure::refused)?;
    let signals = Signals::listen()?;
    let cache = if print { tokens_there(out) } else { tokens_of(out) };
    let prepared = prepare_with(file, Some(&cache), &Tokens::new(&signals.stop))?;
    let program = this_program()?;
    let outlook = Outlook::of(file, &prepared, out, &|| probe::command(&program)).map_err(Failure::refused)?;
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
        tracing::warn!(
            "the queue has {tasks} {} of an earlier study for this folder, which are not counted; `cancel` withdraws them",
            plural("task", tasks)
        );
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

/// What one array trains.
#[derive(Debug, PartialEq, Eq)]
struct Share {
    /// Among the constraints, from 0.
    index: usize,
    /// The kind of node that it is pinned to.
    constraint: Option<String>,
    /// Its seeds; all where there are none.
    seeds: Vec<u64>,
    /// Its trials that are missing.
    missing: usize,
}

impl Share {
    /// Tasks to submit: for its trials, less those that are in the queue already.
    fn tasks(&self, settings: &Settings, queued: &[(Array, InQueue)]) -> usize {
        let mine = |array: &Array| self.constraint.is_none() || array.constraint.is_none() || array.constraint == self.constraint;
        let there: usize = queued.iter().filter(|(array, _)| mine(array)).map(|(_, task)| task.tasks).sum();
        self.missing.div_ceil(settings.trials_per_task).saturating_sub(there)
    }

    /// The name of its batch script.
    fn script(&self) -> String {
        if self.index == 0 { "job.sh".into() } else { format!("job-{}.sh", self.index + 1) }
    }
}

/// The missing trials as a whole, or by the kinds of node to which seeds are pinned. The division follows from the study's list of
/// seeds alone, so that a later submission divides them alike.
fn shares(settings: &Settings, file: &StudyFile, outlook: &Outlook) -> Vec<Share> {
    if !settings.pinned {
        return vec![Share { index: 0, constraint: None, seeds: Vec::new(), missing: outlook.missing() }];
    }
    let (judged, kinds) = (&file.study.seeds, settings.constraint.len());
    let missing = |is: &dyn Fn(u64) -> bool| outlook.trials.iter().filter(|trial| !trial.settled && is(trial.seed)).count();
    let of_tuning_alone = missing(&|seed| !judged.contains(&seed)); // which every runner trains
    let after_tuning = outlook.after_tuning / judged.len().max(1);
    let share = |(index, constraint): (usize, &String)| {
        let seeds: Vec<u64> = judged.iter().copied().skip(index).step_by(kinds).collect();
        let missing = missing(&|seed| seeds.contains(&seed)) + of_tuning_alone.div_ceil(kinds) + after_tuning * seeds.len();
        Share { index, constraint: Some(constraint.clone()), seeds, missing }
    };
    settings.constraint.iter().enumerate().map(share).filter(|share| !share.seeds.is_empty()).collect()
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
    (out, flags): (&Path, &[String]),
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
    command.extend(flags.iter().cloned());
    let (constraint, logs) = (share.constraint.as_deref(), submission.logs());
    let batch = Batch { name: &file.study.name, settings, constraint, logs: &logs, command: &command };
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

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_study::Foreseen;

    fn study(seeds: &str) -> StudyFile {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.yaml");
        std::fs::write(&file, format!("seeds: {seeds}\narms: {{baseline: []}}\n")).unwrap();
        StudyFile::read(&file, &[]).unwrap()
    }

    fn foreseen(seed: u64, settled: bool) -> Foreseen {
        Foreseen { name: "a".into(), seed, identity: String::new(), inputs: serde_json::Value::Null, settled }
    }

    fn array(job: &str, constraint: Option<&str>) -> Array {
        let constraint = constraint.map(str::to_owned);
        Array { job: job.into(), cluster: None, tasks: 9, constraint, seeds: Vec::new() }
    }

    fn in_queue(job: &str, tasks: usize) -> InQueue {
        InQueue { job: job.into(), tasks, stage: Stage::Waiting, reason: String::new(), node: String::new() }
    }

    #[test]
    fn tasks_are_for_what_is_missing_less_what_is_in_the_queue() {
        let outlook = Outlook { settled: 5, resumed: 2, fresh: 5, ..Outlook::default() };
        let settings = Settings { trials_per_task: 3, ..Settings::default() };
        let shares = shares(&settings, &study("3"), &outlook);
        assert_eq!(shares, [Share { index: 0, constraint: None, seeds: vec![], missing: 7 }]);
        let there = |tasks| vec![(array("1", None), in_queue("1", tasks))];
        assert_eq!(shares[0].tasks(&settings, &[]), 3); // of 7 trials, 3 each
        assert_eq!((shares[0].tasks(&settings, &there(2)), shares[0].tasks(&settings, &there(4))), (1, 0));
    }

    #[test]
    fn seeds_are_divided_between_kinds_of_node_alike_each_time() {
        let pinned = Settings { pinned: true, constraint: vec!["old".into(), "new".into()], ..Settings::default() };
        let file = study("[10, 11, 12]");
        let trials = vec![foreseen(10, true), foreseen(11, false), foreseen(12, false), foreseen(12, false)];
        let outlook = Outlook { settled: 1, fresh: 3, trials, ..Outlook::default() };
        let found = shares(&pinned, &file, &outlook);
        let share =
            |index, constraint: &str, seeds, missing| Share { index, constraint: Some(constraint.into()), seeds, missing };
        assert_eq!(found, [share(0, "old", vec![10, 12], 2), share(1, "new", vec![11], 1)]);
        let there = vec![(array("1", Some("old")), in_queue("1", 1)), (array("2", Some("other")), in_queue("2", 5))];
        assert_eq!((found[0].tasks(&pinned, &there), found[1].tasks(&pinned, &there)), (1, 1));
        assert_eq!((found[0].script(), found[1].script()), ("job.sh".into(), "job-2.sh".into()));

        // tuning, with a seed of its own too, comes first, and two variants with three seeds follow
        let outlook =
            Outlook { fresh: 2, after_tuning: 6, trials: vec![foreseen(99, false), foreseen(10, false)], ..Outlook::default() };
        let missing: Vec<(Vec<u64>, usize)> =
            shares(&pinned, &file, &outlook).into_iter().map(|share| (share.seeds, share.missing)).collect();
        assert_eq!(missing, [(vec![10, 12], 6), (vec![11], 3)]); // 1 + 1 + 4, and 1 + 2
        let one = study("1");
        assert_eq!(shares(&pinned, &one, &Outlook::default()).len(), 1, "no array without a seed");
    }
}
