//! From token ids to the residual stream: embeddings and, where they are learned, positions.

use super::block::BlockGradients;
use super::linear::each_tile;
use super::part::Part;
use super::setting::drop_out;
use crate::engine::batch::Perturb;
use crate::engine::dropout::Dropout;
use crate::engine::place;
use crate::model::{Decoder, Tensors};
use regatta_kernels::vector::add;

impl Part {
    /// The first entry of the stream, of token ids (r).
    pub(super) fn embed(
        &mut self,
        decoder: &Decoder,
        tensors: &Tensors<&[f32]>,
        ids: &[u32],
        dropout: Option<&Dropout>,
        perturb: Option<Perturb<'_>>,
    ) {
        let d = decoder.width;
        self.ids.copy_from_slice(ids);
        let rows = self.stream[0].chunks_exact_mut(d).zip(ids);
        let token = |id: u32| &tensors.embedding[id as usize * d..][..d];
        match tensors.positions {
            Some(positions) => {
                let positions = positions.chunks_exact(d).take(self.time).cycle();
                for ((x, &id), position) in rows.zip(positions) {
                    x.iter_mut().zip(token(id)).zip(position).for_each(|((x, t), p)| *x = t + p);
                }
            }
            None => rows.for_each(|(x, &id)| x.copy_from_slice(token(id))),
        }
        if let Some(perturb) = perturb {
            let sequences = self.stream[0].chunks_exact_mut(self.time * d).enumerate();
            sequences.for_each(|(sequence, embeddings)| perturb(self.number + sequence, embeddings));
        }
        drop_out(dropout, place::EMBEDDING, &mut self.stream[0], self.time * d, self.number, &mut self.scratch.mask);
    }
}

/// Sums what reaches the embedding as the input matrix, with what comes from `upstream`, and what reaches the positions. The
/// gradient of a tied output matrix is in `embedding` already and is added to. embedding (v, d), positions (t, d)
pub(super) fn sum_embeddings(
    parts: &[Part],
    grads: &[BlockGradients],
    upstream: &[Option<&Vec<f32>>],
    tied: bool,
    embedding: &mut [f32],
    positions: Option<&mut [f32]>,
) {
    let d = grads[0].stream.len() / parts[0].rows();
    let tokens = || parts.iter().zip(grads).flat_map(move |(part, grads)| part.ids.iter().zip(grads.stream.chunks_exact(d)));
    each_tile(embedding, d, |first, tile| {
        if !tied {
            tile.fill(0.0);
        }
        for upstream in upstream.iter().flatten() {
            add(tile, &upstream[first * d..][..tile.len()]);
        }
        let rows = tile.len() / d;
        for (&id, grad) in tokens() {
            let row = (id as usize).wrapping_sub(first);
            if row < rows {
                add(&mut tile[row * d..][..d], grad);
            }
        }
    });
    let Some(positions) = positions else { return };
    positions.fill(0.0);
    let length = parts[0].time * d;
    for grads in grads {
        grads.stream.chunks_exact(length).for_each(|sequence| add(&mut positions[..length], sequence));
    }
}
