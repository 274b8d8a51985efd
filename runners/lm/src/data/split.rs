//! One split of a corpus.

use super::files::text;
use super::{DataError, Tokenizer, Tokens};
use regatta_core::libm;
use std::path::Path;

/// The tokens of train, validation or test.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What messages call it: the file's name, or that of the stream it was drawn from.
    pub name: String,
    /// Token ids.
    pub tokens: Tokens,
    /// Bytes of text that the tokens cover, where they stand for text.
    pub bytes: Option<usize>,
    /// Fraction of the text's characters that the tokens lose; none where decoding them gives the text back.
    pub lost: Option<f64>,
    /// What an oracle loses on each token: `-ln p(tokens[i] | tokens[..i])`, in nats, where the process is known.
    pub best_loss: Option<Vec<f32>>,
}

impl Split {
    /// A text file by itself, as a split.
    ///
    /// # Errors
    /// When it cannot be read, is not text, is empty, or cannot be tokenized.
    pub fn read(path: &Path, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        let text = text(path)?;
        let name = path.display().to_string();
        let tokens = tokenizer.encode(&text)?;
        Ok(Self {
            name,
            lost: tokenizer.lost(&text, &tokens)?.fraction(),
            tokens: tokens.into(),
            bytes: Some(text.len()),
            best_loss: None,
        })
    }

    /// Whether it fills at least one window of `context` tokens and its last target.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, context: usize) -> Result<(), DataError> {
        let (expected, found) = (context.saturating_add(1), self.tokens.len());
        if found < expected { Err(DataError::TooShort { name: self.name.clone(), expected, found }) } else { Ok(()) }
    }

    /// Windows of `context` tokens that do not overlap, each with a target for its last token: `(tokens - 1) / context`.
    pub fn windows(&self, context: usize) -> usize {
        self.tokens.len().saturating_sub(1) / context
    }

    /// The `context` tokens of window `index` and the one behind them: its inputs are all but the last, its targets all but the
    /// first.
    ///
    /// # Errors
    /// As [`Tokens::read`].
    ///
    /// # Panics
    /// When `index` is not below [`windows`](Self::windows).
    pub fn window(&self, index: usize, context: usize) -> Result<Vec<u32>, DataError> {
        let start = index * context;
        self.tokens.read(start..start + context + 1)
    }
}

impl Split {
    /// The largest id, where there is one.
    ///
    /// # Errors
    /// As [`Tokens::read`]; when there are too many tokens to look at all.
    pub(super) fn largest(&self) -> Result<Option<u32>, DataError> {
        if self.tokens.are_many() {
            return Err(DataError::VocabularyNotNamed { name: self.name.clone(), tokens: self.tokens.len() });
        }
        self.tokens.largest()
    }
}

/// How often each token of a vocabulary occurs; in a [sample](Tokens::sample), where there are [many](Tokens::are_many) tokens.
///
/// # Errors
/// As [`Tokens::read`].
///
/// # Panics
/// When a token lies outside the vocabulary.
pub fn token_counts(split: &Split, vocab_size: usize) -> Result<Vec<u64>, DataError> {
    let mut counts = vec![0; vocab_size];
    for chunk in split.tokens.sample() {
        chunk?.into_iter().for_each(|token| counts[token as usize] += 1);
    }
    Ok(counts)
}

/// Entropy of a split's [token counts](token_counts), in nats: `-Σ_v f_v ln f_v`, f_v the fraction of token v.
///
/// It is the least loss on this split of a model that knows how frequent each token is and looks at nothing else.
///
/// # Errors
/// As [`Tokens::read`].
pub fn unigram_entropy(split: &Split) -> Result<f64, DataError> {
    let mut counts: Vec<u64> = Vec::new();
    for chunk in split.tokens.sample() {
        for token in chunk? {
            let token = token as usize;
            counts.resize(counts.len().max(token + 1), 0);
            counts[token] += 1;
        }
    }
    let total = counts.iter().sum::<u64>() as f64;
    let fractions = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
    Ok(fractions.map(|fraction| -fraction * libm::log(fraction)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(tokens: &[u32]) -> Split {
        Split { name: "test".into(), tokens: tokens.to_vec().into(), bytes: None, lost: None, best_loss: None }
    }

    #[test]
    fn windows_do_not_overlap_and_each_has_its_last_target() {
        let split = split(&[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(split.windows(3), 2);
        assert_eq!(split.window(0, 3).unwrap(), [0, 1, 2, 3]);
        assert_eq!(split.window(1, 3).unwrap(), [3, 4, 5, 6]);
    }

    #[test]
    fn a_window_needs_one_token_more_than_the_context() {
        assert_eq!(split(&[1, 2, 3]).windows(3), 0);
        assert_eq!(split(&[1, 2, 3, 4]).windows(3), 1);
        assert_eq!(split(&[]).windows(3), 0);
    }

    #[test]
    fn unigram_entropy_by_hand() {
        // shares 1/2, 1/4, 1/4: ln 2 / 2 + 2 · ln 4 / 4 = 1.5 ln 2
        assert!((unigram_entropy(&split(&[7, 7, 0, 3])).unwrap() - 1.5 * 2f64.ln()).abs() < 1e-12);
        assert_eq!(unigram_entropy(&split(&[5, 5])).unwrap(), 0.0);
        assert_eq!(unigram_entropy(&split(&[])).unwrap(), 0.0);
    }
}
