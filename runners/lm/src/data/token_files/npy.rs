//! NumPy's `.npy`, versions 1 to 3: a magic string, the version, the length of a header, a Python dict as the header, the numbers.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use super::sample::Sample;
use crate::spec::Dtype;

/// What every such file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Where the numbers begin, their type and how many there are.
///
/// # Errors
/// With what was expected and found, when it is another version, malformed, of other numbers or dims, or of another length.
pub(super) fn read(sample: &Sample) -> Result<(u64, Dtype, usize), String> {
    let front = sample.front();
    let (&[major, minor], rest) =
        front[MAGIC.len()..].split_first_chunk().ok_or("expected an .npy file, found its first bytes alone")?;
    let (length, text) = match (major, rest) {
        (1, &[a, b, ref text @ ..]) => (u16::from_le_bytes([a, b]) as usize, text),
        (2 | 3, &[a, b, c, d, ref text @ ..]) => (u32::from_le_bytes([a, b, c, d]) as usize, text),
        (1..=3, _) => return Err("expected an .npy file, found its first bytes alone".into()),
        _ => return Err(format!("expected an .npy file of version 1, 2 or 3, found version {major}.{minor}")),
    };
    let begins = front.len() - text.len() + length;
    let header = text
        .get(..length)
        .ok_or_else(|| format!("expected the header of an .npy file in {} bytes, found {begins}", front.len()))?;
    let header = String::from_utf8_lossy(header);
    let (descr, order, shape) = fields(&header).ok_or_else(|| {
        format!("expected an .npy file whose header names `descr`, `fortran_order` and `shape`, found {:?}", header.trim_end())
    })?;
    let dtype = dtype(descr)?;
    let count = match shape[..] {
        [count] => count,
        _ => return Err(format!("expected an .npy file of one dimension, found the shape {}", tuple(&shape))),
    };
    if order == "True" {
        return Err("expected an .npy file in C order, found Fortran order".into());
    }
    let expected = count.checked_mul(dtype.bytes() as u64).and_then(|bytes| bytes.checked_add(begins as u64));
    if expected != Some(sample.length) {
        let expected = expected.map_or("more than any file has".into(), |bytes| bytes.to_string());
        return Err(format!("expected an .npy file of {expected} bytes for its {count} ids, found {}", sample.length));
    }
    Ok((begins as u64, dtype, count as usize))
}

fn dtype(descr: &str) -> Result<Dtype, String> {
    let found = match descr {
        "<u2" => return Ok(Dtype::U16),
        "<u4" => return Ok(Dtype::U32),
        "|u1" => "8-bit integers".into(),
        _ => {
            let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
            let (kind, size) = kind.split_at_checked(1).unwrap_or_default();
            let bits = size.parse::<u32>().map_or(String::new(), |bytes| format!("{}-bit ", 8 * bytes));
            let order = if order == ">" { "big-endian " } else { "" };
            match kind {
                "u" => format!("{order}{bits}integers"),
                "i" => format!("{order}{bits}signed integers"),
                "f" => format!("{order}{bits}floats"),
                "O" => "Python objects".into(),
                _ => "other values".into(),
            }
        }
    };
    let make = "`ids.astype(numpy.uint16)` or `numpy.uint32` makes it so";
    Err(format!("expected an .npy file of little-endian 16- or 32-bit unsigned integers, found {found} (`{descr}`); {make}"))
}

/// `descr`, `fortran_order` and `shape` of a header such as
/// `{'descr': '<u2', 'fortran_order': False, 'shape': (5000,), }`.
fn fields(header: &str) -> Option<(&str, &str, Vec<u64>)> {
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}'")).or_else(|| header.split_once(&format!("\"{key}\"")))?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = after("descr")?;
    let descr = match descr.chars().next()? {
        quote @ ('\'' | '"') => descr[1..].split_once(quote)?.0,
        _ => descr.split_once("'fortran").map_or(descr, |(list, _)| list).trim_end_matches([',', ' ']), // of a record
    };
    let order = after("fortran_order")?.split([',', '}']).next()?.trim();
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let dims = shape.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let shape = dims.map(|dim| dim.trim_end_matches('L').parse().ok()).collect::<Option<_>>()?;
    ["True", "False"].contains(&order).then_some((descr, order, shape))
}

/// As Python writes it.
fn tuple(shape: &[u64]) -> String {
    format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
}
