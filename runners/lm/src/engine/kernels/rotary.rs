//! Rotary positions: which heads the angles rotate.

use crate::engine::angles::Angles;
use crate::model::Decoder;
use regatta_kernels::model::{Heads, Rotation, rotate};

impl Angles {
    /// Turns the queries and keys of one sequence, or their gradients back. qkv (t, (h + 2k)·c)
    pub fn rotate(&self, decoder: &Decoder, qkv: &mut [f32], rotation: Rotation) {
        if !self.cosines.is_empty() {
            let heads = Heads { heads: decoder.heads + decoder.kv_heads, ..queries(decoder) }; // the keys follow the queries
            rotate(qkv, heads, &self.cosines, &self.sines, rotation);
        }
    }
}

/// The queries in a row of queries, keys and values.
pub(super) fn queries(decoder: &Decoder) -> Heads {
    Heads { row: decoder.qkv_width(), first: 0, heads: decoder.heads, dims: decoder.head_dim }
}

/// And the keys.
pub(super) fn keys(decoder: &Decoder) -> Heads {
    Heads { first: decoder.query_width(), heads: decoder.kv_heads, ..queries(decoder) }
}

/// The same in candle's operations.
#[cfg(test)]
pub(super) mod plain {
    use crate::engine::angles::frequencies;
    use crate::model::{Decoder, Positions};
    use candle_core::{D, Device, Result, Tensor};

    /// x (b, heads, t, c)
    pub fn rotated(decoder: &Decoder, x: &Tensor) -> Result<Tensor> {
        let Positions::Rotary(rotary) = decoder.positions else { return Ok(x.clone()) };
        let (dims, (.., time, width)) = (decoder.rotary_dims(), x.dims4()?);
        let frequencies = frequencies(rotary, dims);
        let angles = (0..time).flat_map(|t| frequencies.iter().map(move |f| (t as f64 * f) as f32));
        let angles = Tensor::from_vec(angles.collect::<Vec<f32>>(), (time, dims / 2), &Device::Cpu)?;
        let (cosines, sines) = (angles.cos()?, angles.sin()?);
        let (low, high) = (x.narrow(D::Minus1, 0, dims / 2)?, x.narrow(D::Minus1, dims / 2, dims / 2)?);
        let rotated_low = (low.broadcast_mul(&cosines)? - high.broadcast_mul(&sines)?)?;
        let rotated_high = (high.broadcast_mul(&cosines)? + low.broadcast_mul(&sines)?)?;
        let rest = x.narrow(D::Minus1, dims, width - dims)?;
        Tensor::cat(&[rotated_low, rotated_high, rest], D::Minus1)
    }
}
