//! From words to tokens.

use super::TaskError;
use crate::data::Tokenizer;

/// An item as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    /// Empty where there is none.
    pub question: String,
    /// Each with the field that it is from.
    pub choices: Vec<(String, String)>,
    pub answer: usize,
}

/// Choices of which one is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// At least two.
    pub choices: Vec<Request>,
    /// The index of the right one.
    pub answer: usize,
}

/// What a model is asked for the likelihood of.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Token ids of context and continuation.
    pub tokens: Vec<u32>,
    /// Tokens of the context, at least one; the others are the continuation, at least one too.
    pub context: usize,
    /// Unicode code points of the choice.
    pub characters: usize,
}

impl Written {
    /// The item in tokens; `refuse` words what is wrong with a field.
    pub fn tokenized(
        self,
        tokenizer: &Tokenizer,
        prefix: u32,
        refuse: impl Fn(String, String) -> TaskError,
    ) -> Result<Item, TaskError> {
        let request = |(field, choice): (String, String)| {
            let (tokens, context) = encode(tokenizer, prefix, &self.question, &format!(" {choice}"))?;
            if context >= tokens.len() {
                return Err(refuse(field, format!("{choice:?}")));
            }
            Ok(Request { tokens, context, characters: choice.chars().count() })
        };
        Ok(Item { choices: self.choices.into_iter().map(request).collect::<Result<_, _>>()?, answer: self.answer })
    }
}

/// The tokens of context and continuation, and how many of them are the context's.
fn encode(tokenizer: &Tokenizer, prefix: u32, context: &str, continuation: &str) -> Result<(Vec<u32>, usize), TaskError> {
    let bare = context.trim_end_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)); // as Python's rstrip
    if bare.is_empty() {
        let mut tokens = tokenizer.encode(&format!("{context}{continuation}"))?;
        if tokens.first() != Some(&prefix) {
            tokens.insert(0, prefix);
        }
        return Ok((tokens, 1));
    }
    let tokens = tokenizer.encode_with_special(&format!("{context}{continuation}"))?;
    Ok((tokens, tokenizer.encode_with_special(bare)?.len()))
}

/// See [`super::Task::fingerprint`]. Numbers are u64, little-endian; of each item the answer and the number of choices, of each
/// choice its tokens' number, its context's, its characters', and the tokens.
pub(super) fn fingerprint(items: &[Item]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut add = |number: u64| _ = hash.update(&number.to_le_bytes());
    for item in items {
        [item.answer, item.choices.len()].into_iter().for_each(|number| add(number as u64));
        for Request { tokens, context, characters } in &item.choices {
            [tokens.len(), *context, *characters].into_iter().for_each(|number| add(number as u64));
            tokens.iter().for_each(|&token| add(token.into()));
        }
    }
    hash.finalize().to_hex().to_string()
}
