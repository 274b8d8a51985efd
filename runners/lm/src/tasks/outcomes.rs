//! Which items of a task a model has right: what paired comparisons of two models are made from.

use super::request::Item;
use super::task::Task;
use crate::spec::TaskForm;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A line of `items.jsonl`: a task, and for each of its items whether the model has it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// What the task asks.
    pub kind: TaskForm,
    /// The task: its file's stem, or the study's name for it.
    pub task: String,
    /// The task's [`fingerprint`](Task::fingerprint): models with the same one were asked the same items in the same order.
    pub fingerprint: String,
    /// For each item whether its right choice is the likeliest: on disk a character each, `1` or `0`, in the file's order.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub right: Vec<bool>,
    /// The same of the likeliest choice for its length; empty where the form does not take lengths.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "write", deserialize_with = "read")]
    pub right_normalised: Vec<bool>,
}

impl Outcomes {
    /// The outcomes of a task's items from the log-likelihoods of their choices, item after item.
    ///
    /// # Panics
    /// When there is not one number per choice.
    pub fn of(task: &Task, log_likelihoods: &[f64]) -> Self {
        let right = likeliest_is_right(&task.items, log_likelihoods, |_, _| 1.0);
        let by_length = |item: &Item, index: usize| item.choices[index].characters as f64;
        Self::named(task, right, likeliest_is_right(&task.items, log_likelihoods, by_length))
    }

    /// These outcomes of a task.
    pub(super) fn named(task: &Task, right: Vec<bool>, right_normalised: Vec<bool>) -> Self {
        Self { kind: task.form, task: task.name.clone(), fingerprint: task.fingerprint.clone(), right, right_normalised }
    }
}

/// For each item, whether the choice of the greatest log-likelihood over its `length` is right.
pub(super) fn likeliest_is_right(items: &[Item], log_likelihoods: &[f64], length: impl Fn(&Item, usize) -> f64) -> Vec<bool> {
    let mut rest = log_likelihoods;
    let right = |item: &Item| {
        let here = rest.split_off(..item.choices.len()).expect("a number for each choice");
        let scaled: Vec<f64> = here.iter().enumerate().map(|(index, l)| l / length(item, index)).collect();
        item.is_right(greatest(&scaled))
    };
    items.iter().map(right).collect()
}

/// The index of the greatest number, the first among equals.
pub(super) fn greatest<T: PartialOrd>(numbers: &[T]) -> usize {
    (1..numbers.len()).fold(0, |best, index| if numbers[index] > numbers[best] { index } else { best })
}

fn write<S: Serializer>(outcomes: &[bool], serializer: S) -> Result<S::Ok, S::Error> {
    let digits: String = outcomes.iter().map(|&right| if right { '1' } else { '0' }).collect();
    serializer.serialize_str(&digits)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<bool>, D::Error> {
    let digit = |digit: char| match digit {
        '0' => Ok(false),
        '1' => Ok(true),
        other => Err(D::Error::custom(format!("expected `0` or `1` for each item, found {other:?}"))),
    };
    String::deserialize(deserializer)?.chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;

    #[test]
    fn an_item_is_a_digit_on_disk() {
        let choice = |characters| Request { tokens: vec![0, 1], context: 1, characters, bytes: characters };
        let item = |lengths: [usize; 2]| Item::new(lengths.map(choice).to_vec(), 0);
        let items = vec![item([10, 4]), item([10, 4]), item([5, 5])];
        let task = Task { form: TaskForm::MinimalPairs, name: "t".into(), items, documents: vec![], fingerprint: "f".into() };
        // right; wrong, but -10/10 > -8/4; equal, so the first
        let found = Outcomes::of(&task, &[-4.0, -5.0, -10.0, -8.0, -3.0, -3.0]);
        assert_eq!((&found.right[..], &found.right_normalised[..]), (&[true, false, true][..], &[true, true, true][..]));
        let line = r#"{"kind":"minimal_pairs","task":"t","fingerprint":"f","right":"101","right_normalised":"111"}"#;
        assert_eq!(serde_json::to_string(&found).unwrap(), line);
        assert_eq!(serde_json::from_str::<Outcomes>(line).unwrap(), found);
        let error = serde_json::from_str::<Outcomes>(&line.replace("101", "1x1")).unwrap_err().to_string();
        assert!(error.starts_with("expected `0` or `1` for each item, found 'x'"), "{error}");
    }
}
