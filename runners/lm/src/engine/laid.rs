//! Right factors of products, laid out once: the weights a pass, and gradients of linear maps' outputs a part. A product that is
//! given them as they are stored lays them out anew.

use super::super::parameters::{BlockTensors, Tensors};
use rayon::prelude::*;
use regatta_core::maths::{Matrix, Panels, Precision};

/// Those of a model: on the way forward the weights, on the way back their transposes in the same room.
pub(super) struct Laid {
    /// Of the products with them.
    pub precision: Precision,
    pub blocks: Vec<LaidBlock>,
    /// From the final norm's output to the logits (d, v).
    pub unembed: Panels,
    /// From the logits' gradient back (v, d).
    pub unembed_back: Panels,
}

/// Something of each linear map of one block: the weights, (i, o) forward and (o, i) back, or gradients of the outputs (r, o).
#[derive(Default)]
pub(super) struct LaidBlock {
    pub c_attn: Panels,
    pub attn_proj: Panels,
    pub c_fc: Panels,
    pub mlp_proj: Panels,
}

impl Laid {
    /// Of no weights yet.
    pub fn new(precision: Precision) -> Self {
        Self { precision, blocks: Vec::new(), unembed: Panels::default(), unembed_back: Panels::default() }
    }

    /// Lays out the present weights of the blocks for the way forward.
    pub fn forward(&mut self, tensors: &Tensors<&[f32]>) {
        self.lay_out_blocks(tensors, |weight| weight);
    }

    /// And for the way back.
    pub fn backward(&mut self, tensors: &Tensors<&[f32]>) {
        self.lay_out_blocks(tensors, |weight| weight.transposed());
    }

    fn lay_out_blocks(&mut self, tensors: &Tensors<&[f32]>, turn: fn(Matrix<'_>) -> Matrix<'_>) {
        let precision = self.precision;
        self.blocks.resize_with(tensors.blocks.len(), LaidBlock::default);
        self.blocks.par_iter_mut().zip(&tensors.blocks).for_each(|(laid, block)| {
            let BlockTensors { c_attn, attn_proj, c_fc, mlp_proj, .. } = block;
            let LaidBlock { c_attn: laid_c_attn, attn_proj: laid_attn_proj, c_fc: laid_c_fc, mlp_proj: laid_mlp_proj } = laid;
            let pairs = [(c_attn, laid_c_attn), (attn_proj, laid_attn_proj), (c_fc, laid_c_fc), (mlp_proj, laid_mlp_proj)];
            for (linear, laid) in pairs {
                let outputs = linear.bias.len();
                laid.pack(turn(Matrix::new(linear.weight, linear.weight.len() / outputs, outputs)), precision);
            }
        });
    }

    /// Lays out the present embedding (v, d) as the output matrix.
    pub fn unembed(&mut self, wte: Matrix<'_>) {
        self.unembed.pack(wte.transposed(), self.precision);
    }

    /// And for the way back through it.
    pub fn unembed_back(&mut self, wte: Matrix<'_>) {
        self.unembed_back.pack(wte, self.precision);
    }
}
