//! The folder of one trial.

use super::{
    Checkpoints, DIAGNOSES, EVALUATION, Fence, INPUTS, ITEMS, Lines, METRICS_FILE, RecordError, SCORED_TASKS, STATUS_FILE, State,
    Status, TrialEvaluation, VALIDATIONS_FILE, Validation, checkpoints, disk,
};
use super::{files::PARTIAL, files::entries, first_lines, lines::read_or_empty, read_json, read_lines};
use regatta_lm::tasks::{Outcomes, ScoredTasks};
use regatta_lm::training::{Diagnosis, StepRecord};
use std::path::{Path, PathBuf};

/// The folder of the checkpoints that a trial resumes from.
const RESUME: &str = "resume";

/// The lines that a trial wrote before a checkpoint.
#[derive(Debug, Default)]
pub struct Written {
    /// The steps, from 0.
    pub made: Vec<StepRecord>,
    /// The validation losses before them.
    pub measured: Vec<Validation>,
    /// The diagnoses before them.
    pub diagnosed: Vec<Diagnosis>,
    /// The scores on tasks before them.
    pub scored: Vec<ScoredTasks>,
}

/// A trial's folder and the names in it.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    path: PathBuf,
    fence: Option<Fence>,
}

impl TrialFolder {
    /// The folder of an arm's seed in a study's folder, to read.
    pub fn of(study: &Path, arm: &str, seed: u64) -> Self {
        Self { path: study.join("trials").join(arm).join(format!("seed-{seed}")), fence: None }
    }

    /// The trial in this very folder, to read.
    pub fn at(path: PathBuf) -> Self {
        Self { path, fence: None }
    }

    /// Moves the folder to another place, where nothing is yet.
    ///
    /// # Errors
    /// When it cannot be moved, or this runner may not write here.
    pub fn become_folder(&self, place: &Path) -> Result<(), RecordError> {
        self.check()?;
        let above = place.parent().map_or(Ok(()), disk::create_folder);
        above.and_then(|()| disk::rename(&self.path, place)).map_err(|error| RecordError::new(place, error))
    }

    /// The same, to write to while `fence` lets it.
    pub fn guarded(self, fence: &Fence) -> Self {
        Self { fence: Some(fence.clone()), ..self }
    }

    /// Whether this runner may write here.
    fn check(&self) -> Result<&Fence, RecordError> {
        let fence = self.fence.as_ref().ok_or_else(|| RecordError::new(&self.path, "it was opened to be read"))?;
        fence.check().map_err(|error| RecordError::new(&self.path, error))?;
        Ok(fence)
    }

    /// The checkpoints from which the trial resumes.
    ///
    /// # Errors
    /// When this runner may not write here.
    pub fn checkpoints(&self, identity: &str) -> Result<Checkpoints, RecordError> {
        Ok(Checkpoints::of(self.path.join(RESUME), self.check()?.clone(), identity))
    }

    /// Updates before the newest checkpoint that it could resume from, whole or not; `None` where there is none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn resumable_steps(&self) -> Result<Option<usize>, RecordError> {
        Ok(checkpoints::list(&self.path.join(RESUME))?.pop().map(|(steps, _)| steps))
    }

    /// Empties the folder.
    ///
    /// # Errors
    /// When it cannot be removed, or this runner may not write here.
    pub fn remove(&self) -> Result<(), RecordError> {
        self.check()?;
        disk::remove_folder(&self.path).map_err(|error| RecordError::new(&self.path, error))
    }

    /// All that the trial's results depend on; `None` where nothing was written yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn inputs(&self) -> Result<Option<serde_json::Value>, RecordError> {
        read_json(&self.path.join(INPUTS))
    }

    /// Records all that the trial's results depend on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_inputs(&self, inputs: &serde_json::Value) -> Result<(), RecordError> {
        self.check()?.write_json(&self.path.join(INPUTS), inputs)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the trained model is written.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Writes the trained model: name and content of each file.
    ///
    /// # Errors
    /// When a file cannot be written, or this runner may not write here.
    pub fn write_checkpoint(&self, files: &[(&str, Vec<u8>)]) -> Result<(), RecordError> {
        self.check()?;
        let path = self.checkpoint();
        disk::create_folder(&path).map_err(|error| RecordError::new(&path, error))?;
        for (name, content) in files {
            self.check()?.write_whole(&path.join(name), content)?;
        }
        Ok(())
    }

    /// Creates the folder.
    ///
    /// # Errors
    /// When it cannot be made, or this runner may not write here.
    pub fn create(&self) -> Result<(), RecordError> {
        self.check()?;
        disk::create_folder(&self.path).map_err(|error| RecordError::new(&self.path, error))
    }

    /// Removes files that killed or frozen processes have not finished.
    ///
    /// # Errors
    /// When one cannot be removed, or this runner may not write here.
    pub fn sweep(&self) -> Result<(), RecordError> {
        let is_lease = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lease."));
        let is_partial = |path: &PathBuf| {
            path.extension().is_some_and(|end| end.to_string_lossy().starts_with(PARTIAL)) && !is_lease(path) // another's attempt
        };
        for folder in [self.path.clone(), self.checkpoint()] {
            for left in entries(&folder)?.into_iter().filter(is_partial) {
                self.check()?;
                disk::remove_file(&left).map_err(|error| RecordError::new(&left, error))?;
            }
        }
        Ok(())
    }

    /// The trial's status; `None` before anything is written. A settled trial is [`State::Incomplete`] where a record was removed,
    /// cut or changed since; the reason names the record.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn status(&self) -> Result<Option<Status>, RecordError> {
        let damaged = |RecordError { path, message }| {
            let remedy = format!("where its trial's folder, {}, is removed, the next run trains it again", self.path.display());
            RecordError::new(&path, format!("expected the state of a trial, found a damaged record ({message}): {remedy}"))
        };
        let status: Option<Status> = read_json(&self.path.join(STATUS_FILE)).map_err(damaged)?;
        Ok(status.map(|status| match status.state.is_settled().then(|| self.missing(&status)).flatten() {
            Some(missing) => {
                Status { state: State::Incomplete, reason: Some(format!("{missing}: the next run trains it again")), ..status }
            }
            None => status,
        }))
    }

    /// Records the trial's status.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_status(&self, status: &Status) -> Result<(), RecordError> {
        self.check()?.write_json(&self.path.join(STATUS_FILE), status)
    }

    /// `metrics.jsonl` with these lines alone, to be appended to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn metrics_after(&self, made: &[StepRecord]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(METRICS_FILE), made, self.check()?)
    }

    /// `validation.jsonl` with these lines alone, to be appended to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn validations_after(&self, measured: &[Validation]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(VALIDATIONS_FILE), measured, self.check()?)
    }

    /// `diagnostics.jsonl` with these lines alone, to be appended to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn diagnoses_after(&self, found: &[Diagnosis]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(DIAGNOSES), found, self.check()?)
    }

    /// `tasks.jsonl` with these lines alone, to be appended to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scored_tasks_after(&self, scored: &[ScoredTasks]) -> Result<Lines, RecordError> {
        Lines::after(&self.path.join(SCORED_TASKS), scored, self.check()?)
    }

    /// The scores on tasks before the end, in the order of their steps; empty where the study does not request them.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn scored_tasks(&self) -> Result<Vec<ScoredTasks>, RecordError> {
        read_lines(&self.path.join(SCORED_TASKS))
    }

    /// The lines of the first `steps` steps of an interrupted trial: each step, and the measurements before them.
    ///
    /// # Errors
    /// When a line is missing or broken.
    pub fn written_before(&self, steps: usize) -> Result<Written, RecordError> {
        let path = self.path.join(METRICS_FILE);
        let made: Vec<StepRecord> = first_lines(&path, |record: &StepRecord| record.step < steps)?;
        if made.len() != steps || made.iter().enumerate().any(|(index, record)| record.step != index) {
            return Err(RecordError::new(&path, format!("expected steps 0 to {steps}, found {} of them in order", made.len())));
        }
        Ok(Written {
            made,
            measured: first_lines(&self.path.join(VALIDATIONS_FILE), |validation: &Validation| validation.step < steps)?,
            diagnosed: first_lines(&self.path.join(DIAGNOSES), |diagnosis: &Diagnosis| diagnosis.step < steps)?,
            scored: first_lines(&self.path.join(SCORED_TASKS), |scored: &ScoredTasks| scored.step < steps)?,
        })
    }

    /// The diagnoses of the trial's hidden states, in the order of its steps; empty where the study does not request them.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn diagnoses(&self) -> Result<Vec<Diagnosis>, RecordError> {
        read_lines(&self.path.join(DIAGNOSES))
    }

    /// The steps made so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn metrics(&self) -> Result<Vec<StepRecord>, RecordError> {
        read_lines(&self.path.join(METRICS_FILE))
    }

    /// How many steps were written: whole lines, whatever they hold.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn steps_written(&self) -> Result<usize, RecordError> {
        let bytes = read_or_empty(&self.path.join(METRICS_FILE))?;
        Ok(bytes.iter().filter(|&&byte| byte == b'\n').count())
    }

    /// The validation losses measured so far.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn validations(&self) -> Result<Vec<Validation>, RecordError> {
        read_lines(&self.path.join(VALIDATIONS_FILE))
    }

    /// The final measures, if there are any yet.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn evaluation(&self) -> Result<Option<TrialEvaluation>, RecordError> {
        read_json(&self.path.join(EVALUATION))
    }

    /// Records the final measures.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_evaluation(&self, evaluation: &TrialEvaluation) -> Result<(), RecordError> {
        self.check()?.write_json(&self.path.join(EVALUATION), evaluation)
    }

    /// Where the outcomes of tasks are.
    pub fn outcomes_file(&self) -> PathBuf {
        self.path.join(ITEMS)
    }

    /// The outcomes of each task, item by item; none where the study names no tasks, and in older folders.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn outcomes(&self) -> Result<Vec<Outcomes>, RecordError> {
        read_lines(&self.outcomes_file())
    }

    /// Records the outcomes of each task, item by item.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn set_outcomes(&self, outcomes: &[Outcomes]) -> Result<(), RecordError> {
        Lines::after(&self.outcomes_file(), outcomes, self.check()?).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_damaged_state_it_is_said_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(STATUS_FILE), r#"{"a": 1}"#).unwrap();
        let refused = TrialFolder::at(folder.path().to_owned()).status().unwrap_err().to_string();
        let shown = folder.path().display();
        assert!(
            refused.starts_with(&format!(
                "{shown}/status.json: expected the state of a trial, found a damaged record (missing field `state`"
            )),
            "{refused}"
        );
        assert!(
            refused.ends_with(&format!("where its trial's folder, {shown}, is removed, the next run trains it again")),
            "{refused}"
        );
    }
}
