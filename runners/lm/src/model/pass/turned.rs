//! The weights turned for the way back, once a step: a product that is given `Wᵀ` turns it for each part anew.

use super::super::parameters::Tensors;
use rayon::prelude::*;

/// Transposes (o, i) of the weights of a model's blocks, and of the embedding (d, v).
#[derive(Default)]
pub(super) struct Turned {
    pub blocks: Vec<TurnedBlock>,
    pub wte: Vec<f32>,
}

/// Transposes of the weights of one block.
#[derive(Default)]
pub(super) struct TurnedBlock {
    pub c_attn: Vec<f32>,
    pub attn_proj: Vec<f32>,
    pub c_fc: Vec<f32>,
    pub mlp_proj: Vec<f32>,
}

impl Turned {
    /// Turns the present weights of the blocks.
    pub fn turn_blocks(&mut self, tensors: &Tensors<&[f32]>) {
        self.blocks.resize_with(tensors.blocks.len(), TurnedBlock::default);
        self.blocks.par_iter_mut().zip(&tensors.blocks).for_each(|(turned, block)| {
            turn(block.c_attn.weight, block.c_attn.bias.len(), &mut turned.c_attn);
            turn(block.attn_proj.weight, block.attn_proj.bias.len(), &mut turned.attn_proj);
            turn(block.c_fc.weight, block.c_fc.bias.len(), &mut turned.c_fc);
            turn(block.mlp_proj.weight, block.mlp_proj.bias.len(), &mut turned.mlp_proj);
        });
    }

    /// Turns the present embedding (v, d).
    pub fn turn_embedding(&mut self, tensors: &Tensors<&[f32]>) {
        turn(tensors.wte, tensors.ln_f.bias.len(), &mut self.wte);
    }
}

/// The transpose of a matrix with `columns` columns, tile by tile: both sides of a tile stay in the nearest cache.
fn turn(matrix: &[f32], columns: usize, turned: &mut Vec<f32>) {
    const TILE: usize = 16;
    let rows = matrix.len() / columns;
    turned.resize(matrix.len(), 0.0);
    turned.par_chunks_mut(TILE * rows).enumerate().for_each(|(strip, turned)| {
        let first = strip * TILE;
        for start in (0..rows).step_by(TILE) {
            for row in start..(start + TILE).min(rows) {
                let numbers = &matrix[row * columns + first..(row + 1) * columns];
                for (turned, number) in turned.chunks_exact_mut(rows).zip(numbers) {
                    turned[row] = *number;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_transpose_by_index() {
        let (rows, columns) = (37, 21);
        let matrix: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let mut turned = Vec::new();
        super::turn(&matrix, columns, &mut turned);
        for i in 0..rows * columns {
            assert_eq!(turned[i % columns * rows + i / columns], i as f32);
        }
    }
}
