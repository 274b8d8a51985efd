//! Causal self-attention of one sequence, a few rows at a time. No (t, t) matrix is stored, except the dropout mask of one head.

use crate::product_of_panels;
use crate::simd::{LANES, Simd};
use crate::vector::{dot_with, exponentials_with, max_with, scale_with};
use crate::vectorize;
use crate::{Matrix, MatrixMut, Onto, Panels, Precision};
use std::iter::once;
use std::ops::Range;

/// Dropout masks as pure functions, so that the backward pass recomputes those of the forward pass.
pub trait DropoutMasks: std::fmt::Debug {
    /// Fills `mask` with 0 or `1 / (1 - rate)`, as a pure function of `part`, which numbers the heads of all sequences.
    fn fill(&self, part: u64, mask: &mut [f32]);
}

/// `softmax(q·kᵀ / sqrt(c), causal)·v` of each head of c dims, with dropout on the weights; Vaswani et al. 2017, arXiv:1706.03762.
/// Each of the k heads of keys and values is shared by h/k query heads; Ainslie et al. 2023, arXiv:2305.13245.
///
/// # Shapes
/// qkv (t, (h + 2k)·c): queries of h heads, then keys of k heads, then values of k heads; out (t, h·c); log_sums (h, t)
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Tokens in the sequence, t.
    pub time: usize,
    /// Query heads, h.
    pub heads: usize,
    /// Heads of keys and values, k; a divisor of h.
    pub kv_heads: usize,
    /// Dims per head, c.
    pub head_dims: usize,
    /// Dropout masks of the attention weights.
    pub dropout: Option<&'a (dyn DropoutMasks + Sync)>,
}

/// Buffers of [`Attention`], reused from head to head and from call to call.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    /// Weights and gradients of one block of rows, each row as long as the sequence.
    weights: Vec<f32>,
    grads: Vec<f32>,
    masked: Vec<f32>,
    mask: Vec<f32>,
    keys: Panels,
    keys_transposed: Panels,
    values: Panels,
    values_transposed: Panels,
    /// Queries and output gradients of one block of rows.
    queries: Panels,
    upstream: Panels,
}

/// Queries per matrix product with the keys. All use the keys up to the last of these queries; keys after a query's own position
/// get weight 0.
const ROWS: usize = LANES;

/// Queries per matrix product that accumulates gradients of keys and values.
const BLOCK: usize = 4 * ROWS;

const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;

/// `rows` in ranges of `count`; the last may be shorter.
fn chunks(rows: Range<usize>, count: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(count).map(move |first| first..(first + count).min(end))
}

impl Attention<'_> {
    /// Numbers per row of the output.
    fn width(self) -> usize {
        self.heads * self.head_dims
    }

    /// Numbers per row of queries, keys and values.
    fn row(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dims
    }

    /// Index in a row of a query head's first query, key or value.
    fn offset(self, head: usize, part: usize) -> usize {
        let kv_head = head / (self.heads / self.kv_heads);
        let heads_before = match part {
            QUERIES => head,
            KEYS => self.heads + kv_head,
            _ => self.heads + self.kv_heads + kv_head,
        };
        heads_before * self.head_dims
    }

    /// Whether a query head is the first of those that share its keys and values.
    fn is_first_of_group(self, head: usize) -> bool {
        head.is_multiple_of(self.heads / self.kv_heads)
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dims as f32).sqrt()
    }

    /// Rows of a head's queries, keys or values.
    fn part(self, qkv: &[f32], head: usize, part: usize, rows: Range<usize>) -> Matrix<'_> {
        let row = self.row();
        Matrix::part(&qkv[rows.start * row + self.offset(head, part)..], rows.len(), self.head_dims, row)
    }

    fn part_mut(self, qkv: &mut [f32], head: usize, part: usize, rows: Range<usize>) -> MatrixMut<'_> {
        let row = self.row();
        MatrixMut::part(&mut qkv[rows.start * row + self.offset(head, part)..], rows.len(), self.head_dims, row)
    }

    /// Writes the output of sequence number `sequence`, and the logarithm of each softmax's denominator.
    pub fn forward(
        self,
        sequence: usize,
        qkv: &[f32],
        out: &mut [f32],
        log_sums: &mut [f32],
        AttentionScratch { weights, mask, keys_transposed, values, .. }: &mut AttentionScratch,
    ) {
        let (time, d, dims) = (self.time, self.width(), self.head_dims);
        weights.resize(ROWS * time, 0.0);
        for (head, log_sums) in log_sums.chunks_exact_mut(time).enumerate() {
            self.fill_mask(sequence, head, mask);
            if self.is_first_of_group(head) {
                keys_transposed.pack(self.part(qkv, head, KEYS, 0..time).transposed(), Precision::Float32);
                values.pack(self.part(qkv, head, VALUES, 0..time), Precision::Float32);
            }
            for rows in chunks(0..time, ROWS) {
                let (first, count, seen) = (rows.start, rows.len(), rows.end);
                self.scores(qkv, head, rows.clone(), keys_transposed, weights);
                let mut inverse_sums = [0f32; ROWS];
                softmax_numerators(weights, rows, time, log_sums, &mut inverse_sums);
                self.apply_mask(mask, first..seen, weights);
                let out = &mut out[first * d + head * dims..];
                product_of_panels(
                    MatrixMut::part(out, count, dims, d),
                    Onto::Replace,
                    1.0,
                    Matrix::part(weights, count, seen, time),
                    values.part(0..seen, dims),
                );
                scale_rows(out, &inverse_sums[..count], dims, d);
            }
        }
    }

    /// Writes the gradient of the queries, keys and values to `dqkv`, given `g`, the gradient of the output:
    ///
    /// ```text
    /// forward     S = scale·q·kᵀ    P = softmax(S)    A = mask∘P    o = A·v
    /// backward    dv = Aᵀ·g    dA = g·vᵀ    dP = mask∘dA    dS = P∘(dP - rowsum(o∘g))    dq = scale·dS·k    dk = scale·dSᵀ·q
    /// ```
    pub fn backward(
        self,
        sequence: usize,
        qkv: &[f32],
        (out, log_sums): (&[f32], &[f32]),
        g: &[f32],
        dqkv: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let time = self.time;
        scratch.weights.resize(BLOCK * time, 0.0);
        scratch.grads.resize(BLOCK * time, 0.0);
        for (head, log_sums) in log_sums.chunks_exact(time).enumerate() {
            self.fill_mask(sequence, head, &mut scratch.mask);
            if self.is_first_of_group(head) {
                let keys = self.part(qkv, head, KEYS, 0..time);
                scratch.keys.pack(keys, Precision::Float32);
                scratch.keys_transposed.pack(keys.transposed(), Precision::Float32);
                scratch.values_transposed.pack(self.part(qkv, head, VALUES, 0..time).transposed(), Precision::Float32);
            }
            // The last block of a group's first head sees every key, so it replaces what all other blocks then add to.
            for (index, block) in chunks(0..time, BLOCK).rev().enumerate() {
                let onto = if index == 0 && self.is_first_of_group(head) { Onto::Replace } else { Onto::Add };
                self.query_gradients(head, block.clone(), qkv, (out, log_sums), g, dqkv, scratch);
                self.key_and_value_gradients(head, block, qkv, g, onto, dqkv, scratch);
            }
        }
    }

    /// Writes the gradients of a block's queries to `dqkv`, and leaves the block's P and `scale·dS` in `scratch`.
    #[allow(clippy::too_many_arguments)]
    fn query_gradients(
        self,
        head: usize,
        block: Range<usize>,
        qkv: &[f32],
        (out, log_sums): (&[f32], &[f32]),
        g: &[f32],
        dqkv: &mut [f32],
        AttentionScratch { weights, grads, mask, keys, keys_transposed, values_transposed, .. }: &mut AttentionScratch,
    ) {
        let (time, d, dims) = (self.time, self.width(), self.head_dims);
        for rows in chunks(block.clone(), ROWS) {
            let (first, count, seen) = (rows.start, rows.len(), rows.end);
            let offset = (first - block.start) * time;
            let (weights, grads) = (&mut weights[offset..], &mut grads[offset..]);
            self.scores(qkv, head, rows.clone(), keys_transposed, weights);
            softmax(weights, rows.clone(), time, log_sums);
            let grads_mut = MatrixMut::part(grads, count, seen, time);
            let (g_rows, values) = (self.head_rows(g, head, &rows), values_transposed.part(0..dims, seen));
            product_of_panels(grads_mut, Onto::Replace, self.scale(), g_rows, values);
            self.apply_mask(mask, rows.clone(), grads);
            let at = first * d + head * dims;
            softmax_backward(grads, weights, rows.clone(), time, self.scale(), [&out[at..], &g[at..]], (dims, d));
            let dq = self.part_mut(dqkv, head, QUERIES, rows);
            product_of_panels(dq, Onto::Replace, 1.0, Matrix::part(grads, count, seen, time), keys.part(0..seen, dims));
        }
    }

    /// Writes or adds a block's contribution to the gradients of keys and values, from the P and `scale·dS` in `scratch`.
    #[allow(clippy::too_many_arguments)]
    fn key_and_value_gradients(
        self,
        head: usize,
        block: Range<usize>,
        qkv: &[f32],
        g: &[f32],
        onto: Onto,
        dqkv: &mut [f32],
        AttentionScratch { weights, grads, masked, mask, queries, upstream, .. }: &mut AttentionScratch,
    ) {
        let (time, dims) = (self.time, self.head_dims);
        let kept: &[f32] = if mask.is_empty() {
            weights
        } else {
            masked.clear();
            masked.extend_from_slice(weights);
            chunks(block.clone(), ROWS).for_each(|rows| {
                self.apply_mask(mask, rows.clone(), &mut masked[(rows.start - block.start) * time..]);
            });
            masked
        };
        queries.pack(self.part(qkv, head, QUERIES, block.clone()), Precision::Float32);
        upstream.pack(self.head_rows(g, head, &block), Precision::Float32);
        // All rows of the block see the keys before it. Keys inside the block are seen by the rows from their own position on.
        let keys = once(0..block.start).filter(|before| !before.is_empty()).chain(chunks(block.clone(), ROWS));
        for keys in keys {
            let unseen = keys.start.saturating_sub(block.start);
            let seen = unseen..block.len();
            for (part, weights, of_rows) in [(VALUES, kept, &*upstream), (KEYS, grads, &*queries)] {
                let weights = Matrix::part(&weights[unseen * time + keys.start..], seen.len(), keys.len(), time);
                let out = self.part_mut(dqkv, head, part, keys.clone());
                product_of_panels(out, onto, 1.0, weights.transposed(), of_rows.part(seen.clone(), dims));
            }
        }
    }

    /// Rows of a head's output, or of its gradient. x (t, h·c) -> (rows, c)
    fn head_rows<'a>(self, x: &'a [f32], head: usize, rows: &Range<usize>) -> Matrix<'a> {
        let (d, dims) = (self.width(), self.head_dims);
        Matrix::part(&x[rows.start * d + head * dims..], rows.len(), dims, d)
    }

    /// Writes `scale·q·kᵀ` of `rows` with the keys up to the last of these rows. scores (rows, time)
    fn scores(self, qkv: &[f32], head: usize, rows: Range<usize>, keys_transposed: &Panels, scores: &mut [f32]) {
        let (count, seen) = (rows.len(), rows.end);
        let queries = self.part(qkv, head, QUERIES, rows);
        let scores = MatrixMut::part(scores, count, seen, self.time);
        product_of_panels(scores, Onto::Replace, self.scale(), queries, keys_transposed.part(0..self.head_dims, seen));
    }

    /// Fills the dropout mask of a head's weights, (t, t). The mask is empty without dropout.
    fn fill_mask(self, sequence: usize, head: usize, mask: &mut Vec<f32>) {
        mask.clear();
        if let Some(dropout) = self.dropout {
            mask.resize(self.time * self.time, 0.0);
            dropout.fill((sequence * self.heads + head) as u64, mask);
        }
    }

    fn apply_mask(self, mask: &[f32], rows: Range<usize>, weights: &mut [f32]) {
        if !mask.is_empty() {
            multiply_rows(weights, &mask[rows.start * self.time..], self.time, rows);
        }
    }
}

vectorize! {
    /// Replaces each score by `exp(score - largest of its row)`, or 0 after the row's own position. Writes `ln Σ exp(score)` and
    /// `1 / Σ exp(score - largest)` of each row. scores (rows, time), log_sums (time)
    fn softmax_numerators(
        scores: &mut [f32],
        rows: Range<usize>,
        time: usize,
        log_sums: &mut [f32],
        inverse_sums: &mut [f32; ROWS],
    ) = softmax_numerators_with;

    /// The softmax of each row's scores, given the logarithms of the denominators. scores (rows, time), log_sums (time)
    fn softmax(scores: &mut [f32], rows: Range<usize>, time: usize, log_sums: &[f32]) = softmax_with;

    /// Replaces `grads`, the gradients `scale·dP` of the rows' weights P, by the gradients of their scores,
    /// `P∘(scale·dP - scale·rowsum(o∘g))`.
    ///
    /// `of_head` are slices that start at the rows' outputs o and output gradients g; a row has `dims` numbers and the next begins
    /// `d` numbers later. `layout` is (dims, d). grads, weights (rows, time)
    fn softmax_backward(
        grads: &mut [f32],
        weights: &[f32],
        rows: Range<usize>,
        time: usize,
        scale: f32,
        of_head: [&[f32]; 2],
        layout: (usize, usize),
    ) = softmax_backward_with;

    /// `x *= y` elementwise, in each row up to the position of the last row. x, y (rows, time)
    fn multiply_rows(x: &mut [f32], y: &[f32], time: usize, rows: Range<usize>) = multiply_rows_with;

    /// Multiplies row i, the `dims` numbers from `i·d` on, by `factors[i]`.
    fn scale_rows(x: &mut [f32], factors: &[f32], dims: usize, d: usize) = scale_rows_with;
}

#[inline(always)]
fn softmax_numerators_with<S: Simd>(
    scores: &mut [f32],
    rows: Range<usize>,
    time: usize,
    log_sums: &mut [f32],
    inverse_sums: &mut [f32; ROWS],
) {
    let seen = rows.end;
    for (row, (scores, inverse_sum)) in rows.zip(scores.chunks_exact_mut(time).zip(inverse_sums)) {
        let scores = &mut scores[..seen];
        let most = max_with::<S>(&scores[..=row]);
        scores[row + 1..].fill(f32::NEG_INFINITY);
        let sum = exponentials_with::<S>(scores, most);
        log_sums[row] = most + libm::logf(sum);
        *inverse_sum = 1.0 / sum;
    }
}

#[inline(always)]
fn softmax_with<S: Simd>(scores: &mut [f32], rows: Range<usize>, time: usize, log_sums: &[f32]) {
    let seen = rows.end;
    for (row, scores) in rows.zip(scores.chunks_exact_mut(time)) {
        scores[row + 1..seen].fill(f32::NEG_INFINITY);
        exponentials_with::<S>(&mut scores[..seen], log_sums[row]);
    }
}

#[inline(always)]
fn softmax_backward_with<S: Simd>(
    grads: &mut [f32],
    weights: &[f32],
    rows: Range<usize>,
    time: usize,
    scale: f32,
    [out, g]: [&[f32]; 2],
    (dims, d): (usize, usize),
) {
    let rows_of_both = grads.chunks_exact_mut(time).zip(weights.chunks_exact(time)).take(rows.len());
    for (row, (grads, weights)) in rows_of_both.enumerate() {
        let mean = scale * dot_with::<S>(&out[row * d..][..dims], &g[row * d..][..dims]);
        grads[..rows.end].iter_mut().zip(weights).for_each(|(s, p)| *s = p * (*s - mean));
    }
}

#[inline(always)]
fn multiply_rows_with<S: Simd>(x: &mut [f32], y: &[f32], time: usize, rows: Range<usize>) {
    for (x, y) in x.chunks_exact_mut(time).zip(y.chunks(time)).take(rows.len()) {
        x[..rows.end].iter_mut().zip(y).for_each(|(x, y)| *x *= y);
    }
}

#[inline(always)]
fn scale_rows_with<S: Simd>(x: &mut [f32], factors: &[f32], dims: usize, d: usize) {
    factors.iter().enumerate().for_each(|(row, factor)| scale_with::<S>(&mut x[row * d..][..dims], *factor));
}
