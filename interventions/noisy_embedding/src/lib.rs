//! NEFTune: uniform noise on the embeddings of each training sequence.
//!
//! To the embeddings X of a sequence of t tokens and d dims
//! ```text
//! X <- X + α / sqrt(t·d) · ε,  ε uniform on [-1, 1), drawn anew for each number, sequence and step
//! ```
//! is added in training alone; the model is measured without noise. The noise does not depend on X, so gradients go back as if
//! it were not there. α / sqrt(t·d) makes its norm α / sqrt(3) in the mean of squares, whatever t and d.
//! Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning", ICLR 2024, arXiv:2310.05914, Algorithm 1; there α is
//! 5, 10 or 15.
//!
//! Deviations: the paper finetunes large models on instructions, and here small ones are trained from their start. Its sequences
//! are padded, those here are full. The noise is added to the sum of token and position embedding, before dropout; the paper
//! adds it to the token embeddings of models that have no other. A regularizer on the embedding's output (hidden state 0) sees
//! the noise, and a second view of the batch has its own noise.
//!
//! # Shapes
//! noise (t·d), one sequence

use regatta_core::number::NonNegative;
use regatta_core::{Action, Draw, EmbeddingNoise, Intervention, intervention, typetag};

intervention! {
    name: "noisy_embedding",
    summary: "adds uniform noise to the embeddings in training (NEFTune)",
    paper: "Jain et al., \"NEFTune\", ICLR 2024, arXiv:2310.05914, Algorithm 1",
    formula: "X + alpha / sqrt(t d) e, e uniform on [-1, 1)",
    /// Uniform noise on embeddings.
    pub struct NoisyEmbedding {
        /// Strength α of the noise; 0 adds none (paper: 5, 10 or 15).
        pub alpha: NonNegative = NonNegative::new(5.0),
    }
}

#[typetag::serde(name = "noisy_embedding")]
impl Intervention for NoisyEmbedding {
    fn action(&self) -> Option<Action<'_>> {
        (self.alpha.get() > 0.0).then_some(Action::EmbeddingNoise(self))
    }
}

impl EmbeddingNoise for NoisyEmbedding {
    fn noise(&self, noise: &mut [f32], _dims: usize, draw: &mut Draw) {
        let bound = self.alpha.get() / (noise.len() as f64).sqrt();
        noise.fill_with(|| (bound * (2.0 * draw.uniform() - 1.0)) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(alpha: f64, numbers: usize, seed: u64) -> Vec<f32> {
        let mut noise = vec![0f32; numbers];
        let noisy = NoisyEmbedding { alpha: NonNegative::new(alpha) };
        noisy.noise(&mut noise, 4, &mut Draw::new(seed, "test", 0, 0));
        noise
    }

    #[test]
    fn its_size_is_alpha_over_the_root_of_the_numbers() {
        // 10,000 numbers: each at most 5 / 100, and the norm near 5 / sqrt(3) = 2.887, with a standard deviation of 0.013
        let noise = noise(5.0, 10_000, 0);
        let largest = noise.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(largest <= 0.05 && largest > 0.0499, "{largest}");
        let norm = noise.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        assert!((norm - 2.8868).abs() < 0.05, "{norm}");
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 4.0 * 0.0289 / 100.0, "{mean}"); // of deviation 0.05 / sqrt(3) each
    }

    #[test]
    fn each_number_is_a_scaled_uniform_of_its_draw() {
        let mut draw = Draw::new(7, "test", 0, 0);
        let by_hand: Vec<f32> = (0..4).map(|_| (3.0 / 2.0 * (2.0 * draw.uniform() - 1.0)) as f32).collect(); // sqrt(4) = 2
        assert_eq!(noise(3.0, 4, 7), by_hand);
        assert_ne!(noise(3.0, 4, 8), by_hand);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<NoisyEmbedding>();
    }

    #[test]
    fn alpha_0_turns_it_off() {
        assert!(NoisyEmbedding { alpha: NonNegative::new(0.0) }.action().is_none());
        assert!(NoisyEmbedding::default().action().is_some());
    }
}
