//! Active forgetting: every K steps the token embedding is drawn anew, while the rest of the model keeps training.
//!
//! ```text
//! step s > 0, s mod K = 0:  E ~ N(0, 0.02²),  its moments <- 0,  its updates are counted from 0
//! its learning rate:        lr · schedule(s mod K of K), the body's: lr · schedule(s of all steps)
//! ```
//! Each stretch of K steps is one cycle of the embedding: the study's own schedule, warmup included, runs through it once.
//! Chen et al., "Improving Language Plasticity via Pretraining with Active Forgetting", NeurIPS 2023, arXiv:2307.01163,
//! Algorithm 1; K is 1000 there too.
//!
//! Deviations: where the embedding is tied to the output matrix, both are forgotten; the paper's RoBERTa has an output layer of
//! its own weights. E is drawn as a fresh model's is, also where the study starts from a checkpoint. The gradient's norm, by
//! which it is clipped, is that of body and embedding together. Positions are not forgotten.
//!
//! Training ends where the study's steps end. Where K does not divide them, the last cycle is cut short: the embedding has had
//! fewer steps than in the others, and its learning rate is still high, which costs loss. A K that divides the steps makes the
//! last cycle whole. What is measured after s steps, s a multiple of K, is measured before the embedding is forgotten.
//!
//! The loss after a reset is that of a fresh embedding: it is no spike, and spikes are judged by the losses since the reset.
//! The learning rate on record is the body's.

use regatta_core::number::Count;
use regatta_core::{Action, Intervention, intervention, typetag};
use std::num::NonZeroUsize;

intervention! {
    name: "active_forgetting",
    summary: "draws the token embedding anew every so many steps",
    paper: "Chen et al., \"Pretraining with Active Forgetting\", NeurIPS 2023, arXiv:2307.01163, Algorithm 1",
    formula: "every K steps: E ~ N(0, 0.02^2), its moments 0; its rate lr schedule(s mod K of K)",
    /// A token embedding that starts anew, again and again.
    pub struct ActiveForgetting {
        /// Steps K from one fresh embedding to the next; fewer than the study trains (paper: 1000).
        pub every: Count<1, 100_000_000> = Count::new(1000),
    }
}

#[typetag::serde(name = "active_forgetting")]
impl Intervention for ActiveForgetting {
    fn action(&self) -> Option<Action<'_>> {
        NonZeroUsize::new(self.every.get()).map(|every| Action::EmbeddingReset { every })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(it: ActiveForgetting, steps: usize) {
        assert!(matches!(it.action(), Some(Action::EmbeddingReset { every }) if every.get() == steps), "{it:?}");
    }

    #[test]
    fn the_embedding_is_reset_every_so_many_steps() {
        check(ActiveForgetting::default(), 1000);
        check(ActiveForgetting { every: Count::new(3) }, 3);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<ActiveForgetting>();
    }
}
