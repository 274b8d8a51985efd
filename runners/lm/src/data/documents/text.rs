//! A file of text: one document.

use super::super::DataError;
use super::chunk::Chunk;
use super::packed::{Packed, Packing, Unpacked};

/// Bytes of a chunk.
const BLOCK: usize = 1 << 20;
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The text of a file without its byte order mark, all else as it is: carriage returns and NULs too.
pub(super) struct Text<'a> {
    file: &'a Packed,
    read: Unpacked,
    /// The beginning of a character whose end is still to be read.
    carried: Vec<u8>,
    /// Bytes before those carried.
    offset: u64,
    is_empty: bool,
    has_ended: bool,
}

impl<'a> Text<'a> {
    pub fn open(file: &'a Packed) -> Result<Self, DataError> {
        let read = Unpacked::open(file)?;
        Ok(Self { file, read, carried: Vec::new(), offset: 0, is_empty: true, has_ended: false })
    }

    fn chunk(&mut self) -> Result<Chunk, DataError> {
        let mut bytes = std::mem::take(&mut self.carried);
        let carried = bytes.len();
        bytes.resize(carried + BLOCK, 0);
        let read = self.read.fill(&mut bytes[carried..])?;
        bytes.truncate(carried + read);
        self.has_ended = read < BLOCK;
        if let Err(error) = std::str::from_utf8(&bytes) {
            let valid = error.valid_up_to();
            if error.error_len().is_some() || self.has_ended {
                return Err(self.invalid(self.offset + valid as u64));
            }
            self.carried = bytes.split_off(valid);
        }
        if self.offset == 0 && bytes.starts_with(MARK) {
            bytes.drain(..MARK.len());
            self.offset += MARK.len() as u64;
        }
        self.offset += bytes.len() as u64;
        self.is_empty &= bytes.is_empty();
        if self.has_ended && self.is_empty {
            return Err(DataError::Empty { path: self.file.path.clone() });
        }
        let text = String::from_utf8(bytes).map_err(|error| self.invalid(error.utf8_error().valid_up_to() as u64))?;
        Ok(Chunk { text, ends: self.has_ended })
    }

    fn invalid(&self, offset: u64) -> DataError {
        let (path, offset) = (self.file.path.clone(), offset as usize);
        match self.file.packing {
            Packing::Plain => DataError::NotUtf8 { path, offset },
            packing => {
                let message = format!(
                    "expected UTF-8 text, found an invalid sequence at byte {offset} of what its {} holds",
                    packing.word()
                );
                DataError::Document { path, at: String::new(), message }
            }
        }
    }
}

impl Iterator for Text<'_> {
    type Item = Result<Chunk, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let chunk = self.chunk();
        self.has_ended |= chunk.is_err();
        Some(chunk)
    }
}
