//! Logits, losses, and their gradients in the final norm's output and in the embedding.

use super::forward::Part;
use super::laid::Laid;
use super::weights::embedding_tiles;
use super::{Model, PARTS, Parameters, Pass};
use crate::kernels::{Gradient, add, cross_entropy, product_of_panels};
use rayon::prelude::*;
use regatta_core::maths::{Matrix, MatrixMut, Onto, Panels};

impl Pass {
    /// The loss of each token; and where gradients are wanted, that of their mean in the final norm's output, and in the
    /// embedding as the output matrix, with `upstream`'s of the logits (b·t, v). The logits of a few parts are there at a time.
    pub(super) fn cross_entropy(
        &mut self,
        model: &Model,
        targets: &[u32],
        upstream: Option<&[f32]>,
        mut gradients: Option<&mut Parameters>,
    ) -> Vec<f32> {
        assert_eq!(targets.len(), self.sequences * self.time, "one target a token");
        let (tensors, d) = (model.parameters().tensors(), model.decoder().width);
        let wte = Matrix::new(tensors.wte, model.decoder().vocab_size, d);
        self.laid.unembed(wte);
        if gradients.is_some() {
            self.laid.unembed_back(wte);
        }
        let laid = &self.laid;
        let gradient = match gradients {
            Some(_) => Gradient::Times(1.0 / targets.len() as f32),
            None => Gradient::Unwanted,
        };
        for (wave, parts) in self.parts.chunks_mut(PARTS).enumerate() {
            parts.par_iter_mut().zip(&mut self.logits).for_each(|(part, logits)| {
                let targets = &targets[part.tokens()];
                part.unembed(laid, targets, upstream, logits, gradient);
            });
            if let Some(gradients) = &mut gradients {
                embedding_tiles(parts, &self.logits, onto(wave), gradients.tensors_mut().wte, d);
            }
        }
        self.parts.iter().flat_map(|part| part.losses.iter().copied()).collect()
    }

    /// From the gradient of the logits (b·t, v) alone to those in the final norm's output and in the output matrix.
    pub(super) fn logits_backward(&mut self, model: &Model, upstream: &[f32], gradients: &mut Parameters) {
        let (tensors, d) = (model.parameters().tensors(), model.decoder().width);
        self.laid.unembed_back(Matrix::new(tensors.wte, model.decoder().vocab_size, d));
        let laid = &self.laid;
        for (wave, parts) in self.parts.chunks_mut(PARTS).enumerate() {
            parts.par_iter_mut().zip(&mut self.logits).for_each(|(part, logits)| {
                let slopes = part.slopes_of(upstream, laid.unembed_back.shape().0);
                logits[..slopes.len()].copy_from_slice(slopes);
                part.logits_backward(laid, &logits[..slopes.len()]);
            });
            embedding_tiles(parts, &self.logits, onto(wave), gradients.tensors_mut().wte, d);
        }
    }
}

/// The first wave of parts writes over what was there.
fn onto(wave: usize) -> Onto {
    if wave == 0 { Onto::Replace } else { Onto::Add }
}

impl Part {
    /// upstream (b·t, v)
    fn unembed(&mut self, laid: &Laid, targets: &[u32], upstream: Option<&[f32]>, logits: &mut [f32], gradient: Gradient) {
        let (rows, (_, vocabulary)) = (self.rows(), laid.unembed.shape());
        let logits = &mut logits[..rows * vocabulary]; // the last part may be a smaller one
        self.unembed_onto(&laid.unembed, logits);
        cross_entropy(logits, targets, &mut self.losses, gradient);
        if matches!(gradient, Gradient::Times(_)) {
            if let Some(upstream) = upstream {
                add(logits, self.slopes_of(upstream, vocabulary));
            }
            self.logits_backward(laid, logits);
        }
    }

    /// This part's rows of the logits' gradient of the whole batch.
    fn slopes_of<'a>(&self, upstream: &'a [f32], vocabulary: usize) -> &'a [f32] {
        let tokens = self.tokens();
        &upstream[tokens.start * vocabulary..tokens.end * vocabulary]
    }

    /// The gradient in the final norm's output, and that output laid out for the one in the output matrix. slopes (r, v)
    fn logits_backward(&mut self, laid: &Laid, slopes: &[f32]) {
        let (rows, (vocabulary, d)) = (self.rows(), laid.unembed_back.shape());
        let slope = MatrixMut::new(&mut self.normed_slope, rows, d);
        product_of_panels(slope, Onto::Replace, 1.0, Matrix::new(slopes, rows, vocabulary), &laid.unembed_back);
        self.laid_normed.pack(Matrix::new(&self.normed, rows, d), laid.precision);
    }

    /// unembed (d, v)
    pub fn logits(&self, unembed: &Panels) -> Vec<f32> {
        let mut logits = vec![0.0; self.rows() * unembed.shape().1];
        self.unembed_onto(unembed, &mut logits);
        logits
    }

    fn unembed_onto(&self, unembed: &Panels, logits: &mut [f32]) {
        let (rows, (d, vocabulary)) = (self.rows(), unembed.shape());
        let normed = Matrix::new(&self.normed, rows, d);
        product_of_panels(MatrixMut::new(logits, rows, vocabulary), Onto::Replace, 1.0, normed, unembed);
    }
}
