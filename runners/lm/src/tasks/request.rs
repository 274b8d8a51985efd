//! From words to tokens.

use super::TaskError;
use super::python::trim_end;
use super::worded::{Asked, Worded};
use crate::data::Tokenizer;

/// Choices of which one is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// At least two; one where the last word is asked for.
    pub choices: Vec<Request>,
    /// The index of the right one.
    pub answer: usize,
    /// The indices of others that are right too.
    pub also: Vec<usize>,
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
    /// Bytes of the choice in UTF-8.
    pub bytes: usize,
}

impl Item {
    /// An item of which one choice is right.
    pub fn new(choices: Vec<Request>, answer: usize) -> Self {
        Self { choices, answer, also: Vec::new() }
    }

    /// Whether a choice is right.
    pub fn is_right(&self, choice: usize) -> bool {
        choice == self.answer || self.also.contains(&choice)
    }
}

impl Worded {
    /// The item in tokens, with `before` in front of each context; `refuse` words what is wrong with a field.
    pub fn tokenized(
        self,
        tokenizer: &Tokenizer,
        prefix: u32,
        before: &str,
        refuse: impl Fn(String, String) -> TaskError,
    ) -> Result<Item, TaskError> {
        let request = |asked: Asked| {
            let (tokens, context) = encode(tokenizer, prefix, &format!("{before}{}", asked.context), &asked.continuation)?;
            if context >= tokens.len() {
                return Err(refuse(asked.field, format!("{:?}", asked.choice)));
            }
            Ok(Request { tokens, context, characters: asked.choice.chars().count(), bytes: asked.choice.len() })
        };
        let choices = self.asked.into_iter().map(request).collect::<Result<_, _>>()?;
        Ok(Item { choices, answer: self.right[0], also: self.right[1..].to_vec() })
    }
}

/// The tokens of context and continuation, and how many of them are the context's.
fn encode(tokenizer: &Tokenizer, prefix: u32, context: &str, continuation: &str) -> Result<(Vec<u32>, usize), TaskError> {
    let bare = trim_end(context);
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
