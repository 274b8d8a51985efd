//! Documents as they stream by.

use super::super::DataError;

/// Some text of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct Chunk {
    /// The text; it may be empty.
    pub text: String,
    /// Whether the document ends behind it.
    pub ends: bool,
}

/// Documents, chunk by chunk.
pub(in crate::data) type Chunks<'a> = Box<dyn Iterator<Item = Result<Chunk, DataError>> + Send + 'a>;
