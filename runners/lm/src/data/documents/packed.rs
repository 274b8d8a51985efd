//! Files packed by gzip and Zstandard.

use super::super::DataError;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

/// Bytes read at a time.
const BLOCK: usize = 1 << 18;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Packing {
    Plain,
    Gzip,
    Zstandard,
}

impl Packing {
    /// By the first bytes of a file.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstandard,
            _ => Self::Plain,
        }
    }

    /// As messages call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        }
    }
}

/// A file, and how it is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Packed {
    pub path: PathBuf,
    pub(super) packing: Packing,
}

/// What is in a file.
pub(super) struct Unpacked {
    path: PathBuf,
    packing: Packing,
    inner: Box<dyn Read + Send>,
}

impl Unpacked {
    /// Opens a file and unpacks what is in it: all members of a gzip file, all frames of a Zstandard file.
    pub fn open(packed: &Packed) -> Result<Self, DataError> {
        let Packed { path, packing } = packed;
        let failed = |source| DataError::Read { path: path.clone(), source };
        let file = BufReader::with_capacity(BLOCK, File::open(path).map_err(failed)?);
        let inner: Box<dyn Read + Send> = match *packing {
            Packing::Plain => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(file).map_err(failed)?),
        };
        Ok(Self { path: path.clone(), packing: *packing, inner })
    }

    /// Fills `buffer` as far as there is something left; how many bytes that were.
    ///
    /// # Errors
    /// When the file cannot be read, ends too early or is damaged.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, DataError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.refuse(error)),
            }
        }
        Ok(filled)
    }

    /// The error of a read, in words.
    pub fn refuse(&self, source: io::Error) -> DataError {
        let (path, word) = (self.path.clone(), self.packing.word());
        match self.packing {
            Packing::Plain => DataError::Read { path, source },
            _ if source.kind() == io::ErrorKind::UnexpectedEof => DataError::Document {
                path,
                at: String::new(),
                message: format!("expected the whole of a {word} file, found that it ends too early: it was cut off"),
            },
            _ => {
                DataError::Document { path, at: String::new(), message: format!("expected {word} data, found damage: {source}") }
            }
        }
    }

    /// As a reader, whose errors [`refuse`](Self::refuse) puts in words.
    pub fn reader(&mut self) -> &mut (dyn Read + Send) {
        &mut *self.inner
    }
}
