//! Gradients of weights, summed over all parts of a batch: each tile of a matrix by one thread, parts in order.

use super::super::parameters::{Affine, BlockTensors};
use super::backward::Slopes;
use super::forward::Part;
use crate::kernels::{add, product_of_panels};
use rayon::prelude::*;
use regatta_core::maths::{Matrix, MatrixMut, Onto, Panels};

/// Rows of a tile of a weight matrix.
const TILE: usize = 256;

/// `Xᵀ·G` of each part, summed: X the inputs of a linear map (r, i), G the gradients of its outputs (r, o).
struct Factors<'a> {
    pairs: Vec<(&'a [f32], &'a Panels)>,
    outputs: usize,
}

/// A few rows of a weight's gradient, and what they are made of.
struct Tile<'a, 'b> {
    out: &'a mut [f32],
    first: usize,
    factors: &'b Factors<'b>,
}

impl Tile<'_, '_> {
    fn compute(self, onto: Onto) {
        let outputs = self.factors.outputs;
        let rows = self.out.len() / outputs;
        for (index, &(inputs, slopes)) in self.factors.pairs.iter().enumerate() {
            let (points, _) = slopes.shape();
            let inputs = Matrix::part(&inputs[self.first..], points, rows, inputs.len() / points).transposed();
            let onto = if index == 0 { onto } else { Onto::Add };
            product_of_panels(MatrixMut::new(self.out, rows, outputs), onto, 1.0, inputs, slopes);
        }
    }
}

fn tiles<'a, 'b>(out: &'a mut [f32], factors: &'b Factors<'b>) -> impl Iterator<Item = Tile<'a, 'b>> {
    let rows = out.chunks_mut(TILE * factors.outputs);
    rows.enumerate().map(move |(index, out)| Tile { out, first: index * TILE, factors })
}

/// The gradients of a block's tensors. `slopes` are those of its activations, part by part.
pub(super) fn sum_block(parts: &[Part], slopes: &[Slopes], layer: usize, mut sums: BlockTensors<&mut [f32]>) {
    fn factors<'a>(
        parts: &'a [Part],
        slopes: &'a [Slopes],
        outputs: usize,
        of: impl Fn(&'a Part, &'a Slopes) -> (&'a [f32], &'a Panels),
    ) -> Factors<'a> {
        Factors { pairs: parts.iter().zip(slopes).map(|(part, slopes)| of(part, slopes)).collect(), outputs }
    }
    let (d, m) = (sums.ln_1.bias.len(), sums.c_fc.bias.len());
    let c_attn = factors(parts, slopes, 3 * d, |_, slopes| (&slopes.normed_1, &slopes.laid.c_attn));
    let attn_proj = factors(parts, slopes, d, |part, slopes| (&part.blocks[layer].mixed, &slopes.laid.attn_proj));
    let c_fc = factors(parts, slopes, m, |_, slopes| (&slopes.normed_2, &slopes.laid.c_fc));
    let mlp_proj = factors(parts, slopes, d, |_, slopes| (&slopes.hidden, &slopes.laid.mlp_proj));
    let all: Vec<Tile> = tiles(sums.c_attn.weight, &c_attn)
        .chain(tiles(sums.attn_proj.weight, &attn_proj))
        .chain(tiles(sums.c_fc.weight, &c_fc))
        .chain(tiles(sums.mlp_proj.weight, &mlp_proj))
        .collect();
    all.into_par_iter().for_each(|tile| tile.compute(Onto::Replace));

    sum_vectors(&mut sums.ln_1, slopes.iter().map(|slopes| &slopes.ln_1));
    sum_vectors(&mut sums.ln_2, slopes.iter().map(|slopes| &slopes.ln_2));
    sum_vector(sums.c_attn.bias, slopes.iter().map(|slopes| &slopes.biases.c_attn));
    sum_vector(sums.attn_proj.bias, slopes.iter().map(|slopes| &slopes.biases.attn_proj));
    sum_vector(sums.c_fc.bias, slopes.iter().map(|slopes| &slopes.biases.c_fc));
    sum_vector(sums.mlp_proj.bias, slopes.iter().map(|slopes| &slopes.biases.mlp_proj));
}

/// The gradient of a norm.
pub(super) fn sum_vectors<'a>(sums: &mut Affine<&mut [f32]>, parts: impl Iterator<Item = &'a Affine<Vec<f32>>> + Clone) {
    sum_vector(sums.weight, parts.clone().map(|part| &part.weight));
    sum_vector(sums.bias, parts.map(|part| &part.bias));
}

fn sum_vector<'a>(sum: &mut [f32], parts: impl Iterator<Item = &'a Vec<f32>>) {
    sum.fill(0.0);
    parts.for_each(|part| add(sum, part));
}

/// The gradient of the output matrix: `dlogitsᵀ·normed`, summed over `parts`. logits hold their gradients (r, v), wte (v, d)
pub(super) fn embedding_tiles(parts: &[Part], logits: &[Vec<f32>], onto: Onto, wte: &mut [f32], d: usize) {
    let vocabulary = wte.len() / d;
    let pairs = parts.iter().zip(logits).map(|(part, logits)| (&logits[..part.rows() * vocabulary], &part.laid_normed));
    let factors = Factors { pairs: pairs.collect(), outputs: d };
    let all: Vec<Tile> = tiles(wte, &factors).collect();
    all.into_par_iter().for_each(|tile| tile.compute(onto));
}

/// Adds what reaches the embedding as the input matrix, and from elsewhere, to the gradient of the output matrix; and sums that
/// of the positions. wte (v, d), wpe (positions, d)
pub(super) fn sum_embeddings(parts: &[Part], slopes: &[Slopes], upstream: Option<&[f32]>, wte: &mut [f32], wpe: &mut [f32]) {
    let d = slopes[0].stream.len() / parts[0].rows();
    let tokens = || parts.iter().zip(slopes).flat_map(move |(part, slopes)| part.ids.iter().zip(slopes.stream.chunks_exact(d)));
    wte.par_chunks_mut(TILE * d).enumerate().for_each(|(tile, wte)| {
        if let Some(upstream) = upstream {
            add(wte, &upstream[tile * TILE * d..][..wte.len()]);
        }
        let (first, rows) = (tile * TILE, wte.len() / d);
        for (&id, slope) in tokens() {
            let row = (id as usize).wrapping_sub(first);
            if row < rows {
                add(&mut wte[row * d..][..d], slope);
            }
        }
    });
    wpe.fill(0.0);
    let length = parts[0].time * d;
    for slopes in slopes {
        slopes.stream.chunks_exact(length).for_each(|sequence| add(&mut wpe[..length], sequence));
    }
}
