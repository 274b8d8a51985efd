//! Logits, losses, and their gradients in the final norm's output and in the output matrix.

use super::linear::{Factors, tiles};
use super::part::Part;
use super::{PARTS, Pass};
use crate::engine::batch::Upstream;
use crate::model::{Decoder, Model, Parameters};
use rayon::prelude::*;
use regatta_kernels::model::{Gradient, cap, cap_backward, cross_entropy, cross_entropy_and_normalizers};
use regatta_kernels::product_of_panels;
use regatta_kernels::vector::add;
use regatta_kernels::{Matrix, MatrixMut, Onto, Panels, Precision};

/// The output matrix, packed.
pub(super) struct Output {
    precision: Precision,
    /// From the final norm's output to the logits (d, v).
    forward: Panels,
    /// From the logits' gradient back (v, d).
    back: Panels,
    /// See [`Decoder::logit_cap`].
    cap: Option<f32>,
}

impl Output {
    pub fn new(decoder: &Decoder, precision: Precision) -> Self {
        let cap = decoder.logit_cap.map(|cap| cap as f32);
        Self { precision, forward: Panels::default(), back: Panels::default(), cap }
    }
}

fn matrix(model: &Model) -> Matrix<'_> {
    Matrix::new(model.unembedding(), model.decoder().vocab_size, model.decoder().width)
}

impl Pass {
    /// The loss of each token; and where gradients are wanted, that of their sum over `tokens` in the final norm's output, and in
    /// the output matrix, with those of `upstream` in the logits and in their normalisers. The logits of a few parts are there at a
    /// time.
    pub(super) fn cross_entropy(
        &mut self,
        model: &Model,
        targets: &[u32],
        tokens: usize,
        upstream: Option<&Upstream>,
        mut gradients: Option<&mut Parameters>,
    ) -> Vec<f32> {
        assert_eq!(targets.len(), self.sequences * self.time, "one target per token");
        self.output.forward.pack(matrix(model).transposed(), self.output.precision);
        if gradients.is_some() {
            self.output.back.pack(matrix(model), self.output.precision);
        }
        let output = &self.output;
        let gradient = match gradients {
            Some(_) => Gradient::Times(1.0 / tokens as f32),
            None => Gradient::Unwanted,
        };
        for (wave, parts) in self.parts.chunks_mut(PARTS).enumerate() {
            parts.par_iter_mut().zip(&mut self.logits).for_each(|(part, logits)| {
                let targets = &targets[part.tokens()];
                part.unembed(output, targets, upstream, logits, gradient);
            });
            if let Some(gradients) = &mut gradients {
                output_tiles(model.decoder(), parts, &self.logits, onto(wave), gradients);
            }
        }
        self.parts.iter().flat_map(|part| part.losses.iter().copied()).collect()
    }

    /// From the gradient of the logits (b·t, v) alone to those in the final norm's output and in the output matrix.
    pub(super) fn logits_backward(&mut self, model: &Model, upstream: &[f32], gradients: &mut Parameters) {
        self.output.back.pack(matrix(model), self.output.precision);
        if self.output.cap.is_some() {
            self.output.forward.pack(matrix(model).transposed(), self.output.precision);
        }
        let output = &self.output;
        for (wave, parts) in self.parts.chunks_mut(PARTS).enumerate() {
            parts.par_iter_mut().zip(&mut self.logits).for_each(|(part, logits)| {
                let grads = part.grads_of(upstream, output.back.shape().0);
                let logits = &mut logits[..grads.len()];
                if output.cap.is_some() {
                    part.logits_onto(output, logits);
                    part.capped.clear();
                    part.capped.extend_from_slice(logits);
                }
                logits.copy_from_slice(grads);
                part.logits_backward(output, logits);
            });
            output_tiles(model.decoder(), parts, &self.logits, onto(wave), gradients);
        }
    }

    /// The log-normaliser of the logits of each token (b·t), after a backward pass whose upstream has a factor of them.
    pub(crate) fn normalizers(&self) -> impl Iterator<Item = f32> {
        self.parts.iter().flat_map(|part| part.normalizers.iter().copied())
    }

    /// The logits of each token (b·t, v), after [`Self::forward`].
    pub fn logits(&self, model: &Model) -> Vec<f32> {
        let mut output = Output::new(model.decoder(), self.output.precision);
        output.forward.pack(matrix(model).transposed(), output.precision);
        let vocabulary = model.decoder().vocab_size;
        let of_part = |part: &Part| {
            let mut logits = vec![0.0; part.rows() * vocabulary];
            part.logits_onto(&output, &mut logits);
            logits
        };
        let parts: Vec<Vec<f32>> = self.parts.par_iter().map(of_part).collect();
        parts.concat()
    }
}

/// The first wave of parts writes over what was there.
fn onto(wave: usize) -> Onto {
    if wave == 0 { Onto::Replace } else { Onto::Add }
}

/// The gradient of the output matrix: `dlogitsᵀ·normed`, summed over `parts`. logits hold their gradients (r, v)
fn output_tiles(decoder: &Decoder, parts: &[Part], logits: &[Vec<f32>], onto: Onto, gradients: &mut Parameters) {
    let matrix = gradients.tensors_mut(decoder).output_matrix();
    let pairs = parts.iter().zip(logits);
    let pairs = pairs.map(|(part, logits)| (&logits[..part.rows() * decoder.vocab_size], &part.packed_normed));
    let factors = Factors { pairs: pairs.collect(), outputs: decoder.width };
    let all: Vec<_> = tiles(matrix, &factors).collect();
    all.into_par_iter().for_each(|tile| tile.compute(onto));
}

impl Part {
    fn unembed(&mut self, output: &Output, targets: &[u32], upstream: Option<&Upstream>, logits: &mut [f32], gradient: Gradient) {
        let (rows, (_, vocabulary)) = (self.rows(), output.forward.shape());
        let logits = &mut logits[..rows * vocabulary]; // the last part may be a smaller one
        self.logits_onto(output, logits);
        if output.cap.is_some() && matches!(gradient, Gradient::Times(_)) {
            self.capped.clear();
            self.capped.extend_from_slice(logits);
        }
        match (gradient, upstream.map_or(0.0, |upstream| upstream.normalizers)) {
            (Gradient::Times(scale), weight) if weight != 0.0 => {
                self.normalizers.resize(rows, 0.0);
                let (losses, normalizers) = (&mut self.losses, &mut self.normalizers);
                cross_entropy_and_normalizers(logits, targets, losses, normalizers, scale, weight as f32);
            }
            _ => cross_entropy(logits, targets, &mut self.losses, gradient),
        }
        if matches!(gradient, Gradient::Times(_)) {
            if let Some(upstream) = upstream.and_then(|upstream| upstream.logits.as_deref()) {
                add(logits, self.grads_of(upstream, vocabulary));
            }
            self.logits_backward(output, logits);
            if let Some(gates) = upstream.and_then(|upstream| upstream.gates.as_deref()) {
                gates.apply(logits, targets);
            }
        }
    }

    /// This part's rows of the logits' gradient of the whole batch.
    fn grads_of<'a>(&self, upstream: &'a [f32], vocabulary: usize) -> &'a [f32] {
        let tokens = self.tokens();
        &upstream[tokens.start * vocabulary..tokens.end * vocabulary]
    }

    /// The gradient in the final norm's output, and that output packed for the one in the output matrix. gradients (r, v)
    fn logits_backward(&mut self, output: &Output, grads: &mut [f32]) {
        let (rows, (vocabulary, d)) = (self.rows(), output.back.shape());
        if let Some(c) = output.cap {
            cap_backward(&self.capped, c, grads);
        }
        let grad = MatrixMut::new(&mut self.normed_grad, rows, d);
        product_of_panels(grad, Onto::Replace, 1.0, Matrix::new(grads, rows, vocabulary), &output.back);
        self.packed_normed.pack(Matrix::new(&self.normed, rows, d), output.precision);
    }

    fn logits_onto(&self, output: &Output, logits: &mut [f32]) {
        let (rows, (d, vocabulary)) = (self.rows(), output.forward.shape());
        let normed = Matrix::new(&self.normed, rows, d);
        product_of_panels(MatrixMut::new(logits, rows, vocabulary), Onto::Replace, 1.0, normed, &output.forward);
        if let Some(c) = output.cap {
            cap(logits, c);
        }
    }
}
