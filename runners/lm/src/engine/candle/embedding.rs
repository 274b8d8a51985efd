//! From token ids to the residual stream: embeddings and, where they are learned, positions.

use super::masks::Masks;
use crate::engine::batch::Perturb;
use crate::engine::place;
use crate::model::Tensors;
use candle_core::{Result, Tensor};

/// The first entry of the stream, outside of candle's graph. ids (b·t) -> (b·t, d)
pub(super) fn embedded(
    tensors: &Tensors<Tensor>,
    ids: &Tensor,
    masks: Masks<'_>,
    perturb: Option<Perturb<'_>>,
) -> Result<Tensor> {
    let (b, t) = masks.shape;
    let embedding = &tensors.embedding;
    let d = embedding.dim(1)?;
    let mut x = embedding.index_select(ids, 0)?;
    if let Some(positions) = &tensors.positions {
        x = x.reshape((b, t, d))?.broadcast_add(&positions.narrow(0, 0, t)?)?.reshape((b * t, d))?;
    }
    if let Some(perturb) = perturb {
        let mut amounts = vec![0f32; b * t * d];
        let sequences = amounts.chunks_exact_mut(t * d).enumerate();
        sequences.for_each(|(sequence, amounts)| perturb(masks.first + sequence, amounts));
        x = x.add(&Tensor::from_vec(amounts, (b * t, d), masks.device)?)?;
    }
    masks.apply(place::EMBEDDING, x)
}

/// Adds what reaches the embedding as the input matrix to `of_embedding` (v, d). grad (b·t, d) is of the embeddings' sum, before
/// dropout.
pub(super) fn embedding_backward(of_embedding: &Tensor, ids: &Tensor, grad: &Tensor) -> Result<Tensor> {
    of_embedding.index_add(ids, &grad.contiguous()?, 0)
}

/// What reaches the positions, of which there are `context`. grad (b·t, d) -> (context, d)
pub(super) fn positions_backward(grad: &Tensor, (b, t): (usize, usize), context: usize) -> Result<Tensor> {
    let sum = grad.reshape((b, t, ()))?.sum(0)?;
    sum.pad_with_zeros(0, 0, context - t)
}
