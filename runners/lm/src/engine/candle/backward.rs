//! The backward pass: from the gradient of the final norm's output to those of all parameters, block by block.

use super::embedding::{embedding_backward, positions_backward};
use super::norm::norm;
use super::output::{Loss, Output};
use super::pass::{Differentiable, Pass};
use super::weights::{Graph, Weights};
use crate::engine::batch::{Keep, Upstream};
use crate::engine::place;
use crate::model::Role;
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// What a backward pass gives.
pub(crate) struct Backward {
    /// The cross-entropy of each token (b·t), nats; zeros without a loss.
    pub losses: Tensor,
    /// The sum of the tokens' squared log-normalisers, where the loss depends on them. A scalar.
    pub normalizer_squares: Option<Tensor>,
    /// One of each variable of [`Weights`].
    pub gradients: Vec<Tensor>,
}

impl Pass {
    /// The gradients, in every parameter, of the mean loss over a batch of `loss.1` tokens, whose targets in this pass are `loss.0`
    /// (b·t), plus those of `upstream` through the activations that it names; without a loss, of `upstream` alone. Call
    /// [`Self::forward`] first, with the same weights.
    ///
    /// # Errors
    /// When a gradient has another shape than what it is of, or the device fails.
    ///
    /// # Panics
    /// When there are not b·t targets, or one lies outside the vocabulary; when the pass keeps too little.
    pub fn backward(
        &mut self,
        weights: &Weights,
        loss: Option<(&[u32], usize)>,
        upstream: &Upstream<Tensor>,
    ) -> Result<Backward> {
        assert!(matches!(self.keep, Keep::ForBackward { .. }), "the backward pass needs what {:?} forgets", self.keep);
        let (sequences, time) = self.shape();
        let loss = loss.map(|(targets, tokens)| Loss { targets, tokens });
        assert!(loss.is_none_or(|loss| loss.targets.len() == sequences * time), "one target per token");
        let output = Output::new(weights, self.precision, self.unembedded)?.backward(&self.seen().normed, loss, upstream)?;
        let mut gradients = Gradients { weights, of: vec![None; weights.vars().len()] };
        gradients.add(weights.output_place(), output.matrix)?;

        let tensors = weights.tensors(Graph::Kept);
        let last = tensors.blocks.len();
        let grad = with(output.normed, upstream.hidden_states.get(&last))?;
        let input = Var::from_tensor(&self.seen().stream[last])?;
        let mut grad = gradients.through([(&norm(weights.decoder(), &tensors.norm, input.as_tensor())?, &grad)], &input)?;
        for (layer, tensors) in tensors.blocks.iter().enumerate().rev() {
            if layer + 1 < last {
                grad = with(grad, upstream.hidden_states.get(&(layer + 1)))?;
            }
            let Differentiable { input, made } = match self.seen_mut().blocks.get_mut(layer).and_then(Option::take) {
                Some(block) => block,
                None => {
                    let seen = self.seen();
                    Differentiable::new(self.setting(weights, seen.dropout.as_ref()), layer, tensors, &seen.stream[layer])?
                }
            };
            let of_attention = upstream.attention.get(&layer).map(|grad| (&made.attention, grad));
            let of_mlp = upstream.mlp.get(&layer).map(|grad| (&made.mlp, grad));
            let all = [(&made.output, &grad)].into_iter().chain(of_attention).chain(of_mlp);
            grad = gradients.through(all, &input)?;
        }
        if last > 0 {
            grad = with(grad, upstream.hidden_states.get(&0))?;
        }
        self.embeddings_backward(weights, grad, &mut gradients)?;
        gradients.add_upstream(upstream)?;
        let Gradients { of, .. } = gradients;
        let gradients = of.into_iter().enumerate().map(|(place, grad)| grad.map_or_else(|| weights.zeros(place), Ok));
        let gradients = gradients.collect::<Result<_>>()?;
        Ok(Backward { losses: output.losses, normalizer_squares: output.normalizer_squares, gradients })
    }

    /// From the gradient of the first entry of the stream (b·t, d).
    fn embeddings_backward(&self, weights: &Weights, grad: Tensor, gradients: &mut Gradients<'_>) -> Result<()> {
        let (seen, decoder) = (self.seen(), weights.decoder());
        let grad = self.setting(weights, seen.dropout.as_ref()).masks.apply(place::EMBEDDING, grad)?;
        let embedding = weights.place(Role::Embedding).expect("every model has one");
        let of_embedding = gradients.of[embedding].take().map_or_else(|| weights.zeros(embedding), Ok)?;
        gradients.of[embedding] = Some(embedding_backward(&of_embedding, &seen.ids, &grad)?);
        if let Some(positions) = weights.place(Role::Positions) {
            gradients.add(positions, positions_backward(&grad, self.shape(), decoder.context)?)?;
        }
        Ok(())
    }
}

/// The gradients found so far, by variable.
struct Gradients<'a> {
    weights: &'a Weights,
    of: Vec<Option<Tensor>>,
}

impl Gradients<'_> {
    fn add(&mut self, place: usize, grad: Tensor) -> Result<()> {
        let grad = grad.detach();
        self.of[place] = Some(match self.of[place].take() {
            Some(sum) => sum.add(&grad)?,
            None => grad,
        });
        Ok(())
    }

    /// From the gradients of tensors that were made from `input`, to that of `input`, and to those of the variables on the way.
    fn through<'t>(&mut self, made: impl IntoIterator<Item = (&'t Tensor, &'t Tensor)>, input: &Var) -> Result<Tensor> {
        let products = made.into_iter().map(|(made, grad)| made.mul(&grad.detach().reshape(made.shape())?)?.sum_all());
        let products = products.collect::<Result<Vec<_>>>()?;
        let total = products.into_iter().map(Ok).reduce(|sum: Result<Tensor>, x| sum?.add(&x?)).expect("a gradient")?;
        let mut found = total.backward()?;
        self.collect(&mut found)?;
        match found.remove(input) {
            Some(grad) => Ok(grad.detach()),
            None => input.zeros_like(),
        }
    }

    fn collect(&mut self, found: &mut GradStore) -> Result<()> {
        for (place, var) in self.weights.vars().iter().enumerate() {
            if let Some(grad) = found.remove(var) {
                self.add(place, grad)?;
            }
        }
        Ok(())
    }

    /// Adds what `upstream` has for the parameters themselves.
    fn add_upstream(&mut self, upstream: &Upstream<Tensor>) -> Result<()> {
        let weights = self.weights;
        let embedding = weights.place(Role::Embedding).expect("every model has one");
        for (place, grad) in [(embedding, &upstream.embedding), (weights.output_place(), &upstream.unembedding)] {
            if let Some(grad) = grad {
                self.add(place, grad.reshape(weights.vars()[place].shape())?)?;
            }
        }
        for (&(map, block), grad) in &upstream.weights {
            let (place, columns) = (weights.matrix_place(map, block), weights.decoder().columns(map));
            let (inputs, outputs) = weights.vars()[place].dims2()?;
            let grad = grad.detach().reshape((columns.len(), inputs))?.t()?.contiguous()?;
            self.add(place, grad.pad_with_zeros(1, columns.start, outputs - columns.end)?)?;
        }
        Ok(())
    }
}

/// `grad` plus that of `upstream`.
fn with(grad: Tensor, upstream: Option<&Tensor>) -> Result<Tensor> {
    match upstream {
        Some(upstream) => grad.add(&upstream.detach().reshape(grad.shape())?),
        None => Ok(grad),
    }
}
