//! The three splits of a trial's data.

use super::files::{cut, text, token_ids};
use super::synthetic::Process;
use super::{DataError, Split, Tokenizer};
use crate::spec::{DataSpec, Order, SyntheticSpec, TextFiles, TextSpec, TokenizerSpec, TokensSpec};
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
}

impl Corpus {
    /// Reads or draws the data and makes tokens of them.
    ///
    /// Text without a tokenizer gets byte-pair encoding by its defaults; synthetic words without one are tokens themselves.
    /// `checkpoint` is the vocabulary of the checkpoint that the model starts from, if it does.
    ///
    /// # Errors
    /// When a file cannot be read, is not what its spec says or holds nothing; when a token lies outside the vocabulary, or the
    /// vocabulary outside the checkpoint's. That a split fills a window is for [`check`](Self::check).
    pub fn load(data: &DataSpec, tokenizer: Option<&TokenizerSpec>, checkpoint: Option<usize>) -> Result<Self, DataError> {
        match (data, tokenizer) {
            (DataSpec::Synthetic(spec), None) => words(spec, checkpoint),
            (DataSpec::Synthetic(spec), Some(tokenizer)) => spelt(spec, tokenizer, checkpoint),
            (DataSpec::Text(spec), tokenizer) => {
                let bpe = TokenizerSpec::Bpe(Default::default());
                read_text(spec, tokenizer.unwrap_or(&bpe), checkpoint)
            }
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
        let mut corpus = Self { vocab_size, train, validation, test, tokenizer, fingerprint: String::new(), order };
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
mod tests {
    use super::*;
    use crate::spec::BpeSpec;
    use regatta_core::number::Count;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn synthetic() -> SyntheticSpec {
        let [train_tokens, validation_tokens, test_tokens] = [2000, 300, 400].map(Count::new);
        SyntheticSpec { vocab_size: Count::new(64), train_tokens, validation_tokens, test_tokens, ..Default::default() }
    }

    fn load(data: DataSpec, tokenizer: Option<TokenizerSpec>, checkpoint: Option<usize>) -> Result<Corpus, String> {
        Corpus::load(&data, tokenizer.as_ref(), checkpoint).map_err(|e| e.to_string())
    }

    fn lengths(corpus: &Corpus) -> Vec<usize> {
        corpus.splits().map(|split| split.tokens.len()).collect()
    }

    #[test]
    fn synthetic_words_are_tokens_and_their_best_loss_is_known() {
        let corpus = load(DataSpec::Synthetic(synthetic()), None, None).unwrap();
        assert_eq!((corpus.vocab_size, lengths(&corpus)), (64, vec![2000, 300, 400]));
        assert!(corpus.splits().all(|split| split.bytes.is_none() && split.tokens.iter().all(|&token| token < 64)));
        assert!(corpus.train.best_loss.is_none());
        assert_eq!(corpus.validation.best_loss.as_ref().unwrap().len(), 300);
        assert_eq!(corpus.held_out().best_loss.as_ref().unwrap().len(), 400);
    }

    #[test]
    fn synthetic_words_can_be_spelt_for_a_tokenizer() {
        let corpus = load(DataSpec::Synthetic(synthetic()), Some(TokenizerSpec::Bytes), None).unwrap();
        // Ranks below 64 take one syllable of two letters, and a space between each two: 3·2000 - 1 bytes, each a token.
        assert_eq!((corpus.vocab_size, lengths(&corpus)), (256, vec![5999, 899, 1199]));
        assert_eq!(corpus.train.bytes, Some(5999));
        assert!(corpus.validation.best_loss.is_none());
        let bpe = TokenizerSpec::Bpe(BpeSpec { vocab_size: Count::new(300) });
        let corpus = load(DataSpec::Synthetic(synthetic()), Some(bpe), None).unwrap();
        assert!(corpus.vocab_size == 300 && lengths(&corpus)[0] < 4000 && corpus.train.bytes == Some(5999));
    }

    #[test]
    fn the_fingerprint_holds_every_token() {
        let print = |spec: SyntheticSpec| load(DataSpec::Synthetic(spec), None, None).unwrap().fingerprint;
        assert_eq!(print(synthetic()), print(synthetic()));
        assert_ne!(print(synthetic()), print(SyntheticSpec { seed: 1, ..synthetic() }));
        assert_ne!(print(synthetic()), print(SyntheticSpec { test_tokens: Count::new(399), ..synthetic() }));
        assert_eq!(print(synthetic()), print(SyntheticSpec { order: Order::Sequential, ..synthetic() }));
    }

    #[test]
    fn one_text_is_cut_in_three_and_the_tokenizer_learns_from_the_first() {
        let folder = TempDir::new().unwrap();
        let file = write(&folder, "all.txt", "aaaaaaaabbbbbbbb".as_bytes());
        let files = TextFiles::Cut { file, split: [0.5, 0.25, 0.25] };
        let corpus = load(DataSpec::Text(TextSpec { files, order: Order::Sequential }), None, None).unwrap();
        assert_eq!(corpus.splits().map(|split| split.bytes.unwrap()).collect::<Vec<_>>(), [8, 4, 4]);
        assert_eq!(lengths(&corpus), [1, 4, 4]); // eight a are merged into one token, b has none but its byte
        assert_eq!((corpus.vocab_size, corpus.order), (259, Order::Sequential)); // aa, aaaa, aaaaaaaa
    }

    #[test]
    fn without_a_test_file_validation_stands_in() {
        let folder = TempDir::new().unwrap();
        let (train, validation) = (write(&folder, "a.txt", b"train"), write(&folder, "b.txt", b"valid"));
        let files = TextFiles::Splits { train, validation, test: None };
        let spec = TextSpec { files, order: Order::Shuffled };
        let corpus = load(DataSpec::Text(spec.clone()), Some(TokenizerSpec::Bytes), Some(300)).unwrap();
        assert!(corpus.test.is_none());
        assert_eq!(corpus.held_out(), &corpus.validation);
        assert_eq!(corpus.vocab_size, 300); // the checkpoint's
        let refused = load(DataSpec::Text(spec), Some(TokenizerSpec::Bytes), Some(100)).unwrap_err();
        assert_eq!(refused, "tokenizer.bytes: expected a vocabulary of at most 100, which is the checkpoint's, found 256");
    }

    #[test]
    fn a_split_must_fill_a_window() {
        let corpus = load(DataSpec::Synthetic(synthetic()), None, None).unwrap();
        assert!(corpus.check(299).is_ok());
        let expected = "data.synthetic.validation_tokens: expected at least 301 tokens (the context and one more), found 300";
        assert_eq!(corpus.check(300).unwrap_err().to_string(), expected);
        assert!(corpus.check(usize::MAX).is_err());
    }

    #[test]
    fn token_files_set_or_keep_the_vocabulary() {
        let folder = TempDir::new().unwrap();
        let train = write(&folder, "a.bin", &[1, 0, 9, 0, 2, 0]);
        let validation = write(&folder, "b.bin", &[3, 0, 1, 1]); // 3, 257
        let spec = |vocab_size: Option<usize>| {
            let vocab_size = vocab_size.map(Count::new);
            let (train, validation) = (train.clone(), validation.clone());
            DataSpec::Tokens(TokensSpec { train, validation, test: None, vocab_size, order: Order::Shuffled })
        };
        let vocabulary = |named, checkpoint| load(spec(named), None, checkpoint).map(|corpus| corpus.vocab_size);
        let b = validation.display();
        assert_eq!(vocabulary(None, None), Ok(258));
        assert_eq!(vocabulary(Some(300), None), Ok(300));
        assert_eq!(vocabulary(None, Some(512)), Ok(512));
        let outside = format!("{b}: expected token ids below the vocabulary of 257, found 257 at position 1");
        assert_eq!(vocabulary(Some(257), None), Err(outside.clone()));
        assert_eq!(vocabulary(None, Some(257)), Err(outside));
        assert!(
            vocabulary(Some(300), Some(257))
                .unwrap_err()
                .starts_with("data.tokens.vocab_size: expected a vocabulary of at most 257")
        );
        assert!(
            load(spec(None), Some(TokenizerSpec::Bytes), None)
                .unwrap_err()
                .ends_with("expected no tokenizer, for the file holds token ids, found one")
        );
    }
}
