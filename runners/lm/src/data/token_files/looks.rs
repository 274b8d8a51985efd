//! What a file without a header of its own looks like, if not token ids of the type that the study says.
//!
//! Each rule must leave honest ids alone: a signature is long enough that ids make it once in more than 10⁹ files, and a pattern of
//! numbers needs [`ENOUGH`] witnesses, which ids in any order that does not depend on odd and even places give once in 2⁴⁰ files.

use super::sample::Sample;
use crate::data::tokens::LARGEST_VOCABULARY;
use crate::spec::Dtype;
use std::collections::HashSet;

/// Numbers that must bear a pattern out.
const ENOUGH: usize = 40;
/// Bytes from which on a file may be taken for text.
const LEAST_TEXT: usize = 16;

/// The file format whose signature the file bears.
pub(super) fn foreign(sample: &Sample) -> Option<&'static str> {
    let (front, end) = (sample.front(), sample.end());
    let is = |signature: &[u8]| front.starts_with(signature);
    let at = |place: usize, signature: &[u8]| front.get(place..).is_some_and(|rest| rest.starts_with(signature));
    let byte = |place: usize| front.get(place).copied().unwrap_or(0xff);
    let ends = |signature: &[u8]| !sample.length.is_multiple_of(8) || end.ends_with(signature); // the end may lack up to seven bytes
    let header = front.first_chunk().map_or(u64::MAX, |length| u64::from_le_bytes(*length));
    let rules = [
        (is(b"MMIDIDX\0"), "the index of a Megatron dataset (`.idx`); the `.bin` beside it holds the ids"),
        (is(b"\x1f\x8b\x08") && byte(3) < 32 && [0, 2, 4].contains(&byte(8)) && (byte(9) < 14 || byte(9) == 255), "gzip"),
        (is(b"\x28\xb5\x2f\xfd"), "zstd"),
        (is(b"\xfd7zXZ\0"), "xz"),
        (is(b"BZh") && at(4, b"1AY&SY"), "bzip2"),
        (is(b"\x04\x22\x4d\x18"), "LZ4"),
        (is(b"7z\xbc\xaf\x27\x1c"), "7-Zip"),
        (is(b"PAR1") && ends(b"PAR1"), "Parquet; `data: {text: ...}` reads it"),
        (is(b"ARROW1\0\0"), "Arrow"),
        (is(b"\xff\xff\xff\xff") && at(8, &[16, 0, 0, 0]), "an Arrow stream"),
        (is(b"PK\x03\x04") && byte(5) == 0, "a zip archive, as `.npz` and PyTorch's `.pt` are"),
        (header < sample.length && at(8, b"{\""), "safetensors"),
        (pickle(front), "a Python pickle"),
        (is(b"\x89HDF\r\n\x1a\n"), "HDF5"),
        (is(b"GGUF") && byte(5) == 0, "GGUF"),
        (is(b"SQLite format 3\0"), "an SQLite database"),
        (is(b"\x89PNG\r\n\x1a\n"), "a PNG image"),
        (is(b"\x7fELF") && (1..=2).contains(&byte(4)), "a program"),
        (at(257, b"ustar"), "a tar archive"),
        (is(b"%PDF-"), "PDF"),
    ];
    rules.into_iter().find(|(bears, _)| *bears).map(|(_, what)| what)
}

/// A pickle of version 2 to 5; PyTorch's older files are pickles.
fn pickle(front: &[u8]) -> bool {
    match front {
        [0x80, 2, 0x8a, 0x0a, b'l', 0xfc, ..] => true, // PyTorch's magic number
        [0x80, 2 | 3, b']' | b'}' | b'(', b'q', 0, ..] => true,
        [0x80, 2 | 3, b'c', name @ ..] => {
            name.len() > 6 && name[..6].iter().all(|byte| byte.is_ascii_lowercase() || b"._".contains(byte))
        }
        [0x80, 4 | 5, 0x95, _, _, _, _, 0, 0, 0, 0, ..] => true, // a frame and its length
        _ => false,
    }
}

/// Text, and how it begins. Ids are text only where no byte of any is a control character.
pub(super) fn text(sample: &Sample) -> Option<String> {
    let front = sample.front();
    if let [0xff, 0xfe, rest @ ..] = front
        && rest.len() >= 2 * LEAST_TEXT
        && rest.as_chunks::<2>().0.iter().take(256).all(|&[low, high]| high == 0 && (low >= b' ' || low.is_ascii_whitespace()))
    {
        return Some("UTF-16 text".into());
    }
    let bytes = || sample.pieces.iter().flatten();
    let control = |byte: &u8| (*byte < b' ' && !byte.is_ascii_whitespace()) || *byte == 0x7f;
    if (sample.length as usize) < LEAST_TEXT || bytes().any(control) {
        return None;
    }
    // A piece may begin and end inside a character.
    let is_utf8 = |piece: &Vec<u8>| {
        let start = piece.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        match std::str::from_utf8(&piece[start..]) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
    };
    let ascii = bytes().filter(|byte| byte.is_ascii()).count() as f64 / bytes().count() as f64;
    let begins: String = String::from_utf8_lossy(&front[..front.len().min(96)]).chars().take(24).collect();
    let begins = begins.trim_start_matches('\u{feff}');
    match (sample.pieces.iter().all(is_utf8), begins.trim_start().chars().next()) {
        (true, Some('{' | '[')) => Some(format!("JSON ({begins:?}…)")),
        (true, _) => Some(format!("UTF-8 text ({begins:?}…)")),
        _ if ascii > 0.7 && bytes().count() >= 4 * LEAST_TEXT => {
            Some(format!("text in another encoding than UTF-8 ({begins:?}…)"))
        }
        _ => None,
    }
}

/// Numbers of another type than `dtype`.
pub(super) fn misread(sample: &Sample, dtype: Dtype, vocab_size: Option<usize>) -> Option<String> {
    let [halves, quads] = [sample.numbers(u16::from_le_bytes).into_iter().map(u64::from).collect(), wide(sample)];
    if alternates(&quads, 0) {
        return Some("64-bit integers, which are not read".into());
    }
    if floats(sample) {
        return Some("floating-point numbers".into());
    }
    let limit = vocab_size.unwrap_or(LARGEST_VOCABULARY) as u64;
    match dtype {
        Dtype::U16 => {
            // Of a vocabulary up to 2¹⁶ ids the upper half of each is 0, up to 2¹⁸ below 4, up to 2²⁴ below 256. A toy file may
            // alternate between a few small and a few large ids, so the last two need many ids.
            let many = || halves.iter().step_by(2).collect::<HashSet<_>>().len() >= ENOUGH;
            if alternates(&halves, 0) || ([3, 255].into_iter().any(|most| alternates(&halves, most)) && many()) {
                return Some("u32 ids (every second u16 is 0 or next to nothing); `dtype: u32` reads them".into());
            }
            big_endian(&halves, 256).then(|| "big-endian u16 ids (each is a multiple of 256)".into())
        }
        Dtype::U32 => {
            let beyond = quads.iter().filter(|&&id| id >= limit).count();
            let swapped = |id: &u64| u64::from((*id as u32).swap_bytes()) < limit;
            if beyond > 0 && quads.iter().any(|&id| id != 0) && quads.iter().all(swapped) {
                return Some("big-endian u32 ids".into());
            }
            // Two u16 ids make one number of at least 2¹⁶, unless the second is 0.
            let joined = quads.iter().filter(|&&id| id >> 16 != 0).count();
            let small = halves.iter().all(|&half: &u64| half < 4096);
            let largest = quads.iter().max().copied().unwrap_or(0);
            let too_large = largest >= LARGEST_VOCABULARY as u64 && halves.iter().all(|&half| half < limit);
            let is_u16 = (too_large || (small && joined >= ENOUGH)) && joined * 2 >= quads.len();
            is_u16.then(|| format!("u16 ids (as u32 they reach {largest}); `dtype: u16` reads them"))
        }
    }
}

fn wide(sample: &Sample) -> Vec<u64> {
    sample.numbers(u32::from_le_bytes).into_iter().map(u64::from).collect()
}

/// Whether only numbers at even places exceed `most`, and enough of them do.
fn alternates(numbers: &[u64], most: u64) -> bool {
    let above = |parity: usize| numbers.iter().skip(parity).step_by(2).filter(|&&number| number > most).count();
    above(1) == 0 && above(0) >= ENOUGH
}

/// Whether all numbers are multiples of `unit`, and enough of them not 0.
fn big_endian(numbers: &[u64], unit: u64) -> bool {
    numbers.iter().all(|number| number % unit == 0) && numbers.iter().filter(|&&number| number != 0).count() >= ENOUGH
}

/// Whether the bytes are ids as 32- or 64-bit floats.
fn floats(sample: &Sample) -> bool {
    let ids = |numbers: Vec<f64>| {
        let whole = |number: &f64| number.fract() == 0.0 && (0.0..LARGEST_VOCABULARY as f64).contains(number);
        numbers.iter().all(whole) && numbers.iter().filter(|number| **number != 0.0).count() >= ENOUGH
    };
    ids(sample.numbers(|bytes| f64::from(f32::from_le_bytes(bytes)))) || ids(sample.numbers(f64::from_le_bytes))
}
