//! Progress of tokenizing, and the way to stop it.

use super::entry::Entry;
use std::path::Path;

/// Sees the progress of tokenizing, and may stop it.
pub trait Watch: Sync {
    /// Whether to stop.
    fn stops(&self) -> bool {
        false
    }

    /// Called while text is read, and for what is found in a [`Cache`](super::Cache).
    fn sees(&self, _seen: Seen<'_>) {}
}

/// What happens while text becomes tokens.
#[derive(Debug)]
pub enum Seen<'a> {
    /// The files are hashed, to look whether the cache has their tokens.
    Hashes,
    /// Byte-pair encoding has counted the words of so many bytes of the train split.
    Counts {
        /// Bytes of text.
        bytes: u64,
    },
    /// All words are counted, and merges are learned.
    Learns,
    /// So much of a split is in tokens.
    Tokenizes {
        /// `train`, `validation` or `test`.
        split: &'static str,
        /// What there is so far.
        amount: Amount,
    },
    /// An entry of the cache cannot be used, and is made anew.
    Damaged {
        /// The entry.
        folder: &'a Path,
        /// What is wrong with it.
        why: &'a str,
    },
    /// An entry of the cache is used.
    Entry {
        /// The entry.
        folder: &'a Path,
        /// What it holds.
        entry: &'a Entry,
        /// Whether it was made by this call.
        made: bool,
    },
}

/// Ignores the progress and never stops.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Amounts of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Documents with any text.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Tokens, those between documents too.
    pub tokens: u64,
}
