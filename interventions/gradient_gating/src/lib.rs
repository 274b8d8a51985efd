//! Adaptive gradient gating (AGG): the output embeddings of rare tokens are pushed away less.
//!
//! The cross-entropy pulls the output embedding of a token towards the hidden states that should predict it, and pushes it away from
//! all others. A rare token is hardly ever pulled, so its embedding follows the pushes, which all rare tokens share: they end up in
//! one narrow cone, and the paper finds that they take the other tokens with them.
//!
//! With a_v the number of times that token v was a target in the last K steps, the current one included, token v is *rare* where
//! `a_v / K < alpha`. For a rare token r, the gradient of its row w_r is, of tokens i with targets y_i, probabilities p and hidden
//! states h:
//! ```text
//! Σ_{y_i = r} (p_ir - 1) h_i  +  g1_r Σ_{y_i not rare} p_ir h_i  +  g2_r Σ_{y_i rare, y_i ≠ r} p_ir h_i
//! g1_r = a_r / K,   g2_r = min(a_r / mean of a over rare tokens, 1)
//! ```
//! All other gradients are those of the cross-entropy. Yu et al., "Rare Tokens Degenerate All Tokens", ACL 2022, arXiv:2109.03127,
//! section 4, and the authors' code (`cross_entropy_agg.py`), which counts the current step and divides by the steps made where these
//! are fewer than K.
//!
//! # Deviations from the paper
//! - K is a number of steps; the authors take those of an epoch.
//! - The authors' code adds 1e-7 to the mean of a.
//! - The authors' code never counts the special tokens of its dictionary as rare.
//! - Where the output matrix is tied to the token embedding, what the embedding has of the input is not gated, as in the authors' code.
//! - What other objectives on the logits add to the output matrix is gated too.
//!
//! `alpha` counts occurrences per step, so it scales with the tokens of a step: the paper's 0.03 belongs to steps of 32,768.
//!
//! # Units
//! a_v / K and alpha are occurrences per step; the gates have no unit.

use regatta_core::number::{Count, Positive};
use regatta_core::{Action, Intervention, OutputGate, RowGate, intervention, typetag};
use std::num::NonZeroUsize;

intervention! {
    name: "gradient_gating",
    summary: "output embeddings of rare tokens are pushed away less by other tokens",
    paper: "Yu et al., \"Rare Tokens Degenerate All Tokens\", ACL 2022, arXiv:2109.03127 (AGG)",
    formula: "pushes on a rare row r times a_r / K by common targets, times min(a_r / mean a, 1) by rare ones",
    /// Gates on the gradient of the output embeddings of rare tokens.
    pub struct GradientGating {
        /// A token is rare that occurs less often than this per step (paper: 0.03 for language models, of 32,768 tokens per step).
        pub alpha: Positive = Positive::new(0.03),
        /// Steps K over which occurrences are counted (paper: those of an epoch).
        pub memory: Count<1, 100_000> = Count::new(1000),
    }
}

#[typetag::serde(name = "gradient_gating")]
impl Intervention for GradientGating {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::OutputGate(self))
    }
}

impl OutputGate for GradientGating {
    fn memory(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.memory.get()).expect("a count of at least 1")
    }

    fn gates(&self, counts: &[u64], steps: usize) -> Vec<RowGate> {
        let per_step = |count: u64| count as f64 / steps as f64;
        let rare: Vec<usize> = (0..counts.len()).filter(|&token| per_step(counts[token]) < self.alpha.get()).collect();
        let mean = rare.iter().map(|&token| counts[token] as f64).sum::<f64>() / rare.len() as f64;
        let gate = |&token: &usize| RowGate {
            token: token as u32,
            from_others: per_step(counts[token]).min(1.0) as f32,
            from_gated: if counts[token] == 0 { 0.0 } else { (counts[token] as f64 / mean).min(1.0) as f32 },
        };
        rare.iter().map(gate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(alpha: f64, counts: &[u64], steps: usize) -> Vec<(u32, f32, f32)> {
        let gating = GradientGating { alpha: Positive::new(alpha), ..Default::default() };
        gating.gates(counts, steps).iter().map(|row| (row.token, row.from_others, row.from_gated)).collect()
    }

    #[test]
    fn gates_by_hand() {
        // per step 0, 0.1, 0.3, 0.5 and 4; below 0.4 are three, whose counts 0, 1, 3 have the mean 4/3
        let found = gates(0.4, &[0, 1, 3, 5, 40], 10);
        assert_eq!(found, [(0, 0.0, 0.0), (1, 0.1, 0.75), (2, 0.3, 1.0)]);
    }

    #[test]
    fn no_token_is_rare_that_is_as_frequent_as_alpha() {
        assert!(gates(0.5, &[5, 9], 10).is_empty());
    }

    #[test]
    fn tokens_that_never_occurred_are_not_pushed_at_all() {
        assert_eq!(gates(0.5, &[0, 9], 3), [(0, 0.0, 0.0)]);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<GradientGating>();
    }
}
