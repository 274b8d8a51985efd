//! Tokens of text that are kept on disk, so that no text is tokenized twice: a folder with an entry for each content.
//!
//! ```text
//! <folder>/<address>/corpus.json      what the entry holds, with length and BLAKE3 of each file
//!                   /train.bin        token ids, u16 where the vocabulary fits, else u32, little-endian
//!                   /validation.bin, /test.bin
//!                   /tokenizer.json, /tokenizer_config.json
//! ```
//!
//! An address is the BLAKE3 of all that the tokens depend on: the bytes of the files and how they are read and cut, the tokenizer
//! and the separator. So trials and studies share entries, and nothing needs to be told when a text changes. An entry is written
//! under another name, flushed, and renamed: two processes that make it at once do each other no harm, and one that stops leaves
//! nothing that looks like an entry. What a killed process left is removed by the next that makes an entry.

mod disk;
mod writer;

pub use disk::{Disk, Output};

use super::entry::{self, Entry, EntrySplit, Mark};
use super::origin::Choice;
use super::texts::Texts;
use super::tokenizing::Tokenizing;
use super::vocabulary::fit;
use super::watch::{Seen, Watch};
use super::{DataError, Split, Tokenizer};
use crate::spec::Dtype;
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use writer::{Writer, write};

/// An entry and where it is.
pub(super) struct Kept {
    folder: PathBuf,
    pub entry: Entry,
}

impl Kept {
    /// The tokens of a split, which stay in their file, under the name that messages are to call it.
    pub fn split(&self, split: &str, name: &str) -> Result<Split, DataError> {
        self.entry.split(&self.folder, split, name)
    }

    /// What made the tokens.
    pub fn tokenizer(&self) -> Result<Tokenizer, DataError> {
        Tokenizer::restore(&self.entry.tokenizer, &self.folder)
    }
}

/// In the names of entries that are being made.
const PARTIAL: &str = ".partial-";
/// Age at which an unfinished entry that no process is writing is removed: far more than clocks of machines differ.
const STALE: Duration = Duration::from_secs(3600);

/// Tokens on disk.
#[derive(Clone)]
pub struct Cache {
    folder: PathBuf,
    disk: Option<&'static dyn Disk>,
    /// Tokens that each split of an entry must have.
    least: usize,
}

impl Cache {
    /// The cache in `folder`, which is made when the first entry is.
    pub fn writable(folder: PathBuf, disk: &'static dyn Disk) -> Self {
        Self { folder, disk: Some(disk), least: 0 }
    }

    /// The cache in `folder`, whose entries are used and which is left as it is.
    pub fn readonly(folder: PathBuf) -> Self {
        Self { folder, disk: None, least: 0 }
    }

    /// The same cache, which keeps no entry with a split that is too short for a window of `context` tokens.
    pub fn for_windows_of(&self, context: usize) -> Self {
        Self { least: context.saturating_add(1), ..self.clone() }
    }

    /// Where its entries are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The entry at an address. Lengths of files are checked.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub(super) fn open(&self, address: &str) -> Result<Kept, DataError> {
        let folder = self.folder.join(address);
        match Entry::read(&folder, address) {
            Ok(entry) => Ok(Kept { folder, entry }),
            Err(why) => Err(DataError::Entry { folder, why }),
        }
    }

    /// The tokens of `texts`: those of an entry that is there, or of one that is made now. Without either, where the cache is left
    /// as it is, none.
    ///
    /// # Errors
    /// When a text cannot be read or become tokens, or the entry cannot be written, and when `watch` stops it.
    pub(super) fn entry(
        &self,
        texts: &Texts,
        choice: &Choice,
        checkpoint: Option<usize>,
        watch: &dyn Watch,
    ) -> Result<Option<Kept>, DataError> {
        watch.sees(Seen::Hashes);
        let Some(content) = texts.content()? else { return Ok(None) };
        let inputs = json!([entry::VERSION, content, choice.inputs()?, texts.separator]);
        let address = blake3::hash(inputs.to_string().as_bytes()).to_hex().to_string();
        let folder = self.folder.join(&address);
        let there = self.look(&folder, &address);
        if let Err(why) = &there {
            watch.sees(Seen::Damaged { folder: &folder, why });
        }
        let (entry, made) = match (there.ok().flatten(), self.disk) {
            (Some(entry), _) => (entry, false),
            (None, Some(disk)) => (self.make(disk, &address, texts, choice, checkpoint, watch)?, true),
            (None, None) => return Ok(None),
        };
        watch.sees(Seen::Entry { folder: &folder, entry: &entry, made });
        Ok(Some(Kept { folder, entry }))
    }

    /// The entry in a folder, where there is one; what is wrong with it, where it is damaged.
    fn look(&self, folder: &Path, address: &str) -> Result<Option<Entry>, String> {
        if !folder.exists() {
            return Ok(None);
        }
        let entry = Entry::read(folder, address)?;
        entry.verify(folder)?;
        Ok(Some(entry))
    }

    fn make(
        &self,
        disk: &dyn Disk,
        address: &str,
        texts: &Texts,
        choice: &Choice,
        checkpoint: Option<usize>,
        watch: &dyn Watch,
    ) -> Result<Entry, DataError> {
        let tokenizer = choice.tokenizer(texts.train(), watch)?;
        fit(choice.name(), tokenizer.vocab_size(), checkpoint)?;
        let how = Tokenizing::new(&tokenizer, texts.separator.as_deref(), watch)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let partial = self.folder.join(format!("{address}{PARTIAL}{}-{since}", std::process::id()));
        let failed = |source| DataError::Write { path: partial.clone(), source };
        let new: Vec<&Path> = self.folder.ancestors().take_while(|folder| !folder.exists()).collect();
        disk.create_folder(&self.folder).map_err(failed)?;
        self.sweep(disk);
        let made = write_entry(disk, &partial, address, texts, &how).and_then(|entry| {
            self.check(&entry, texts)?;
            self.put(disk, &partial, address).map_err(failed)?;
            Ok(entry)
        });
        if made.is_err() {
            // the error is reported, even where its leftovers cannot be removed
            let _ = disk.remove_folder(&partial);
            let _ = new.into_iter().try_for_each(|folder| disk.remove_empty_folder(folder));
        }
        made
    }

    /// Whether each split is long enough.
    fn check(&self, entry: &Entry, texts: &Texts) -> Result<(), DataError> {
        texts.splits().try_for_each(|(split, text)| {
            let (expected, found) = (self.least, entry.splits[split].tokens as usize);
            if found < expected { Err(DataError::TooShort { name: text.name.clone(), expected, found }) } else { Ok(()) }
        })
    }

    /// Gives an entry its name. Where another process has been faster, its entry stays.
    fn put(&self, disk: &dyn Disk, partial: &Path, address: &str) -> io::Result<()> {
        let folder = self.folder.join(address);
        if folder.exists() {
            if matches!(self.look(&folder, address), Ok(Some(_))) {
                return disk.remove_folder(partial);
            }
            disk.remove_folder(&folder)?;
        }
        match disk.rename(partial, &folder) {
            Err(_) if matches!(self.look(&folder, address), Ok(Some(_))) => disk.remove_folder(partial),
            Err(error) => Err(error),
            Ok(()) => disk.sync_folder(&self.folder),
        }
    }

    /// Removes what killed processes left of entries.
    fn sweep(&self, disk: &dyn Disk) {
        for left in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_partial = left.file_name().to_string_lossy().contains(PARTIAL);
            let is_made = std::fs::File::open(left.path().join(LOCKED)).is_ok_and(|file| file.try_lock().is_err());
            if is_partial && !is_made && age(&left.path()).is_some_and(|age| age > STALE) {
                let _ = disk.remove_folder(&left.path()); // perhaps by the next
            }
        }
    }
}

/// Time since anything in a folder was written: a lock may be known to its own machine alone.
fn age(folder: &Path) -> Option<Duration> {
    let written = |path: PathBuf| path.metadata().and_then(|facts| facts.modified()).ok();
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|file| written(file.path()));
    files.chain(written(folder.to_owned())).max()?.elapsed().ok()
}

/// The file that is locked while an entry is made.
const LOCKED: &str = "tokenizer.json";

fn write_entry(disk: &dyn Disk, partial: &Path, address: &str, texts: &Texts, how: &Tokenizing<'_>) -> Result<Entry, DataError> {
    let failed = |source| DataError::Write { path: partial.to_owned(), source };
    let tokenizer = how.tokenizer;
    let dtype = if tokenizer.vocab_size() <= 1 << 16 { Dtype::U16 } else { Dtype::U32 };
    disk.create_folder(partial).map_err(failed)?;
    let (_lock, mut files) = write_tokenizer(disk, partial, tokenizer)?;
    let mut splits = BTreeMap::new();
    for (split, text) in texts.splits() {
        let file = entry::token_file(split);
        let mut writer = Writer::create(disk, &partial.join(&file)).map_err(failed)?;
        let (amount, lost) = how.run(split, text, |ids| writer.ids(ids, dtype).map_err(failed))?;
        files.insert(file, writer.end().map_err(failed)?);
        let (name, lost) = (text.name.clone(), lost.fraction());
        let facts = EntrySplit { name, documents: amount.documents, bytes: amount.bytes, tokens: amount.tokens, lost };
        splits.insert(split.to_owned(), facts);
    }
    let mut entry = Entry {
        version: entry::VERSION,
        address: address.to_owned(),
        tokenizer: tokenizer.kind().into(),
        vocab_size: tokenizer.vocab_size(),
        dtype,
        separator: texts.separator.clone(),
        fingerprint: String::new(),
        splits,
        files,
    };
    entry.fingerprint = fingerprint(&entry, partial, texts)?;
    write(disk, &partial.join(entry::FILE), &entry.sealed()).map_err(failed)?;
    disk.sync_folder(partial).map_err(failed)?;
    Ok(entry)
}

/// A locked file, and the files written.
type Written = (Option<Box<dyn Output>>, BTreeMap<String, Mark>);

/// Writes the tokenizer's files, one of which stays locked until what is returned is dropped.
fn write_tokenizer(disk: &dyn Disk, partial: &Path, tokenizer: &Tokenizer) -> Result<Written, DataError> {
    let failed = |source| DataError::Write { path: partial.to_owned(), source };
    let (mut lock, mut files) = (None, BTreeMap::new());
    for (name, content) in tokenizer.files()? {
        if name == LOCKED {
            let mut output = disk.create_file(&partial.join(name)).map_err(failed)?;
            let _ = output.lock(); // where a file system has no locks, nothing is swept
            output.append(&content).and_then(|()| output.sync()).map_err(failed)?;
            lock = Some(output);
            files.insert(name.to_owned(), Mark::of(&content));
        } else {
            files.insert(name.to_owned(), write(disk, &partial.join(name), &content).map_err(failed)?);
        }
    }
    Ok((lock, files))
}

/// The hash of all tokens, each split's number of them before them.
fn fingerprint(entry: &Entry, folder: &Path, texts: &Texts) -> Result<String, DataError> {
    let mut hash = blake3::Hasher::new();
    for (split, text) in texts.splits() {
        let tokens = entry.split(folder, split, &text.name)?.tokens;
        hash.update(&(tokens.len() as u64).to_le_bytes());
        for chunk in tokens.chunks() {
            hash.update(&chunk?.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests;
