//! Two tokenizers that make other ids of one text.

/// A place at which two tokenizers disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    pub(super) text: String,
    pub(super) position: usize,
    pub(super) expected: Option<u32>,
    pub(super) found: Option<u32>,
}

impl std::fmt::Display for Differs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = |id: Option<u32>| id.map_or("no token".into(), |id| id.to_string());
        let Self { text, position, expected, found } = self;
        write!(f, "token {position} of {text} is {}, where it has {}", id(*found), id(*expected))
    }
}
