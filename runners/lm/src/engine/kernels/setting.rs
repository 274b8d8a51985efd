//! What the parts of a block share: what they know, room to work in, and where dropout's masks come from.

use crate::engine::angles::Angles;
use crate::engine::dropout::Dropout;
use crate::model::Decoder;
use regatta_kernels::model::AttentionScratch;
use regatta_kernels::vector::add;
use std::ops::Range;

/// What every part of a block needs to know.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub decoder: &'a Decoder,
    pub angles: &'a Angles,
    pub dropout: Option<&'a Dropout>,
    /// Tokens of a sequence.
    pub time: usize,
    /// The number of the part's first sequence in the batch.
    pub first: usize,
    pub layer: usize,
}

/// Numbers between the steps of a block.
pub(super) struct Scratch {
    pub normed: Vec<f32>,
    pub hidden: Vec<f32>,
    pub attention: AttentionScratch,
    pub mask: Vec<f32>,
}

/// Masks sequences of `length` numbers, the first of which is the batch's `first`.
pub(super) fn drop_out(dropout: Option<&Dropout>, place: u64, x: &mut [f32], length: usize, first: usize, mask: &mut Vec<f32>) {
    if let Some(dropout) = dropout {
        dropout.at(place).apply(x, length, first, mask);
    }
}

/// Adds the rows of `tokens` of a gradient of the whole batch.
pub(super) fn add_part(grad: &mut [f32], upstream: Option<&Vec<f32>>, tokens: &Range<usize>, d: usize) {
    if let Some(upstream) = upstream {
        add(grad, &upstream[tokens.start * d..tokens.end * d]);
    }
}
