//! What is trained: a model of a given shape and family, and its batch.

use clap::ValueEnum;
use regatta_lm::model::{Decoder, Family, Model, Sizes};
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    /// 4 blocks, 128 wide, context 128, batch 16, vocabulary 4096
    Tiny,
    /// 6 blocks, 256 wide, context 256, batch 8, vocabulary 4096
    Small,
    /// 8 blocks, 512 wide, context 512, batch 4, vocabulary 8192
    Medium,
    /// 12 blocks, 768 wide, context 1024, batch 8, vocabulary 50257: GPT-2's smallest, 124 million parameters
    Gpt2Small,
}

impl Shape {
    pub fn work(self, family: Family) -> Work {
        let (layers, width, heads, context, vocab, batch) = match self {
            Self::Tiny => (4, 128, 4, 128, 4096, 16),
            Self::Small => (6, 256, 8, 256, 4096, 8),
            Self::Medium => (8, 512, 8, 512, 8192, 4),
            Self::Gpt2Small => (12, 768, 12, 1024, 50257, 8),
        };
        Work::new(family, layers, width, heads, context, vocab, batch)
    }
}

/// What is trained, and how many sequences per step.
#[derive(Debug, PartialEq)]
pub(super) struct Work {
    pub decoder: Decoder,
    pub batch: usize,
}

impl Work {
    pub fn new(family: Family, layers: usize, width: usize, heads: usize, context: usize, vocab: usize, batch: usize) -> Self {
        let mlp_width = Family::mlp_width(family.defaults().mlp, width);
        let decoder = Decoder::new(family, Sizes { layers, width, heads, context, mlp_width }, vocab);
        let kv_heads = if family.joins_qkv() { heads } else { (heads / 2).max(1) };
        Self { decoder: Decoder { kv_heads, ..decoder }, batch }
    }

    pub fn fresh(&self) -> Model {
        Model::fresh(self.decoder.clone(), 0)
    }
}
