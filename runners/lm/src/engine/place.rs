//! Where dropout's masks come from, by place in the model.

/// On the embeddings.
pub(crate) const EMBEDDING: u64 = 1;

/// On the weights of a block's attention.
pub(crate) fn attention_weights(layer: usize) -> u64 {
    1 << 32 | layer as u64
}

/// On what a block's attention adds.
pub(crate) fn attention(layer: usize) -> u64 {
    2 + 2 * layer as u64
}

/// On what a block's MLP adds.
pub(crate) fn mlp(layer: usize) -> u64 {
    3 + 2 * layer as u64
}
