//! Hashes of all that scores depend on.

use super::documents::Document;
use super::request::{Item, Request};
use crate::spec::TaskForm;

/// See [`super::Task::fingerprint`]. Numbers are u64, little-endian; of each item the answer and the number of choices, of each
/// choice its tokens' number, its context's, its characters', and the tokens.
pub(super) fn of_items(items: &[Item]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut add = |number: u64| _ = hash.update(&number.to_le_bytes());
    for item in items {
        [item.answer, item.choices.len()].into_iter().for_each(|number| add(number as u64));
        for Request { tokens, context, characters, .. } in &item.choices {
            [tokens.len(), *context, *characters].into_iter().for_each(|number| add(number as u64));
            tokens.iter().for_each(|&token| add(token.into()));
        }
    }
    hash.finalize().to_hex().to_string()
}

/// The same of a task of `evaluate.tasks`: the hash of its form and of [`of_items`], then of each item the number of
/// its further right choices, these, and the bytes of each choice; and of each document its words, its bytes, the number of its
/// tokens and these.
pub(super) fn of_form(form: TaskForm, items: &[Item], documents: &[Document]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(form.field().as_bytes());
    hash.update(of_items(items).as_bytes());
    let mut add = |number: usize| _ = hash.update(&(number as u64).to_le_bytes());
    for item in items {
        add(item.also.len());
        item.also.iter().for_each(|&index| add(index));
        item.choices.iter().for_each(|choice| add(choice.bytes));
    }
    for Document { tokens, words, bytes } in documents {
        [*words, *bytes, tokens.len()].into_iter().for_each(&mut add);
        tokens.iter().for_each(|&token| add(token as usize));
    }
    hash.finalize().to_hex().to_string()
}
