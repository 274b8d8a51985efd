//! The three splits of a trial's data.

use super::biographies::Biographies;
use super::files::{cut, text, token_ids};
use super::synthetic::Process;
use super::{DataError, Split, Tokenizer};
use crate::spec::{BiographiesSpec, DataSpec, Order, SyntheticSpec, TextFiles, TextSpec, TokenizerSpec, TokensSpec};
use std::path::Path;

/// Token ids are at most u16, on disk and off.
const LARGEST_VOCABULARY: usize = 65_536;

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
    /// BLAKE3 of all token ids, in hexadecimal: for each split (train, validation, test where there is one) the number of its
    /// tokens as u64, then the tokens as u32, little-endian.
    pub fingerprint: String,
    /// Order in which windows of the train split are seen.
    pub order: Order,
    /// Of whom the text tells, where that is known.
    pub biographies: Option<Biographies>,
}

impl Corpus {
    /// Reads or draws the data and makes tokens of them.
    ///
    /// Text (biographies too) without a tokenizer gets byte-pair encoding by its defaults; synthetic words without one are tokens themselves.
    /// `checkpoint` is the vocabulary of the checkpoint that the model starts from, if it does.
    ///
    /// # Errors
    /// When a file cannot be read, is not what its spec says or holds nothing; when a token lies outside the vocabulary, or the
    /// vocabulary outside the checkpoint's. That a split fills a window is for [`check`](Self::check).
    pub fn load(data: &DataSpec, tokenizer: Option<&TokenizerSpec>, checkpoint: Option<usize>) -> Result<Self, DataError> {
        let bpe = TokenizerSpec::Bpe(Default::default());
        match (data, tokenizer) {
            (DataSpec::Synthetic(spec), None) => words(spec, checkpoint),
            (DataSpec::Synthetic(spec), Some(tokenizer)) => spelt(spec, tokenizer, checkpoint),
            (DataSpec::Biographies(spec), tokenizer) => told(spec, tokenizer.unwrap_or(&bpe), checkpoint),
            (DataSpec::Text(spec), tokenizer) => read_text(spec, tokenizer.unwrap_or(&bpe), checkpoint),
            (DataSpec::Tokens(spec), None) => read_tokens(spec, checkpoint),
            (DataSpec::Tokens(spec), Some(_)) => Err(DataError::TokensNeedNoTokenizer { path: spec.train.clone() }),
        }
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
    ) -> Self {
        let mut corpus =
            Self { vocab_size, train, validation, test, tokenizer, fingerprint: String::new(), order, biographies: None };
        let mut hash = blake3::Hasher::new();
        for split in corpus.splits() {
            hash.update(&(split.tokens.len() as u64).to_le_bytes());
            for chunk in split.tokens.chunks(16_384) {
                hash.update(&chunk.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<_>>());
            }
        }
        corpus.fingerprint = hash.finalize().to_hex().to_string();
        corpus
    }
}

/// Synthetic words, each a token.
fn words(spec: &SyntheticSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let vocab_size = fit("data.synthetic.vocab_size", spec.vocab_size.get(), checkpoint)?;
    let [train, validation, test] = Process::new(spec)?.splits();
    Ok(Corpus::new(vocab_size, [train, validation], Some(test), None, spec.order))
}

/// Synthetic words, written out and read by a tokenizer.
fn spelt(spec: &SyntheticSpec, tokenizer: &TokenizerSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let texts = Process::new(spec)?.texts();
    let [train, validation, test] = texts.each_ref().map(|(name, text)| (name.clone(), text.as_str()));
    tokenized([train, validation], Some(test), tokenizer, checkpoint, spec.order)
}

/// Biographies, read by a tokenizer.
fn told(spec: &BiographiesSpec, tokenizer: &TokenizerSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let biographies = Biographies::new(spec)?;
    let texts = biographies.texts();
    let [train, validation, test] = texts.each_ref().map(|(name, text)| (name.clone(), text.as_str()));
    let corpus = tokenized([train, validation], Some(test), tokenizer, checkpoint, spec.order)?;
    Ok(Corpus { biographies: Some(biographies), ..corpus })
}

fn read_text(spec: &TextSpec, tokenizer: &TokenizerSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    match &spec.files {
        TextFiles::Splits { train, validation, test } => {
            let read = |path: &Path| Ok((path.display().to_string(), text(path)?));
            let (train, validation, test) = (read(train)?, read(validation)?, test.as_deref().map(read).transpose()?);
            fn borrow((name, text): &(String, String)) -> (String, &str) {
                (name.clone(), text)
            }
            tokenized([borrow(&train), borrow(&validation)], test.as_ref().map(borrow), tokenizer, checkpoint, spec.order)
        }
        TextFiles::Cut { file, split } => {
            let whole = text(file)?;
            let [train, validation, test] = cut(&whole, *split);
            let named = |part, text| (format!("{} ({part} part)", file.display()), text);
            let splits = [named("train", train), named("validation", validation)];
            tokenized(splits, Some(named("test", test)), tokenizer, checkpoint, spec.order)
        }
    }
}

/// Names and texts of the splits made into tokens; a tokenizer that learns sees the train split only.
fn tokenized(
    [train, validation]: [(String, &str); 2],
    test: Option<(String, &str)>,
    tokenizer: &TokenizerSpec,
    checkpoint: Option<usize>,
    order: Order,
) -> Result<Corpus, DataError> {
    let (name, tokenizer) = match tokenizer {
        TokenizerSpec::Bytes => ("tokenizer.bytes".into(), Tokenizer::bytes()),
        TokenizerSpec::Bpe(spec) => ("tokenizer.bpe".into(), Tokenizer::bpe(train.1, spec.vocab_size.get())?),
        TokenizerSpec::File(path) => (path.display().to_string(), Tokenizer::file(path)?),
    };
    let vocab_size = fit(&name, tokenizer.vocab_size(), checkpoint)?;
    let split = |(name, text): (String, &str)| {
        Ok(Split { name, tokens: tokenizer.encode(text)?, bytes: Some(text.len()), best_loss: None })
    };
    let splits = [split(train)?, split(validation)?];
    let test = test.map(split).transpose()?;
    Ok(Corpus::new(vocab_size, splits, test, Some(tokenizer), order))
}

fn read_tokens(spec: &TokensSpec, checkpoint: Option<usize>) -> Result<Corpus, DataError> {
    let named = spec.vocab_size.map(|count| count.get());
    if let Some(found) = named {
        fit("data.tokens.vocab_size", found, checkpoint)?;
    }
    let limit = named.or(checkpoint).unwrap_or(LARGEST_VOCABULARY);
    let read = |path: &Path| {
        let tokens = token_ids(path)?;
        match tokens.iter().position(|&id| id as usize >= limit) {
            Some(position) => {
                Err(DataError::OutsideVocabulary { path: path.into(), position, id: tokens[position], vocab_size: limit })
            }
            None => Ok(Split { name: path.display().to_string(), tokens, bytes: None, best_loss: None }),
        }
    };
    let splits = [read(&spec.train)?, read(&spec.validation)?];
    let test = spec.test.as_deref().map(read).transpose()?;
    let largest = splits.iter().chain(&test).flat_map(|split| &split.tokens).max();
    let used = largest.map_or(0, |&id| id as usize + 1);
    Ok(Corpus::new(checkpoint.or(named).unwrap_or(used), splits, test, None, spec.order))
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

#[cfg(test)]
mod tests;
