//! NEFTune: uniform noise on the embeddings of each training sequence.
//!
//! For the embeddings X of a sequence of t tokens and d dims:
//! ```text
//! X <- X + α / sqrt(t·d) · ε,  ε uniform on [-1, 1), independent for each element, sequence and step
//! ```
//! Noise is added during training only, not in evaluation. It does not depend on X, so the backward pass ignores it. With the factor
//! `α / sqrt(t·d)`, the noise of a sequence has a root-mean-square norm of `α / sqrt(3)` for all t and d. Jain et al., "NEFTune:
//! Noisy Embeddings Improve Instruction Finetuning", ICLR 2024, arXiv:2310.05914, Algorithm 1, with α of 5, 10 or 15.
//!
//! # Deviations from the paper
//!
//! - The paper finetunes large models on instructions; here small models are trained from scratch.
//! - The paper's sequences are padded; here they are full.
//! - The noise is added to the sum of token and position embeddings, before dropout. The paper's models have token embeddings only.
//!
//! A regularizer on the embedding's output (hidden state 0) sees the noise. A second view of the batch has its own noise.
//!
//! # Shapes
//! noise (t·d), one sequence
//!
//! # Units
//! Those of the embeddings.

use regatta_core::number::NonNegative;
use regatta_core::{Action, Draw, EmbeddingNoise, Intervention, intervention, typetag};

intervention! {
    name: "noisy_embedding",
    summary: "adds uniform noise to the embeddings during training (NEFTune)",
    paper: "Jain et al., \"NEFTune\", ICLR 2024, arXiv:2310.05914, Algorithm 1",
    formula: "X + alpha / sqrt(t·d) · ε, ε uniform on [-1, 1)",
    /// Uniform noise on the embeddings.
    pub struct NoisyEmbedding {
        /// Strength α of the noise; 0 turns it off (paper: 5, 10 or 15).
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
    fn noise_is_scaled_by_alpha_over_the_root_of_its_size() {
        // 10,000 elements: each at most 5 / 100 in size; their norm is near 5 / sqrt(3) = 2.887, with a standard deviation of 0.013
        let noise = noise(5.0, 10_000, 0);
        let largest = noise.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        assert!(largest <= 0.05 && largest > 0.0499, "{largest}");
        let norm = noise.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        assert!((norm - 2.8868).abs() < 0.05, "{norm}");
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 4.0 * 0.0289 / 100.0, "{mean}"); // each element has standard deviation 0.05 / sqrt(3) = 0.0289
    }

    #[test]
    fn elements_are_scaled_uniforms_of_the_draw() {
        let mut draw = Draw::new(7, "test", 0, 0);
        let expected: Vec<f32> = (0..4).map(|_| (3.0 / 2.0 * (2.0 * draw.uniform() - 1.0)) as f32).collect(); // sqrt(4) = 2
        assert_eq!(noise(3.0, 4, 7), expected);
        assert_ne!(noise(3.0, 4, 8), expected);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<NoisyEmbedding>();
    }

    #[test]
    fn an_alpha_of_0_turns_it_off() {
        assert!(NoisyEmbedding { alpha: NonNegative::new(0.0) }.action().is_none());
        assert!(NoisyEmbedding::default().action().is_some());
    }
}
