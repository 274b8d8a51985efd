//! What was measured of training.

use super::arguments::Factors;
use super::size::Shape;
use crate::verbs::bench::mib;
use regatta_core::simd::Level;
use regatta_lm::model::Family;
use regatta_lm::spec::At;
use serde::Serialize;
use std::fmt;

/// What was measured; the names are those of the peer.
#[derive(Debug, Serialize)]
pub(in crate::verbs::bench) struct Measured {
    pub(super) program: &'static str,
    pub(super) family: Family,
    pub(super) shape: Shape,
    pub(super) regularizer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<At>,
    pub(super) precision: Factors,
    pub(super) threads: usize,
    pub(super) instructions: Level,
    pub(super) device: String,
    pub(super) tokens_per_second: f64,
    pub step_ms: f64,
    pub(super) best_step_ms: f64,
    pub(super) peak_rss_mib: Option<f64>,
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) mlp_width: usize,
    pub(super) context: usize,
    pub(super) batch: usize,
    pub(super) vocab: usize,
    pub(super) parameters: usize,
    pub(super) flops_per_token: f64,
    pub(super) gflops: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, width, context, batch, vocab, .. } = self;
        write!(
            f,
            "{}, {layers} blocks, {width} wide, context {context}, batch {batch}, vocabulary {vocab}, regularizer {}: \
             {:.0} tokens per second, {:.1} ms per step (best {:.1}), {} GFLOP/s, {} MiB peak resident, {} threads, {}{}",
            self.family.title(),
            self.regularizer,
            self.tokens_per_second,
            self.step_ms,
            self.best_step_ms,
            self.gflops,
            mib(self.peak_rss_mib),
            self.threads,
            self.instructions,
            if self.device == "cpu" { String::new() } else { format!(", {}", self.device) }
        )
    }
}
