//! Logits, losses, and their gradients in the final norm's output and in the output matrix, a few rows at a time: the logits of a
//! batch are never whole.

use super::product::{factor, multiply};
use super::weights::Weights;
use crate::engine::batch::Upstream;
use crate::engine::gates::Gates;
use crate::model::Decoder;
use candle_core::{D, DType, Device, Result, Tensor};
use regatta_kernels::Precision;
use std::ops::Range;

/// Logits at a time, of all rows together: 128 MiB of them.
pub(super) const LOGITS: usize = 1 << 25;

/// The output matrix on its way through a batch.
pub(super) struct Output {
    /// A factor of products. (v, d)
    matrix: Tensor,
    cap: Option<f64>,
    precision: Precision,
    /// Rows at a time.
    rows: usize,
}

/// Rows whose logits are made together.
pub(super) fn rows_together(decoder: &Decoder) -> usize {
    (LOGITS / decoder.vocab_size).max(1)
}

/// The mean loss of which a backward pass takes a part.
#[derive(Clone, Copy)]
pub(super) struct Loss<'a> {
    /// (r)
    pub targets: &'a [u32],
    /// Tokens of the batch that the mean is over.
    pub tokens: usize,
}

/// What the backward pass through the output gives.
pub(super) struct OutputGradients {
    /// Of each token; zeros without a loss. (r)
    pub losses: Tensor,
    /// The sum of the squared log-normalisers, where the loss depends on them.
    pub normalizer_squares: Option<Tensor>,
    /// In the final norm's output. (r, d)
    pub normed: Tensor,
    /// In the output matrix. (v, d)
    pub matrix: Tensor,
}

/// Logits of a few rows, and what their softmax is made of.
struct Softmax {
    /// `exp(logit - most)` (r, v)
    exponentials: Tensor,
    /// Sums of the above. (r, 1)
    sums: Tensor,
    /// `ln Σ_v exp(logit_v)` (r, 1)
    normalizers: Tensor,
}

/// Of a few rows.
struct Part {
    losses: Option<Tensor>,
    normalizer_squares: Option<Tensor>,
    normed: Tensor,
    matrix: Tensor,
}

impl Output {
    /// That works on this many `rows` at a time.
    pub fn new(weights: &Weights, precision: Precision, rows: usize) -> Result<Self> {
        let matrix = factor(&weights.unembedding().as_detached_tensor(), precision)?;
        Ok(Self { matrix, cap: weights.decoder().logit_cap, precision, rows })
    }

    /// normed (r, d) -> (r, v)
    pub fn logits(&self, normed: &Tensor) -> Result<Tensor> {
        let logits = multiply(&factor(normed, self.precision)?, &self.matrix.t()?)?;
        match self.cap {
            Some(cap) => (logits / cap)?.tanh()? * cap,
            None => Ok(logits),
        }
    }

    /// The cross-entropy of each token. normed (r, d), targets (r) -> (r)
    pub fn losses(&self, normed: &Tensor, targets: &[u32]) -> Result<Tensor> {
        let of_part = |rows: Range<usize>| {
            let logits = self.logits(&normed.narrow(0, rows.start, rows.len())?)?;
            let softmax = Softmax::new(&logits)?;
            losses(&logits, &softmax, &self.index(&targets[rows], normed.device())?)
        };
        let parts = self.parts(normed.dim(0)?).map(of_part).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    /// The backward pass of the loss and of what `upstream` has for the logits. normed (r, d)
    pub fn backward(&self, normed: &Tensor, loss: Option<Loss<'_>>, upstream: &Upstream<Tensor>) -> Result<OutputGradients> {
        let rows = normed.dim(0)?;
        let mut losses = Vec::new();
        let (mut of_normed, mut of_matrix, mut squares) = (Vec::new(), None, None);
        if loss.is_some() || upstream.logits.is_some() {
            for rows in self.parts(rows) {
                let part = self.part_backward(normed, rows, loss, upstream)?;
                losses.extend(part.losses);
                of_normed.push(part.normed);
                of_matrix = Some(sum(of_matrix, part.matrix)?);
                if let Some(part) = part.normalizer_squares {
                    squares = Some(sum(squares, part)?);
                }
            }
        }
        let device = normed.device();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, device);
        Ok(OutputGradients {
            losses: if losses.is_empty() { zeros(&[rows])? } else { Tensor::cat(&losses, 0)? },
            normalizer_squares: squares,
            normed: if of_normed.is_empty() { zeros(normed.dims())? } else { Tensor::cat(&of_normed, 0)? },
            matrix: of_matrix.map_or_else(|| zeros(self.matrix.dims()), Ok)?,
        })
    }

    /// The ranges of rows that are worked on together.
    fn parts(&self, all: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.rows;
        (0..all).step_by(rows).map(move |first| first..all.min(first + rows))
    }

    fn part_backward(
        &self,
        normed: &Tensor,
        rows: Range<usize>,
        loss: Option<Loss<'_>>,
        upstream: &Upstream<Tensor>,
    ) -> Result<Part> {
        let device = normed.device();
        let normed = factor(&normed.narrow(0, rows.start, rows.len())?, self.precision)?;
        let vocabulary = self.matrix.dim(0)?;
        let of_logits = match &upstream.logits {
            Some(grads) => Some(grads.reshape(((), vocabulary))?.narrow(0, rows.start, rows.len())?.detach()),
            None => None,
        };
        let logits = match (loss, self.cap) {
            (None, None) => None,
            _ => Some(self.logits(&normed)?),
        };
        let (mut of_tokens, mut normalizer_squares) = (None, None);
        let mut grads = match (loss, &logits) {
            (Some(loss), Some(logits)) => {
                let softmax = Softmax::new(logits)?;
                let index = self.index(&loss.targets[rows.clone()], device)?;
                of_tokens = Some(losses(logits, &softmax, &index)?);
                if upstream.normalizers != 0.0 {
                    normalizer_squares = Some(softmax.normalizers.sqr()?.sum_all()?);
                }
                let of_loss = softmax.gradient(&index, 1.0 / loss.tokens as f64, upstream.normalizers)?;
                of_logits.map_or_else(|| Ok(of_loss.clone()), |grads| of_loss.add(&grads))?
            }
            _ => of_logits.expect("the loss or a gradient of the logits"),
        };
        if let (Some(cap), Some(logits)) = (self.cap, logits) {
            grads = grads.mul(&(logits / cap)?.sqr()?.affine(-1.0, 1.0)?)?; // tanh' = 1 - tanh²
        }
        let mut factors = factor(&grads, self.precision)?;
        let of_normed = multiply(&factors, &self.matrix)?;
        if let (Some(gates), Some(loss)) = (upstream.gates.as_deref(), loss) {
            factors = factor(&gated(&grads, gates, &loss.targets[rows])?, self.precision)?;
        }
        let of_matrix = multiply(&factors.t()?, &normed)?;
        Ok(Part { losses: of_tokens, normalizer_squares, normed: of_normed, matrix: of_matrix })
    }

    /// Targets as indices of columns. -> (r, 1)
    fn index(&self, targets: &[u32], device: &Device) -> Result<Tensor> {
        let vocabulary = self.matrix.dim(0)?;
        assert!(targets.iter().all(|&target| (target as usize) < vocabulary), "targets of a vocabulary of {vocabulary}");
        Tensor::from_slice(targets, (targets.len(), 1), device)
    }
}

impl Softmax {
    /// logits (r, v)
    fn new(logits: &Tensor) -> Result<Self> {
        let most = logits.max_keepdim(D::Minus1)?;
        let exponentials = logits.broadcast_sub(&most)?.exp()?;
        let sums = exponentials.sum_keepdim(D::Minus1)?;
        let normalizers = sums.log()?.add(&most)?;
        Ok(Self { exponentials, sums, normalizers })
    }

    /// Of `scale·Σ (loss + weight·z²)`, z the log-normaliser: `scale·((1 + 2·weight·z)·softmax - onehot)`. index (r, 1) -> (r, v)
    fn gradient(&self, index: &Tensor, scale: f64, weight: f64) -> Result<Tensor> {
        let factors = match weight {
            0.0 => (self.sums.recip()? * scale)?,
            _ => self.normalizers.affine(2.0 * weight * scale, scale)?.div(&self.sums)?,
        };
        let at_target = Tensor::full(-scale as f32, index.shape(), index.device())?;
        self.exponentials.broadcast_mul(&factors)?.scatter_add(index, &at_target, 1)
    }
}

/// `ln Σ_v exp(logit_v) - logit_target`. index (r, 1) -> (r)
fn losses(logits: &Tensor, softmax: &Softmax, index: &Tensor) -> Result<Tensor> {
    softmax.normalizers.sub(&logits.gather(index, 1)?)?.squeeze(1)
}

/// See [`Gates`]. grads (r, v)
fn gated(grads: &Tensor, gates: &Gates, targets: &[u32]) -> Result<Tensor> {
    let (device, [from_others, from_gated]) = (grads.device(), gates.factors());
    let vocabulary = from_others.len();
    let factors = Tensor::from_vec([from_others, from_gated].concat(), (2, vocabulary), device)?;
    let kinds: Vec<u32> = targets.iter().map(|&target| u32::from(gates.is_gated(target))).collect();
    let factors = factors.index_select(&Tensor::from_vec(kinds, targets.len(), device)?, 0)?;
    let index = Tensor::from_slice(targets, (targets.len(), 1), device)?;
    grads.mul(&factors)?.scatter(&index, &grads.gather(&index, 1)?, 1) // what a token adds to its target's row has no gate
}

fn sum(sum: Option<Tensor>, part: Tensor) -> Result<Tensor> {
    match sum {
        Some(sum) => sum.add(&part),
        None => Ok(part),
    }
}
