//! What a trained model is worth beyond its loss: its scores on tasks, its losses on further texts and with rounded weights, and
//! how many bits of its data it knows.

use super::losses::{Evaluated, mean_loss, text_loss};
use crate::measure::{MeasureError, Watch};
use crate::model::Model;
use crate::quantise::{QuantisedLoss, quantised, settings};
use crate::tasks::{Capacity, Kind, Outcomes, Task, TaskScore, Tasks, TextLoss, log_likelihoods};
use serde::{Deserialize, Serialize};

/// What a study asks for beside the loss; each is empty where it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worth {
    /// Scores on minimal pairs, file by file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minimal_pairs: Vec<TaskScore>,
    /// Scores on questions with choices, file by file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multiple_choice: Vec<TaskScore>,
    /// Losses on further texts, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextLoss>,
    /// Held-out losses of rounded weights, on the windows of the loss itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantised: Vec<QuantisedLoss>,
    /// Bits of the biographies that the model knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Each task's outcomes item by item, minimal pairs first. They have a file of their own.
    #[serde(skip)]
    pub outcomes: Vec<Outcomes>,
}

impl Worth {
    /// The scores on all tasks, minimal pairs first.
    pub fn scores(&self) -> impl Iterator<Item = &TaskScore> {
        self.minimal_pairs.iter().chain(&self.multiple_choice)
    }
}

/// Scores `model` on `tasks`, and measures its loss with its weights rounded as the spec says; the model itself stays as it is.
///
/// # Errors
/// When a task has tokens outside the model's vocabulary, or `watch` ends it.
pub fn worth(model: &Model, tasks: &Tasks, of: Evaluated<'_>, watch: Watch<'_>) -> Result<Worth, MeasureError> {
    let mut outcomes = Vec::new();
    let mut scores = |kind| {
        let score = |task: &_| score(model, task, &mut outcomes, watch);
        tasks.of(kind).map(score).collect::<Result<Vec<TaskScore>, MeasureError>>()
    };
    let mut losses = Vec::new();
    if let Some(quantisation) = &of.spec.quantisation {
        for (bits, granularity) in settings(quantisation) {
            let rounded = quantised(model, bits, granularity, quantisation.embeddings);
            let loss = mean_loss(&rounded, of, watch)?;
            losses.push(QuantisedLoss { bits, granularity, loss });
        }
    }
    let capacity = tasks.recall.as_ref().map(|recall| Capacity::measure(model, recall, watch)).transpose()?;
    let (minimal_pairs, multiple_choice) = (scores(Kind::MinimalPairs)?, scores(Kind::MultipleChoice)?);
    let texts = tasks.texts.iter().map(|text| text_loss(model, text, of, watch)).collect::<Result<_, _>>()?;
    Ok(Worth { minimal_pairs, multiple_choice, texts, quantised: losses, capacity, outcomes })
}

fn score(model: &Model, task: &Task, outcomes: &mut Vec<Outcomes>, watch: Watch<'_>) -> Result<TaskScore, MeasureError> {
    let found = log_likelihoods(model, &task.items, watch)?;
    outcomes.push(Outcomes::of(task, &found));
    Ok(TaskScore::of(task, &found, model.decoder().context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_not_written() {
        assert_eq!(serde_json::to_string(&Worth::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Worth>("{}").unwrap(), Worth::default());
        let text =
            r#"{"quantised":[{"bits":8,"granularity":"channel","loss":3.5},{"bits":"binary","granularity":32,"loss":4.0}]}"#;
        let worth: Worth = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&worth).unwrap(), text);
    }
}
