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
//! embeddings (t·d), one sequence

use regatta_core::number::NonNegative;
use regatta_core::{Draw, Intervention, intervention, typetag};

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
    fn perturbs(&self) -> bool {
        self.size.get() > 0.0
    }

    fn perturb(&self, embeddings: &mut [f32], _dims: usize, draw: &mut Draw) {
        for x in embeddings {
            *x += (self.size.get() * draw.normal()) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perturbed(size: f64, embeddings: [f32; 4]) -> [f32; 4] {
        let mut found = embeddings;
        let plugin = {{Type}} {
            size: NonNegative::new(size),
        };
        plugin.perturb(&mut found, 2, &mut Draw::new(7, "test", 0, 0));
        found
    }

    #[test]
    fn noise_is_size_times_the_draw_added_to_what_is_there() {
        let mut draw = Draw::new(7, "test", 0, 0);
        let by_hand = [1.0, 2.0, 3.0, 4.0].map(|x: f32| x + (0.5 * draw.normal()) as f32);
        assert_eq!(perturbed(0.5, [1.0, 2.0, 3.0, 4.0]), by_hand);
    }

    #[test]
    fn no_size_is_no_noise() {
        let plugin = {{Type}} {
            size: NonNegative::new(0.0),
        };
        assert!(!plugin.perturbs());
        assert_eq!(perturbed(0.0, [1.0; 4]), [1.0; 4]);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<{{Type}}>();
    }
}
