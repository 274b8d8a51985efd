use super::*;
use crate::spec::{BpeSpec, TextFiles, TextSpec};
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
    let origin = checkpoint.map(|vocab_size| Origin { folder: "no-such-folder".into(), vocab_size });
    Corpus::load(&data, tokenizer.as_ref(), origin.as_ref()).map_err(|e| e.to_string())
}

fn lengths(corpus: &Corpus) -> Vec<usize> {
    corpus.splits().map(|split| split.tokens.len()).collect()
}

#[test]
fn synthetic_words_are_tokens_and_their_best_loss_is_known() {
    let corpus = load(DataSpec::Synthetic(synthetic()), None, None).unwrap();
    assert_eq!((corpus.vocab_size, lengths(&corpus)), (64, vec![2000, 300, 400]));
    assert!(corpus.splits().all(|split| split.bytes.is_none() && split.tokens.largest().unwrap() < Some(64)));
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
    let files = TextFiles::Cut { file: file.into(), split: [0.5, 0.25, 0.25] };
    let corpus = load(DataSpec::Text(TextSpec { order: Order::Sequential, ..TextSpec::of(files) }), None, None).unwrap();
    assert_eq!(corpus.splits().map(|split| split.bytes.unwrap()).collect::<Vec<_>>(), [8, 4, 4]);
    assert_eq!(lengths(&corpus), [1, 4, 4]); // eight a are merged into one token, b has none but its byte
    assert_eq!((corpus.vocab_size, corpus.order), (259, Order::Sequential)); // aa, aaaa, aaaaaaaa
}

#[test]
fn without_a_test_file_validation_stands_in() {
    let folder = TempDir::new().unwrap();
    let (train, validation) = (write(&folder, "a.txt", b"train"), write(&folder, "b.txt", b"valid"));
    let files = TextFiles::Splits { train: train.into(), validation: validation.into(), test: None };
    let spec = TextSpec::of(files);
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
        let (train, validation) = (train.clone().into(), validation.clone().into());
        DataSpec::Tokens(TokensSpec { train, validation, test: None, dtype: None, vocab_size, order: Order::Shuffled })
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

/// A folder with a tokenizer that learned from `text`, the data of a study on it, and that checkpoint.
fn warm(text: &str) -> (TempDir, DataSpec, Origin) {
    let folder = TempDir::new().unwrap();
    Tokenizer::bpe(text, 300).unwrap().save(folder.path()).unwrap();
    let file = write(&folder, "all.txt", "the cat sat on the mat. the dog sat on the log. ".repeat(9).as_bytes());
    let data = DataSpec::Text(TextSpec::of(TextFiles::Cut { file: file.into(), split: [0.5, 0.25, 0.25] }));
    let origin = Origin { folder: folder.path().to_owned(), vocab_size: 300 };
    (folder, data, origin)
}

#[test]
fn a_warm_start_keeps_the_tokenizer_of_its_checkpoint() {
    let (folder, data, origin) = warm("a quite different text");
    let own = Tokenizer::file(&folder.path().join("tokenizer.json")).unwrap();
    let corpus = Corpus::load(&data, None, Some(&origin)).unwrap();
    assert_eq!(
        corpus.train.tokens.all().unwrap(),
        own.encode("the cat sat on the mat. the dog sat on the log. ".repeat(9)[..216].as_ref()).unwrap()
    );
    let fresh = Corpus::load(&data, None, None).unwrap();
    assert_ne!(corpus.fingerprint, fresh.fingerprint, "that is what was trained on before");

    let words = Corpus::load(&DataSpec::Synthetic(synthetic()), None, Some(&origin)).unwrap();
    assert!(words.tokenizer.is_some() && words.train.bytes == Some(5999), "the words are written out");
    let [train, validation] = ["ids.bin", "more.bin"].map(|name| write(&folder, name, &[1, 0, 2, 0]).into());
    let tokens = TokensSpec { train, validation, test: None, dtype: None, vocab_size: None, order: Order::Shuffled };
    let tokens = Corpus::load(&DataSpec::Tokens(tokens), None, Some(&origin)).unwrap();
    assert!(tokens.tokenizer.is_some() && tokens.train.bytes.is_none(), "they are exported with the model");
}

#[test]
fn another_tokenizer_must_make_the_ids_of_the_checkpoints() {
    let (folder, data, origin) = warm("a quite different text");
    let load = |spec: TokenizerSpec| Corpus::load(&data, Some(&spec), Some(&origin)).map_err(|error| error.to_string());
    let bpe = |vocab_size| TokenizerSpec::Bpe(BpeSpec { vocab_size: Count::new(vocab_size) });
    let refused = load(bpe(300)).unwrap_err();
    let (path, file) = (folder.path().join("tokenizer.json"), folder.path().join("all.txt"));
    let expected =
        format!("tokenizer.bpe: expected the ids of the checkpoint's tokenizer, {}, found others: token 0 of", path.display());
    assert!(refused.starts_with(&expected) && refused.contains(&file.display().to_string()), "{refused}");
    assert!(load(TokenizerSpec::Bytes).unwrap_err().starts_with("tokenizer.bytes: expected the ids"));
    let copy = folder.path().join("copy.json");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(load(TokenizerSpec::File(copy)).unwrap().fingerprint, load(TokenizerSpec::File(path)).unwrap().fingerprint);

    // learned from the same text: the same ids by another way
    let (_folder, data, origin) = warm("the cat sat on the mat. the dog sat on the log. ".repeat(9)[..216].as_ref());
    assert_eq!(Corpus::load(&data, Some(&bpe(300)), Some(&origin)).unwrap().vocab_size, 300);
}

#[test]
fn a_checkpoint_without_a_tokenizer_takes_the_one_that_is_named() {
    let (folder, data, origin) = warm("any");
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let refused = Corpus::load(&data, None, Some(&origin)).unwrap_err().to_string();
    assert!(
        refused.contains("expected a checkpoint with its tokenizer.json, or a `tokenizer` that the study names"),
        "{refused}"
    );
    assert_eq!(Corpus::load(&data, Some(&TokenizerSpec::Bytes), Some(&origin)).unwrap().vocab_size, 300);
    assert!(Corpus::load(&DataSpec::Synthetic(synthetic()), None, Some(&origin)).unwrap().tokenizer.is_none());
}

#[test]
fn a_second_model_must_know_the_ids_too() {
    let (folder, data, _) = warm("a quite different text");
    let check = |corpus: &Corpus, data: &DataSpec| corpus.check_second(data, folder.path()).map_err(|error| error.to_string());
    let fresh = Corpus::load(&data, None, None).unwrap();
    let refused = check(&fresh, &data).unwrap_err();
    assert!(
        refused.starts_with("expected a checkpoint whose tokenizer makes the ids of the data, found others by "),
        "{refused}"
    );
    let file = TokenizerSpec::File(folder.path().join("tokenizer.json"));
    assert!(check(&Corpus::load(&data, Some(&file), None).unwrap(), &data).is_ok());
    let words = DataSpec::Synthetic(synthetic());
    assert!(check(&Corpus::load(&words, None, None).unwrap(), &words).unwrap_err().contains("found one of text"));
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(check(&fresh, &data).is_ok(), "nobody can tell");
}
