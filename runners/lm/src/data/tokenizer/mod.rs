//! From text to token ids.

mod byte_level;
mod cutter;
mod foreign;
mod lost;

pub(super) use cutter::{Cutter, Piece};
pub(super) use lost::Lost;

use super::{DataError, files, prefix};
use byte_level::{all_bytes, byte_level, is_by_pattern, letter, pieces};
use foreign::{guarded, merges_lie_in_vocabulary};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, Tokenizer as HuggingFace};

/// Makes token ids of text. It adds nothing to the text: no space in front, no special tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: Kind,
    vocab_size: usize,
    /// See [`prefix`].
    prefix: Option<u32>,
    /// Whether text is split by GPT-2's pattern alone, so that it may be cut at line breaks, and decoding always gives it back.
    by_pattern: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A token is a byte.
    Bytes,
    /// Byte-pair encoding that we trained.
    Bpe(Box<HuggingFace>),
    /// As a file and the `tokenizer_config.json` beside it define it.
    File(Box<HuggingFace>, Option<serde_json::Value>),
}

impl Tokenizer {
    /// Each byte is a token, and its value is the id.
    pub fn bytes() -> Self {
        Self { kind: Kind::Bytes, vocab_size: 256, prefix: Some(b'\n'.into()), by_pattern: true }
    }

    /// Byte-level byte-pair encoding, learned from a text: the 256 bytes and merges on top, up to `vocab_size` tokens or as many as
    /// the text yields. Text is first split into words by GPT-2's pattern; no merge crosses a word's edge.
    ///
    /// # Errors
    /// When the trainer fails.
    pub fn bpe(text: &str, vocab_size: usize) -> Result<Self, DataError> {
        Self::learn(pieces(text).into_iter(), vocab_size)
    }

    /// As [`bpe`](Self::bpe), from a text in pieces: those of [`Cutter`], or documents.
    ///
    /// # Errors
    /// When the trainer fails.
    pub(super) fn learn<T: AsRef<str> + Send>(
        pieces: impl Iterator<Item = T> + Send,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build()
            .into();
        let mut learned = byte_level(BPE::default());
        learned.train(&mut trainer, pieces).map_err(failed)?;
        Ok(Self::learned(learned))
    }

    fn learned(learned: HuggingFace) -> Self {
        let prefix = learned.token_to_id(&letter(b'\n').to_string());
        Self { vocab_size: vocabulary(&learned), kind: Kind::Bpe(Box::new(learned)), prefix, by_pattern: true }
    }

    /// What [`bpe`](Self::bpe) learned, from its `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not one.
    pub(super) fn trained(json: &str) -> Result<Self, DataError> {
        json.parse().map(Self::learned).map_err(failed)
    }

    /// The tokenizer of this [kind](Self::kind) whose [`files`](Self::files) are in `folder`.
    ///
    /// # Errors
    /// As [`Tokenizer::file`].
    pub(super) fn restore(kind: &str, folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("tokenizer.json");
        match kind {
            "bytes" => Ok(Self::bytes()),
            "bpe" => {
                let not_one = |message: String| DataError::NotATokenizer { path: path.clone(), message };
                let bytes = files::bytes(&path)?;
                Ok(Self::learned(guarded(|| HuggingFace::from_bytes(&bytes)).map_err(not_one)?))
            }
            _ => Self::file(&path),
        }
    }

    /// `bytes`, `bpe` or `file`, as a study names them.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Bytes => "bytes",
            Kind::Bpe(_) => "bpe",
            Kind::File(..) => "file",
        }
    }

    /// Reads a `tokenizer.json` of Hugging Face. Its truncation, padding and dropout of merges are switched off: they are made for
    /// single sentences and would lose text or make it random.
    ///
    /// # Errors
    /// When the file cannot be read or is not a tokenizer.
    pub fn file(path: &Path) -> Result<Self, DataError> {
        let not_one = |message: String| DataError::NotATokenizer { path: path.into(), message };
        let bytes = files::bytes(path)?;
        merges_lie_in_vocabulary(&bytes).map_err(not_one)?;
        let mut read = guarded(|| HuggingFace::from_bytes(&bytes)).map_err(not_one)?;
        read.with_padding(None).with_truncation(None).map_err(|e| not_one(e.to_string()))?;
        if let ModelWrapper::BPE(model) = read.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            read.with_model(model);
        }
        let config = prefix::beside(path)?;
        let prefix = guarded(|| Ok(prefix::prefix(&read, config.as_ref()))).map_err(not_one)?;
        let by_pattern = is_by_pattern(&read);
        Ok(Self { vocab_size: vocabulary(&read), kind: Kind::File(Box::new(read), config), prefix, by_pattern })
    }

    /// Token ids of a text.
    ///
    /// Where text is split by GPT-2's pattern alone, it is first cut into pieces, at places where the pattern splits anyway, so the
    /// tokens are those of the whole. Other tokenizers see the whole text at once, for nobody knows where it may be cut.
    ///
    /// # Errors
    /// When a tokenizer from a file has no token for some part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        if !self.by_pattern || matches!(self.kind, Kind::Bytes) {
            return self.encode_piece(text);
        }
        let encoded: Vec<_> = pieces(text).into_par_iter().map(|piece| self.encode_piece(piece)).collect::<Result<_, _>>()?;
        Ok(encoded.concat())
    }

    /// Token ids of a text that is not cut, by the thread that calls.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub(super) fn encode_piece(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match &self.kind {
            Kind::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Kind::Bpe(learned) => Ok(learned.encode_fast(text, false).map_err(failed)?.get_ids().to_vec()),
            Kind::File(read, _) => encode_by_file(read, text, false),
        }
    }

    /// How documents may be cut before they are encoded, piece by piece, without a change to their tokens.
    pub(super) fn cutter(&self) -> Cutter {
        match self.kind {
            Kind::Bytes => Cutter::anywhere(),
            _ if self.by_pattern => Cutter::at_line_breaks(),
            _ => Cutter::nowhere(),
        }
    }

    /// The text of a token, for messages.
    pub(super) fn shown(&self, id: u32) -> String {
        match &self.kind {
            Kind::Bytes => format!("{:?}", char::from(id as u8).to_string()),
            Kind::Bpe(inner) | Kind::File(inner, _) => format!("{:?}", inner.decode(&[id], false).unwrap_or_default()),
        }
    }

    /// What of a text's characters its tokens lose. A character is lost that the decoded text has fewer times: where it stands is
    /// not compared, so a text may come back in another order, or with more spaces, and have lost 0.
    ///
    /// # Errors
    /// When a tokenizer from a file cannot decode.
    pub(super) fn lost(&self, text: &str, tokens: &[u32]) -> Result<Lost, DataError> {
        let Kind::File(read, _) = &self.kind else { return Ok(Lost::default()) }; // ours are made of bytes
        if self.by_pattern {
            return Ok(Lost::default());
        }
        let decode =
            |skip_special| guarded(|| read.decode(tokens, skip_special)).map_err(|message| DataError::Tokenizer { message });
        let characters = text.chars().count() as u64;
        if decode(false)? == text {
            return Ok(Lost { characters, ..Lost::default() });
        }
        let mut missing: HashMap<char, i64> = HashMap::new();
        text.chars().for_each(|c| *missing.entry(c).or_default() += 1);
        decode(true)?.chars().for_each(|c| *missing.entry(c).or_default() -= 1);
        let lost: i64 = missing.into_values().filter(|&count| count > 0).sum();
        Ok(Lost { characters, lost: lost as u64, differs: true })
    }

    /// Token ids of a text with the special tokens that a tokenizer from a file adds by itself; ours add none.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match &self.kind {
            Kind::File(read, _) => encode_by_file(read, text, true),
            _ => self.encode(text),
        }
    }

    /// The token that stands in front of a text which is scored by itself, where there is one: a line break for our own
    /// tokenizers; for one from a file, what the `tokenizer_config.json` beside it calls `bos_token`, or else `eos_token`.
    pub fn prefix(&self) -> Option<u32> {
        self.prefix
    }

    /// The largest token id, plus 1.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `tokenizer.json` and `tokenizer_config.json` in the format of Hugging Face, name and content.
    ///
    /// # Errors
    /// When the tokenizer cannot be serialized.
    pub fn files(&self) -> Result<[(&'static str, Vec<u8>); 2], DataError> {
        let (tokenizer, config) = self.as_hugging_face()?;
        let config = prefix::config(config, self.prefix.and_then(|token| tokenizer.id_to_token(token)));
        Ok([("tokenizer.json", self.json()?.into_bytes()), (prefix::FILE, config.into_bytes())])
    }

    /// Writes [`files`](Self::files) into a folder that is the caller's own.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        for (name, content) in self.files()? {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|source| DataError::Write { path, source })?;
        }
        Ok(())
    }

    /// Its `tokenizer.json`: tokenizers with the same make the same ids of every text.
    pub(super) fn json(&self) -> Result<String, DataError> {
        self.as_hugging_face()?.0.to_string(true).map_err(failed)
    }

    fn as_hugging_face(&self) -> Result<(Cow<'_, HuggingFace>, Option<&serde_json::Value>), DataError> {
        Ok(match &self.kind {
            Kind::Bytes => (Cow::Owned(all_bytes()?), None),
            Kind::Bpe(tokenizer) => (Cow::Borrowed(&**tokenizer), None),
            Kind::File(tokenizer, config) => (Cow::Borrowed(&**tokenizer), config.as_ref()),
        })
    }
}

fn encode_by_file(read: &HuggingFace, text: &str, special: bool) -> Result<Vec<u32>, DataError> {
    let encoded = guarded(|| read.encode_fast(text, special)).map_err(|message| DataError::Tokenizer { message })?;
    Ok(encoded.get_ids().to_vec())
}

/// Ids may have gaps, so entries are not counted.
fn vocabulary(tokenizer: &HuggingFace) -> usize {
    tokenizer.get_vocab(true).into_values().max().map_or(0, |largest| largest as usize + 1)
}

fn failed(error: tokenizers::Error) -> DataError {
    DataError::Tokenizer { message: error.to_string() }
}

#[cfg(test)]
mod tests;
