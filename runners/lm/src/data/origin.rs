//! The vocabulary of a checkpoint: the tokens that its embedding's rows stand for.

use super::texts::Texts;
use super::{DataError, Tokenizer};
use crate::spec::TokenizerSpec;
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

/// The tokenizer that `named` says, or that of the checkpoint, and what messages call it. Weights know ids by the meaning that they
/// were trained with, so where the checkpoint has a tokenizer, another must make the same ids of `texts`; and then its own is
/// taken, for other texts might tell the two apart.
///
/// # Errors
/// When a tokenizer cannot be made or read, when the checkpoint's disagrees with the one named, when there is neither.
pub(super) fn choose(
    named: Option<&TokenizerSpec>,
    origin: Option<&Origin>,
    texts: &Texts,
) -> Result<(String, Tokenizer), DataError> {
    let made = |spec: &TokenizerSpec| {
        Ok(match spec {
            TokenizerSpec::Bytes => ("tokenizer.bytes".into(), Tokenizer::bytes()),
            TokenizerSpec::Bpe(spec) => ("tokenizer.bpe".into(), Tokenizer::bpe(texts.train(), spec.vocab_size.get())?),
            TokenizerSpec::File(path) => (path.display().to_string(), Tokenizer::file(path)?),
        })
    };
    let own = origin.map(Origin::tokenizer).transpose()?.flatten();
    match (named, own, origin) {
        (Some(named), None, _) => made(named),
        (None, Some((path, own)), _) => Ok((path.display().to_string(), own)),
        (None, None, None) => made(&TokenizerSpec::Bpe(Default::default())),
        (None, None, Some(origin)) => Err(DataError::NoTokenizer { folder: origin.folder.clone() }),
        (Some(named), Some((path, own)), _) => {
            let (name, other) = made(named)?;
            if own.json()? != other.json()? {
                let ([train, validation], test) = texts.encode(&own)?;
                let splits = [&train, &validation].into_iter().chain(&test);
                if let Some(differs) = texts.first_difference(&other, splits)? {
                    return Err(DataError::OtherTokenizer { name, path, differs });
                }
            }
            Ok((path.display().to_string(), own))
        }
    }
}
