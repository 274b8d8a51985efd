//! `evaluate.tasks:` and `evaluate.tasks_at:` in a study.

use super::schedule::Span;
use regatta_core::forms;
use regatta_core::forms::Forms;
use regatta_core::number::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::path::PathBuf;

/// A task that the model is scored on; see [`crate::tasks`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// A JSONL file, an item per line.
    pub file: PathBuf,
    /// What an item asks, and what is measured.
    pub form: TaskForm,
    /// Text in front of everything, as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What stands between a context and what follows it. Not in `last_word` and `rolling`.
    #[serde(default = "space", skip_serializing_if = "is_space")]
    pub target_delimiter: String,
    /// Solved examples in front of each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few_shot: Option<FewShotSpec>,
    /// So many items, the first ones; all where it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Count<1, 1_000_000_000>>,
}

fn space() -> String {
    " ".to_owned()
}

fn is_space(text: &String) -> bool {
    text == " "
}

/// What an item of a task asks, and what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskForm {
    /// Which of two sentences is acceptable (BLiMP).
    MinimalPairs,
    /// Which answer to a question is right: the likeliest, also by character, byte and token (HellaSwag, ARC, PIQA).
    MultipleChoice,
    /// The last word of a passage: whether greedy decoding finds it, and its perplexity (LAMBADA).
    LastWord,
    /// Which option fits a blank: the options differ in the context, and what follows them is scored (Winogrande).
    Partial,
    /// The probability of all true answers together, normalised over all answers (TruthfulQA's mc2).
    ProbabilityMass,
    /// Perplexity of whole documents per word and per byte, in disjoint windows (WikiText).
    Rolling,
}

impl TaskForm {
    /// Its name in a study.
    pub fn field(self) -> &'static str {
        match self {
            Self::MinimalPairs => "minimal_pairs",
            Self::MultipleChoice => "multiple_choice",
            Self::LastWord => "last_word",
            Self::Partial => "partial",
            Self::ProbabilityMass => "probability_mass",
            Self::Rolling => "rolling",
        }
    }

    /// Whether an item is right or wrong.
    pub fn has_outcomes(self) -> bool {
        !matches!(self, Self::ProbabilityMass | Self::Rolling)
    }
}

/// Solved examples in front of each item: drawn as lm-evaluation-harness draws them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FewShotSpec {
    /// A JSONL file of items of the same form; the task's own file where it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Examples in front of an item.
    pub count: Count<1, 1000>,
    /// Seed of the draws, which go on from item to item.
    #[serde(default = "seed")]
    pub seed: u64,
    /// How examples are chosen.
    #[serde(default)]
    pub sampler: Sampler,
    /// Whether an item is never its own example: one more is drawn and what equals the item is left out. True where `file` is not
    /// named or is the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_item: Option<bool>,
    /// What stands behind each example.
    #[serde(default = "blank_line")]
    pub delimiter: String,
}

/// The harness's own default.
fn seed() -> u64 {
    1234
}

fn blank_line() -> String {
    "\n\n".to_owned()
}

/// How examples are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Afresh for each item, without replacement.
    #[default]
    Random,
    /// The first ones, in order, for all items (MMLU).
    FirstN,
}

/// After how many updates the tasks of `evaluate.tasks` are scored; after the last one they always are.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum TasksAt {
    /// Wherever the validation loss is measured.
    #[default]
    Validation,
    /// After the last update alone.
    End,
    /// Every so many.
    Every(u64),
    /// After these.
    Steps(Vec<Span>),
}

impl TasksAt {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether tasks are scored after `step` of `steps` updates; the last one is not asked about. `every` is the number of steps
    /// between validation losses.
    pub fn is_due(&self, step: usize, steps: usize, every: usize) -> bool {
        match self {
            Self::Validation => step.is_multiple_of(every),
            Self::End => false,
            Self::Every(every) => (step as u64).is_multiple_of(*every),
            Self::Steps(list) => list.iter().any(|span| span.steps(steps) == step as u64),
        }
    }

    /// The first of the list that a run of `steps` does not reach.
    pub fn beyond(&self, steps: usize) -> Option<u64> {
        let Self::Steps(list) = self else { return None };
        list.iter().map(|span| span.steps(steps)).find(|&step| step > steps as u64)
    }
}

impl Serialize for TasksAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Validation => serializer.serialize_str("validation"),
            Self::End => serializer.serialize_str("end"),
            Self::Every(every) => serializer.serialize_u64(*every),
            Self::Steps(list) => list.serialize(serializer),
        }
    }
}

forms! {
    TasksAt => Forms::expecting("`validation`, `end`, a whole number of steps from 1, or a list of steps or of fractions of the run")
        .constant("validation", "Wherever the validation loss is measured.", Self::Validation)
        .constant("end", "After the last update alone.", Self::End)
        .whole(1..=100_000_000, Self::Every)
        .list(|list: Vec<Span>| if list.is_empty() { Err("expected at least one step, found none".into()) } else { Ok(Self::Steps(list)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn when_tasks_are_scored() {
        let due = |written: serde_json::Value| {
            let at: TasksAt = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&at).unwrap(), written);
            (0..10).filter(|&step| at.is_due(step, 10, 5)).collect::<Vec<_>>()
        };
        assert_eq!(due(json!("validation")), [0, 5]);
        assert_eq!(due(json!("end")), [0; 0]);
        assert_eq!(due(json!(4)), [0, 4, 8]);
        assert_eq!(due(json!([0.2, 3])), [2, 3]);
        assert_eq!(TasksAt::Steps(vec![Span::Steps(11), Span::Share(0.5)]).beyond(10), Some(11));
        let refused = |written| serde_json::from_value::<TasksAt>(written).unwrap_err().to_string();
        assert!(refused(json!("never")).contains("`validation`, `end`, a whole number"), "{}", refused(json!("never")));
        assert!(refused(json!([])).contains("expected at least one step"));
        assert!(refused(json!(0)).contains("from 1"));
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let text = json!({"file": "a.jsonl", "form": "last_word"});
        let spec: TaskSpec = serde_json::from_value(text.clone()).unwrap();
        assert_eq!((spec.target_delimiter.as_str(), serde_json::to_value(&spec).unwrap()), (" ", text));
        let shots: FewShotSpec = serde_json::from_value(json!({"count": 5})).unwrap();
        assert_eq!((shots.seed, shots.delimiter.as_str(), shots.sampler), (1234, "\n\n", Sampler::Random));
        let error = serde_json::from_value::<TaskSpec>(json!({"file": "a", "form": "last"})).unwrap_err().to_string();
        assert!(error.contains("expected one of `minimal_pairs`"), "{error}");
    }
}
