//! A few pieces of a file, by which its form is judged.

use crate::data::DataError;
use crate::data::tokens::read_exact_at;
use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes of a piece: a multiple of every type's size.
pub(super) const PIECE: usize = 4096;
/// Pieces of a large file: front, end, and evenly between.
const PIECES: u64 = 5;

/// The front, the end and pieces between, each from a multiple of 8 bytes on; all of a small file is one piece.
pub(super) struct Sample {
    /// Length of the file in bytes.
    pub length: u64,
    /// The pieces, in order.
    pub pieces: Vec<Vec<u8>>,
}

impl Sample {
    /// # Errors
    /// When the file cannot be read, is not a regular file, or is empty.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let length = crate::data::files::facts(path)?.len();
        if length == 0 {
            return Err(DataError::Empty { path: path.into() });
        }
        let failed = |source: io::Error| DataError::Read { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let whole = PIECES * PIECE as u64;
        let places: Vec<(u64, usize)> = if length <= whole {
            vec![(0, length as usize)]
        } else {
            (0..PIECES).map(|i| ((length - PIECE as u64) / (PIECES - 1) * i / 8 * 8, PIECE)).collect()
        };
        let read = |(at, size): (u64, usize)| {
            let mut bytes = vec![0; size];
            read_exact_at(&file, &mut bytes, at).map(|()| bytes).map_err(failed)
        };
        Ok(Self { length, pieces: places.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The first bytes.
    pub fn front(&self) -> &[u8] {
        &self.pieces[0]
    }

    /// The last bytes, up to seven left out in a large file.
    pub fn end(&self) -> &[u8] {
        self.pieces.last().map_or(&[], |piece| piece)
    }

    /// The numbers of a type of N bytes.
    pub fn numbers<const N: usize, T>(&self, number: fn([u8; N]) -> T) -> Vec<T> {
        self.pieces.iter().flat_map(|piece| piece.as_chunks::<N>().0).map(|&bytes| number(bytes)).collect()
    }
}
