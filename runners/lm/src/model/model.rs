//! A decoder and its numbers.

use super::initial::{self, initial, random_biases};
use super::tensors::Role;
use super::{Decoder, Parameters};
use regatta_core::Draw;

/// A model that can be trained. [`crate::engine::Pass`] takes batches through it.
#[derive(Debug, Clone)]
pub struct Model {
    decoder: Decoder,
    parameters: Parameters,
}

impl Model {
    /// A fresh model; equal seeds give equal bits.
    pub fn fresh(decoder: Decoder, seed: u64) -> Self {
        let mut parameters = Parameters::zeros(&decoder);
        parameters.each_mut().for_each(|(spec, numbers)| initial(spec, seed, numbers));
        Self { decoder, parameters }
    }

    /// The same with biases of linear maps drawn from a normal distribution of standard deviation `std`, each tensor by a draw of
    /// its own. A bias is one offset common to all tokens, which makes a cone by itself.
    pub fn with_biases(mut self, std: f64, seed: u64) -> Self {
        if std > 0.0 {
            random_biases(&mut self.parameters, std, seed);
        }
        self
    }

    /// A model of given numbers, which are in the order of [`Decoder::tensors`].
    pub(crate) fn from_parameters(decoder: Decoder, parameters: Parameters) -> Self {
        Self { decoder, parameters }
    }

    /// Every linear layer's weight, with its inputs and outputs.
    pub(crate) fn linear_mut(&mut self) -> impl Iterator<Item = (&mut [f32], usize, usize)> {
        self.parameters.each_mut().filter_map(|(spec, numbers)| match (spec.role, &spec.shape[..]) {
            (Role::Matrix(_), &[inputs, outputs]) => Some((numbers, inputs, outputs)),
            _ => None,
        })
    }

    /// Its shape.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Its trainable parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its trainable parameters, to change them.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Its trainable parameters alone.
    pub(crate) fn into_parameters(self) -> Parameters {
        self.parameters
    }

    /// Draws the numbers of a fresh token embedding.
    pub(crate) fn draw_embedding(numbers: &mut [f32], draw: &mut Draw) {
        initial::embedding(numbers, draw);
    }

    /// Re-initialises the token embedding, as in a fresh model.
    pub(crate) fn forget_embedding(&mut self, draw: &mut Draw) {
        let embeddings = self.parameters.each_mut().filter(|(spec, _)| spec.role == Role::Embedding);
        embeddings.for_each(|(_, numbers)| initial::embedding(numbers, draw));
    }

    /// The token embedding (v, d); where it is tied, the output matrix too.
    pub fn embedding(&self) -> &[f32] {
        self.parameters.of_role(Role::Embedding).expect("every model has one")
    }

    /// As [`Self::unembedding`].
    pub(crate) fn unembedding_mut(&mut self) -> &mut [f32] {
        self.parameters.tensors_mut(&self.decoder).output_matrix()
    }

    /// The output matrix (v, d).
    pub fn unembedding(&self) -> &[f32] {
        self.parameters.of_role(Role::Unembedding).unwrap_or_else(|| self.embedding())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, parameters};
    use super::*;

    #[test]
    fn parameters_are_counted_by_hand() {
        // embeddings 11·16 + 8·16 = 304; a block with an MLP of 40: 4·16² + 9·16 + 2·16·40 + 40 = 2488; the final norm 32
        assert_eq!(model(2).decoder().parameters(), 304 + 2 * 2488 + 32);
        assert_eq!(model(0).decoder().parameters(), 304 + 32);
    }

    #[test]
    fn a_tensors_first_value_depends_on_its_name_and_the_seed_alone() {
        let (shallow, deep) = (Model::fresh(model(1).decoder().clone(), 0), Model::fresh(model(2).decoder().clone(), 0));
        assert_eq!(parameters(&shallow, "h.0.mlp.c_fc.weight"), parameters(&deep, "h.0.mlp.c_fc.weight"));
        let weights = parameters(&deep, "h.1.mlp.c_fc.weight");
        let deviation = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
        assert!((deviation - 0.02).abs() < 0.002, "{deviation}");
        let projections = parameters(&deep, "h.1.mlp.c_proj.weight");
        let deviation = (projections.iter().map(|w| w * w).sum::<f32>() / projections.len() as f32).sqrt();
        assert!((deviation - 0.01).abs() < 0.001, "{deviation}"); // 0.02 / sqrt(2·2)
        assert!(parameters(&deep, "ln_f.weight").iter().all(|&w| w == 1.0));
    }

    #[test]
    fn random_biases_are_those_of_linear_maps_alone() {
        let plain = Model::fresh(model(1).decoder().clone(), 0);
        let random = plain.clone().with_biases(0.5, 0);
        let of = plain.parameters().each().zip(random.parameters().each());
        let moved: Vec<&str> = of.filter(|((_, a), (_, b))| a != b).map(|((spec, _), _)| &*spec.name).collect();
        assert_eq!(moved, ["h.0.attn.c_attn.bias", "h.0.attn.c_proj.bias", "h.0.mlp.c_fc.bias", "h.0.mlp.c_proj.bias"]);
        let biases = parameters(&random, "h.0.attn.c_attn.bias");
        let deviation = (biases.iter().map(|b| b * b).sum::<f32>() / biases.len() as f32).sqrt();
        assert!((deviation - 0.5).abs() < 0.15, "{deviation} of {} numbers", biases.len());
        assert_eq!(plain.clone().with_biases(0.0, 0).parameters().numbers(), plain.parameters().numbers());
    }
}
