//! The numbers that training changes, in one buffer, and views of it tensor by tensor.

use super::Gpt2Config;
use crate::kernels::Norm;

/// A number for each parameter of a model: the parameters themselves, or their gradients.
#[derive(Debug, Clone)]
pub struct Parameters {
    shapes: Vec<(String, Vec<usize>)>,
    numbers: Vec<f32>,
}

impl Parameters {
    /// Zeros.
    pub fn zeros(config: &Gpt2Config) -> Self {
        Self::of(config.shapes())
    }

    /// Zeros in tensors of these names and shapes.
    pub(crate) fn of(shapes: Vec<(String, Vec<usize>)>) -> Self {
        let count = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        Self { shapes, numbers: vec![0.0; count] }
    }

    /// All numbers, tensor after tensor in the order of [`Gpt2Config::shapes`].
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The same, to change.
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// Name, shape and numbers of each tensor. Names are Hugging Face's without `transformer.`; rows of a linear map's weight
    /// are its inputs.
    pub fn named(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        let mut rest = &self.numbers[..];
        self.shapes.iter().map(move |(name, shape)| {
            let numbers = rest.split_off(..shape.iter().product()).expect("as many numbers as the shapes ask for");
            (name.as_str(), shape.as_slice(), numbers)
        })
    }

    /// The same, to change.
    pub fn named_mut(&mut self) -> impl Iterator<Item = (&str, &[usize], &mut [f32])> {
        let mut rest = &mut self.numbers[..];
        self.shapes.iter().map(move |(name, shape)| {
            let numbers = rest.split_off_mut(..shape.iter().product()).expect("as many numbers as the shapes ask for");
            (name.as_str(), shape.as_slice(), numbers)
        })
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.named().find(|(other, ..)| *other == name).map(|(.., numbers)| numbers)
    }

    pub(super) fn tensors(&self) -> Tensors<&[f32]> {
        Tensors::of(self.named().map(|(.., numbers)| numbers).collect())
    }

    pub(super) fn tensors_mut(&mut self) -> Tensors<&mut [f32]> {
        Tensors::of(self.named_mut().map(|(.., numbers)| numbers).collect())
    }
}

/// The tensors of a model by what they do.
#[derive(Debug)]
pub(super) struct Tensors<T> {
    /// Token embedding and output matrix (v, d).
    pub wte: T,
    /// Positions (t, d).
    pub wpe: T,
    pub blocks: Vec<BlockTensors<T>>,
    pub ln_f: Affine<T>,
}

/// The tensors of one block.
#[derive(Debug)]
pub(super) struct BlockTensors<T> {
    pub ln_1: Affine<T>,
    pub c_attn: Affine<T>,
    pub attn_proj: Affine<T>,
    pub ln_2: Affine<T>,
    pub c_fc: Affine<T>,
    pub mlp_proj: Affine<T>,
}

/// A weight and a bias.
#[derive(Debug)]
pub(super) struct Affine<T> {
    pub weight: T,
    pub bias: T,
}

impl<T> Tensors<T> {
    /// The tensors in the order of [`Gpt2Config::shapes`].
    fn of(tensors: Vec<T>) -> Self {
        let layers = (tensors.len() - 4) / 12;
        let mut tensors = tensors.into_iter();
        let mut next = || tensors.next().expect("4 tensors and 12 of each block");
        let (wte, wpe) = (next(), next());
        let mut affine = || Affine { weight: next(), bias: next() };
        let mut block = || BlockTensors {
            ln_1: affine(),
            c_attn: affine(),
            attn_proj: affine(),
            ln_2: affine(),
            c_fc: affine(),
            mlp_proj: affine(),
        };
        let blocks = (0..layers).map(|_| block()).collect();
        Self { wte, wpe, blocks, ln_f: affine() }
    }
}

impl<'a> Affine<&'a [f32]> {
    pub fn norm(&self, epsilon: f64) -> Norm<'a> {
        Norm { weight: self.weight, bias: self.bias, epsilon: epsilon as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Gpt2Spec;

    #[test]
    fn every_view_shows_the_same_numbers() {
        let spec = Gpt2Spec { layers: 2, width: 4, heads: 2, context: 3, mlp_width: 8, bias_std: 0.0 };
        let mut parameters = Parameters::zeros(&Gpt2Config::new(&spec, 5));
        for (index, (.., numbers)) in parameters.named_mut().enumerate() {
            numbers.fill(index as f32);
        }
        let tensors = parameters.tensors();
        let second = &tensors.blocks[1];
        assert_eq!((tensors.wte.len(), tensors.wte[0], tensors.wpe[0], tensors.blocks[0].ln_1.weight[0]), (20, 0.0, 1.0, 2.0));
        assert_eq!((second.mlp_proj.weight.len(), second.mlp_proj.weight[0], second.mlp_proj.bias[0]), (32, 24.0, 25.0));
        assert_eq!((tensors.ln_f.weight[0], tensors.ln_f.bias[3]), (26.0, 27.0));
        assert_eq!(parameters.get("h.1.mlp.c_proj.bias"), Some([25.0; 4].as_slice()));
        assert_eq!(parameters.get("h.2.mlp.c_proj.bias"), None);
    }
}
