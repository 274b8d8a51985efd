//! z-loss: keeps the log-normaliser of the logits near 0.
//!
//! For the logits x of a token:
//! ```text
//! loss + weight · mean over tokens of z²,  z = ln Σ_v exp(x_v)
//! ```
//! The cross-entropy does not change when a constant is added to all logits of a token, so logits may drift far from 0; the penalty
//! stops that, and with it one way in which output embeddings grow and turn into a common direction. Chowdhery et al., "PaLM", 2022,
//! arXiv:2204.02311, section 5 (weight 1e-4); Zoph et al., "ST-MoE", 2022, arXiv:2202.08906, equation 5, for the logits of a router.
//!
//! The penalty sees the logits that the cross-entropy sees: where the model has a `logit_cap`, the capped ones.
//!
//! # Deviations from the paper
//! None in the formula. PaLM's models are larger by orders of magnitude.
//!
//! # Units
//! z is in nats; the penalty is in nats², and its weight in 1 / nats.

use regatta_core::number::NonNegative;
use regatta_core::{Action, Intervention, intervention, typetag};

intervention! {
    name: "z_loss",
    summary: "keeps the log-normaliser of the logits near 0",
    paper: "Chowdhery et al., \"PaLM\", 2022, arXiv:2204.02311, section 5",
    formula: "weight · mean over tokens of (ln Σ_v exp(logit_v))²",
    /// A penalty on the log-normaliser of the logits.
    pub struct ZLoss {
        /// Its factor in the loss; 0 turns it off (paper: 1e-4).
        pub weight: NonNegative = NonNegative::new(1e-4),
    }
}

#[typetag::serde(name = "z_loss")]
impl Intervention for ZLoss {
    fn action(&self) -> Option<Action<'_>> {
        let weight = self.weight.get();
        (weight > 0.0).then_some(Action::LogNormalizer { weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_of_0_turns_it_off() {
        let of = |weight| ZLoss { weight: NonNegative::new(weight) };
        assert!(of(0.0).action().is_none());
        assert!(matches!(of(0.5).action(), Some(Action::LogNormalizer { weight: 0.5 })));
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<ZLoss>();
    }
}
