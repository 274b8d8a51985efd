//! `regatta cancel DIR`

use crate::failure::{Failure, say};
use regatta_records::Submission;
use regatta_slurm::{Array, InQueue, Slurm, Stage};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder of results for which tasks were submitted
    dir: PathBuf,
}

/// Withdraws what all submissions of a folder have in the queue. Tasks that run save a checkpoint and stop.
pub(crate) fn cancel(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = arguments.dir.display();
    let submissions = Submission::all(&arguments.dir).map_err(Failure::refused)?;
    if submissions.is_empty() {
        return Err(Failure::refused(format!("{folder}: expected a folder with submissions, found none: `submit` makes them")));
    }
    let (slurm, mut withdrawn) = (Slurm::default(), 0);
    for submission in submissions {
        let arrays: Vec<Array> = submission.jobs().map_err(Failure::refused)?;
        let tasks = slurm.queue(&arrays)?;
        let arrays: Vec<Array> = arrays.into_iter().filter(|array| tasks.iter().any(|task| task.job == array.job)).collect();
        if arrays.is_empty() {
            continue;
        }
        submission.set_cancelled().map_err(Failure::failed)?; // first: a task that is asked to stop looks there
        slurm.cancel(&arrays)?;
        for array in &arrays {
            let said = stages(tasks.iter().filter(|task| task.job == array.job));
            say(format_args!("job {}: withdrawn ({said})", array.job))?;
        }
        withdrawn += arrays.len();
    }
    if withdrawn == 0 {
        say(format_args!("{folder}: the queue has nothing of it"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `3 waiting, 1 running`
fn stages<'a>(tasks: impl Iterator<Item = &'a InQueue>) -> String {
    let tasks: Vec<&InQueue> = tasks.collect();
    let words = [
        (Stage::Waiting, "waiting"),
        (Stage::Running, "running"),
        (Stage::Stuck, "that could not start"),
        (Stage::Ending, "ending"),
    ];
    let count = |stage| tasks.iter().filter(|task| task.stage == stage).map(|task| task.tasks).sum::<usize>();
    let counted = words.iter().map(|&(stage, word)| (count(stage), word)).filter(|(count, _)| *count > 0);
    counted.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_by_what_they_did() {
        let task = |stage, tasks| InQueue { job: "1".into(), tasks, stage, reason: String::new(), node: String::new() };
        let tasks = [task(Stage::Waiting, 3), task(Stage::Running, 1), task(Stage::Running, 1), task(Stage::Waiting, 2)];
        assert_eq!(stages(tasks.iter()), "5 waiting, 2 running");
        assert_eq!(stages([task(Stage::Stuck, 1)].iter()), "1 that could not start");
    }
}
