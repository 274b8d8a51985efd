//! What a trained model is worth beyond its loss: its scores on tasks, its losses on further texts and with rounded weights, and
//! how many bits of its data it knows.

use super::losses::{Evaluated, mean_loss, text_loss};
use crate::engine::Measured;
use crate::measure::{MeasureError, Watch};
use crate::quantise::{QuantisedLoss, quantised, settings};
use crate::spec::TaskForm;
use crate::tasks::{Capacity, NamedScore, Outcomes, Task, TaskScore, Tasks, TextLoss, log_likelihoods};
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
    /// Scores on the tasks of `evaluate.tasks`, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<NamedScore>,
    /// Losses on further texts, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextLoss>,
    /// Held-out losses of rounded weights, on the windows of the loss itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantised: Vec<QuantisedLoss>,
    /// Bits of the biographies that the model knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Outcomes item by item of each task that has them: minimal pairs, multiple choice, then those of `tasks`. They have a file of their own.
    #[serde(skip)]
    pub outcomes: Vec<Outcomes>,
}

impl Worth {
    /// The accuracy on each task whose items are right or wrong: minimal pairs, multiple choice, then those of `tasks`.
    pub fn accuracies(&self) -> Vec<Accuracy<'_>> {
        let lists = [(TaskForm::MinimalPairs, &self.minimal_pairs), (TaskForm::MultipleChoice, &self.multiple_choice)];
        let listed = lists.into_iter().flat_map(|(form, scores)| scores.iter().map(move |score| Accuracy::listed(form, score)));
        listed.chain(self.tasks.iter().filter_map(Accuracy::named)).collect()
    }
}

/// How often a model is right on a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy<'a> {
    /// What the task asks.
    pub form: TaskForm,
    /// The task.
    pub task: &'a str,
    /// Fraction of items that are right.
    pub accuracy: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Both for the likeliest choice for its length, where the form takes lengths.
    pub normalised: Option<[f64; 2]>,
    /// That of answers at random, where it was recorded and choices are given.
    pub chance: Option<f64>,
    /// Items.
    pub items: usize,
    /// Choices of which only the last tokens fit the model's positions.
    pub truncated: usize,
    /// Items whose right choice has the tokens of another.
    pub indistinct: usize,
}

impl<'a> Accuracy<'a> {
    fn listed(form: TaskForm, score: &'a TaskScore) -> Self {
        Self {
            form,
            task: &score.task,
            accuracy: score.accuracy,
            standard_error: score.standard_error,
            normalised: Some([score.accuracy_normalised, score.standard_error_normalised]),
            chance: score.chance,
            items: score.items,
            truncated: score.truncated,
            indistinct: score.indistinct,
        }
    }

    fn named(score: &'a NamedScore) -> Option<Self> {
        let measure = |name: &str| score.measures.get(name).copied();
        let normalised = measure("accuracy_normalised").zip(measure("standard_error_normalised")).map(|(p, error)| [p, error]);
        let (accuracy, standard_error) = (measure("accuracy")?, measure("standard_error")?);
        let NamedScore { form, ref task, chance, items, truncated, indistinct, .. } = *score;
        Some(Self { form, task, accuracy, standard_error, normalised, chance, items, truncated, indistinct })
    }
}

/// Scores `model` on `tasks`, and measures its loss with its weights rounded as the spec says; the model itself stays as it is.
///
/// # Errors
/// When a task has tokens outside the model's vocabulary, or `watch` ends it.
pub fn worth(model: Measured<'_>, tasks: &Tasks, of: Evaluated<'_>, watch: Watch<'_>) -> Result<Worth, MeasureError> {
    let mut outcomes = Vec::new();
    let mut scores = |kind| {
        let score = |task: &_| score(model, task, &mut outcomes, watch);
        tasks.of(kind).map(score).collect::<Result<Vec<TaskScore>, MeasureError>>()
    };
    let mut losses = Vec::new();
    if let Some(quantisation) = &of.spec.quantisation {
        for (bits, granularity) in settings(quantisation) {
            let rounded = model.beside(quantised(&*model.model()?, bits, granularity, quantisation.embeddings))?;
            let loss = mean_loss(rounded.measured(), of, watch)?;
            losses.push(QuantisedLoss { bits, granularity, loss });
        }
    }
    let capacity = tasks.recall.as_ref().map(|recall| Capacity::measure(model, recall, watch)).transpose()?;
    let (minimal_pairs, multiple_choice) = (scores(TaskForm::MinimalPairs)?, scores(TaskForm::MultipleChoice)?);
    let (named, of_named): (Vec<NamedScore>, Vec<Option<Outcomes>>) = named_scores(model, tasks, watch)?.into_iter().unzip();
    outcomes.extend(of_named.into_iter().flatten());
    let texts = tasks.texts.iter().map(|text| text_loss(model, text, of, watch)).collect::<Result<_, _>>()?;
    Ok(Worth { minimal_pairs, multiple_choice, tasks: named, texts, quantised: losses, capacity, outcomes })
}

/// Scores `model` on each task of `evaluate.tasks`.
pub(in crate::training) fn named_scores(
    model: Measured<'_>,
    tasks: &Tasks,
    watch: Watch<'_>,
) -> Result<Vec<(NamedScore, Option<Outcomes>)>, MeasureError> {
    tasks.named.iter().map(|task| crate::tasks::score(model, task, watch)).collect()
}

fn score(model: Measured<'_>, task: &Task, outcomes: &mut Vec<Outcomes>, watch: Watch<'_>) -> Result<TaskScore, MeasureError> {
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
