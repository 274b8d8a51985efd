//! Logits, losses, and their gradients in the final norm's output and in the embedding.

use super::forward::Part;
use super::weights::embedding_tiles;
use super::{Gpt2, PARTS, Parameters, Pass};
use crate::kernels::{Gradient, cross_entropy};
use rayon::prelude::*;
use regatta_core::maths::{Matrix, MatrixMut, Onto, product};

impl Pass {
    /// The loss of each token; and where gradients are wanted, that of their mean in the final norm's output, and in the
    /// embedding as the output matrix. The logits of a few parts are there at a time.
    pub(super) fn cross_entropy(&mut self, model: &Gpt2, targets: &[u32], mut gradients: Option<&mut Parameters>) -> Vec<f32> {
        assert_eq!(targets.len(), self.sequences * self.time, "one target a token");
        let (wte, d) = (model.embedding(), model.config().n_embd);
        let gradient = match gradients {
            Some(_) => Gradient::Times(1.0 / targets.len() as f32),
            None => Gradient::Unwanted,
        };
        for (wave, parts) in self.parts.chunks_mut(PARTS).enumerate() {
            parts.par_iter_mut().zip(&mut self.logits).for_each(|(part, logits)| {
                let targets = &targets[part.tokens()];
                part.unembed(wte, d, targets, logits, gradient);
            });
            if let Some(gradients) = &mut gradients {
                let onto = if wave == 0 { Onto::Replace } else { Onto::Add };
                embedding_tiles(parts, &self.logits, onto, gradients.tensors_mut().wte, d);
            }
        }
        self.parts.iter().flat_map(|part| part.losses.iter().copied()).collect()
    }
}

impl Part {
    fn unembed(&mut self, wte: &[f32], d: usize, targets: &[u32], logits: &mut [f32], gradient: Gradient) {
        let (rows, vocabulary) = (self.rows(), wte.len() / d);
        let logits = &mut logits[..rows * vocabulary]; // the last part may be a smaller one
        let embedding = Matrix::new(wte, vocabulary, d);
        product(
            MatrixMut::new(logits, rows, vocabulary),
            Onto::Replace,
            1.0,
            Matrix::new(&self.normed, rows, d),
            embedding.transposed(),
        );
        cross_entropy(logits, targets, &mut self.losses, gradient);
        if matches!(gradient, Gradient::Times(_)) {
            let slope = MatrixMut::new(&mut self.normed_slope, rows, d);
            product(slope, Onto::Replace, 1.0, Matrix::new(logits, rows, vocabulary), embedding);
        }
    }

    pub fn logits(&self, wte: &[f32]) -> Vec<f32> {
        let (rows, d) = (self.rows(), self.normed.len() / self.rows());
        let vocabulary = wte.len() / d;
        let mut logits = vec![0.0; rows * vocabulary];
        let embedding = Matrix::new(wte, vocabulary, d).transposed();
        let normed = Matrix::new(&self.normed, rows, d);
        product(MatrixMut::new(&mut logits, rows, vocabulary), Onto::Replace, 1.0, normed, embedding);
        logits
    }
}
