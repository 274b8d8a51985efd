//! What a model scores on a task of `evaluate.tasks`.

use super::outcomes::{Outcomes, likeliest_is_right};
use super::request::Item;
use super::score::{Asked, ask, chance, indistinct, truncated};
use super::task::Task;
use crate::engine::Measured;
use crate::measure::{MeasureError, Watch};
use crate::spec::TaskForm;
use regatta_core::libm;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f64::consts::LN_2;

/// How a model did on a task; see [`super`] for the measures of each form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedScore {
    /// The task, as the study calls it.
    pub task: String,
    /// What it asks.
    pub form: TaskForm,
    /// The accuracy, or probability mass, of answers at random, where choices are given; not recorded by older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Items, or documents.
    pub items: usize,
    /// Choices of which only the last tokens fit the model's positions.
    pub truncated: usize,
    /// Items whose right choice has the tokens of a wrong one, where the model sees them: which counts is their order.
    #[serde(default, skip_serializing_if = "is_0")]
    pub indistinct: usize,
    /// What was measured, by name. What is not finite is left out: a perplexity per word of documents without white space.
    pub measures: BTreeMap<String, f64>,
}

fn is_0(count: &usize) -> bool {
    *count == 0
}

/// A line of `tasks.jsonl`: the tasks after so many updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredTasks {
    /// Updates made before.
    pub step: usize,
    /// Each task, by name.
    pub scores: Vec<NamedScore>,
}

/// Scores `model` on a task of `evaluate.tasks`, and says which items it has right, where items are right or wrong.
///
/// # Errors
/// When a token lies outside the model's vocabulary, or `watch` ends it.
pub fn score(model: Measured<'_>, task: &Task, watch: Watch<'_>) -> Result<(NamedScore, Option<Outcomes>), MeasureError> {
    let asked = ask(model, task, watch)?;
    Ok(NamedScore::of(task, &asked, model.decoder().context))
}

impl NamedScore {
    /// The score of a task from what a model of so many positions said to it.
    ///
    /// # Panics
    /// When there is not one number a choice.
    pub fn of(task: &Task, asked: &Asked, positions: usize) -> (Self, Option<Outcomes>) {
        let (measures, outcomes) = match task.form {
            TaskForm::MinimalPairs | TaskForm::MultipleChoice => of_choices(task, &asked.log_likelihoods),
            TaskForm::Partial => {
                let right = likeliest_is_right(&task.items, &asked.log_likelihoods, |_, _| 1.0);
                (accuracy("", &right).into(), Some(Outcomes::named(task, right, Vec::new())))
            }
            TaskForm::LastWord => of_last_words(task, asked),
            TaskForm::ProbabilityMass => (of_masses(&task.items, &asked.log_likelihoods), None),
            TaskForm::Rolling => (of_documents(task, &asked.log_likelihoods), None),
        };
        let finite = measures.into_iter().filter(|(_, value)| value.is_finite());
        let score = Self {
            task: task.name.clone(),
            form: task.form,
            chance: (!matches!(task.form, TaskForm::LastWord | TaskForm::Rolling)).then(|| chance(&task.items)),
            items: task.items.len().max(task.documents.len()),
            truncated: truncated(&task.items, positions),
            indistinct: if task.form == TaskForm::ProbabilityMass { 0 } else { indistinct(&task.items, positions) },
            measures: finite.collect(),
        };
        (score, outcomes)
    }

    /// The measure that its form is compared by, of which more is better: the accuracy or the probability mass.
    pub fn share(&self) -> Option<f64> {
        self.measures.get(if self.form == TaskForm::ProbabilityMass { "probability_mass" } else { "accuracy" }).copied()
    }
}

type Measures = Vec<(String, f64)>;

/// The fraction that is right and its standard error, under the names of a variant.
fn accuracy(variant: &str, right: &[bool]) -> [(String, f64); 2] {
    let count = right.len() as f64;
    let p = right.iter().filter(|right| **right).count() as f64 / count;
    let error = (p * (1.0 - p) / (count - 1.0)).sqrt();
    [(format!("accuracy{variant}"), p), (format!("standard_error{variant}"), error)]
}

fn of_choices(task: &Task, log_likelihoods: &[f64]) -> (Measures, Option<Outcomes>) {
    let right = |length: fn(&Item, usize) -> usize| {
        likeliest_is_right(&task.items, log_likelihoods, |item, index| length(item, index) as f64)
    };
    let plain = right(|_, _| 1);
    let by_character = right(|item, index| item.choices[index].characters);
    let by_byte = right(|item, index| item.choices[index].bytes);
    let by_token = right(|item, index| item.choices[index].tokens.len() - item.choices[index].context);
    let variants = [("", &plain), ("_normalised", &by_character), ("_bytes", &by_byte), ("_tokens", &by_token)];
    let measures = variants.into_iter().flat_map(|(variant, right)| accuracy(variant, right)).collect();
    (measures, Some(Outcomes::named(task, plain, by_character)))
}

fn of_last_words(task: &Task, asked: &Asked) -> (Measures, Option<Outcomes>) {
    let (loss, error) = mean_and_error(&asked.log_likelihoods.iter().map(|l| -l).collect::<Vec<_>>());
    let mut measures: Measures = accuracy("", &asked.greedy).into();
    measures.push(("perplexity".into(), libm::exp(loss)));
    measures.extend([("loss".to_owned(), loss), ("loss_standard_error".to_owned(), error)]);
    (measures, Some(Outcomes::named(task, asked.greedy.clone(), Vec::new())))
}

/// The probability of the right choices over that of all, which are taken relative to the likeliest so that none underflows.
fn of_masses(items: &[Item], log_likelihoods: &[f64]) -> Measures {
    let mut rest = log_likelihoods;
    let mass = |item: &Item| {
        let here = rest.split_off(..item.choices.len()).expect("a number for each choice");
        let most = here.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let of = |(index, l): (usize, &f64)| (item.is_right(index), libm::exp(l - most));
        let shares: Vec<(bool, f64)> = here.iter().enumerate().map(of).collect();
        let right: f64 = shares.iter().filter(|(is_right, _)| *is_right).map(|(_, share)| share).sum();
        right / shares.iter().map(|(_, share)| share).sum::<f64>()
    };
    let (mean, error) = mean_and_error(&items.iter().map(mass).collect::<Vec<_>>());
    vec![("probability_mass".into(), mean), ("standard_error".into(), error)]
}

fn of_documents(task: &Task, log_likelihoods: &[f64]) -> Measures {
    let loss = -log_likelihoods.iter().sum::<f64>();
    let words: usize = task.documents.iter().map(|document| document.words).sum();
    let bytes: usize = task.documents.iter().map(|document| document.bytes).sum();
    let (by_word, by_byte) = (loss / words as f64, loss / bytes as f64);
    let measures = [
        ("word_perplexity", libm::exp(by_word)),
        ("byte_perplexity", libm::exp(by_byte)),
        ("bits_per_byte", by_byte / LN_2),
        ("words", words as f64),
        ("bytes", bytes as f64),
    ];
    measures.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The mean and its standard error, by the deviation with n - 1.
fn mean_and_error(numbers: &[f64]) -> (f64, f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::documents::Document;
    use super::super::request::Request;
    use super::*;

    /// Items of choices of so many tokens, characters and bytes.
    fn task(form: TaskForm, items: &[(&[[usize; 3]], &[usize])]) -> Task {
        let choice =
            |&[tokens, characters, bytes]: &[usize; 3]| Request { tokens: vec![0; 1 + tokens], context: 1, characters, bytes };
        let item = |(choices, right): &(&[[usize; 3]], &[usize])| Item {
            choices: choices.iter().map(choice).collect(),
            answer: right[0],
            also: right[1..].to_vec(),
        };
        let items = items.iter().map(item).collect();
        Task { form, name: "t".into(), items, documents: vec![], fingerprint: "f".into() }
    }

    fn check(task: &Task, log_likelihoods: &[f64], greedy: &[bool], expected: &[(&str, f64)]) -> Option<Outcomes> {
        let asked = Asked { log_likelihoods: log_likelihoods.to_vec(), greedy: greedy.to_vec() };
        let (score, outcomes) = NamedScore::of(task, &asked, 100);
        let found: Vec<(&str, f64)> = score.measures.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((name, value), (expected_name, expected)) in found.iter().zip(expected) {
            assert!(name == expected_name && (value - expected).abs() < 1e-12, "{name} {value}, {expected_name} {expected}");
        }
        let text = serde_json::to_string(&score).unwrap();
        assert_eq!(serde_json::from_str::<NamedScore>(&text).unwrap(), score);
        outcomes
    }

    #[test]
    fn a_choice_by_character_byte_and_token() {
        // -6 and -5: the second; by tokens 6/3 and 5/1, by characters 6/2 and 5/2, by bytes 6/2 and 5/4
        let first: &[[usize; 3]] = &[[3, 2, 2], [1, 2, 4]];
        let task = task(TaskForm::MultipleChoice, &[(first, &[1]), (first, &[0])]);
        let outcomes = check(
            &task,
            &[-6.0, -5.0, -6.0, -5.0],
            &[],
            &[
                ("accuracy", 0.5),
                ("accuracy_bytes", 0.5),
                ("accuracy_normalised", 0.5),
                ("accuracy_tokens", 0.5),
                ("standard_error", 0.5),
                ("standard_error_bytes", 0.5),
                ("standard_error_normalised", 0.5),
                ("standard_error_tokens", 0.5),
            ],
        );
        let outcomes = outcomes.unwrap();
        assert_eq!((outcomes.right, outcomes.right_normalised), (vec![true, false], vec![true, false]));
        let right = |length: fn(&Request) -> usize| {
            likeliest_is_right(&task.items, &[-6.0, -5.0, -6.0, -5.0], |item, index| length(&item.choices[index]) as f64)
        };
        assert_eq!(right(|choice| choice.bytes), [true, false]);
        assert_eq!(right(|choice| choice.tokens.len() - 1), [false, true]);
    }

    #[test]
    fn the_mass_of_true_answers_by_hand() {
        // 1/8 and 5/8 of 1/8 + 1/4 + 5/8, and 1/2 of 1/2 + 1/2, far below what exp can say
        let choice = [1, 1, 1];
        let task = task(TaskForm::ProbabilityMass, &[(&[choice; 3], &[0, 2]), (&[choice; 2], &[1])]);
        let far = [0.125f64.ln(), 0.25f64.ln(), 0.625f64.ln(), -5000.0, -5000.0];
        let outcomes = check(&task, &far, &[], &[("probability_mass", 0.625), ("standard_error", 0.125)]);
        assert!(outcomes.is_none());
        let of_random_answers = chance(&task.items);
        assert!((of_random_answers - 7.0 / 12.0).abs() < 1e-15); // (2/3 + 1/2)/2
    }

    #[test]
    fn last_words_by_hand() {
        let task = task(TaskForm::LastWord, &[(&[[1, 1, 1]], &[0]), (&[[2, 1, 1]], &[0])]);
        let losses = [-1.0, -3.0];
        let expected =
            [("accuracy", 0.5), ("loss", 2.0), ("loss_standard_error", 1.0), ("perplexity", 2f64.exp()), ("standard_error", 0.5)];
        let outcomes = check(&task, &losses, &[false, true], &expected).unwrap();
        assert_eq!((outcomes.right, outcomes.right_normalised.len()), (vec![false, true], 0));
    }

    #[test]
    fn documents_are_weighed_by_their_words_and_bytes() {
        let document = |words, bytes| Document { tokens: vec![0, 1], words, bytes };
        let documents = vec![document(1, 4), document(3, 12)];
        let task = Task { documents, ..task(TaskForm::Rolling, &[]) };
        let bits = 0.5; // 8 bits of 16 bytes
        let expected = [
            ("bits_per_byte", bits),
            ("byte_perplexity", 2f64.sqrt()),
            ("bytes", 16.0),
            ("word_perplexity", 4.0),
            ("words", 4.0),
        ];
        check(&task, &[-2.0 * LN_2, -6.0 * LN_2], &[], &expected);
        let asked = Asked { log_likelihoods: vec![-1e4, 0.0], greedy: vec![] };
        assert!(!NamedScore::of(&task, &asked, 8).0.measures.contains_key("word_perplexity"), "e^2500");
    }
}
