//! The files of an entry while it is made.

use super::super::entry::Mark;
use super::disk::{Disk, Output};
use crate::spec::Dtype;
use std::io;
use std::path::Path;

/// Bytes written at a time.
const BLOCK: usize = 1 << 20;

/// A file that is hashed while it is written.
pub(super) struct Writer {
    output: Box<dyn Output>,
    block: Vec<u8>,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Writer {
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let output = disk.create_file(path)?;
        Ok(Self { output, block: Vec::with_capacity(BLOCK), hash: blake3::Hasher::new(), bytes: 0 })
    }

    /// Appends ids, little-endian.
    pub fn ids(&mut self, ids: &[u32], dtype: Dtype) -> io::Result<()> {
        match dtype {
            Dtype::U16 => self.block.extend(ids.iter().flat_map(|id| (*id as u16).to_le_bytes())),
            Dtype::U32 => self.block.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.append(&self.block)?;
        self.hash.update(&self.block);
        self.bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Flushes all to disk.
    pub fn end(mut self) -> io::Result<Mark> {
        self.flush()?;
        self.output.sync()?;
        Ok(Mark { bytes: self.bytes, blake3: self.hash.finalize().to_hex().to_string() })
    }
}

/// Writes a whole file.
pub(super) fn write(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<Mark> {
    let mut writer = Writer::create(disk, path)?;
    writer.block.extend_from_slice(content);
    writer.end()
}
