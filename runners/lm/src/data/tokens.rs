//! Token ids: in memory, or in files of which only what is needed is read.

use super::DataError;
use crate::spec::Dtype;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Ids lie below this, in any file.
pub(super) const LARGEST_VOCABULARY: usize = 1 << 24;

/// Ids read at a time where all are needed.
const CHUNK: usize = 65_536;

/// Ids in files above which a split counts as many: 256 MiB of u16.
const MANY: usize = 1 << 27;

/// Chunks of a sample of many ids, and ids in each: 2²⁴ in all.
const SAMPLE: (usize, usize) = (1024, 16_384);

/// Files of a split that are kept open; others are opened for each read, since a process may have a few hundred files open.
const KEPT_OPEN: usize = 32;

/// The token ids of a split. A clone shares them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens(Arc<Storage>);

#[derive(Debug, PartialEq)]
enum Storage {
    Memory(Vec<u32>),
    Files { pieces: Vec<Piece>, count: usize, vocab_size: usize },
}

/// Ids of one type that follow each other in a file, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    /// The file.
    pub path: PathBuf,
    /// Byte at which the first id begins.
    pub offset: u64,
    /// Type of the ids.
    pub dtype: Dtype,
    /// How many ids there are.
    pub count: usize,
}

/// A file, and how it was when it was opened.
#[derive(Debug)]
struct Piece {
    of: TokenFile,
    /// Position in the split of its first id.
    first: usize,
    bytes: u64,
    modified: Option<SystemTime>,
    open: Option<File>,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        (&self.of, self.first, self.bytes) == (&other.of, other.first, other.bytes)
    }
}

impl From<Vec<u32>> for Tokens {
    fn from(ids: Vec<u32>) -> Self {
        Self(Arc::new(Storage::Memory(ids)))
    }
}

impl Tokens {
    /// The ids of `files`, one file after the other, each of which lies below `vocab_size`. No id is read yet.
    ///
    /// Files are read by position and never mapped into memory: one that shrinks is an error then, not a signal that ends the
    /// process. A file that is written to after this call is refused by the next read.
    ///
    /// # Errors
    /// When a file cannot be opened or ends before its last id.
    pub fn files(files: Vec<TokenFile>, vocab_size: usize) -> Result<Self, DataError> {
        let (mut pieces, mut count) = (Vec::with_capacity(files.len()), 0);
        for of in files {
            let failed = |source| DataError::Read { path: of.path.clone(), source };
            let file = File::open(&of.path).map_err(failed)?;
            let facts = file.metadata().map_err(failed)?;
            let (first, expected) = (count, of.offset + (of.count * of.dtype.bytes()) as u64);
            if facts.len() < expected {
                return Err(DataError::Shrunk { path: of.path, position: 0, expected, found: facts.len() });
            }
            count += of.count;
            let open = (pieces.len() < KEPT_OPEN).then_some(file);
            pieces.push(Piece { of, first, bytes: facts.len(), modified: facts.modified().ok(), open });
        }
        Ok(Self(Arc::new(Storage::Files { pieces, count, vocab_size })))
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        match &*self.0 {
            Storage::Memory(ids) => ids.len(),
            Storage::Files { count, .. } => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids at positions `range`.
    ///
    /// # Errors
    /// When a file cannot be read or has changed since it was opened, or an id lies outside the vocabulary.
    ///
    /// # Panics
    /// When the range ends beyond [`len`](Self::len).
    pub fn read(&self, range: Range<usize>) -> Result<Vec<u32>, DataError> {
        assert!(range.start <= range.end && range.end <= self.len(), "tokens {range:?} of {}", self.len());
        match &*self.0 {
            Storage::Memory(ids) => Ok(ids[range].to_vec()),
            Storage::Files { pieces, vocab_size, .. } => {
                let mut ids = Vec::with_capacity(range.len());
                let mut at = pieces.partition_point(|piece| piece.first + piece.of.count <= range.start);
                while ids.len() < range.len() {
                    let (piece, start) = (&pieces[at], range.start + ids.len());
                    let end = range.end.min(piece.first + piece.of.count);
                    piece.read(start - piece.first..end - piece.first, *vocab_size, &mut ids)?;
                    at += 1;
                }
                Ok(ids)
            }
        }
    }

    /// All ids, in pieces that fit any memory.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Vec<u32>, DataError>> {
        self.in_chunks().map(|range| self.read(range))
    }

    fn in_chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let all = self.len();
        (0..all).step_by(CHUNK).map(move |start| start..all.min(start + CHUNK))
    }

    /// Whether reading all ids takes a while: more than 2²⁷ in files.
    pub fn are_many(&self) -> bool {
        self.len() > MANY && matches!(&*self.0, Storage::Files { .. })
    }

    /// All ids in chunks, or, where they [are many](Self::are_many), 1,024 chunks of 16,384 ids, spread evenly from the first id to
    /// the last.
    pub fn sample(&self) -> impl Iterator<Item = Result<Vec<u32>, DataError>> {
        let (chunks, ids) = SAMPLE;
        let places: Vec<Range<usize>> =
            if self.are_many() { spread(self.len(), chunks, ids).collect() } else { self.in_chunks().collect() };
        places.into_iter().map(|range| self.read(range))
    }

    /// All ids at once.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn all(&self) -> Result<Vec<u32>, DataError> {
        self.read(0..self.len())
    }

    /// The largest id, where there is one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn largest(&self) -> Result<Option<u32>, DataError> {
        self.chunks().try_fold(None, |most, chunk| Ok(most.max(chunk?.into_iter().max())))
    }

    /// The files that hold the ids; none where they are in memory.
    pub fn in_files(&self) -> impl Iterator<Item = &TokenFile> {
        let pieces: &[Piece] = if let Storage::Files { pieces, .. } = &*self.0 { pieces } else { &[] };
        pieces.iter().map(|piece| &piece.of)
    }
}

/// `chunks` ranges of `ids` each in `all`, the first at the front, the last at the end.
fn spread(all: usize, chunks: usize, ids: usize) -> impl Iterator<Item = Range<usize>> {
    let start = move |chunk: usize| ((all - ids) as u128 * chunk as u128 / (chunks - 1) as u128) as usize;
    (0..chunks).map(move |chunk| start(chunk)..start(chunk) + ids)
}

impl Piece {
    /// Appends the ids at `range` of this file.
    fn read(&self, range: Range<usize>, vocab_size: usize, ids: &mut Vec<u32>) -> Result<(), DataError> {
        let (path, position) = (&self.of.path, range.start);
        let failed = |source| DataError::Read { path: path.clone(), source };
        let opened;
        let file = match &self.open {
            Some(file) => file,
            None => {
                opened = File::open(path).map_err(failed)?;
                &opened
            }
        };
        self.check(&file.metadata().map_err(failed)?, position)?;
        let width = self.of.dtype.bytes();
        let mut bytes = vec![0; range.len() * width];
        read_exact_at(file, &mut bytes, self.of.offset + (position * width) as u64).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.shrunk(position, file.metadata().map_or(0, |facts| facts.len())),
            _ => failed(error),
        })?;
        let before = ids.len();
        match self.of.dtype {
            Dtype::U16 => ids.extend(bytes.as_chunks().0.iter().map(|&pair| u32::from(u16::from_le_bytes(pair)))),
            Dtype::U32 => ids.extend(bytes.as_chunks().0.iter().map(|&four| u32::from_le_bytes(four))),
        }
        match ids[before..].iter().position(|&id| id as usize >= vocab_size) {
            None => Ok(()),
            Some(outside) => {
                let (id, position) = (ids[before + outside], position + outside);
                Err(DataError::OutsideVocabulary { path: path.clone(), position, id, vocab_size })
            }
        }
    }

    /// Whether the file is the one that was opened first.
    fn check(&self, now: &Metadata, position: usize) -> Result<(), DataError> {
        if now.len() < self.bytes {
            return Err(self.shrunk(position, now.len()));
        }
        if now.len() > self.bytes || now.modified().ok() != self.modified {
            return Err(DataError::Changed { path: self.of.path.clone(), position });
        }
        Ok(())
    }

    fn shrunk(&self, position: usize, found: u64) -> DataError {
        DataError::Shrunk { path: self.of.path.clone(), position, expected: self.bytes, found }
    }
}

/// Reads `bytes` from byte `offset` of the file on.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => (bytes, offset) = (&mut bytes[read..], offset + read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tempfile::TempDir;

    fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A file of ids alone.
    fn raw(path: &Path, dtype: Dtype) -> TokenFile {
        let count = std::fs::metadata(path).unwrap().len() as usize / dtype.bytes();
        TokenFile { path: path.into(), offset: 0, dtype, count }
    }

    /// 10, 11 as u16 behind one byte of header; 70000, 13, 14 as u32; 15 as u16.
    fn three(folder: &TempDir, vocab_size: usize) -> Tokens {
        let numbers: Vec<u8> = [70_000u32, 13, 14].into_iter().flat_map(u32::to_le_bytes).collect();
        let first = TokenFile { offset: 1, count: 2, ..raw(&write(folder, "a", &[255, 10, 0, 11, 0]), Dtype::U16) };
        let (second, third) = (write(folder, "b", &numbers), write(folder, "c", &[15, 0]));
        Tokens::files(vec![first, raw(&second, Dtype::U32), raw(&third, Dtype::U16)], vocab_size).unwrap()
    }

    #[test]
    fn a_range_may_lie_in_several_files() {
        let folder = TempDir::new().unwrap();
        let tokens = three(&folder, 100_000);
        assert_eq!(tokens.len(), 6);
        assert_eq!(tokens.all().unwrap(), [10, 11, 70_000, 13, 14, 15]);
        assert_eq!(tokens.read(1..3).unwrap(), [11, 70_000]);
        assert_eq!(tokens.read(5..6).unwrap(), [15]);
        assert_eq!(tokens.read(2..2).unwrap(), [0; 0]);
        assert_eq!(tokens.largest().unwrap(), Some(70_000));
        assert_eq!(tokens.chunks().map(|chunk| chunk.unwrap().len()).sum::<usize>(), 6);
    }

    #[test]
    fn ids_in_memory_are_read_the_same_way() {
        let tokens = Tokens::from(vec![1, 2, 3]);
        assert_eq!((tokens.len(), tokens.read(1..3).unwrap()), (3, vec![2, 3]));
        assert_eq!(tokens, tokens.clone());
        assert!(Tokens::from(vec![]).is_empty() && Tokens::from(vec![]).largest().unwrap().is_none());
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_named_with_its_place_in_its_file() {
        let folder = TempDir::new().unwrap();
        let refused = three(&folder, 14).read(3..6).unwrap_err().to_string();
        assert!(refused.ends_with("b: expected token ids below the vocabulary of 14, found 14 at position 2"), "{refused}");
    }

    #[test]
    fn a_file_that_shrinks_or_is_written_to_is_an_error() {
        let folder = TempDir::new().unwrap();
        let tokens = three(&folder, 100_000);
        assert!(tokens.read(0..6).is_ok());
        write(&folder, "b", &[1, 0, 0, 0]);
        let refused = tokens.read(4..6).unwrap_err().to_string();
        assert!(refused.contains("b: expected 12 bytes, as when the data were opened, found 4") && refused.contains("id 2"));
        assert_eq!(tokens.read(5..6).unwrap(), [15], "the other files are as they were");
        write(&folder, "c", &[15, 0, 16, 0]);
        let refused = tokens.read(5..6).unwrap_err().to_string();
        assert!(refused.contains("c: expected the file as it was when the data were opened"), "{refused}");
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_length_is_an_error() {
        let folder = TempDir::new().unwrap();
        let many: Vec<TokenFile> =
            (0..KEPT_OPEN + 1).map(|i| raw(&write(&folder, &i.to_string(), &[i as u8, 0]), Dtype::U16)).collect();
        let last = many[KEPT_OPEN].path.clone();
        let tokens = Tokens::files(many, 100).unwrap();
        assert_eq!(tokens.all().unwrap(), (0..KEPT_OPEN as u32 + 1).collect::<Vec<_>>());
        std::fs::write(&last, [9, 0]).unwrap();
        File::options().write(true).open(&last).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let refused = tokens.read(KEPT_OPEN..KEPT_OPEN + 1).unwrap_err().to_string();
        assert!(refused.contains("expected the file as it was when the data were opened"), "{refused}");
    }

    #[test]
    fn a_file_that_ends_before_its_last_id_is_refused_at_once() {
        let folder = TempDir::new().unwrap();
        let path = write(&folder, "a", &[1, 0, 2, 0]);
        let refused = Tokens::files(vec![TokenFile { count: 3, ..raw(&path, Dtype::U16) }], 100).unwrap_err().to_string();
        assert!(refused.contains("expected 6 bytes") && refused.contains("found 4"), "{refused}");
    }
}
