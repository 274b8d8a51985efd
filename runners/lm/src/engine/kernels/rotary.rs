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
