//! Likelihoods of choices, and how often the likeliest is the right one.

use super::batched::by_length;
use super::outcomes::{Outcomes, greatest};
use super::request::{Item, Request};
use super::task::Task;
use crate::engine::Measured;
use crate::measure::{MeasureError, Watch};
use crate::spec::TaskForm;
use serde::{Deserialize, Serialize};

/// Tokens that go through the model at once: enough for the products to be fast.
const TOKENS: usize = 4096;

/// Numbers among the logits of a batch, where they are looked at, at most about: 64 MB.
const LOGITS: usize = 1 << 24;

/// How a model did on a task; see [`super`] for the definitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The task: its file's stem.
    pub task: String,
    /// Fraction of items whose right choice is the likeliest.
    pub accuracy: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Fraction of items whose right choice is the likeliest for its length.
    pub accuracy_normalised: f64,
    /// Its standard error.
    pub standard_error_normalised: f64,
    /// The accuracy of answers at random; not recorded by older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Items.
    pub items: usize,
    /// Choices of which only the last tokens fit the model's positions.
    pub truncated: usize,
    /// Items whose right choice has the tokens of another, where the model sees them: which counts is their order.
    #[serde(default, skip_serializing_if = "is_0")]
    pub indistinct: usize,
}

fn is_0(count: &usize) -> bool {
    *count == 0
}

impl TaskScore {
    /// The score of a task from the log-likelihoods of its choices, item after item.
    ///
    /// # Panics
    /// When there is not one number a choice.
    pub fn of(task: &Task, log_likelihoods: &[f64], positions: usize) -> Self {
        let Outcomes { right, right_normalised, .. } = Outcomes::of(task, log_likelihoods);
        let count = |outcomes: &[bool]| outcomes.iter().filter(|right| **right).count();
        let (right, right_normalised) = (count(&right), count(&right_normalised));
        let items = task.items.len();
        let fraction = |count: usize| count as f64 / items as f64;
        let error = |fraction: f64| (fraction * (1.0 - fraction) / (items - 1) as f64).sqrt();
        Self {
            task: task.name.clone(),
            accuracy: fraction(right),
            standard_error: error(fraction(right)),
            accuracy_normalised: fraction(right_normalised),
            standard_error_normalised: error(fraction(right_normalised)),
            chance: Some(chance(&task.items)),
            items,
            truncated: truncated(&task.items, positions),
            indistinct: indistinct(&task.items, positions),
        }
    }
}

/// The mean over items of the fraction of choices that are right.
pub(super) fn chance(items: &[Item]) -> f64 {
    let fraction = |item: &Item| {
        let right = (0..item.choices.len()).filter(|&index| item.is_right(index)).count();
        right as f64 / item.choices.len() as f64
    };
    items.iter().map(fraction).sum::<f64>() / items.len() as f64
}

/// Items whose right choice the model cannot tell from a wrong one.
pub(super) fn indistinct(items: &[Item], positions: usize) -> usize {
    items.iter().filter(|item| is_indistinct(item, positions)).count()
}

/// Whether the model sees the same tokens for the right choice and for a wrong one.
fn is_indistinct(item: &Item, positions: usize) -> bool {
    let seen = |request: &Request| (last(&request.tokens, positions + 1).to_vec(), request.tokens.len() - request.context);
    let others = item.choices.iter().enumerate().filter(|(index, _)| !item.is_right(*index));
    let right = seen(&item.choices[item.answer]);
    others.into_iter().any(|(_, other)| seen(other) == right)
}

/// Choices of which only the last tokens fit the model's positions.
pub(super) fn truncated(items: &[Item], positions: usize) -> usize {
    requests(items).filter(|request| request.tokens.len() > positions + 1).count()
}

fn requests(items: &[Item]) -> impl Iterator<Item = &Request> {
    items.iter().flat_map(|item| &item.choices)
}

/// What a model says to a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The log-likelihood of each choice, nats, item after item; of each document, where the task has those.
    pub log_likelihoods: Vec<f64>,
    /// Whether greedy decoding says the choice, likewise; empty where the form does not ask.
    pub greedy: Vec<bool>,
}

/// Asks `model` about a task.
///
/// # Errors
/// As [`log_likelihoods`].
pub fn ask(model: Measured<'_>, task: &Task, watch: Watch<'_>) -> Result<Asked, MeasureError> {
    if task.form != TaskForm::Rolling {
        let all: Vec<(&[u32], usize)> = requests(&task.items).map(|of| (&of.tokens[..], of.context)).collect();
        return scored(model, &all, task.form == TaskForm::LastWord, watch);
    }
    let by_document: Vec<_> = task.documents.iter().map(|document| document.windows(model.decoder().context)).collect();
    let all: Vec<(&[u32], usize)> = by_document.iter().flatten().map(|(tokens, context)| (&tokens[..], *context)).collect();
    let mut rest = &scored(model, &all, false, watch)?.log_likelihoods[..];
    let of = |windows: &Vec<_>| rest.split_off(..windows.len()).map_or(0.0, |here| here.iter().sum());
    Ok(Asked { log_likelihoods: by_document.iter().map(of).collect(), greedy: Vec::new() })
}

/// The log-likelihood of each choice, nats, item after item.
///
/// # Errors
/// When a token lies outside the model's vocabulary, or `watch` ends it.
pub fn log_likelihoods(model: Measured<'_>, items: &[Item], watch: Watch<'_>) -> Result<Vec<f64>, MeasureError> {
    let all: Vec<(&[u32], usize)> = requests(items).map(|of| (&of.tokens[..], of.context)).collect();
    Ok(scored(model, &all, false, watch)?.log_likelihoods)
}

/// The same of tokens of which the first ones, so many, are the context; and whether each of the others is the likeliest at its
/// place, where `greedy` asks for that.
fn scored(model: Measured<'_>, all: &[(&[u32], usize)], greedy: bool, watch: Watch<'_>) -> Result<Asked, MeasureError> {
    let rows: Vec<&[u32]> = all.iter().map(|(tokens, _)| last(tokens, model.decoder().context + 1)).collect();
    let vocabulary = model.decoder().vocab_size;
    let tokens = if greedy { TOKENS.min(LOGITS / vocabulary) } else { TOKENS };
    let mut found = Asked { log_likelihoods: vec![0.0; all.len()], greedy: vec![true; if greedy { all.len() } else { 0 }] };
    by_length(model, &rows, tokens, watch, |pass, batch, targets| {
        let losses = pass.losses(targets)?;
        let logits = if greedy { pass.logits()? } else { Default::default() };
        let time = targets.len() / batch.len();
        for (row, &index) in batch.iter().enumerate() {
            let continuation = all[index].0.len() - all[index].1;
            let end = rows[index].len() - 1;
            let places = row * time + end - continuation.min(end)..row * time + end;
            found.log_likelihoods[index] = -losses[places.clone()].iter().map(|&loss| f64::from(loss)).sum::<f64>();
            if greedy {
                let likeliest = |place: usize| greatest(&logits[place * vocabulary..][..vocabulary]);
                found.greedy[index] = places.into_iter().all(|place| likeliest(place) == targets[place] as usize);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The last `most` of a list, or all.
fn last(tokens: &[u32], most: usize) -> &[u32] {
    &tokens[tokens.len().saturating_sub(most)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Keep, Pass};
    use crate::model::{Decoder, Family, Model, Sizes};

    #[test]
    fn choices_of_the_same_tokens_are_counted() {
        let item = |rows: [&[u32]; 2]| {
            let choice = |tokens: &[u32]| Request { tokens: tokens.to_vec(), context: 1, characters: 1, bytes: 1 };
            Item::new(rows.map(choice).to_vec(), 0)
        };
        assert!(is_indistinct(&item([&[0, 1, 2], &[0, 1, 2]]), 8), "an unknown token for both");
        assert!(!is_indistinct(&item([&[0, 1, 2], &[0, 1, 3]]), 8));
        assert!(!is_indistinct(&item([&[0, 1, 2], &[0, 1, 2, 2]]), 8));
        assert!(is_indistinct(&item([&[0, 9, 1, 2], &[0, 8, 1, 2]]), 1), "the difference lies before what the model sees");
    }

    fn item(lengths: &[usize], answer: usize) -> Item {
        let choice = |&characters: &usize| Request { tokens: vec![0, 1], context: 1, characters, bytes: characters };
        Item::new(lengths.iter().map(choice).collect(), answer)
    }

    #[test]
    fn accuracies_by_hand() {
        let items = vec![item(&[10, 4], 0), item(&[10, 4], 0), item(&[5, 5], 0), item(&[2, 2, 2], 2), item(&[1, 1], 1)];
        let task = Task { form: TaskForm::MinimalPairs, name: "t".into(), items, documents: vec![], fingerprint: String::new() };
        // right; wrong, but -10/10 > -8/4; equal, so the first; right; wrong
        let found = [-5.0, -8.0, -10.0, -8.0, -3.0, -3.0, -9.0, -8.0, -7.0, -1.0, -2.0];
        let score = TaskScore::of(&task, &found, 8);
        assert_eq!((score.accuracy, score.accuracy_normalised, score.items), (0.6, 0.8, 5));
        assert!((score.chance.unwrap() - 7.0 / 15.0).abs() < 1e-15); // (4/2 + 1/3)/5
        assert!((score.standard_error - (0.6f64 * 0.4 / 4.0).sqrt()).abs() < 1e-15);
        assert!((score.standard_error_normalised - 0.2).abs() < 1e-12); // sqrt(0.8·0.2/4)
    }

    fn model() -> Model {
        let spec = Sizes { layers: 1, width: 8, heads: 2, context: 12, mlp_width: 16 };
        let mut model = Model::fresh(Decoder::new(Family::Gpt2, spec, 7), 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|w| *w *= 20.0); // far from equal likelihoods
        model
    }

    /// The log-likelihood of the last `continuation` of `tokens`, each from a pass by itself.
    fn one_by_one(model: &Model, tokens: &[u32], continuation: usize) -> f64 {
        let mut pass = Pass::new(model.decoder(), 1, tokens.len() - 1, Keep::Last);
        pass.forward(model, &tokens[..tokens.len() - 1], None).unwrap();
        let losses = pass.losses(model, &tokens[1..]);
        -losses[losses.len() - continuation..].iter().map(|&loss| f64::from(loss)).sum::<f64>()
    }

    #[test]
    fn a_likelihood_is_that_of_a_pass_by_itself_whatever_shares_its_batch() {
        let model = model();
        let tokens = |length: usize| (0..length as u32).map(|i| i * i % 7).collect::<Vec<u32>>();
        let request = |length, context| Request { tokens: tokens(length), context, characters: 1, bytes: 1 };
        let items: Vec<Item> = [(2, 1), (5, 1), (6, 4), (13, 9), (3, 2), (9, 1)]
            .map(|(length, context)| Item::new(vec![request(length, context)], 0))
            .to_vec();
        let found = log_likelihoods((&model).into(), &items, &|| true).unwrap();
        for (item, found) in items.iter().zip(found) {
            let Request { tokens, context, .. } = &item.choices[0];
            let alone = one_by_one(&model, tokens, tokens.len() - context);
            assert!((found - alone).abs() < 1e-5, "{tokens:?}: {found}, alone {alone}");
        }
    }

    #[test]
    fn of_what_is_too_long_the_last_tokens_are_scored() {
        let model = model();
        let tokens: Vec<u32> = (0..20).map(|i| i * 3 % 7).collect();
        let request = |context| Request { tokens: tokens.clone(), context, characters: 1, bytes: 1 };
        let items = [Item::new(vec![request(17), request(1)], 0)];
        let found = log_likelihoods((&model).into(), &items, &|| true).unwrap();
        assert!((found[0] - one_by_one(&model, &tokens[7..], 3)).abs() < 1e-5); // 13 tokens: 12 inputs, the last 3 of 12 targets
        assert!((found[1] - one_by_one(&model, &tokens[7..], 12)).abs() < 1e-5);
        let task = Task {
            form: TaskForm::MinimalPairs,
            name: "t".into(),
            items: vec![items[0].clone(); 2],
            documents: vec![],
            fingerprint: String::new(),
        };
        assert_eq!(TaskScore::of(&task, &[0.0; 4], 12).truncated, 4);
        assert_eq!(TaskScore::of(&task, &[0.0; 4], 19).truncated, 0);
    }

    #[test]
    fn an_interrupted_measurement_says_so() {
        let items = [item(&[1, 1], 0)];
        assert!(matches!(log_likelihoods((&model()).into(), &items, &|| false), Err(MeasureError::Interrupted)));
    }
}
