//! {{tag}}: Gaussian noise on the embeddings of each training sequence.
//!
//! To every number x of the embeddings of a sequence of t tokens and d dims
//! ```text
//! x <- x + size · ε,  ε standard normal, drawn for each number, sequence and step
//! ```
//! is added in training. Evaluation sees no noise. The noise does not depend on x, so gradients pass unchanged.
//!
//! The method is an example, to be replaced by one of your own: formula, source and deviations from the source belong up here.
//!
//! # Shapes
//! noise (t·d), one sequence

use regatta_core::number::NonNegative;
use regatta_core::{Action, Draw, EmbeddingNoise, Intervention, intervention, typetag};

intervention! {
    name: "{{tag}}",
    summary: "adds Gaussian noise to the embeddings in training",
    paper: "none: an example",
    formula: "x + size e, e standard normal",
    /// Gaussian noise on embeddings.
    pub struct {{Type}} {
        /// Standard deviation of the noise; 0 adds none.
        pub size: NonNegative = NonNegative::new(0.01),
    }
}

#[typetag::serde(name = "{{tag}}")]
impl Intervention for {{Type}} {
    fn action(&self) -> Option<Action<'_>> {
        (self.size.get() > 0.0).then_some(Action::EmbeddingNoise(self))
    }
}

impl EmbeddingNoise for {{Type}} {
    fn noise(&self, noise: &mut [f32], _dims: usize, draw: &mut Draw) {
        noise.fill_with(|| (self.size.get() * draw.normal()) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(size: f64) -> {{Type}} {
        let size = NonNegative::new(size);
        {{Type}} { size }
    }

    #[test]
    fn noise_is_size_times_the_draw() {
        let (mut noise, mut draw) = ([0f32; 4], Draw::new(7, "test", 0, 0));
        plugin(0.5).noise(&mut noise, 2, &mut Draw::new(7, "test", 0, 0));
        assert_eq!(noise, [(); 4].map(|()| (0.5 * draw.normal()) as f32));
    }

    #[test]
    fn no_size_is_no_action() {
        assert!(plugin(0.0).action().is_none() && plugin(0.1).action().is_some());
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<{{Type}}>();
    }
}
