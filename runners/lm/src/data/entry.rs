//! `corpus.json`: what an entry of a cache holds, and whether it still does.

use super::tokens::TokenFile;
use super::{DataError, Split, Tokens};
use crate::spec::Dtype;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Of the form of entries: part of every address.
pub(super) const VERSION: u32 = 1;
pub(super) const FILE: &str = "corpus.json";

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the form.
    pub version: u32,
    /// BLAKE3 of all that the tokens depend on: the name of its folder.
    pub address: String,
    /// How the tokenizer was made: `bytes`, `bpe` or `file`.
    pub tokenizer: String,
    /// The largest token id, plus 1.
    pub vocab_size: usize,
    /// Type of the ids in the files of tokens.
    pub dtype: Dtype,
    /// What stands between two documents, where anything does.
    pub separator: Option<String>,
    /// As the fingerprint of a corpus.
    pub fingerprint: String,
    /// By name: train, validation, and test where there is one.
    pub splits: BTreeMap<String, EntrySplit>,
    /// Every file besides this one.
    pub files: BTreeMap<String, Mark>,
}

/// A split of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntrySplit {
    /// What messages called it when the entry was made.
    pub name: String,
    /// Documents with any text.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Tokens, separators included.
    pub tokens: u64,
    /// Fraction of the text's characters that the tokens lose.
    pub lost: Option<f64>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its length.
    pub bytes: u64,
    /// Hash of its content.
    pub blake3: String,
}

impl Mark {
    /// Of a file with this content.
    pub(super) fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, blake3: blake3::hash(content).to_hex().to_string() }
    }
}

/// The entry and the hash of its JSON.
#[derive(Serialize, Deserialize)]
struct Sealed {
    blake3: String,
    entry: serde_json::Value,
}

/// The name of a split's file.
pub(super) fn token_file(split: &str) -> String {
    format!("{split}.bin")
}

impl Entry {
    /// `corpus.json`, with a hash of what it says.
    pub(super) fn sealed(&self) -> Vec<u8> {
        let entry = serde_json::to_value(self).expect("plain fields");
        let blake3 = blake3::hash(entry.to_string().as_bytes()).to_hex().to_string();
        let text = serde_json::to_string_pretty(&Sealed { blake3, entry }).expect("plain fields");
        (text + "\n").into_bytes()
    }

    /// Reads the entry in `folder` and compares the lengths of its files.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(folder: &Path, address: &str) -> Result<Self, String> {
        let text = std::fs::read(folder.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| format!("{FILE}: {error}"))?;
        if sealed.blake3 != blake3::hash(sealed.entry.to_string().as_bytes()).to_hex().as_str() {
            return Err(format!("{FILE} is not what was written"));
        }
        let entry: Self = serde_json::from_value(sealed.entry).map_err(|error| format!("{FILE}: {error}"))?;
        if entry.version != VERSION || entry.address != address {
            return Err(format!("{FILE} is that of another entry"));
        }
        for (name, mark) in &entry.files {
            let found = std::fs::metadata(folder.join(name)).map_err(|error| format!("{name}: {error}"))?.len();
            if found != mark.bytes {
                return Err(format!("{name} has {found} bytes in place of {}", mark.bytes));
            }
        }
        Ok(entry)
    }

    /// Compares the content of every file with its hash.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn verify(&self, folder: &Path) -> Result<(), String> {
        for (name, mark) in &self.files {
            let mut hash = blake3::Hasher::new();
            let file = std::fs::File::open(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
            hash.update_reader(file).map_err(|error| format!("{name}: {error}"))?;
            if mark.blake3 != hash.finalize().to_hex().as_str() {
                return Err(format!("{name} is not what was written"));
            }
        }
        Ok(())
    }

    /// The tokens of a split, which stay in their file, under the name that messages are to call it.
    pub(super) fn split(&self, folder: &Path, split: &str, name: &str) -> Result<Split, DataError> {
        let facts = &self.splits[split];
        let path = folder.join(token_file(split));
        let file = TokenFile { path, offset: 0, dtype: self.dtype, count: facts.tokens as usize };
        Ok(Split {
            name: name.to_owned(),
            tokens: Tokens::files(vec![file], self.vocab_size)?,
            bytes: Some(facts.bytes as usize),
            lost: facts.lost,
            best_loss: None,
        })
    }
}
