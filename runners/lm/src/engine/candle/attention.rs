//! The heads of attention: `softmax(q·kᵀ / sqrt(c), causal)·v`, with dropout on the weights; Vaswani et al. 2017, arXiv:1706.03762.
//!
//! Queries are taken a few rows at a time, each with the keys that the last of them sees. The weights (b·h, t, t) are never whole:
//! the forward pass keeps the logarithm of each softmax's denominator, and the backward pass computes the weights again from it
//! (Dao et al. 2022, arXiv:2205.14135):
//!
//! ```text
//! p  = exp(q·kᵀ / sqrt(c) - log_sum)      out = (m∘p)·v                      m: dropout
//! dv = (m∘p)ᵀ·g                           ds  = p∘(m∘(g·vᵀ) - Σ_c g·out)     dq = ds·k / sqrt(c)     dk = dsᵀ·q / sqrt(c)
//! ```
//!
//! Each of the k heads of keys and values serves h/k heads of queries, which are rows of one product.

use super::known::known;
use super::masks::WeightMask;
use super::product::{factor, multiply};
use super::rotary::Rotation;
use candle_core::{D, Device, Result, Tensor};
use regatta_kernels::Precision;
use std::ops::Range;

/// Rows of queries at a time.
pub(super) const QUERIES: usize = 256;

/// Added to the scores of keys ahead: its exponential is 0. Metal's fast arithmetic does not promise infinities.
const AHEAD: f32 = -1e30;

/// What keeps a token from those after it.
#[derive(Debug, Clone)]
pub(super) struct Causal {
    /// [`AHEAD`] right of the diagonal that starts at column `last`, elsewhere 0. (rows, last + rows)
    ahead: Tensor,
    /// Where the last rows of queries start.
    last: usize,
    rows: usize,
}

impl Causal {
    pub fn new(time: usize, device: &Device) -> Result<Self> {
        Self::by_rows(time, QUERIES, device)
    }

    #[cfg(test)]
    pub fn device(&self) -> &Device {
        self.ahead.device()
    }

    /// With this many rows of queries at a time.
    pub fn by_rows(time: usize, rows: usize, device: &Device) -> Result<Self> {
        let rows = rows.min(time);
        let last = (time - 1) / rows * rows;
        let seen = |row: usize| (0..last + rows).map(move |key| if key > last + row { AHEAD } else { 0.0 });
        let ahead = Tensor::from_vec((0..rows).flat_map(seen).collect::<Vec<f32>>(), (rows, last + rows), device)?;
        Ok(Self { ahead, last, rows })
    }

    /// The rows of queries that are taken together.
    fn blocks(&self, time: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let rows = self.rows;
        (0..time).step_by(rows).map(move |first| first..time.min(first + rows))
    }

    /// What is added to the scores of these queries. -> (rows, end)
    fn ahead(&self, queries: &Range<usize>) -> Result<Tensor> {
        self.ahead.narrow(0, 0, queries.len())?.narrow(1, self.last - queries.start, queries.end)
    }
}

/// The heads of a block's attention.
#[derive(Clone)]
pub(super) struct Heads {
    /// Sequences, and tokens of each.
    pub shape: (usize, usize),
    pub heads: usize,
    pub kv_heads: usize,
    pub dims: usize,
    pub rotation: Option<Rotation>,
    pub causal: Causal,
    pub mask: Option<WeightMask>,
    pub precision: Precision,
}

/// Factors of the products. n = b·k heads of keys and values, e = h/k heads of queries for each.
struct Factors {
    /// Over sqrt(c). (n, e, t, c)
    queries: Tensor,
    /// (n, t, c)
    keys: Tensor,
    /// (n, t, c)
    values: Tensor,
}

impl Heads {
    /// qkv (b·t, (h + 2k)·c) -> (b·t, h·c)
    pub fn attend(self, qkv: &Tensor) -> Result<Tensor> {
        let (mixed, log_sums) = self.forward(&qkv.detach())?;
        known(qkv, mixed, move |qkv, mixed, grad| self.backward(qkv, (mixed, &log_sums), grad))
    }

    /// What the heads give (b·t, h·c), and the logarithms of the softmaxes' denominators (n, e, t, 1).
    fn forward(&self, qkv: &Tensor) -> Result<(Tensor, Tensor)> {
        let factors = self.factors(qkv)?;
        let (mut mixed, mut log_sums) = (Vec::new(), Vec::new());
        for rows in self.causal.blocks(self.shape.1) {
            let scores = self.scores(&factors, &rows)?;
            let most = scores.max_keepdim(D::Minus1)?;
            let exponentials = scores.broadcast_sub(&most)?.exp()?;
            let sum = exponentials.sum_keepdim(D::Minus1)?;
            let weights = self.masked(exponentials.broadcast_div(&sum)?, &rows)?;
            let values = factors.values.narrow(1, 0, rows.end)?;
            mixed.push(self.unstacked(&multiply(&self.stacked(&weights)?, &values)?, &rows)?);
            log_sums.push(most.add(&sum.log()?)?);
        }
        Ok((self.rows_of_queries(&Tensor::cat(&mixed, 2)?)?, Tensor::cat(&log_sums, 2)?))
    }

    /// From the gradient of the heads' output (b·t, h·c) to that of qkv.
    fn backward(&self, qkv: &Tensor, (mixed, log_sums): (&Tensor, &Tensor), grad: &Tensor) -> Result<Tensor> {
        let (factors, time) = (self.factors(qkv)?, self.shape.1);
        let along = self.split_queries(&grad.mul(mixed)?)?.sum_keepdim(D::Minus1)?; // (n, e, t, 1)
        let grad = factor(&self.split_queries(grad)?, self.precision)?;
        let (mut of_queries, mut of_keys, mut of_values) = (Vec::new(), None, None);
        for rows in self.causal.blocks(time).rev() {
            let part = |x: &Tensor| x.narrow(2, rows.start, rows.len());
            let seen = |x: &Tensor| x.narrow(1, 0, rows.end);
            let weights = self.scores(&factors, &rows)?.broadcast_sub(&part(log_sums)?)?.exp()?;
            let grad = part(&grad)?.flatten(1, 2)?.contiguous()?;
            let of_weights = multiply(&grad, &seen(&factors.values)?.t()?)?;
            let of_weights = self.masked(self.unstacked(&of_weights, &rows)?, &rows)?;
            let of_scores = self.stacked(&weights.mul(&of_weights.broadcast_sub(&part(&along)?)?)?)?;
            let used = self.stacked(&self.masked(weights, &rows)?)?;
            add_to(&mut of_values, multiply(&used.t()?, &grad)?, time)?;
            let queries = part(&factors.queries)?.flatten(1, 2)?.contiguous()?;
            add_to(&mut of_keys, multiply(&of_scores.t()?, &queries)?, time)?;
            let of_part = multiply(&of_scores, &seen(&factors.keys)?.contiguous()?)?;
            of_queries.push(self.unstacked(&(of_part / (self.dims as f64).sqrt())?, &rows)?);
        }
        of_queries.reverse();
        let of_queries = self.rows_of_queries(&Tensor::cat(&of_queries, 2)?)?;
        let of_keys = self.rows_of_keys(&of_keys.expect("a token"))?;
        let of_values = self.rows_of_keys(&of_values.expect("a token"))?;
        let back = self.rotation.as_ref().map(Rotation::inverse).transpose()?;
        Tensor::cat(&[self.rotated(&of_queries, back.as_ref())?, self.rotated(&of_keys, back.as_ref())?, of_values], 1)
    }

    fn factors(&self, qkv: &Tensor) -> Result<Factors> {
        let (queries, keys) = (self.heads * self.dims, self.kv_heads * self.dims);
        let part = |first: usize, width: usize| qkv.narrow(1, first, width)?.contiguous();
        let rotated = |x: Tensor| self.rotated(&x, self.rotation.as_ref());
        let scaled = (rotated(part(0, queries)?)? / (self.dims as f64).sqrt())?;
        Ok(Factors {
            queries: factor(&self.split_queries(&scaled)?, self.precision)?,
            keys: factor(&self.split_keys(&rotated(part(queries, keys)?)?)?, self.precision)?,
            values: factor(&self.split_keys(&part(queries + keys, keys)?)?, self.precision)?,
        })
    }

    /// Each head of x (b·t, heads·c) turned.
    fn rotated(&self, x: &Tensor, rotation: Option<&Rotation>) -> Result<Tensor> {
        let Some(rotation) = rotation else { return Ok(x.clone()) };
        let ((b, t), width) = (self.shape, x.dim(1)?);
        rotation.apply(&x.reshape((b, t, width / self.dims, self.dims))?)?.reshape((b * t, width))
    }

    /// Scores of these queries and the keys that the last of them sees, [`AHEAD`] for those that it does not. -> (n, e, rows, end)
    fn scores(&self, factors: &Factors, rows: &Range<usize>) -> Result<Tensor> {
        let queries = factors.queries.narrow(2, rows.start, rows.len())?.flatten(1, 2)?.contiguous()?;
        let scores = multiply(&queries, &factors.keys.narrow(1, 0, rows.end)?.t()?)?;
        self.unstacked(&scores, rows)?.broadcast_add(&self.causal.ahead(rows)?)
    }

    /// Under dropout. weights (n, e, rows, end)
    fn masked(&self, weights: Tensor, rows: &Range<usize>) -> Result<Tensor> {
        match &self.mask {
            Some(mask) => weights.mul(&mask.part(rows.start, rows.len(), rows.end)?.reshape(weights.shape())?),
            None => Ok(weights),
        }
    }

    /// A factor of a product: the rows of all heads that share keys. (n, e, rows, end) -> (n, e·rows, end)
    fn stacked(&self, x: &Tensor) -> Result<Tensor> {
        factor(&x.flatten(1, 2)?, self.precision)
    }

    /// The inverse of [`Self::stacked`], of a product.
    fn unstacked(&self, x: &Tensor, rows: &Range<usize>) -> Result<Tensor> {
        let (n, _, width) = x.dims3()?;
        x.reshape((n, self.heads / self.kv_heads, rows.len(), width))
    }

    /// (b·t, h·c) -> (n, e, t, c)
    fn split_queries(&self, x: &Tensor) -> Result<Tensor> {
        let ((b, t), each) = (self.shape, self.heads / self.kv_heads);
        let heads = x.reshape((b, t, self.kv_heads, each, self.dims))?.permute((0, 2, 3, 1, 4))?;
        heads.contiguous()?.reshape((b * self.kv_heads, each, t, self.dims))
    }

    /// (b·t, k·c) -> (n, t, c)
    fn split_keys(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t) = self.shape;
        let heads = x.reshape((b, t, self.kv_heads, self.dims))?.transpose(1, 2)?;
        heads.contiguous()?.reshape((b * self.kv_heads, t, self.dims))
    }

    /// (n, e, t, c) -> (b·t, h·c)
    fn rows_of_queries(&self, x: &Tensor) -> Result<Tensor> {
        let ((b, t), each) = (self.shape, self.heads / self.kv_heads);
        let heads = x.reshape((b, self.kv_heads, each, t, self.dims))?.permute((0, 3, 1, 2, 4))?;
        heads.contiguous()?.reshape((b * t, self.heads * self.dims))
    }

    /// (n, t, c) -> (b·t, k·c)
    fn rows_of_keys(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t) = self.shape;
        let heads = x.reshape((b, self.kv_heads, t, self.dims))?.transpose(1, 2)?;
        heads.contiguous()?.reshape((b * t, self.kv_heads * self.dims))
    }
}

/// Adds the gradient of the first keys or values to that of all. (n, end, c)
fn add_to(sum: &mut Option<Tensor>, part: Tensor, time: usize) -> Result<()> {
    let missing = time - part.dim(1)?;
    let part = part.pad_with_zeros(1, 0, missing)?;
    *sum = Some(match sum.take() {
        Some(sum) => sum.add(&part)?,
        None => part,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::known::check_gradient;
    use super::super::masks::Masks;
    use super::*;
    use crate::engine::dropout::Dropout;
    use crate::model::{Decoder, Family, Sizes};
    use regatta_core::Draw;

    /// As a textbook has it, and differentiated by candle: the weights whole, each head of keys once for each head of queries.
    fn textbook(heads: &Heads, qkv: &Tensor) -> Result<Tensor> {
        let ((b, t), c) = (heads.shape, heads.dims);
        let split = |first: usize, count: usize| qkv.narrow(1, first * c, count * c)?.contiguous()?.reshape((b, t, count, c));
        let turned = |x: Tensor| heads.rotation.as_ref().map_or_else(|| Ok(x.clone()), |rotation| rotation.apply(&x));
        let repeated = |x: Tensor| {
            let each = heads.heads / heads.kv_heads;
            let x = x.transpose(1, 2)?.unsqueeze(2)?.broadcast_as((b, heads.kv_heads, each, t, c))?;
            x.contiguous()?.reshape((b, heads.heads, t, c))
        };
        let q = turned(split(0, heads.heads)?)?.transpose(1, 2)?.contiguous()?;
        let k = repeated(turned(split(heads.heads, heads.kv_heads)?)?)?;
        let v = repeated(split(heads.heads + heads.kv_heads, heads.kv_heads)?)?;
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (c as f64).sqrt())?;
        let ahead: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
        let exponentials = scores.broadcast_add(&Tensor::from_vec(ahead, (t, t), qkv.device())?)?.exp()?;
        let mut weights = exponentials.broadcast_div(&exponentials.sum_keepdim(3)?)?;
        if let Some(mask) = &heads.mask {
            weights = weights.mul(&mask.part(0, t, t)?.reshape((b, heads.heads, t, t))?)?;
        }
        weights.matmul(&v)?.transpose(1, 2)?.reshape((b * t, heads.heads * c))
    }

    #[test]
    fn heads_are_the_textbooks_and_so_are_their_gradients() {
        let dropout = Dropout::new(0.3, Draw::new(0, "dropout", 0, 0));
        let (shape, device) = ((2, 7), &Device::Cpu);
        for (heads, kv_heads, dropout) in [(3, 3, None), (4, 2, Some(&dropout)), (4, 1, None)] {
            let sizes = Sizes { layers: 1, width: 4 * heads, heads, context: 7, mlp_width: 8 };
            let decoder = Decoder { kv_heads, ..Decoder::new(Family::Llama, sizes, 5) };
            for rows in [1, 3, 7, 256] {
                let heads = Heads {
                    shape,
                    heads,
                    kv_heads,
                    dims: 4,
                    rotation: Rotation::new(&decoder, 7, device).unwrap(),
                    causal: Causal::by_rows(7, rows, device).unwrap(),
                    mask: Masks { dropout, first: 1, shape, device }.weights(0, heads).unwrap(),
                    precision: Precision::Float32,
                };
                check_gradient(&[14, decoder.qkv_width()], |x| heads.clone().attend(x), |x| textbook(&heads, x));
            }
        }
    }
}
