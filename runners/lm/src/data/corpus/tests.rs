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
        vocabulary(Some(300), Some(257)).unwrap_err().starts_with("data.tokens.vocab_size: expected a vocabulary of at most 257")
    );
    assert!(
        load(spec(None), Some(TokenizerSpec::Bytes), None)
            .unwrap_err()
            .ends_with("expected no tokenizer, for the file holds token ids, found one")
    );
}
