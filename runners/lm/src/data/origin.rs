//! The vocabulary of a checkpoint: the tokens that its embedding's rows stand for.

use super::texts::Text;
use super::tokenizing::learn;
use super::watch::Watch;
use super::{DataError, Tokenizer};
use crate::spec::TokenizerSpec;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const FILE: &str = "tokenizer.json";

/// A checkpoint that a model starts from, as far as data are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its folder, in Hugging Face's layout.
    pub folder: PathBuf,
    /// Entries of its embedding.
    pub vocab_size: usize,
}

impl Origin {
    /// Whether it says how text becomes its tokens.
    pub fn has_tokenizer(&self) -> bool {
        self.tokenizer_file().exists()
    }

    /// Where it says so.
    pub(super) fn tokenizer_file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Its tokenizer and the file that it is in, where it has one.
    ///
    /// # Errors
    /// When there is a `tokenizer.json` that cannot be used.
    pub(super) fn tokenizer(&self) -> Result<Option<(PathBuf, Tokenizer)>, DataError> {
        beside(&self.folder)
    }
}

pub(super) fn beside(folder: &Path) -> Result<Option<(PathBuf, Tokenizer)>, DataError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let tokenizer = Tokenizer::file(&path)?;
    Ok(Some((path, tokenizer)))
}

/// A tokenizer to use.
pub(super) enum Choice {
    /// One that is there, and what messages call it.
    Ready { name: String, tokenizer: Box<Tokenizer> },
    /// One of so many tokens that is to be learned from the train split.
    Learned { vocab_size: usize },
}

impl Choice {
    fn named(spec: &TokenizerSpec) -> Result<Self, DataError> {
        Ok(match spec {
            TokenizerSpec::Bytes => Self::ready("tokenizer.bytes", Tokenizer::bytes()),
            TokenizerSpec::Bpe(spec) => Self::Learned { vocab_size: spec.vocab_size.get() },
            TokenizerSpec::File(path) => Self::ready(path.display(), Tokenizer::file(path)?),
        })
    }

    fn ready(name: impl std::fmt::Display, tokenizer: Tokenizer) -> Self {
        Self::Ready { name: name.to_string(), tokenizer: Box::new(tokenizer) }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Ready { name, .. } => name,
            Self::Learned { .. } => "tokenizer.bpe",
        }
    }

    /// The tokenizer, learned now where it is to be learned.
    pub fn tokenizer(&self, train: &Text, watch: &dyn Watch) -> Result<Tokenizer, DataError> {
        match self {
            Self::Ready { tokenizer, .. } => Ok((**tokenizer).clone()),
            Self::Learned { vocab_size } => learn(train, *vocab_size, watch),
        }
    }

    /// All that it depends on besides the text.
    pub fn inputs(&self) -> Result<Value, DataError> {
        Ok(match self {
            Self::Ready { tokenizer, .. } => {
                let files = tokenizer.files()?.map(|(name, content)| format!("{name}: {}", blake3::hash(&content).to_hex()));
                json!({ "tokenizer": tokenizer.kind(), "files": files })
            }
            Self::Learned { vocab_size } => json!({ "tokenizer": "bpe", "vocab_size": vocab_size }),
        })
    }
}

/// The tokenizer that `named` says, or that of the checkpoint. Weights know ids by the meaning that they were trained with, so where
/// the checkpoint has a tokenizer, another must make the same ids of the study's texts; and then its own is taken, for other texts
/// might tell the two apart. The other is then returned too, with the path of the checkpoint's.
///
/// # Errors
/// When a tokenizer cannot be read, and when there is none to choose.
pub(super) fn choose(
    named: Option<&TokenizerSpec>,
    origin: Option<&Origin>,
) -> Result<(Choice, Option<(Choice, PathBuf)>), DataError> {
    let own = origin.map(Origin::tokenizer).transpose()?.flatten();
    match (named, own, origin) {
        (Some(named), None, _) => Ok((Choice::named(named)?, None)),
        (None, Some((path, own)), _) => Ok((Choice::ready(path.display(), own), None)),
        (None, None, None) => Ok((Choice::named(&TokenizerSpec::Bpe(Default::default()))?, None)),
        (None, None, Some(origin)) => Err(DataError::NoTokenizer { folder: origin.folder.clone() }),
        (Some(named), Some((path, own)), _) => Ok((Choice::ready(path.display(), own), Some((Choice::named(named)?, path)))),
    }
}
