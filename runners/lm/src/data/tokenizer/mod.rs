//! From text to token ids.

mod byte_level;
mod foreign;

use super::{DataError, files, prefix};
use byte_level::{all_bytes, byte_level, letter, pieces};
use foreign::{guarded, merges_lie_in_vocabulary};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, Tokenizer as HuggingFace};

/// Makes token ids of text. It adds nothing to the text: no space in front, no special tokens.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: Kind,
    vocab_size: usize,
    /// See [`prefix`].
    prefix: Option<u32>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A token is a byte.
    Bytes,
    /// Byte-pair encoding that we trained.
    Bpe(Box<HuggingFace>),
    /// As a file and the `tokenizer_config.json` beside it define it.
    File(Box<HuggingFace>, Option<serde_json::Value>),
}

impl Tokenizer {
    /// Each byte is a token, and its value is the id.
    pub fn bytes() -> Self {
        Self { kind: Kind::Bytes, vocab_size: 256, prefix: Some(b'\n'.into()) }
    }

    /// Byte-level byte-pair encoding, learned from a text: the 256 bytes and merges on top, up to `vocab_size` tokens or as many as
    /// the text yields. Text is first split into words by GPT-2's pattern; no merge crosses a word's edge.
    ///
    /// # Errors
    /// When the trainer fails.
    pub fn bpe(text: &str, vocab_size: usize) -> Result<Self, DataError> {
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build()
            .into();
        let mut learned = byte_level(BPE::default());
        learned.train(&mut trainer, pieces(text).into_iter()).map_err(failed)?;
        Ok(Self::of_trained(learned))
    }

    /// What [`bpe`](Self::bpe) learned, from its `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not one.
    pub(super) fn trained(json: &str) -> Result<Self, DataError> {
        json.parse().map(Self::of_trained).map_err(failed)
    }

    fn of_trained(learned: HuggingFace) -> Self {
        let prefix = learned.token_to_id(&letter(b'\n').to_string());
        Self { vocab_size: vocabulary(&learned), kind: Kind::Bpe(Box::new(learned)), prefix }
    }

    /// Reads a `tokenizer.json` of Hugging Face. Its truncation, padding and dropout of merges are switched off: they are made for
    /// single sentences and would lose text or make it random.
    ///
    /// # Errors
    /// When the file cannot be read or is not a tokenizer.
    pub fn file(path: &Path) -> Result<Self, DataError> {
        let not_one = |message: String| DataError::NotATokenizer { path: path.into(), message };
        let bytes = files::bytes(path)?;
        merges_lie_in_vocabulary(&bytes).map_err(not_one)?;
        let mut read = guarded(|| HuggingFace::from_bytes(&bytes)).map_err(not_one)?;
        read.with_padding(None).with_truncation(None).map_err(|e| not_one(e.to_string()))?;
        if let ModelWrapper::BPE(model) = read.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            read.with_model(model);
        }
        let config = prefix::beside(path)?;
        let prefix = guarded(|| Ok(prefix::prefix(&read, config.as_ref()))).map_err(not_one)?;
        Ok(Self { vocab_size: vocabulary(&read), kind: Kind::File(Box::new(read), config), prefix })
    }

    /// Token ids of a text.
    ///
    /// Byte-pair encoding of our own cuts the text into pieces first, at places where its pattern splits anyway, so the tokens are
    /// those of the whole. A tokenizer from a file sees the whole text at once, for nobody knows where it may be cut.
    ///
    /// # Errors
    /// When a tokenizer from a file has no token for some part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match &self.kind {
            Kind::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Kind::Bpe(learned) => {
                let encoded = learned.encode_batch_fast(pieces(text), false).map_err(failed)?;
                Ok(encoded.iter().flat_map(|piece| piece.get_ids()).copied().collect())
            }
            Kind::File(read, _) => encode_by_file(read, text, false),
        }
    }

    /// The fraction of a text's characters that its tokens lose, at least; none where decoding them gives the text back. A character
    /// is lost that the decoded text has fewer times: where it stands is not compared, so a text may come back in another order, or
    /// with more spaces, and have lost 0.
    ///
    /// # Errors
    /// When a tokenizer from a file cannot decode.
    pub(super) fn lost(&self, text: &str, tokens: &[u32]) -> Result<Option<f64>, DataError> {
        let Kind::File(read, _) = &self.kind else { return Ok(None) }; // ours are made of bytes
        let decode =
            |skip_special| guarded(|| read.decode(tokens, skip_special)).map_err(|message| DataError::Tokenizer { message });
        if decode(false)? == text {
            return Ok(None);
        }
        let mut missing: HashMap<char, i64> = HashMap::new();
        text.chars().for_each(|c| *missing.entry(c).or_default() += 1);
        decode(true)?.chars().for_each(|c| *missing.entry(c).or_default() -= 1);
        let lost: i64 = missing.into_values().filter(|&count| count > 0).sum();
        Ok(Some(lost as f64 / text.chars().count() as f64))
    }

    /// Token ids of a text with the special tokens that a tokenizer from a file adds by itself; ours add none.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, DataError> {
        match &self.kind {
            Kind::File(read, _) => encode_by_file(read, text, true),
            _ => self.encode(text),
        }
    }

    /// The token that stands in front of a text which is scored by itself, where there is one: a line break for our own
    /// tokenizers; for one from a file, what the `tokenizer_config.json` beside it calls `bos_token`, or else `eos_token`.
    pub fn prefix(&self) -> Option<u32> {
        self.prefix
    }

    /// The largest token id, plus 1.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `tokenizer.json` and `tokenizer_config.json` in the format of Hugging Face, name and content.
    ///
    /// # Errors
    /// When the tokenizer cannot be serialized.
    pub fn files(&self) -> Result<[(&'static str, Vec<u8>); 2], DataError> {
        let (tokenizer, config) = self.as_hugging_face()?;
        let config = prefix::config(config, self.prefix.and_then(|token| tokenizer.id_to_token(token)));
        Ok([("tokenizer.json", self.json()?.into_bytes()), (prefix::FILE, config.into_bytes())])
    }

    /// Writes [`files`](Self::files) into a folder that is the caller's own.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        for (name, content) in self.files()? {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|source| DataError::Write { path, source })?;
        }
        Ok(())
    }

    /// Its `tokenizer.json`: tokenizers with the same make the same ids of every text.
    pub(super) fn json(&self) -> Result<String, DataError> {
        self.as_hugging_face()?.0.to_string(true).map_err(failed)
    }

    fn as_hugging_face(&self) -> Result<(Cow<'_, HuggingFace>, Option<&serde_json::Value>), DataError> {
        Ok(match &self.kind {
            Kind::Bytes => (Cow::Owned(all_bytes()?), None),
            Kind::Bpe(tokenizer) => (Cow::Borrowed(&**tokenizer), None),
            Kind::File(tokenizer, config) => (Cow::Borrowed(&**tokenizer), config.as_ref()),
        })
    }
}

fn encode_by_file(read: &HuggingFace, text: &str, special: bool) -> Result<Vec<u32>, DataError> {
    let encoded = guarded(|| read.encode_fast(text, special)).map_err(|message| DataError::Tokenizer { message })?;
    Ok(encoded.get_ids().to_vec())
}

/// Ids may have gaps, so entries are not counted.
fn vocabulary(tokenizer: &HuggingFace) -> usize {
    tokenizer.get_vocab(true).into_values().max().map_or(0, |largest| largest as usize + 1)
}

fn failed(error: tokenizers::Error) -> DataError {
    DataError::Tokenizer { message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const TEXT: &str =
        "low low low low lower lower newest newest\n\n  the café's 12 naïve 日本語 \r\n\ttabs\u{a0}and\u{0} nul 🦀\n";

    fn decoded(tokenizer: &Tokenizer, ids: &[u32]) -> String {
        match &tokenizer.kind {
            Kind::Bytes => String::from_utf8(ids.iter().map(|&id| id as u8).collect()).unwrap(),
            Kind::Bpe(inner) | Kind::File(inner, _) => inner.decode(ids, false).unwrap(),
        }
    }

    fn saved(tokenizer: &Tokenizer) -> String {
        let folder = TempDir::new().unwrap();
        tokenizer.save(folder.path()).unwrap();
        std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap()
    }

    fn read(json: &str) -> Result<Tokenizer, DataError> {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), json).unwrap();
        Tokenizer::file(&folder.path().join("tokenizer.json"))
    }

    #[test]
    fn merges_by_hand() {
        // "ab" three times is the commonest pair, then "ab" + "c" twice; in the alphabet (by letter, from "!") a is 64, b 65, c 66
        let tokenizer = Tokenizer::bpe("abc\nabc\nab", 258).unwrap();
        assert_eq!(tokenizer.vocab_size(), 258);
        assert_eq!(tokenizer.encode("abcab").unwrap(), [257, 256]);
        assert_eq!(tokenizer.encode("cba").unwrap(), [66, 65, 64]);
    }

    #[test]
    fn a_short_text_yields_what_it_can() {
        assert_eq!(Tokenizer::bpe("abc", 1000).unwrap().vocab_size(), 258); // two merges and no more
        assert_eq!(Tokenizer::bpe("", 1000).unwrap().vocab_size(), 256);
    }

    #[test]
    fn text_comes_back() {
        for tokenizer in [Tokenizer::bytes(), Tokenizer::bpe(TEXT, 300).unwrap(), Tokenizer::bpe("abc", 300).unwrap()] {
            let ids = tokenizer.encode(TEXT).unwrap();
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            assert_eq!(decoded(&tokenizer, &ids), TEXT);
            assert!(tokenizer.encode("").unwrap().is_empty());
        }
        assert_eq!(Tokenizer::bytes().encode("é\n").unwrap(), [0xc3, 0xa9, 10]);
    }

    #[test]
    fn the_same_text_gives_the_same_tokenizer_and_its_file_the_same_tokens() {
        let json = saved(&Tokenizer::bpe(TEXT, 300).unwrap());
        for _ in 0..10 {
            assert_eq!(saved(&Tokenizer::bpe(TEXT, 300).unwrap()), json); // hash maps are keyed afresh each time
        }
        let (trained, read) = (Tokenizer::bpe(TEXT, 300).unwrap(), read(&json).unwrap());
        assert_eq!(trained.vocab_size(), read.vocab_size());
        assert_eq!(trained.encode(TEXT).unwrap(), read.encode(TEXT).unwrap());
    }

    #[test]
    fn the_file_of_bytes_gives_byte_values() {
        let read = read(&saved(&Tokenizer::bytes())).unwrap();
        assert_eq!(read.vocab_size(), 256);
        assert_eq!(read.encode(TEXT).unwrap(), Tokenizer::bytes().encode(TEXT).unwrap());
        assert_eq!([letter(b'a'), letter(b' '), letter(b'\n'), letter(0xad)], ['a', 'Ġ', 'Ċ', 'Ń']);
    }

    #[test]
    fn pieces_do_not_change_the_tokens() {
        // Line breaks of every kind, one piece after the other, against the same text as a whole.
        let text: String =
            (0..20_000).map(|i| ["word", " next", "\n", "\n\n", " \n", "\n  x", "\r\n", "it's"][i * i % 89 % 8]).collect();
        assert!(pieces(&text).len() > 3);
        assert_eq!(pieces(&text).concat(), text);
        let tokenizer = Tokenizer::bpe(&text, 280).unwrap();
        let Kind::Bpe(inner) = &tokenizer.kind else { panic!() };
        assert_eq!(tokenizer.encode(&text).unwrap(), inner.encode_fast(text.as_str(), false).unwrap().get_ids());
    }

    #[test]
    fn a_file_neither_truncates_nor_pads_nor_drops() {
        let mut json: serde_json::Value = serde_json::from_str(&saved(&Tokenizer::bpe(TEXT, 300).unwrap())).unwrap();
        let whole = read(&json.to_string()).unwrap().encode(TEXT).unwrap();
        json["truncation"] = serde_json::json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = serde_json::json!({"strategy": {"Fixed": 999}, "direction": "Right", "pad_to_multiple_of": null,
                                             "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
        json["model"]["dropout"] = 0.5.into();
        assert_eq!(read(&json.to_string()).unwrap().encode(TEXT).unwrap(), whole);
    }

    #[test]
    fn what_unknown_tokens_and_normalisers_lose_by_hand() {
        let word_level = |normalizer: &str| {
            read(&format!(
                r#"{{"version": "1.0", "added_tokens": [{{"id": 0, "content": "[UNK]", "special": true, "single_word": false,
                     "lstrip": false, "rstrip": false, "normalized": false}}], "normalizer": {normalizer},
                    "pre_tokenizer": {{"type": "Whitespace"}},
                    "model": {{"type": "WordLevel", "vocab": {{"[UNK]": 0, "one": 1, "two": 2}}, "unk_token": "[UNK]"}}}}"#
            ))
            .unwrap()
        };
        let lost = |tokenizer: &Tokenizer, text: &str| tokenizer.lost(text, &tokenizer.encode(text).unwrap()).unwrap();
        let plain = word_level("null");
        assert_eq!(lost(&plain, "one two one"), None);
        assert_eq!(lost(&plain, "one  two one"), Some(1.0 / 12.0), "a space of two");
        assert_eq!(lost(&plain, "one два two"), Some(4.0 / 11.0), "a word of three letters that is not known, and a space");
        assert_eq!(lost(&word_level(r#"{"type": "Lowercase"}"#), "One two"), Some(1.0 / 7.0), "a capital");
        let bytes = read(&saved(&Tokenizer::bpe(TEXT, 300).unwrap())).unwrap();
        assert_eq!(lost(&bytes, TEXT), None);
    }

    #[test]
    fn files_that_are_no_tokenizer_are_refused_without_a_panic() {
        let check = |json: &str, expected: &str| {
            let found = read(json).unwrap_err().to_string();
            assert!(
                found.contains("tokenizer.json: expected a tokenizer.json of Hugging Face: ") && found.contains(expected),
                "{found}"
            );
        };
        check("not json", "expected");
        check("{}", "");
        check(&"[".repeat(100_000), "recursion limit");
        let model = |model: &str| format!(r#"{{"version": "1.0", "added_tokens": [], "model": {model}}}"#);
        check(&model(r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}"#), r#"needs the token "ab""#);
        check(&model(r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "c"]]}"#), r#"needs the token "c""#);
        let prefixed =
            r#"{"type": "BPE", "vocab": {"aaa": 0, "b": 1, "aaab": 2}, "merges": ["aaa b"], "continuing_subword_prefix": "%%"}"#;
        check(&model(prefixed), r#"expected "b" to start with "%%""#);
        check(&model(r#"{"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}"#), "expected a merge of two tokens");
    }
}
