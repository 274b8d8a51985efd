//! Trainable parameters, in one buffer, and views of it tensor by tensor.

use super::tensors::{Role, TensorSpec, Tensors};
use super::{Decoder, Map};
use std::sync::Arc;

/// A number for each parameter of a model: the parameters themselves, or their gradients.
#[derive(Debug, Clone)]
pub struct Parameters {
    specs: Arc<[TensorSpec]>,
    numbers: Vec<f32>,
}

impl Parameters {
    /// Zeros.
    pub fn zeros(decoder: &Decoder) -> Self {
        Self::of(decoder.tensors().list())
    }

    /// Zeros in tensors of these names and shapes.
    pub(crate) fn of(specs: Vec<TensorSpec>) -> Self {
        let count = specs.iter().map(TensorSpec::len).sum();
        Self { specs: specs.into(), numbers: vec![0.0; count] }
    }

    /// All numbers, tensor after tensor in the order of [`Decoder::tensors`].
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The same, to change.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// Each tensor and its numbers; rows of a linear map's weight are its inputs.
    pub fn each(&self) -> impl Iterator<Item = (&TensorSpec, &[f32])> {
        let mut rest = &self.numbers[..];
        self.specs.iter().map(move |spec| (spec, take(&mut rest, spec)))
    }

    /// The same, to change.
    pub fn each_mut(&mut self) -> impl Iterator<Item = (&TensorSpec, &mut [f32])> {
        let mut rest = &mut self.numbers[..];
        self.specs.iter().map(move |spec| (spec, take_mut(&mut rest, spec)))
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.each().find(|(spec, _)| spec.name == name).map(|(_, numbers)| numbers)
    }

    /// The first tensor of this role.
    pub fn of_role(&self, role: Role) -> Option<&[f32]> {
        self.each().find(|(spec, _)| spec.role == role).map(|(_, numbers)| numbers)
    }

    /// A linear map of a block, from 0, by rows: for each output its weights of all inputs. -> (outputs, inputs)
    pub(crate) fn rows(&self, decoder: &Decoder, map: Map, block: usize) -> Vec<f32> {
        let (columns, of_row) = (decoder.columns(map), self.matrix(map, block));
        let outputs = of_row.0.shape[1];
        columns.flat_map(|column| of_row.1.iter().skip(column).step_by(outputs)).copied().collect()
    }

    /// Adds to a linear map of a block numbers in the layout of [`Self::rows`].
    pub(crate) fn add_rows(&mut self, decoder: &Decoder, map: Map, block: usize, rows: &[f32]) {
        let is_it = |(spec, _): &(&TensorSpec, &mut [f32])| spec.role == Role::Matrix(map.matrix());
        let (spec, numbers) = self.each_mut().filter(is_it).nth(block).expect("a block of the model");
        let (inputs, outputs) = (spec.shape[0], spec.shape[1]);
        for (column, row) in decoder.columns(map).zip(rows.chunks_exact(inputs)) {
            numbers.iter_mut().skip(column).step_by(outputs).zip(row).for_each(|(sum, x)| *sum += x);
        }
    }

    fn matrix(&self, map: Map, block: usize) -> (&TensorSpec, &[f32]) {
        let mut matrices = self.each().filter(|(spec, _)| spec.role == Role::Matrix(map.matrix()));
        matrices.nth(block).expect("a block of the model")
    }

    /// The tensors of a model of this shape, by what they do.
    pub(crate) fn tensors(&self, decoder: &Decoder) -> Tensors<&[f32]> {
        let mut rest = &self.numbers[..];
        decoder.tensors().map(|spec| take(&mut rest, &spec))
    }

    /// The same, to change.
    pub(crate) fn tensors_mut(&mut self, decoder: &Decoder) -> Tensors<&mut [f32]> {
        let mut rest = &mut self.numbers[..];
        decoder.tensors().map(|spec| take_mut(&mut rest, &spec))
    }
}

fn take<'a>(rest: &mut &'a [f32], spec: &TensorSpec) -> &'a [f32] {
    rest.split_off(..spec.len()).expect("as many numbers as the specs ask for")
}

fn take_mut<'a>(rest: &mut &'a mut [f32], spec: &TensorSpec) -> &'a mut [f32] {
    rest.split_off_mut(..spec.len()).expect("as many numbers as the specs ask for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};

    #[test]
    fn every_view_shows_the_same_numbers() {
        let sizes = Sizes { layers: 2, width: 4, heads: 2, context: 3, mlp_width: 8 };
        let decoder = Decoder::new(Family::Gpt2, sizes, 5);
        let mut parameters = Parameters::zeros(&decoder);
        for (index, (_, numbers)) in parameters.each_mut().enumerate() {
            numbers.fill(index as f32);
        }
        let tensors = parameters.tensors(&decoder);
        let (first, second) = (&tensors.blocks[0], &tensors.blocks[1]);
        let positions = tensors.positions.unwrap();
        let norm = first.attention.norm.weight;
        assert_eq!((tensors.embedding.len(), tensors.embedding[0], positions[0], norm[0]), (20, 0.0, 1.0, 2.0));
        let output = &second.mlp.output;
        assert_eq!((output.weight.len(), output.weight[0], output.bias.unwrap()[0]), (32, 24.0, 25.0));
        assert_eq!((tensors.norm.weight[0], tensors.norm.bias.unwrap()[3]), (26.0, 27.0));
        assert_eq!(tensors.output_matrix()[0], 0.0, "tied");
        assert_eq!(parameters.get("h.1.mlp.c_proj.bias"), Some([25.0; 4].as_slice()));
        assert_eq!(parameters.get("h.2.mlp.c_proj.bias"), None);
    }

    #[test]
    fn a_llama_has_a_matrix_of_its_own_for_the_output_and_no_biases() {
        let sizes = Sizes { layers: 1, width: 8, heads: 4, context: 3, mlp_width: 10 };
        let decoder = Decoder { kv_heads: 2, ..Decoder::new(Family::Llama, sizes, 5) };
        let names: Vec<(String, Vec<usize>)> = decoder.tensors().list().into_iter().map(|spec| (spec.name, spec.shape)).collect();
        let expected = [
            ("wte.weight", vec![5, 8]),
            ("h.0.ln_1.weight", vec![8]),
            ("h.0.attn.c_attn.weight", vec![8, 16]), // 4 query heads of 2 dims, 2 of keys and 2 of values
            ("h.0.attn.c_proj.weight", vec![8, 8]),
            ("h.0.ln_2.weight", vec![8]),
            ("h.0.mlp.c_fc.weight", vec![8, 20]), // gates, then hidden dims
            ("h.0.mlp.c_proj.weight", vec![10, 8]),
            ("ln_f.weight", vec![8]),
            ("lm_head.weight", vec![5, 8]),
        ];
        assert_eq!(names, expected.map(|(name, shape)| (name.to_owned(), shape)));
    }

    #[test]
    fn a_map_has_a_row_for_each_output() {
        let sizes = Sizes { layers: 2, width: 2, heads: 1, context: 3, mlp_width: 3 };
        let decoder = Decoder::new(Family::Llama, sizes, 5);
        let mut parameters = Parameters::zeros(&decoder);
        let (_, qkv) = parameters.each_mut().find(|(spec, _)| spec.name == "h.1.attn.c_attn.weight").unwrap();
        qkv.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]); // q, q, k, k, v, v of two inputs
        assert_eq!(parameters.rows(&decoder, Map::AttentionKey, 1), [3.0, 30.0, 4.0, 40.0]);
        assert_eq!(parameters.rows(&decoder, Map::AttentionKey, 0), [0.0; 4]);
        parameters.add_rows(&decoder, Map::AttentionValue, 1, &[100.0, 200.0, 300.0, 400.0]);
        assert_eq!(parameters.rows(&decoder, Map::AttentionValue, 1), [105.0, 250.0, 306.0, 460.0]);
        assert_eq!(parameters.rows(&decoder, Map::MlpGate, 1).len(), 6);
    }
}
