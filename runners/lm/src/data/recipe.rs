//! How a corpus is made a second time, in another process: by the tokenizer that was found the first time. None is trained, chosen or
//! compared with another.

use super::{Cache, Corpus, DataError, Origin, Tokenizer};
use crate::spec::{DataSpec, Order, TokenizerSpec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to make a corpus again. The files that it names are read again, so whether the tokens are the same is for the corpus's
/// fingerprint to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Where its tokens are kept, in place of all that the data say.
    kept: Option<Address>,
    data: DataSpec,
    tokenizer: Made,
    vocab_size: usize,
    order: Order,
}

/// An entry of a [`Cache`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    folder: PathBuf,
    address: String,
}

/// What makes tokens of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Made {
    /// Nothing: the data are tokens.
    Nothing,
    /// Each byte is a token.
    Bytes,
    /// A `tokenizer.json`.
    File(PathBuf),
    /// Byte-pair encoding that was trained on the data, as its `tokenizer.json`.
    Trained(String),
}

impl Recipe {
    /// That of `corpus`, which was loaded by these arguments of [`Corpus::load_with`].
    ///
    /// # Errors
    /// When a tokenizer that was trained cannot be serialized.
    pub fn of(
        corpus: &Corpus,
        data: &DataSpec,
        tokenizer: Option<&TokenizerSpec>,
        (origin, cache): (Option<&Origin>, Option<&Cache>),
    ) -> Result<Self, DataError> {
        let own = origin.filter(|origin| origin.has_tokenizer()).map(Origin::tokenizer_file);
        let kept = corpus.address.clone().zip(cache);
        let kept = kept.map(|(address, cache)| Address { folder: cache.folder().to_owned(), address });
        let tokenizer = match (&corpus.tokenizer, own, tokenizer) {
            _ if kept.is_some() => Made::Nothing, // it is kept with its tokens
            (None, ..) => Made::Nothing,
            (Some(_), Some(own), _) => Made::File(own),
            (Some(_), None, Some(TokenizerSpec::Bytes)) => Made::Bytes,
            (Some(_), None, Some(TokenizerSpec::File(file))) => Made::File(file.clone()),
            (Some(trained), None, Some(TokenizerSpec::Bpe(_)) | None) => Made::Trained(trained.json()?),
        };
        Ok(Self { kept, data: data.clone(), tokenizer, vocab_size: corpus.vocab_size, order: corpus.order })
    }

    /// The corpus.
    ///
    /// # Errors
    /// When a file cannot be read any more, or holds other data that do not fit, or an entry is gone or damaged.
    pub fn make(&self) -> Result<Corpus, DataError> {
        if let Some(Address { folder, address }) = &self.kept {
            return Corpus::open(&Cache::readonly(folder.clone()), address, self.vocab_size, self.order);
        }
        let tokenizer = match &self.tokenizer {
            Made::Nothing => None,
            Made::Bytes => Some(Tokenizer::bytes()),
            Made::File(file) => Some(Tokenizer::file(file)?),
            Made::Trained(json) => Some(Tokenizer::trained(json)?),
        };
        Corpus::again(&self.data, tokenizer, self.vocab_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tempfile::TempDir;

    fn again(data: &DataSpec, tokenizer: Option<&TokenizerSpec>, origin: Option<&Origin>) -> (Recipe, Corpus) {
        let first = Corpus::load(data, tokenizer, origin).unwrap();
        let recipe = Recipe::of(&first, data, tokenizer, (origin, None)).unwrap();
        let sent: Recipe = serde_json::from_str(&serde_json::to_string(&recipe).unwrap()).unwrap();
        assert_eq!(sent, recipe);
        let second = sent.make().unwrap();
        assert_eq!((&second.fingerprint, second.vocab_size, second.order), (&first.fingerprint, first.vocab_size, first.order));
        let named =
            |corpus: &Corpus| corpus.splits().map(|split| (split.name.clone(), split.bytes, split.lost)).collect::<Vec<_>>();
        assert_eq!(named(&second), named(&first));
        let exported = |corpus: &Corpus| corpus.tokenizer.as_ref().map(|tokenizer| tokenizer.files().unwrap());
        assert_eq!(exported(&second), exported(&first));
        assert_eq!(second.biographies.is_some(), first.biographies.is_some());
        (recipe, second)
    }

    fn data(written: serde_json::Value) -> DataSpec {
        serde_json::from_value(written).unwrap()
    }

    fn tokenizer(written: serde_json::Value) -> TokenizerSpec {
        TokenizerSpec::optional(written).unwrap().unwrap()
    }

    fn text(folder: &Path) -> DataSpec {
        let words: String = (0..3000).map(|i| ["low ", "lower ", "newest ", "wide\n"][i * i % 7 % 4]).collect();
        std::fs::write(folder.join("text.txt"), words).unwrap();
        data(serde_json::json!({"text": {"file": folder.join("text.txt")}}))
    }

    #[test]
    fn every_source_gives_the_same_corpus_again() {
        let folder = TempDir::new().unwrap();
        let text = text(folder.path());
        let bpe = tokenizer(serde_json::json!({"bpe": {"vocab_size": 300}}));
        for spec in [None, Some(&TokenizerSpec::Bytes), Some(&bpe)] {
            again(&text, spec, None);
        }
        let few = serde_json::json!({"train_tokens": 500, "validation_tokens": 100, "test_tokens": 100});
        let words = data(serde_json::json!({"synthetic": few}));
        assert_eq!(again(&words, None, None).0.tokenizer, Made::Nothing);
        again(&words, Some(&bpe), None);
        again(&data(serde_json::json!({"biographies": {"people": 20, "exposures": 2}})), Some(&bpe), None);
        let ids: Vec<u8> = (0..200u16).flat_map(|id| (id % 17).to_le_bytes()).collect();
        let [train, validation] = ["train.bin", "validation.bin"].map(|name| folder.path().join(name));
        [&train, &validation].into_iter().for_each(|file| std::fs::write(file, &ids).unwrap());
        again(&data(serde_json::json!({"tokens": {"train": train, "validation": validation}})), None, None);
    }

    #[test]
    fn a_trained_tokenizer_is_sent_and_not_trained_again() {
        let folder = TempDir::new().unwrap();
        let text = text(folder.path());
        let (recipe, _) = again(&text, None, None);
        assert!(matches!(&recipe.tokenizer, Made::Trained(json) if json.contains("merges")), "{recipe:?}");
        // other text: trained again, the tokenizer would be another
        std::fs::write(folder.path().join("text.txt"), "abc abc abd ".repeat(300)).unwrap();
        let made = recipe.make().unwrap().tokenizer.unwrap();
        assert_eq!(Made::Trained(made.json().unwrap()), recipe.tokenizer);
    }

    #[test]
    fn a_checkpoints_own_tokenizer_is_read_from_its_folder() {
        let folder = TempDir::new().unwrap();
        let text = text(folder.path());
        Tokenizer::bytes().save(folder.path()).unwrap();
        let origin = Origin { folder: folder.path().to_owned(), vocab_size: 300 };
        let (recipe, made) = again(&text, Some(&TokenizerSpec::Bytes), Some(&origin));
        assert_eq!((recipe.tokenizer, made.vocab_size), (Made::File(folder.path().join("tokenizer.json")), 300));
    }
}
