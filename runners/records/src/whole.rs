//! Which records a settled trial has, and whether they are all still there.

use super::files::entries;
use super::{
    DIAGNOSES, EVALUATION, INPUTS, ITEMS, METRICS_FILE, RecordError, SCORED_TASKS, State, Status, TrialFolder, VALIDATIONS_FILE,
};
use std::collections::BTreeMap;

/// Records that every finished trial has, for folders from before records were counted.
const LEAST: [&str; 3] = [METRICS_FILE, EVALUATION, "checkpoint/model.safetensors"];

/// Which records a trial has beside those of every trial.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Diagnoses of the hidden states.
    pub diagnoses: bool,
    /// Scores on tasks before the end.
    pub tasks: bool,
    /// Outcomes of tasks, item by item.
    pub items: bool,
}

impl TrialFolder {
    /// The first record of a settled trial that is missing or cut, in words.
    pub(super) fn missing(&self, status: &Status) -> Option<String> {
        let bytes =
            |name: &str| std::fs::metadata(self.path().join(name)).ok().filter(|file| file.is_file()).map(|file| file.len());
        let lacks = |name: &str, expected: Option<u64>| match (bytes(name), expected) {
            (None, _) => Some(format!("{name} is missing")),
            (Some(0), None) => Some(format!("{name} is empty")),
            (Some(found), Some(expected)) if found != expected => {
                Some(format!("{name} is not what the trial wrote, {found} bytes in place of {expected}"))
            }
            _ => None,
        };
        match &status.records {
            Some(records) => records.iter().find_map(|(name, &expected)| lacks(name, Some(expected))),
            None if status.state == State::Done => LEAST.iter().find_map(|name| lacks(name, None)),
            None => None,
        }
    }

    /// The bytes of each record that a trial leaves: all of them where it is done, those of its steps where it diverged.
    ///
    /// # Errors
    /// When one is missing, or a trial that is done does not have `steps` steps.
    pub fn count_records(&self, state: State, steps: usize, asked: Asked) -> Result<BTreeMap<String, u64>, RecordError> {
        let mut names: Vec<String> = [INPUTS, METRICS_FILE, VALIDATIONS_FILE].map(str::to_owned).to_vec();
        names.extend(asked.diagnoses.then(|| DIAGNOSES.to_owned()));
        names.extend(asked.tasks.then(|| SCORED_TASKS.to_owned()));
        if state == State::Done {
            let made = self.steps_written()?;
            if made != steps {
                let message = format!("expected {steps} steps, found {made}: it was removed or changed while the trial ran");
                return Err(RecordError::new(&self.path().join(METRICS_FILE), message));
            }
            names.extend(asked.items.then(|| ITEMS.to_owned()));
            names.extend([EVALUATION.to_owned(), "checkpoint/config.json".into(), "checkpoint/model.safetensors".into()]);
            let others = entries(&self.checkpoint())?.into_iter();
            names.extend(others.filter_map(|file| Some(format!("checkpoint/{}", file.file_name()?.to_str()?))));
        }
        let gone = "it was removed while the trial ran";
        let counted = names.into_iter().map(|name| match std::fs::metadata(self.path().join(&name)) {
            Ok(file) => Ok((name, file.len())),
            Err(error) => Err(RecordError::new(&self.path().join(&name), format!("{error}: {gone}"))),
        });
        counted.collect()
    }
}
