//! How many bytes a pass holds on a device, by the shape of the model and of the batch: what candle's graph keeps of each block
//! until the backward pass has gone through it, and what a block and the output layer need for a moment.
//!
//! The counts follow `block`, `attention`, `mlp`, `norm` and `output`, operation by operation: candle's graph keeps the arguments and
//! the result of each. The tests hold them to what a pass allocates on the CPU.

use super::attention::QUERIES;
use super::output::LOGITS;
use crate::model::{Decoder, Mlp, NormKind, QkNorm};
use regatta_kernels::Precision;

pub(crate) use super::optimizer::working_bytes as update_bytes;

/// Bytes of a number in float32.
pub(crate) const NUMBER: u128 = 4;

/// A pass over a batch, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub decoder: &'a Decoder,
    /// Sequences, and tokens of each.
    pub shape: (usize, usize),
    pub dropout: bool,
    pub precision: Precision,
    /// candle's CPU has the rounded factors of products in float32, beside those in bfloat16.
    pub on_cpu: bool,
    /// Whether the backward pass computes each block again from its input.
    pub recompute: bool,
}

/// Of one pass, forward and backward. Bytes
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassBytes {
    /// What the forward pass leaves of all blocks.
    pub activations: u128,
    /// What is left of it when the backward pass is through.
    pub stream: u128,
    /// What the graph keeps of one block.
    pub block: u128,
    /// Beside it in the backward pass through the block, for a moment.
    pub block_working: u128,
    /// In the forward pass through a block without a graph, for a moment.
    pub forward_working: u128,
    /// Of the losses, their gradients, and that of the output matrix, for a moment.
    pub output_working: u128,
}

impl Setting<'_> {
    /// The memory of a pass that keeps what the backward pass needs.
    pub fn bytes(&self) -> PassBytes {
        let block = self.block();
        let layers = self.decoder.layers as u128;
        let stream = (layers + 2) * self.numbers(self.decoder.width); // before each block, after the last, and its norm
        PassBytes {
            activations: if self.recompute { stream } else { layers * block + 2 * self.numbers(self.decoder.width) },
            stream,
            block,
            block_working: self.mlp_backward().max(self.attention_backward()),
            forward_working: self.forward_working(),
            output_working: self.output_working(),
        }
    }

    fn rows(&self) -> u128 {
        self.shape.0 as u128 * self.shape.1 as u128
    }

    /// Float32 numbers, so many for each token.
    fn numbers(&self, width: usize) -> u128 {
        NUMBER * self.rows() * width as u128
    }

    /// Bytes of a factor of a product beside the float32 number that it was rounded from.
    fn rounded(&self) -> u128 {
        match self.precision {
            Precision::Float32 => 0,
            Precision::BFloat16 if self.on_cpu => 2 + NUMBER,
            Precision::BFloat16 => 2,
        }
    }

    /// Kept of `x·W + bias`: rounded factors, the product, the sum.
    fn linear(&self, inputs: usize, outputs: usize, bias: bool) -> u128 {
        let (inputs, width) = (inputs as u128, outputs as u128);
        let product = if self.precision == Precision::BFloat16 && !self.on_cpu { 2 * self.rows() * width } else { 0 };
        let factors = self.rounded() * (self.rows() * inputs + inputs * width);
        factors + product + self.numbers(outputs) * (1 + u128::from(bias))
    }

    /// Kept of a norm: of unit variance, scaled, shifted.
    fn norm(&self) -> u128 {
        self.numbers(self.decoder.width) * (2 + u128::from(self.decoder.norm == NormKind::LayerNorm))
    }

    /// Kept of a block, its input included.
    fn block(&self) -> u128 {
        let decoder = self.decoder;
        let (d, m, queries) = (decoder.width, decoder.mlp_width, decoder.query_width());
        let dropout = if self.dropout { 2 * self.numbers(d) } else { 0 }; // a mask, and what it leaves
        let stream = 3 * self.numbers(d); // before, between, after
        let qk_norm = match decoder.qk_norm {
            QkNorm::None => 0,
            QkNorm::PerHead | QkNorm::AllHeads => {
                2 * self.numbers(decoder.qkv_width()) + 2 * self.numbers(queries + decoder.key_width())
            }
        };
        let weight_mask = if self.dropout { self.rows() * (decoder.heads * self.shape.1) as u128 } else { 0 }; // a byte each
        let attention = self.norm()
            + self.linear(d, decoder.qkv_width(), decoder.biases.qkv)
            + qk_norm
            + self.numbers(queries)
            + self.numbers(decoder.heads)
            + weight_mask
            + self.linear(queries, d, decoder.biases.attention_output);
        let mlp = self.norm()
            + self.linear(d, decoder.mlp_input_width(), decoder.biases.mlp)
            + self.numbers(m)
            + self.linear(m, d, decoder.biases.mlp);
        stream + attention + mlp + 2 * dropout
    }

    /// Scores of the queries that are taken together, or their gradients: a number for each key.
    fn scores(&self) -> u128 {
        let (sequences, time) = self.shape;
        NUMBER * (sequences * self.decoder.heads * time.min(QUERIES)) as u128 * time as u128
    }

    /// The gradient of the hidden layer and what its formula needs; gradients of the stream, and candle's zeros that they are added
    /// to.
    fn mlp_backward(&self) -> u128 {
        let hidden = self.numbers(self.decoder.mlp_width);
        let formula = match self.decoder.mlp {
            Mlp::GeluTanh => 9 * hidden,
            Mlp::Gelu => 17 * hidden, // candle's own gradient of erf
            Mlp::Swiglu => 10 * hidden,
        };
        formula + self.of_the_stream()
    }

    /// Weights of the queries that are taken together, and their gradients; gradients of queries, keys and values.
    fn attention_backward(&self) -> u128 {
        let rounded = if self.precision == Precision::BFloat16 { self.scores() / 2 } else { 0 };
        let weights = (5 + if self.dropout { 2 } else { 0 }) * self.scores() + rounded;
        weights + 2 * self.numbers(self.decoder.qkv_width()) + self.of_the_stream()
    }

    fn of_the_stream(&self) -> u128 {
        self.numbers(self.decoder.width) * if self.dropout { 21 } else { 13 }
    }

    fn forward_working(&self) -> u128 {
        let decoder = self.decoder;
        let mlp = self.numbers(2 * decoder.mlp_input_width() + decoder.mlp_width);
        let attention = 2 * self.numbers(decoder.qkv_width()) + 4 * self.scores();
        3 * self.numbers(decoder.width) + mlp.max(attention)
    }

    /// Of some rows together: logits, exponentials, their gradients before and after the target's part; then the logits, their
    /// gradients and that of the output matrix, which is a sum over the parts of the batch.
    fn output_working(&self) -> u128 {
        let (vocabulary, width) = (self.decoder.vocab_size as u128, self.decoder.width as u128);
        let together = self.rows().min((LOGITS as u128 / vocabulary.max(1)).max(1));
        let (logits, matrix) = (NUMBER * together * vocabulary, NUMBER * vocabulary * width);
        let parts = self.rows().div_ceil(together.max(1));
        let softmax = (4 + u128::from(self.decoder.logit_cap.is_some())) * logits + if parts > 2 { matrix } else { 0 };
        let products = 2 * logits + matrix * if parts > 1 { 3 } else { 1 } + self.rounded() * together * vocabulary;
        softmax.max(products) + self.rounded() * vocabulary * width + 2 * self.numbers(self.decoder.width)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use {super::counted::peak, tests::trained};
