//! The three splits of a trial's data.

use super::biographies::Biographies;
use super::cache::Kept;
use super::origin::{Origin, beside, choose};
use super::synthetic::Process;
use super::texts::Texts;
use super::token_files;
use super::tokenizing::Tokenizing;
use super::vocabulary::fit;
use super::watch::{Unwatched, Watch};
use super::{Cache, DataError, Split, Tokenizer};
use crate::spec::{DataSpec, Order, SyntheticSpec, TokenizerSpec, TokensSpec};
use std::collections::BTreeMap;
use std::path::Path;

/// Stands before the sample of a split in a fingerprint.
const SAMPLED: &[u8] = b"sampled tokens, version 1";

/// Tokens to learn from, to watch and to report on.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Token ids lie below this; with a checkpoint it is the checkpoint's, which may be more than the data use.
    pub vocab_size: usize,
    /// What the model learns from.
    pub train: Split,
    /// What is watched.
    pub validation: Split,
    /// What is reported; where there is none, the validation split stands in.
    pub test: Option<Split>,
    /// What made tokens of text.
    pub tokenizer: Option<Tokenizer>,
    /// BLAKE3 of the token ids, in hexadecimal: for each split (train, validation, test where there is one) the number of its
    /// tokens as u64, then the tokens as u32, little-endian. Of a split of [many](super::Tokens::are_many) a mark and a
    /// [sample](super::Tokens::sample) of its tokens stand for all.
    pub fingerprint: String,
    /// The entry of a [`Cache`] that holds the tokens, where one does: see [`Corpus::open`].
    pub address: Option<String>,
    /// Order in which windows of the train split are seen.
    pub order: Order,
    /// Of whom the text tells, where that is known.
    pub biographies: Option<Biographies>,
}

impl Corpus {
    /// Reads or draws the data and makes tokens of them.
    ///
    /// Text (biographies too) without a tokenizer gets byte-pair encoding by its defaults; synthetic words without one are tokens
    /// themselves. A model that starts from a checkpoint, its `origin`, keeps the checkpoint's tokenizer: it is the default, token
    /// files are taken to be made by it, and another one must make the same ids.
    ///
    /// # Errors
    /// When a file cannot be read, is not what its spec says or holds nothing; when a token lies outside the vocabulary, or the
    /// vocabulary outside the checkpoint's; when a checkpoint's tokenizer is missing or another one is named. That a split fills a
    /// window is for [`check`](Self::check).
    pub fn load(data: &DataSpec, tokenizer: Option<&TokenizerSpec>, origin: Option<&Origin>) -> Result<Self, DataError> {
        Self::load_with(data, tokenizer, origin, None, &Unwatched)
    }

    /// As [`load`](Self::load), but the tokens of text are read from a cache, or written to it. `watch` sees the progress and may stop it.
    ///
    /// # Errors
    /// As [`load`](Self::load); when the cache cannot be written, and when `watch` stops it.
    pub fn load_with(
        data: &DataSpec,
        tokenizer: Option<&TokenizerSpec>,
        origin: Option<&Origin>,
        cache: Option<&Cache>,
        watch: &dyn Watch,
    ) -> Result<Self, DataError> {
        let checkpoint = origin.map(|origin| origin.vocab_size);
        match (data, tokenizer) {
            (DataSpec::Tokens(spec), Some(_)) => {
                return Err(DataError::TokensNeedNoTokenizer { path: spec.train.entries()[0].clone() });
            }
            (DataSpec::Tokens(spec), None) => {
                let own = origin.map(Origin::tokenizer).transpose()?.flatten();
                return Ok(Self { tokenizer: own.map(|(_, own)| own), ..read_tokens(spec, checkpoint)? });
            }
            (DataSpec::Synthetic(spec), None) if origin.is_none_or(|origin| !origin.has_tokenizer()) => {
                return words(spec, checkpoint);
            }
            _ => {}
        }
        let texts = Texts::of(data)?.expect("token ids were read above");
        let (choice, other) = choose(tokenizer, origin)?;
        let kept = cache.map(|cache| cache.entry(&texts, &choice, checkpoint, watch)).transpose()?.flatten();
        let corpus = match kept {
            Some(kept) => {
                let vocab_size = fit(choice.name(), kept.entry.vocab_size, checkpoint)?;
                let names: BTreeMap<&str, &str> = texts.splits().map(|(split, text)| (split, &*text.name)).collect();
                Self::of_entry(&kept, vocab_size, texts.order, |split| names[split])?
            }
            None => {
                let tokenizer = choice.tokenizer(texts.train(), watch)?;
                let vocab_size = fit(choice.name(), tokenizer.vocab_size(), checkpoint)?;
                Self::in_memory(&texts, tokenizer, vocab_size, watch)?
            }
        };
        if let (Some((other, path)), Some(own)) = (other, &corpus.tokenizer) {
            let second = other.tokenizer(texts.train(), watch)?;
            if own.json()? != second.json()? {
                let how = Tokenizing::new(&second, texts.separator.as_deref(), watch)?;
                if let Some(differs) = how.first_difference(&texts, corpus.splits())? {
                    return Err(DataError::OtherTokenizer { name: other.name().into(), path, differs });
                }
            }
        }
        Ok(Self { biographies: texts.biographies, ..corpus })
    }

    fn in_memory(texts: &Texts, tokenizer: Tokenizer, vocab_size: usize, watch: &dyn Watch) -> Result<Self, DataError> {
        let how = Tokenizing::new(&tokenizer, texts.separator.as_deref(), watch)?;
        let mut splits = texts.splits().map(|(split, text)| how.in_memory(split, text));
        let mut next = || splits.next().transpose();
        let (Some(train), Some(validation), test) = (next()?, next()?, next()?) else { unreachable!("two splits at least") };
        Self::new(vocab_size, [train, validation], test, Some(tokenizer), texts.order)
    }

    /// The corpus that [`load`](Self::load) made by this tokenizer, with the vocabulary that it found.
    ///
    /// # Errors
    /// When a file cannot be read, or what it holds does not fit.
    pub(super) fn again(data: &DataSpec, tokenizer: Option<Tokenizer>, vocab_size: usize) -> Result<Self, DataError> {
        match (data, tokenizer) {
            (DataSpec::Tokens(spec), tokenizer) => Ok(Self { tokenizer, ..read_tokens(spec, Some(vocab_size))? }),
            (DataSpec::Synthetic(spec), None) => words(spec, Some(vocab_size)),
            (data, tokenizer) => {
                let texts = Texts::of(data)?.expect("token ids were read above");
                let tokenizer =
                    tokenizer.ok_or_else(|| DataError::Tokenizer { message: "expected one for text, found none".into() })?;
                let corpus = Self::in_memory(&texts, tokenizer, vocab_size, &Unwatched)?;
                Ok(Self { biographies: texts.biographies, ..corpus })
            }
        }
    }

    /// The corpus whose [`address`](Self::address) this is, without a look at the text that it was made of. `vocab_size` and `order`
    /// are those of that corpus, which depend on the study. Lengths of files are checked, and no more is read than is used.
    ///
    /// # Errors
    /// When there is no such entry, or it is damaged.
    pub fn open(cache: &Cache, address: &str, vocab_size: usize, order: Order) -> Result<Self, DataError> {
        let kept = cache.open(address)?;
        Self::of_entry(&kept, vocab_size, order, |split| &kept.entry.splits[split].name)
    }

    fn of_entry<'n>(
        kept: &Kept,
        vocab_size: usize,
        order: Order,
        name: impl Fn(&'static str) -> &'n str,
    ) -> Result<Self, DataError> {
        let split = |which| kept.split(which, name(which));
        let test = kept.entry.splits.contains_key("test").then(|| split("test")).transpose()?;
        Ok(Self {
            vocab_size,
            train: split("train")?,
            validation: split("validation")?,
            test,
            tokenizer: Some(kept.tokenizer()?),
            fingerprint: kept.entry.fingerprint.clone(),
            address: Some(kept.entry.address.clone()),
            order,
            biographies: None,
        })
    }

    /// Whether each split fills at least one window of `context` tokens and its last target.
    ///
    /// # Errors
    /// Names the first split that does not.
    pub fn check(&self, context: usize) -> Result<(), DataError> {
        self.splits().try_for_each(|split| split.check(context))
    }

    /// What is reported on: the test split, or the validation split where there is none.
    pub fn held_out(&self) -> &Split {
        self.test.as_ref().unwrap_or(&self.validation)
    }

    /// Train, validation, and test where there is one.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        [&self.train, &self.validation].into_iter().chain(&self.test)
    }

    fn new(
        vocab_size: usize,
        [train, validation]: [Split; 2],
        test: Option<Split>,
        tokenizer: Option<Tokenizer>,
        order: Order,
    ) -> Result<Self, DataError> {
        let mut corpus = Self {
            vocab_size,
            train,
            validation,
            test,
            tokenizer,
            fingerprint: String::new(),
            address: None,
            order,
            biographies: None,
        };
        let mut hash = blake3::Hasher::new();
        for split in corpus.splits() {
            hash.update(&(split.tokens.len() as u64).to_le_bytes());
            if split.tokens.are_many() {
                hash.update(SAMPLED);
            }
            for chunk in split.tokens.sample() {
                hash.update(&chunk?.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
            }
        }
        corpus.fingerprint = hash.finalize().to_hex().to_string();
        Ok(corpus)
    }
}

/// Synthetic words, each a token.
fn words(spec: &SyntheticSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let vocab_size = fit("data.synthetic.vocab_size", spec.vocab_size.get(), checkpoint)?;
    let [train, validation, test] = Process::new(spec)?.splits();
    Corpus::new(vocab_size, [train, validation], Some(test), None, spec.order)
}

fn read_tokens(spec: &TokensSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let named = spec.vocab_size.map(|count| count.get());
    if let Some(found) = named {
        fit("data.tokens.vocab_size", found, checkpoint)?;
    }
    let known = named.or(checkpoint);
    let (splits, test) = token_files::open(spec, known)?;
    let vocab_size = match known {
        Some(known) => checkpoint.unwrap_or(known),
        None => {
            let largest = splits.iter().chain(&test).map(Split::largest).collect::<Result<Vec<_>, _>>()?;
            largest.into_iter().flatten().max().map_or(0, |id| id as usize + 1)
        }
    };
    Corpus::new(vocab_size, splits, test, None, spec.order)
}

impl Corpus {
    /// Whether a second model, the checkpoint in `folder`, knows the ids of this corpus, which was loaded from `data`, by the same
    /// meaning. Where one of the two has no tokenizer nobody can tell, but for synthetic words: no tokenizer made those.
    ///
    /// # Errors
    /// When its tokenizer cannot be used, or makes other ids.
    pub fn check_second(&self, data: &DataSpec, folder: &Path) -> Result<(), DataError> {
        let Some((path, other)) = beside(folder)? else { return Ok(()) };
        match (&self.tokenizer, data) {
            (None, DataSpec::Synthetic(_)) => Err(DataError::WordsAreNoTokens { path }),
            (None, _) => Ok(()),
            (Some(own), _) if own.json()? == other.json()? => Ok(()),
            (Some(_), _) => {
                let Some(texts) = Texts::of(data)? else { return Ok(()) };
                let how = Tokenizing::new(&other, texts.separator.as_deref(), &Unwatched)?;
                match how.first_difference(&texts, self.splits())? {
                    Some(differs) => Err(DataError::OtherTokens { path, differs }),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
