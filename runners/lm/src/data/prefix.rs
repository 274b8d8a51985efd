//! The token that a text begins with when it is scored by itself, and `tokenizer_config.json`, which tells other programs.
//!
//! A model predicts no first token: something must stand in front of it. Byte-level tokenizers of ours put a line break there, for
//! they have no special tokens and the model has seen line breaks in front of sentences. `tokenizer_config.json` names that token
//! as `bos_token` and `eos_token`, so that lm-evaluation-harness takes the same one. What comes with it: Hugging Face's libraries
//! count it as special, leave it out of decoded text where special tokens are skipped, and read the letter that stands for it in
//! the vocabulary (Ċ), where a text has that letter, as a line break.

use super::DataError;
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::Tokenizer as HuggingFace;

pub(super) const FILE: &str = "tokenizer_config.json";

/// The `tokenizer_config.json` beside a `tokenizer.json`, where there is one.
///
/// # Errors
/// When it cannot be read or is not JSON.
pub(super) fn beside(tokenizer: &Path) -> Result<Option<Value>, DataError> {
    let path = tokenizer.with_file_name(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| DataError::NotATokenizer { path, message: format!("expected JSON: {error}") }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::Read { path, source }),
    }
}

/// The token in front of a text: what the config calls `bos_token`, or else `eos_token`; without a config `<|endoftext|>`, where
/// the vocabulary has it, or else the token of a line break, where that is one.
pub(super) fn prefix(tokenizer: &HuggingFace, config: Option<&Value>) -> Option<u32> {
    let named = |field: &str| {
        let token = config?.get(field)?;
        tokenizer.token_to_id(token.as_str().or_else(|| token.get("content")?.as_str())?)
    };
    let line_break = || match tokenizer.encode_fast("\n", false).ok()?.get_ids() {
        [token] => Some(*token),
        _ => None,
    };
    let unnamed = || tokenizer.token_to_id("<|endoftext|>").or_else(line_break);
    named("bos_token").or_else(|| named("eos_token")).or_else(unnamed)
}

/// The text of `tokenizer_config.json`: `config`, or else what makes Hugging Face's libraries take the tokenizer as its file says,
/// with `prefix` in front of texts.
pub(super) fn config(config: Option<&Value>, prefix: Option<String>) -> String {
    let own = || {
        let mut own = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false });
        if let Some(token) = prefix {
            (own["bos_token"], own["eos_token"]) = (json!(token), json!(token));
        }
        own
    };
    format!("{:#}\n", config.cloned().unwrap_or_else(own))
}

#[cfg(test)]
mod tests {
    use crate::data::Tokenizer;
    use serde_json::Value;
    use std::path::Path;
    use tempfile::TempDir;

    fn read(folder: &Path) -> Tokenizer {
        Tokenizer::file(&folder.join("tokenizer.json")).unwrap()
    }

    fn config(folder: &Path) -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(super::FILE)).unwrap()).unwrap()
    }

    #[test]
    fn our_own_tokenizers_begin_with_a_line_break_and_so_do_their_files() {
        for tokenizer in [Tokenizer::bytes(), Tokenizer::bpe("low\nlower", 300).unwrap()] {
            assert_eq!(tokenizer.encode("\n").unwrap(), [tokenizer.prefix().unwrap()]);
            let folder = TempDir::new().unwrap();
            tokenizer.save(folder.path()).unwrap();
            assert_eq!((&config(folder.path())["bos_token"], &config(folder.path())["eos_token"]), (&"Ċ".into(), &"Ċ".into()));
            assert_eq!(read(folder.path()).prefix(), tokenizer.prefix());
            std::fs::remove_file(folder.path().join(super::FILE)).unwrap(); // as trials of older programs left it
            assert_eq!(read(folder.path()).prefix(), tokenizer.prefix());
        }
    }

    #[test]
    fn a_config_beside_the_file_names_the_token_and_is_kept() {
        let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        Tokenizer::bytes().save(folder.path()).unwrap();
        let check = |text: &str, expected: u8| {
            std::fs::write(folder.path().join(super::FILE), text).unwrap();
            assert_eq!(read(folder.path()).prefix(), Some(expected.into()), "{text}");
        };
        check(r#"{"eos_token": "B"}"#, b'B');
        check(r#"{"bos_token": "none of the vocabulary", "eos_token": "B"}"#, b'B');
        check("{}", b'\n');
        check(r#"{"bos_token": {"content": "A"}, "eos_token": "B", "more": 1}"#, b'A');
        read(folder.path()).save(copy.path()).unwrap();
        assert_eq!(config(copy.path()), config(folder.path()));
        std::fs::write(folder.path().join(super::FILE), "{").unwrap();
        let refused = Tokenizer::file(&folder.path().join("tokenizer.json")).unwrap_err().to_string();
        assert!(refused.contains("tokenizer_config.json: expected a tokenizer.json of Hugging Face: expected JSON"), "{refused}");
    }
}
