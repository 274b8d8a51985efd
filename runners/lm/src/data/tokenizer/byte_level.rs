//! Text as bytes, by GPT-2's pattern and table of letters, and where it may be cut.

use super::failed;
use crate::data::DataError;
use tokenizers::Tokenizer as HuggingFace;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// Text is cut into pieces of about this many bytes, which are encoded in parallel.
const PIECE: usize = 16_384;

/// A tokenizer that reads text as bytes, by GPT-2's pattern.
pub(super) fn byte_level(model: BPE) -> HuggingFace {
    let mut tokenizer = HuggingFace::new(model);
    let bytes = ByteLevel::new(false, false, true); // no space in front, offsets as they are, split by the pattern
    tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes));
    tokenizer
}

/// The 256 bytes without merges, each with its value for id, for programs that read a checkpoint of ours.
pub(super) fn all_bytes() -> Result<HuggingFace, DataError> {
    let vocabulary: [(String, u32); 256] = std::array::from_fn(|byte| (letter(byte as u8).to_string(), byte as u32));
    let model = BPE::builder().vocab_and_merges(vocabulary, Vec::new()).build();
    Ok(byte_level(model.map_err(failed)?))
}

/// The letter that stands for a byte in a byte-level vocabulary (GPT-2's table): visible Latin-1 characters stand for themselves,
/// the other 68 bytes for the letters from U+0100 on, in order.
pub(super) fn letter(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if visible(byte) {
        return byte.into();
    }
    let hidden_before = (0..byte).filter(|&earlier| !visible(earlier)).count();
    char::from_u32(0x100 + hidden_before as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Cuts a text where GPT-2's pattern splits whatever stands around: in front of a line break that follows no white space.
///
/// In the pattern, white space only ever begins a word (`" ?\p{L}+"`) or is the whole of it (`"\s+"`), so one always ends where
/// visible text ends; and nothing in it looks back. Behind a line break a cut would not do: `"\s+(?!\S)"` looks ahead.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(text.len() / PIECE + 1);
    let mut start = 0;
    let mut space_before = true;
    for (at, character) in text.char_indices() {
        if character == '\n' && !space_before && at - start >= PIECE {
            pieces.push(&text[start..at]);
            start = at;
        }
        space_before = character.is_whitespace();
    }
    pieces.push(&text[start..]);
    pieces
}
