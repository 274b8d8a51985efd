//! Further texts: what a trained model loses on each.

use crate::data::{DataError, Split, Tokenizer};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A text file beside a study's data, in tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// As the study calls it.
    pub name: String,
    /// The text.
    pub split: Split,
    /// BLAKE3 of all that its measures depend on, in hexadecimal: its length in bytes as u64, then its tokens as u32,
    /// little-endian.
    pub fingerprint: String,
}

impl Text {
    /// Reads a file of UTF-8 text.
    ///
    /// # Errors
    /// When it cannot be read, is not text or empty, or cannot be tokenized.
    pub fn read(name: &str, path: &Path, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        let split = Split::read(path, tokenizer)?;
        let mut hash = blake3::Hasher::new();
        hash.update(&(split.bytes.unwrap_or_default() as u64).to_le_bytes());
        for chunk in split.tokens.chunks() {
            hash.update(&chunk?.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        }
        Ok(Self { name: name.to_owned(), split, fingerprint: hash.finalize().to_hex().to_string() })
    }
}

/// What a model loses on a text, in windows as the held-out split is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextLoss {
    /// The text's name.
    pub text: String,
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
    /// Its standard error: the deviation of windows' mean losses over the root of their number.
    pub loss_standard_error: f64,
    /// Bits per byte of text; none where the tokens do not give the text back.
    pub bits_per_byte: Option<f64>,
    /// Fraction of its characters that the tokens lose, where they do not give it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_lost: Option<f64>,
    /// Windows evaluated.
    pub windows: usize,
}
