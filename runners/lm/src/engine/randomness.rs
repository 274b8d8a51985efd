//! What is random in the passes of a step.

use super::batch::Perturb;
use super::dropout::Dropout;

/// Noise on the embeddings of a sequence; see [`Perturb`].
pub(crate) type Noise<'a> = Box<dyn Fn(usize, &mut [f32]) + Sync + 'a>;

/// The randomness of a step's passes: of the first, and of the second view.
pub(crate) struct Randomness<'a> {
    /// Masks.
    pub dropout: [Option<Dropout>; 2],
    /// Noise on embeddings.
    pub noise: [Option<Noise<'a>>; 2],
}

impl Randomness<'_> {
    /// That of a pass.
    pub fn of(&self, view: usize) -> (Option<&Dropout>, Option<Perturb<'_>>) {
        (self.dropout[view].as_ref(), self.noise[view].as_deref().map(|noise| noise as Perturb<'_>))
    }
}
