//! Active forgetting: the token embedding is reset every K steps, while the rest of the model (the body) keeps training.
//!
//! ```text
//! at step s > 0, s mod K = 0:  E ~ N(0, 0.02²), optimizer moments of E <- 0, update count of E <- 0
//! learning rate of E:          lr_factor · lr · schedule(s mod K of K steps)
//! learning rate of the body:   lr · schedule(s of all steps)
//! ```
//! Each K steps are one cycle of the embedding, and the study's schedule, warmup included, runs through it once.
//! Chen et al., "Improving Language Plasticity via Pretraining with Active Forgetting", NeurIPS 2023, arXiv:2307.01163,
//! Algorithm 1, which also uses K = 1000.
//!
//! # Deviations from the paper
//!
//! - If the embedding is tied to the output matrix, both are reset. The paper's RoBERTa has a separate output layer.
//! - E is initialised as in a new model, even if the study starts from a checkpoint.
//! - Gradients are clipped by the joint norm of body and embedding.
//! - Position embeddings are not reset.
//!
//! # Choosing K
//!
//! If K does not divide the study's steps, the last cycle is cut short: the embedding is trained for fewer steps than in the other
//! cycles and ends at a high learning rate, which costs loss. Choose a K that divides the steps. A measurement after s steps,
//! where s is a multiple of K, is taken before the reset.
//!
//! The loss after a reset is that of an untrained embedding and does not count as a spike; spikes are detected from the losses
//! since the last reset. The recorded learning rate is the body's.

use regatta_core::number::{Count, Positive};
use regatta_core::{Action, Intervention, intervention, typetag};
use std::num::NonZeroUsize;

intervention! {
    name: "active_forgetting",
    summary: "resets the token embedding every K steps",
    paper: "Chen et al., \"Pretraining with Active Forgetting\", NeurIPS 2023, arXiv:2307.01163, Algorithm 1",
    formula: "every K steps: E ~ N(0, 0.02²), moments of E = 0; learning rate of E: lr_factor · lr · schedule(s mod K of K)",
    /// Periodic resets of the token embedding.
    pub struct ActiveForgetting {
        /// Steps K between resets, below the study's steps (paper: 1000).
        pub every: Count<1, 100_000_000> = Count::new(1000),
        /// The embedding's learning rate, as a multiple of the study's.
        pub lr_factor: Positive = Positive::new(1.0),
    }
}

#[typetag::serde(name = "active_forgetting")]
impl Intervention for ActiveForgetting {
    fn action(&self) -> Option<Action<'_>> {
        NonZeroUsize::new(self.every.get()).map(|every| Action::EmbeddingReset { every, lr_factor: self.lr_factor.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(it: ActiveForgetting, steps: usize, factor: f64) {
        let Some(Action::EmbeddingReset { every, lr_factor }) = it.action() else { panic!("{it:?}: no reset") };
        assert_eq!((every.get(), lr_factor), (steps, factor));
    }

    #[test]
    fn the_action_is_a_reset_every_k_steps() {
        check(ActiveForgetting::default(), 1000, 1.0);
        check(ActiveForgetting { every: Count::new(3), lr_factor: Positive::new(2.0) }, 3, 2.0);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<ActiveForgetting>();
    }
}
