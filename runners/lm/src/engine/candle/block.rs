//! How attention and MLP of a block meet in the residual stream.
//!
//! ```text
//! one after the other   middle = x + attention(x)     next = middle + mlp(middle)
//! side by side          middle = x + attention(x)     next = middle + mlp(x)
//! ```

use super::attention::{Causal, Heads};
use super::masks::Masks;
use super::mlp::hidden;
use super::norm::{norm, rms};
use super::product::linear;
use super::rotary::Rotation;
use crate::engine::place;
use crate::model::{Affine, AttentionTensors, BlockTensors, Decoder, MlpTensors, NormPlacement, QkNorm};
use candle_core::{Result, Tensor};
use regatta_kernels::Precision;

/// What every block needs to know.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub decoder: &'a Decoder,
    pub rotation: Option<&'a Rotation>,
    pub causal: &'a Causal,
    pub masks: Masks<'a>,
    pub precision: Precision,
}

/// What a block makes of the stream. (b·t, d) each
pub(super) struct Made {
    /// What attention adds.
    pub attention: Tensor,
    /// What the MLP adds.
    pub mlp: Tensor,
    /// The stream after both.
    pub output: Tensor,
}

impl Made {
    /// The same outside of candle's graph.
    pub fn detached(&self) -> Self {
        Self { attention: self.attention.detach(), mlp: self.mlp.detach(), output: self.output.detach() }
    }
}

impl Setting<'_> {
    /// x (b·t, d)
    pub fn block(self, layer: usize, tensors: &BlockTensors<Tensor>, x: &Tensor) -> Result<Made> {
        let attention = self.attention(layer, &tensors.attention, x)?;
        let middle = x.add(&attention)?;
        let mlp = self.mlp(layer, &tensors.mlp, if self.decoder.parallel { x } else { &middle })?;
        let output = middle.add(&mlp)?;
        Ok(Made { attention, mlp, output })
    }

    fn attention(self, layer: usize, tensors: &AttentionTensors<Tensor>, x: &Tensor) -> Result<Tensor> {
        let Self { decoder, masks, precision, .. } = self;
        let read = self.normed(&tensors.norm, x, NormPlacement::Before)?;
        let qkv = self.with_normed_queries_and_keys(tensors, linear(&read, &tensors.qkv, precision)?)?;
        let heads = Heads {
            shape: masks.shape,
            heads: decoder.heads,
            kv_heads: decoder.kv_heads,
            dims: decoder.head_dim,
            rotation: self.rotation.cloned(),
            causal: self.causal.clone(),
            mask: masks.weights(layer, decoder.heads)?,
            precision,
        };
        let written = linear(&heads.attend(&qkv)?, &tensors.output, precision)?;
        masks.apply(place::attention(layer), self.normed(&tensors.norm, &written, NormPlacement::After)?)
    }

    fn mlp(self, layer: usize, tensors: &MlpTensors<Tensor>, x: &Tensor) -> Result<Tensor> {
        let Self { decoder, masks, precision, .. } = self;
        let read = self.normed(&tensors.norm, x, NormPlacement::Before)?;
        let hidden = hidden(decoder, &linear(&read, &tensors.input, precision)?)?;
        let written = linear(&hidden, &tensors.output, precision)?;
        masks.apply(place::mlp(layer), self.normed(&tensors.norm, &written, NormPlacement::After)?)
    }

    /// The norm of x where the model has its norms at `placement`, otherwise x.
    fn normed(self, tensors: &Affine<Tensor>, x: &Tensor, placement: NormPlacement) -> Result<Tensor> {
        if self.decoder.norm_placement == placement { norm(self.decoder, tensors, x) } else { Ok(x.clone()) }
    }

    /// qkv (b·t, (h + 2k)·c)
    fn with_normed_queries_and_keys(self, tensors: &AttentionTensors<Tensor>, qkv: Tensor) -> Result<Tensor> {
        let (Some(q_norm), Some(k_norm), decoder) = (&tensors.q_norm, &tensors.k_norm, self.decoder) else { return Ok(qkv) };
        let (queries, keys) = (decoder.query_width(), decoder.key_width());
        let part = |first: usize, width: usize| qkv.narrow(1, first, width)?.contiguous();
        let normed = |x: Tensor, weight: &Tensor| match decoder.qk_norm {
            QkNorm::None => Ok(x),
            QkNorm::AllHeads => rms(&x, weight, decoder.norm_epsilon),
            QkNorm::PerHead => {
                let (rows, width) = x.dims2()?;
                let heads = x.reshape((rows * width / decoder.head_dim, decoder.head_dim))?;
                rms(&heads, weight, decoder.norm_epsilon)?.reshape((rows, width))
            }
        };
        let parts = [normed(part(0, queries)?, q_norm)?, normed(part(queries, keys)?, k_norm)?, part(queries + keys, keys)?];
        Tensor::cat(&parts, 1)
    }
}
