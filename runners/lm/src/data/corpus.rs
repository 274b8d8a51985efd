//! The three splits of a trial's data.

use super::biographies::Biographies;
use super::origin::{Origin, beside, choose};
use super::synthetic::Process;
use super::texts::Texts;
use super::token_files::{self, LARGEST_VOCABULARY};
use super::{DataError, Split, Tokenizer};
use crate::spec::{DataSpec, Order, SyntheticSpec, TokenizerSpec, TokensSpec};
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
        let (name, tokenizer) = choose(tokenizer, origin, &texts)?;
        let vocab_size = fit(&name, tokenizer.vocab_size(), checkpoint)?;
        Self::of_texts(texts, tokenizer, vocab_size)
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
                let tokenizer = tokenizer.unwrap_or_else(Tokenizer::bytes); // text has one
                Self::of_texts(texts, tokenizer, vocab_size)
            }
        }
    }

    fn of_texts(texts: Texts, tokenizer: Tokenizer, vocab_size: usize) -> Result<Self, DataError> {
        let (splits, test) = texts.encode(&tokenizer)?;
        let corpus = Self::new(vocab_size, splits, test, Some(tokenizer), texts.order)?;
        Ok(Self { biographies: texts.biographies, ..corpus })
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
        let mut corpus =
            Self { vocab_size, train, validation, test, tokenizer, fingerprint: String::new(), order, biographies: None };
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

/// The vocabulary of the model, where the data's has `found` entries.
fn fit(name: &str, found: usize, checkpoint: Option<usize>) -> Result<usize, DataError> {
    let name = || name.to_string();
    match checkpoint {
        _ if found > LARGEST_VOCABULARY => Err(DataError::VocabularyTooLarge { name: name(), found }),
        Some(model) if found > model => Err(DataError::BeyondCheckpoint { name: name(), found, model }),
        Some(model) => Ok(model),
        None => Ok(found),
    }
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
                let differs = Texts::of(data)?.map(|texts| texts.first_difference(&other, self.splits())).transpose()?;
                match differs.flatten() {
                    Some(differs) => Err(DataError::OtherTokens { path, differs }),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
