//! Documents in files: UTF-8 text, JSON Lines or Parquet, as they are or packed by gzip or Zstandard. A document streams by in
//! [`Chunk`]s, so that no file need fit the memory; only one document of JSON Lines or one page of Parquet must.
//!
//! | file | what |
//! |---|---|
//! | `file` | what a file holds, told by its bytes and its name; its hash |
//! | `looks` | formats other than text, by their first bytes |
//! | `packed` | gzip and Zstandard |
//! | `text` | a file that is one document |
//! | `lines` | a document for each line, in a field of its object |
//! | `rows` | a document for each row, in a column |
//! | `part` | the documents between two places of a text |

mod chunk;
mod file;
mod lines;
mod looks;
mod names;
mod packed;
mod part;
mod rows;
mod text;

pub(super) use chunk::{Chunk, Chunks};
pub(super) use file::{DocumentFile, Reading};
pub(super) use part::{cut_ends, part};

#[cfg(test)]
mod tests;
