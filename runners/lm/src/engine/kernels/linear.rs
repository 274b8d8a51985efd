//! The linear maps of a block: weights packed for products, the backward pass through them, and the gradients of the weights,
//! which are summed over all parts of a batch, each tile of a matrix by one thread, parts in order.

use crate::model::{Affine, BlockTensors, Decoder};
use rayon::prelude::*;
use regatta_kernels::model::add_columns;
use regatta_kernels::product_of_panels;
use regatta_kernels::vector::add;
use regatta_kernels::{Matrix, MatrixMut, Onto, Panels, Precision};

/// Rows of a tile of a weight matrix.
const TILE: usize = 256;

/// Something of each linear map of a block.
#[derive(Debug, Default)]
pub(super) struct Maps<T> {
    pub qkv: T,
    pub attention_output: T,
    pub mlp_input: T,
    pub mlp_output: T,
}

impl<T> Maps<T> {
    fn list(&mut self) -> [&mut T; 4] {
        [&mut self.qkv, &mut self.attention_output, &mut self.mlp_input, &mut self.mlp_output]
    }
}

/// Right factors of products, packed once a pass: a product that is given them as they are stored packs them again. In the
/// forward pass the weights (i, o), in the backward pass their transposes (o, i) in the same room.
pub(super) type PackedMaps = Maps<Panels>;

impl PackedMaps {
    /// Packs a block's present weights, as they are or transposed.
    pub fn pack(
        &mut self,
        decoder: &Decoder,
        block: &BlockTensors<&[f32]>,
        precision: Precision,
        lay: fn(Matrix<'_>) -> Matrix<'_>,
    ) {
        let [attention, mlp] = [[&block.attention.qkv, &block.attention.output], [&block.mlp.input, &block.mlp.output]];
        let outputs = [decoder.qkv_width(), decoder.width, decoder.mlp_input_width(), decoder.width];
        for ((map, panels), outputs) in attention.into_iter().chain(mlp).zip(self.list()).zip(outputs) {
            panels.pack(lay(Matrix::new(map.weight, map.weight.len() / outputs, outputs)), precision);
        }
    }
}

/// The gradient of a linear map's outputs, of one part, and what it gives.
#[derive(Debug, Default)]
pub(super) struct MapGradients {
    /// (r, o)
    pub outputs: Vec<f32>,
    /// Of the bias, summed over the part's rows; empty where there is none. (o)
    bias: Vec<f32>,
    /// `outputs`, packed for the gradient of the weights.
    packed: Panels,
}

impl MapGradients {
    pub fn new(rows: usize, outputs: usize, bias: bool) -> Self {
        Self { outputs: vec![0.0; rows * outputs], bias: vec![0.0; if bias { outputs } else { 0 }], packed: Panels::default() }
    }

    /// Makes of the outputs' gradient, which is there, all that the gradients of the weights need.
    pub fn finish(&mut self, rows: usize, precision: Precision) {
        if !self.bias.is_empty() {
            self.bias.fill(0.0);
            add_columns(&mut self.bias, &self.outputs);
        }
        self.packed.pack(Matrix::new(&self.outputs, rows, self.outputs.len() / rows), precision);
    }
}

/// The gradient of a linear map's input: `g·Wᵀ`. g (r, o), Wᵀ (o, i) -> out (r, i)
pub(super) fn input_grad(g: &[f32], transposed: &Panels, out: &mut [f32]) {
    let (outputs, inputs) = transposed.shape();
    let rows = g.len() / outputs;
    product_of_panels(MatrixMut::new(out, rows, inputs), Onto::Replace, 1.0, Matrix::new(g, rows, outputs), transposed);
}

/// `Xᵀ·G` of each part, summed: X the inputs of a linear map (r, i), G the gradients of its outputs (r, o).
pub(super) struct Factors<'a> {
    pub pairs: Vec<(&'a [f32], &'a Panels)>,
    pub outputs: usize,
}

impl<'a> Factors<'a> {
    fn of(pairs: &Pairs<'a>) -> Self {
        let outputs = pairs.first().map_or(0, |(_, grads)| grads.packed.shape().1);
        Self { pairs: pairs.iter().map(|(inputs, grads)| (*inputs, &grads.packed)).collect(), outputs }
    }
}

/// A few rows of a weight's gradient, and what they are made of.
pub(super) struct Tile<'a, 'b> {
    out: &'a mut [f32],
    first: usize,
    factors: &'b Factors<'b>,
}

impl Tile<'_, '_> {
    pub fn compute(self, onto: Onto) {
        let outputs = self.factors.outputs;
        let rows = self.out.len() / outputs;
        for (index, &(inputs, grads)) in self.factors.pairs.iter().enumerate() {
            let (points, _) = grads.shape();
            let inputs = Matrix::part(&inputs[self.first..], points, rows, inputs.len() / points).transposed();
            let onto = if index == 0 { onto } else { Onto::Add };
            product_of_panels(MatrixMut::new(self.out, rows, outputs), onto, 1.0, inputs, grads);
        }
    }
}

pub(super) fn tiles<'a, 'b>(out: &'a mut [f32], factors: &'b Factors<'b>) -> impl Iterator<Item = Tile<'a, 'b>> {
    let rows = out.chunks_mut(TILE * factors.outputs);
    rows.enumerate().map(move |(index, out)| Tile { out, first: index * TILE, factors })
}

/// The inputs of a map and the gradients of its outputs, part by part.
pub(super) type Pairs<'a> = Vec<(&'a [f32], &'a MapGradients)>;

/// The gradients of a block's linear maps.
pub(super) fn sum_maps(maps: [(Affine<&mut [f32]>, Pairs<'_>); 4]) {
    let (tensors, pairs): (Vec<_>, Vec<_>) = maps.into_iter().unzip();
    let (weights, biases): (Vec<_>, Vec<_>) = tensors.into_iter().map(|Affine { weight, bias }| (weight, bias)).unzip();
    let factors: Vec<Factors<'_>> = pairs.iter().map(Factors::of).collect();
    let all: Vec<Tile<'_, '_>> = weights.into_iter().zip(&factors).flat_map(|(weight, factors)| tiles(weight, factors)).collect();
    all.into_par_iter().for_each(|tile| tile.compute(Onto::Replace));
    for (bias, pairs) in biases.into_iter().zip(&pairs) {
        bias.into_iter().for_each(|bias| sum_vectors(bias, pairs.iter().map(|(_, grads)| &grads.bias)));
    }
}

/// Sums vectors of all parts, in order.
pub(super) fn sum_vectors<'a>(sum: &mut [f32], parts: impl Iterator<Item = &'a Vec<f32>>) {
    sum.fill(0.0);
    parts.for_each(|part| add(sum, part));
}

/// Work on each tile of a matrix of rows of `d` numbers: the number of its first row, and the rows.
pub(super) fn each_tile(matrix: &mut [f32], d: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    matrix.par_chunks_mut(TILE * d).enumerate().for_each(|(tile, rows)| work(tile * TILE, rows));
}
