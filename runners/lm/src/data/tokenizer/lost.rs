//! What tokens lose of a text.

/// Characters of a text, and those that its tokens lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::data) struct Lost {
    /// Characters that were compared; none with a tokenizer that cannot lose any.
    pub characters: u64,
    /// Characters that are lost.
    pub lost: u64,
    /// Whether decoding gives another text than that which was encoded.
    pub differs: bool,
}

impl Lost {
    /// The sum over two texts.
    pub fn and(self, other: Self) -> Self {
        Self {
            characters: self.characters + other.characters,
            lost: self.lost + other.lost,
            differs: self.differs || other.differs,
        }
    }

    /// The fraction of the characters that is lost, at least; none where decoding gives the text back.
    pub fn fraction(self) -> Option<f64> {
        self.differs.then(|| self.lost as f64 / self.characters as f64)
    }
}
