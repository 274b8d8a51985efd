//! Active forgetting: every K steps the token embedding is drawn anew, while the rest of the model goes on.
//!
//! ```text
//! step s > 0, s mod K = 0:  E ~ N(0, 0.02²),  its AdamW moments <- 0,  its updates are counted from 0
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
use regatta_core::{Intervention, intervention, typetag};
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
    fn forgets_embedding_every(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.every.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_as_often_as_it_is_told() {
        assert_eq!(ActiveForgetting::default().forgets_embedding_every().unwrap().get(), 1000);
        let often = ActiveForgetting { every: Count::new(3) };
        assert_eq!(often.forgets_embedding_every().unwrap().get(), 3);
        assert!(!often.rounds() && !often.perturbs());
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<ActiveForgetting>();
    }
}
