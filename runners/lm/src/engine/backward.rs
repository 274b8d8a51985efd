//! One part's gradients, from the final norm back to the embedding.

use super::super::parameters::{Affine, BlockTensors, Tensors};
use super::forward::{Part, attention, drop_out, place};
use super::laid::LaidBlock;
use super::{Decoder, Upstream};
use crate::kernels::{AttentionScratch, Dropout, add, add_columns, gelu_backward, layer_norm_backward, product_of_panels};
use regatta_core::maths::{Matrix, MatrixMut, Onto, Panels, Precision};

/// Gradients of one block's activations, of one part, and the inputs of its linear maps that the way forward did not keep.
pub(super) struct Slopes {
    /// Gradient of the block's input, the residual stream. (r, d)
    pub stream: Vec<f32>,
    /// Input of c_attn. (r, d)
    pub normed_1: Vec<f32>,
    /// Gradient of the output of c_attn. (r, 3d)
    pub qkv: Vec<f32>,
    /// Gradient of the output of attention's projection. (r, d)
    pub attention: Vec<f32>,
    /// Input of c_fc. (r, d)
    pub normed_2: Vec<f32>,
    /// Gradient of the output of c_fc. (r, m)
    pub fc: Vec<f32>,
    /// Input of the MLP's projection. (r, m)
    pub hidden: Vec<f32>,
    /// Gradient of the output of the MLP's projection. (r, d)
    pub mlp: Vec<f32>,
    /// Sums over this part's rows.
    pub ln_1: Affine<Vec<f32>>,
    pub ln_2: Affine<Vec<f32>>,
    pub ln_f: Affine<Vec<f32>>,
    pub biases: Biases,
    /// The gradients of the linear maps' outputs, laid out for those of the weights.
    pub laid: LaidBlock,
    /// Gradient of a norm's output, or of attention's. (r, d)
    passing: Vec<f32>,
    attention_scratch: AttentionScratch,
    mask: Vec<f32>,
}

/// Gradients of the biases of the linear maps, summed over a part's rows.
pub(super) struct Biases {
    pub c_attn: Vec<f32>,
    pub attn_proj: Vec<f32>,
    pub c_fc: Vec<f32>,
    pub mlp_proj: Vec<f32>,
}

impl Slopes {
    pub fn new(config: &Decoder, rows: usize) -> Self {
        let (d, m) = (config.width, config.mlp_width);
        let buffer = |width: usize| vec![0f32; rows * width];
        let norm = || Affine { weight: vec![0f32; d], bias: vec![0f32; d] };
        Self {
            stream: buffer(d),
            normed_1: buffer(d),
            qkv: buffer(3 * d),
            attention: buffer(d),
            normed_2: buffer(d),
            fc: buffer(m),
            hidden: buffer(m),
            mlp: buffer(d),
            ln_1: norm(),
            ln_2: norm(),
            ln_f: norm(),
            biases: Biases { c_attn: vec![0.0; 3 * d], attn_proj: vec![0.0; d], c_fc: vec![0.0; m], mlp_proj: vec![0.0; d] },
            laid: LaidBlock::default(),
            passing: buffer(d),
            attention_scratch: AttentionScratch::default(),
            mask: Vec::new(),
        }
    }
}

impl Part {
    /// Turns the loss's gradient of the final norm's output, with what comes from `upstream`, into that of its input.
    pub fn final_norm_backward(
        &mut self,
        config: &Decoder,
        tensors: &Tensors<&[f32]>,
        upstream: Option<&Vec<f32>>,
        slopes: &mut Slopes,
    ) {
        let tokens = self.tokens();
        add_part(&mut self.normed_slope, upstream, tokens, config.width);
        slopes.stream.fill(0.0);
        let last = &self.stream[self.stream.len() - 1];
        let norm = tensors.ln_f.norm(config.layer_norm_epsilon);
        let Affine { weight, bias } = &mut slopes.ln_f;
        weight.fill(0.0);
        bias.fill(0.0);
        layer_norm_backward(last, norm, &mut self.normed_slope, &mut slopes.passing, &mut slopes.stream, weight, bias);
    }

    /// From the gradient of a block's output, `above.stream`, to that of its input and of its linear maps' outputs.
    #[allow(clippy::too_many_arguments)] // the state of one step of the way back
    pub fn block_backward(
        &self,
        config: &Decoder,
        layer: usize,
        (tensors, laid): (&BlockTensors<&[f32]>, &LaidBlock),
        precision: Precision,
        upstream: &Upstream,
        dropout: Option<&Dropout>,
        above: &Slopes,
        slopes: &mut Slopes,
    ) {
        let (d, epsilon, length) = (config.width, config.layer_norm_epsilon, self.time * config.width);
        let kept = &self.blocks[layer];
        let Slopes { stream, passing, mask, biases, .. } = slopes;
        stream.copy_from_slice(&above.stream);
        if layer + 1 < config.layers {
            add_part(stream, upstream.hidden_states.get(&(layer + 1)), self.tokens(), d);
        }

        slopes.mlp.copy_from_slice(stream);
        add_part(&mut slopes.mlp, upstream.mlp.get(&layer), self.tokens(), d);
        drop_out(dropout, place::mlp(layer), &mut slopes.mlp, length, self.first, mask);
        input_slope(&slopes.mlp, &laid.mlp_proj, &mut slopes.fc);
        gelu_backward(&kept.fc, &mut slopes.hidden, &mut slopes.fc);
        input_slope(&slopes.fc, &laid.c_fc, passing);
        let Affine { weight, bias } = cleared(&mut slopes.ln_2);
        layer_norm_backward(&kept.middle, tensors.ln_2.norm(epsilon), passing, &mut slopes.normed_2, stream, weight, bias);

        slopes.attention.copy_from_slice(stream);
        add_part(&mut slopes.attention, upstream.attention.get(&layer), self.tokens(), d);
        drop_out(dropout, place::attention(layer), &mut slopes.attention, length, self.first, mask);
        input_slope(&slopes.attention, &laid.attn_proj, passing);
        let weights_dropout = dropout.map(|dropout| dropout.at(place::attention_weights(layer)));
        let attention = attention(config, self.time, weights_dropout.as_ref());
        let forward = kept.qkv.chunks_exact(3 * length).zip(kept.mixed.chunks_exact(length));
        let backward = passing.chunks_exact(length).zip(slopes.qkv.chunks_exact_mut(3 * length));
        let log_sums = kept.log_sums.chunks_exact(config.heads * self.time);
        for (index, (((qkv, out), (g, dqkv)), log_sums)) in forward.zip(backward).zip(log_sums).enumerate() {
            attention.backward(self.first + index, qkv, (out, log_sums), g, dqkv, &mut slopes.attention_scratch);
        }
        input_slope(&slopes.qkv, &laid.c_attn, passing);
        let Affine { weight, bias } = cleared(&mut slopes.ln_1);
        let norm = tensors.ln_1.norm(epsilon);
        layer_norm_backward(&self.stream[layer], norm, passing, &mut slopes.normed_1, stream, weight, bias);

        let LaidBlock { c_attn, attn_proj, c_fc, mlp_proj } = &mut slopes.laid;
        for (slopes, sums, panels) in [
            (&slopes.qkv, &mut biases.c_attn, c_attn),
            (&slopes.attention, &mut biases.attn_proj, attn_proj),
            (&slopes.fc, &mut biases.c_fc, c_fc),
            (&slopes.mlp, &mut biases.mlp_proj, mlp_proj),
        ] {
            sums.fill(0.0);
            add_columns(sums, slopes);
            panels.pack(Matrix::new(slopes, self.rows(), sums.len()), precision);
        }
    }

    /// The gradient of the embeddings' sum, before dropout, in place.
    pub fn embedding_backward(&self, config: &Decoder, upstream: &Upstream, dropout: Option<&Dropout>, slopes: &mut Slopes) {
        if config.layers > 0 {
            add_part(&mut slopes.stream, upstream.hidden_states.get(&0), self.tokens(), config.width);
        }
        let length = self.time * config.width;
        drop_out(dropout, place::EMBEDDING, &mut slopes.stream, length, self.first, &mut slopes.mask);
    }
}

/// The gradient of a linear map's input: `g·Wᵀ`. g (r, o), Wᵀ (o, i) -> out (r, i)
fn input_slope(g: &[f32], turned: &Panels, out: &mut [f32]) {
    let (outputs, inputs) = turned.shape();
    let rows = g.len() / outputs;
    product_of_panels(MatrixMut::new(out, rows, inputs), Onto::Replace, 1.0, Matrix::new(g, rows, outputs), turned);
}

/// Adds the rows of `tokens` of a gradient of the whole batch.
fn add_part(slope: &mut [f32], upstream: Option<&Vec<f32>>, tokens: std::ops::Range<usize>, d: usize) {
    if let Some(upstream) = upstream {
        add(slope, &upstream[tokens.start * d..tokens.end * d]);
    }
}

fn cleared(norm: &mut Affine<Vec<f32>>) -> &mut Affine<Vec<f32>> {
    norm.weight.fill(0.0);
    norm.bias.fill(0.0);
    norm
}
