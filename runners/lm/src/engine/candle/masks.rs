//! Dropout's masks, drawn on the host and uploaded: the same as those of the kernels.

use crate::engine::dropout::Dropout;
use crate::engine::place;
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use regatta_kernels::model::DropoutMasks;

/// Where the masks of one pass come from.
#[derive(Clone, Copy)]
pub(super) struct Masks<'a> {
    pub dropout: Option<&'a Dropout>,
    /// The number of the pass's first sequence in the batch.
    pub first: usize,
    /// Sequences, and tokens of each.
    pub shape: (usize, usize),
    pub device: &'a Device,
}

/// The mask of attention's weights: 0 or 1 for each, and the factor of those that are kept.
#[derive(Clone)]
pub(super) struct WeightMask {
    /// (b·h, t, t), bytes
    kept: Tensor,
    scale: f64,
}

impl Masks<'_> {
    /// One of rows of `width` numbers. -> (b·t, width)
    pub fn rows(self, place: u64, width: usize) -> Result<Option<Tensor>> {
        let Some(dropout) = self.dropout else { return Ok(None) };
        let (sequences, time) = self.shape;
        let mut mask = vec![1f32; sequences * time * width];
        dropout.at(place).apply(&mut mask, time * width, self.first, &mut Vec::new());
        Tensor::from_vec(mask, (sequences * time, width), self.device).map(Some)
    }

    /// x (b·t, d) under the mask of this place.
    pub fn apply(self, place: u64, x: Tensor) -> Result<Tensor> {
        match self.rows(place, x.dim(1)?)? {
            Some(mask) => x.mul(&mask),
            None => Ok(x),
        }
    }

    /// Of the attention's weights of a block.
    pub fn weights(self, layer: usize, heads: usize) -> Result<Option<WeightMask>> {
        let Some(dropout) = self.dropout else { return Ok(None) };
        let (dropout, (sequences, time)) = (dropout.at(place::attention_weights(layer)), self.shape);
        let mut kept = vec![0u8; sequences * heads * time * time];
        let scale = kept.par_chunks_mut(time * time).enumerate().map(|(part, kept)| {
            let mut mask = vec![0f32; kept.len()];
            dropout.fill((self.first * heads + part) as u64, &mut mask);
            kept.iter_mut().zip(&mask).for_each(|(kept, &mask)| *kept = u8::from(mask != 0.0));
            mask.into_iter().fold(0f32, f32::max)
        });
        let scale = scale.reduce(|| 0.0, f32::max);
        let kept = Tensor::from_vec(kept, (sequences * heads, time, time), self.device)?;
        Ok(Some(WeightMask { kept, scale: f64::from(scale) }))
    }
}

impl WeightMask {
    /// Of `rows` queries from `first`, and of the keys up to `seen`. -> (b·h, rows, seen)
    pub fn part(&self, first: usize, rows: usize, seen: usize) -> Result<Tensor> {
        let kept = self.kept.narrow(1, first, rows)?.narrow(2, 0, seen)?.contiguous()?;
        kept.to_dtype(DType::F32)? * self.scale
    }
}
