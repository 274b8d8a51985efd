//! The form of one token file, told by its bytes.

use super::looks::{foreign, misread, text};
use super::sample::Sample;
use super::{npy, shard};
use crate::data::DataError;
use crate::data::tokens::TokenFile;
use crate::spec::Dtype;
use std::path::Path;

/// Where the ids of a file begin, their type and how many there are. A file that names neither has ids of `dtype`, u16 where that
/// is not named, from its first byte on.
///
/// # Errors
/// When the file cannot be read or is empty; with what it looks like, when it is not what the study says.
pub(super) fn form_of(path: &Path, dtype: Option<Dtype>, vocab_size: Option<usize>) -> Result<TokenFile, DataError> {
    let sample = Sample::of(path)?;
    let refuse = |message: String| DataError::NotTokens { path: path.into(), message };
    let described = if sample.front().starts_with(npy::MAGIC) {
        Some(npy::read(&sample).map_err(refuse)?)
    } else {
        shard::read(&sample).transpose().map_err(refuse)?
    };
    let (offset, dtype, count) = match described {
        Some((_, own, _)) if dtype.is_some_and(|named| named != own) => {
            let named = dtype.unwrap_or_default();
            return Err(refuse(format!("expected ids of `dtype: {named}`, found a header that says {own}")));
        }
        Some(described) => described,
        None => raw(&sample, dtype.unwrap_or_default(), vocab_size).map_err(refuse)?,
    };
    if count == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    Ok(TokenFile { path: path.into(), offset, dtype, count })
}

fn raw(sample: &Sample, dtype: Dtype, vocab_size: Option<usize>) -> Result<(u64, Dtype, usize), String> {
    if let Some(found) = foreign(sample) {
        return Err(format!("expected token ids ({dtype}), found what looks like {found}"));
    }
    if let Some(found) = text(sample) {
        return Err(format!("expected token ids ({dtype}), found what looks like {found}; `data: {{text: ...}}` reads text"));
    }
    let width = dtype.bytes() as u64;
    if !sample.length.is_multiple_of(width) {
        return Err(format!("expected {dtype} ids, {width} bytes each, found {} bytes", sample.length));
    }
    if let Some(found) = misread(sample, dtype, vocab_size) {
        return Err(format!("expected token ids ({dtype}), found what looks like {found}"));
    }
    Ok((0, dtype, (sample.length / width) as usize))
}
