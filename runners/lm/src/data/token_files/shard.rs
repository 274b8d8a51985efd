//! The shards of llm.c: a header of 256 i32 (magic number, version, number of tokens, zeros), then the ids.

use super::sample::Sample;
use crate::spec::Dtype;

/// Bytes of the header.
const HEADER: usize = 1024;
/// Magic number and version of shards of GPT-2's tokens, u16.
const GPT2: (u32, u32) = (20_240_520, 1);
/// The same of Llama 3's tokens, u32.
const LLAMA3: (u32, u32) = (20_240_801, 7);
/// Magic numbers of what llm.c writes besides, and what that is.
const OTHERS: [(u32, &str); 3] = [
    (20_240_326, "a checkpoint of llm.c"),
    (20_240_327, "an optimizer state of llm.c"),
    (20_240_522, "an evaluation set of llm.c"),
];

/// Where the ids begin, their type and how many there are; `None` where the file begins with no number of llm.c's.
///
/// # Errors
/// When it begins like a shard but is not one: what was expected, and what was found.
pub(super) fn read(sample: &Sample) -> Option<Result<(u64, Dtype, usize), String>> {
    let front = sample.front();
    let header: Vec<u32> = front[..front.len().min(HEADER)].as_chunks().0.iter().map(|&four| u32::from_le_bytes(four)).collect();
    let magic = *header.first()?;
    if let Some((_, what)) = OTHERS.iter().find(|(other, _)| *other == magic) {
        return Some(Err(format!("expected token ids, found what looks like {what} (magic number {magic})")));
    }
    let swapped = [GPT2.0, LLAMA3.0].contains(&magic.swap_bytes());
    if swapped {
        return Some(Err(format!(
            "expected a little-endian shard of llm.c, found a big-endian one (magic number {})",
            magic.swap_bytes()
        )));
    }
    let (dtype, known) = match magic {
        magic if magic == GPT2.0 => (Dtype::U16, GPT2.1),
        magic if magic == LLAMA3.0 => (Dtype::U32, LLAMA3.1),
        _ => return None,
    };
    Some(shard(&header, dtype, known, sample.length))
}

fn shard(header: &[u32], dtype: Dtype, known: u32, length: u64) -> Result<(u64, Dtype, usize), String> {
    let magic = header[0];
    if header.len() < HEADER / 4 {
        return Err(format!(
            "expected the {HEADER} bytes of the header of a shard of llm.c (magic number {magic}), found {length} bytes"
        ));
    }
    let (version, count) = (header[1], header[2]);
    if version != known {
        return Err(format!("expected a shard of llm.c of version {known} (magic number {magic}), found version {version}"));
    }
    let expected = HEADER as u64 + u64::from(count) * dtype.bytes() as u64;
    if expected != length {
        let found = (length - HEADER as u64) as f64 / dtype.bytes() as f64;
        return Err(format!("expected a shard of llm.c with the {count} ids that its header counts, found {found}"));
    }
    Ok((HEADER as u64, dtype, count as usize))
}
