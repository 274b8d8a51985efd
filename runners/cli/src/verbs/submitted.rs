//! A run that a task of a submission starts: `run` with the hidden flag `--submission`.

use super::probe::{self, this_program};
use crate::failure::Failure;
use regatta_config::StudyFile;
use regatta_lm::Device;
use regatta_lm::data::Watch;
use regatta_records::{Frozen, Made, RecordError, Requeues, Submission};
use regatta_slurm::{Fate, Slurm, Task};
use regatta_study::{Outlook, prepare_with, tokens_of};
use std::path::Path;
use std::process::ExitCode;

/// Requeues in a row without progress after which a task gives up: it would be stopped before its first checkpoint forever.
const PATIENCE: usize = 3;

/// A submission, in one of its tasks.
pub(super) struct Submitted(Submission);

impl Submitted {
    /// That of this folder.
    pub fn at(folder: &Path) -> Self {
        Self(Submission::at(folder))
    }

    /// Refuses to train anything where program, study or data are no longer those that were submitted.
    pub fn check(&self, file: &StudyFile, out: &Path, device: Device, tokens: &dyn Watch) -> Result<(), Failure> {
        if let Some(task) = Task::current() {
            tracing::info!("{}, threads: {}", task.standing(), rayon::current_num_threads());
        }
        let again = "nothing was trained; `submit` again submits what is there now";
        let changed = self.0.changed_files().map_err(Failure::refused)?;
        if let Some(changed) = changed.first() {
            return Err(Failure::refused(format!("{}: it is not the file that was submitted: {again}", changed.display())));
        }
        let prepared = prepare_with(file, Some(&tokens_of(out)), tokens)?;
        let program = this_program()?;
        let outlook = Outlook::of(file, &prepared, out, device, &|| probe::command(&program)).map_err(Failure::refused)?;
        match difference(&outlook, &self.0.frozen().map_err(Failure::refused)?) {
            None => Ok(()),
            Some(difference) => {
                let folder = self.0.path().display();
                Err(Failure::refused(format!("{folder}: a trial is not the one that was submitted: {difference}: {again}")))
            }
        }
    }

    /// After a signal: puts this task into the queue again; `None` where that is not its to do.
    pub fn stopped(&self, out: &Path) -> Result<Option<ExitCode>, Failure> {
        let Some(task) = Task::current() else { return Ok(None) };
        let slurm = Slurm::default();
        match slurm.fate(&task) {
            fate if self.0.is_cancelled() || fate == Some(Fate::Cancelled) => {
                tracing::info!("task {task} was cancelled: it is not requeued");
                return Ok(None);
            }
            Some(Fate::Requeued) => {
                tracing::info!("Slurm itself requeues task {task}");
                return Ok(Some(ExitCode::SUCCESS));
            }
            _ => {}
        }
        let name = task.to_string();
        // what cannot be counted now, on a full disk or while a file server is away, costs nobody the task
        let count = || -> Result<_, RecordError> {
            let requeues = self.0.requeues(&name)?.next(Made::of(out)?);
            self.0.set_requeues(&name, requeues).map(|()| requeues)
        };
        let requeues = count().unwrap_or_else(|error| {
            tracing::warn!("{error}: this requeue is not counted");
            Requeues::default()
        });
        if requeues.without_progress >= PATIENCE {
            return Err(Failure::failed(format!(
                "task {task} was stopped {PATIENCE} times before a trial ended or a checkpoint was saved: it is not \
                 requeued again; ask for more `time`, or look into {}",
                self.0.logs().display()
            )));
        }
        slurm.requeue(&task).map_err(|error| {
            let left = "what it made is saved, and `submit` again submits what is missing";
            Failure::failed(format!("task {task} could not be requeued: {error}: {left}"))
        })?;
        tracing::info!("stopped on request; task {task} is in the queue again (requeue {})", requeues.count);
        Ok(Some(ExitCode::SUCCESS))
    }
}

/// The first trial that is not the one that was submitted under its name, and in what they differ.
fn difference(outlook: &Outlook, frozen: &Frozen) -> Option<String> {
    outlook.trials.iter().find_map(|trial| {
        let was = frozen.trials.iter().find(|was| was.name == trial.name && was.seed == trial.seed)?;
        (was.identity != trial.identity).then(|| {
            let differences = trial.differences(&was.inputs).join("; ");
            format!("{}, seed {} ({differences})", trial.name, trial.seed)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_records::FrozenTrial;
    use regatta_study::Foreseen;
    use serde_json::json;

    #[test]
    fn a_trial_that_changed_is_named_with_what_changed() {
        let foreseen = |seed: u64, tokens: &str| Foreseen {
            name: "a".into(),
            seed,
            identity: format!("{tokens}{seed}"),
            inputs: json!({"tokens": tokens, "seed": seed}),
            settled: false,
        };
        let was = |seed: u64, tokens: &str| FrozenTrial {
            name: "a".into(),
            seed,
            identity: format!("{tokens}{seed}"),
            inputs: json!({"tokens": tokens, "seed": seed}),
        };
        let now = Outlook { trials: vec![foreseen(0, "x"), foreseen(1, "y"), foreseen(2, "z")], ..Outlook::default() };
        let frozen = |trials| Frozen { program: String::new(), program_hash: String::new(), study_hash: String::new(), trials };
        assert_eq!(difference(&now, &frozen(vec![was(0, "x"), was(1, "y")])), None, "one that tuning chose later is new");
        let found = difference(&now, &frozen(vec![was(0, "x"), was(1, "old")])).unwrap();
        assert_eq!(found, r#"a, seed 1 (tokens: "y", was "old")"#);
    }
}
