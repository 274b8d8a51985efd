//! Text as bytes, by GPT-2's pattern and table of letters, and where it may be cut.

use super::failed;
use crate::data::DataError;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, ModelWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer as HuggingFace};

/// Text is cut into pieces of about this many bytes, which are encoded in parallel.
pub(super) const PIECE: usize = 16_384;

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

/// Whether a tokenizer of someone else is like ours: it splits text by GPT-2's pattern and does nothing that a cut at a line break
/// might change, and decoding its tokens gives every text back. It has no normalizer, puts no space in front, encodes each word by
/// byte-pair encoding with a token for each byte, and marks no part of a word. Its added tokens are visible ASCII, which has no white
/// space and stands for itself, and take none from around them.
pub(super) fn is_by_pattern(read: &HuggingFace) -> bool {
    let ModelWrapper::BPE(model) = read.get_model() else { return false };
    let unmarked = |mark: &Option<String>| mark.as_deref().is_none_or(str::is_empty);
    let by_pattern = matches!(
        read.get_pre_tokenizer(),
        Some(PreTokenizerWrapper::ByteLevel(bytes)) if bytes.use_regex && !bytes.add_prefix_space
    );
    by_pattern
        && read.get_normalizer().is_none()
        && matches!(read.get_post_processor(), None | Some(PostProcessorWrapper::ByteLevel(_)))
        && matches!(read.get_decoder(), Some(DecoderWrapper::ByteLevel(_)))
        && unmarked(&model.continuing_subword_prefix)
        && unmarked(&model.end_of_word_suffix)
        && (0..=255).all(|byte| read.token_to_id(&letter(byte).to_string()).is_some())
        && read.get_added_tokens_decoder().values().all(|token| {
            let is_visible = token.content.bytes().all(|byte| byte.is_ascii_graphic());
            is_visible && !token.lstrip && !token.rstrip && !token.single_word
        })
}

/// Cuts a text where GPT-2's pattern splits whatever stands around: in front of a line break that follows no white space.
///
/// In the pattern, white space only ever begins a word (`" ?\p{L}+"`) or is the whole of it (`"\s+"`), so one always ends where
/// visible text ends; and nothing in it looks back. Behind a line break a cut would not do: `"\s+(?!\S)"` looks ahead.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(text.len() / PIECE + 1);
    let mut start = 0;
    while let Some(at) = cut_behind(text, start + PIECE) {
        pieces.push(&text[start..at]);
        start = at;
    }
    pieces.push(&text[start..]);
    pieces
}

/// The first place at byte `least` or behind it where a text may be cut.
pub(super) fn cut_behind(text: &str, least: usize) -> Option<usize> {
    let mut from = least;
    while let Some(found) = text.as_bytes().get(from..)?.iter().position(|byte| *byte == b'\n') {
        let at = from + found;
        if text[..at].chars().next_back().is_some_and(|before| !before.is_whitespace()) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
