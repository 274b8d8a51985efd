//! Causal self-attention of one sequence, a few rows at a time: no (t, t) matrix is kept, but for dropout's mask of one head.

use crate::product_of_panels;
use crate::simd::{LANES, Simd};
use crate::vector::{dot_with, exponentials_with, max_with, scale_with};
use crate::vectorize;
use crate::{Matrix, MatrixMut, Onto, Panels, Precision};
use std::iter::once;
use std::ops::Range;

/// Dropout's masks, as values.
pub trait DropoutMasks: std::fmt::Debug {
    /// Fills `mask` with 0 or 1 / (1 - rate), a pure function of `part`: the number of the sequence's head.
    fn fill(&self, part: u64, mask: &mut [f32]);
}

/// `softmax(q·kᵀ / sqrt(c), causal)·v` of each head of c dims, with dropout on the weights; Vaswani et al. 2017, arXiv:1706.03762.
/// A head of keys and values serves h/k heads of queries; Ainslie et al. 2023, arXiv:2305.13245.
///
/// # Shapes
/// qkv (t, (h + 2k)·c): queries of h heads, then keys and values of k heads each; out (t, h·c); log_sums (h, t)
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Tokens of the sequence.
    pub time: usize,
    /// Of queries.
    pub heads: usize,
    /// Of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_dims: usize,
    /// Masks of the weights; none without dropout.
    pub dropout: Option<&'a (dyn DropoutMasks + Sync)>,
}

/// Numbers between the steps of one head; weights and gradients of a few rows, each as long as the sequence.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    weights: Vec<f32>,
    grads: Vec<f32>,
    masked: Vec<f32>,
    mask: Vec<f32>,
    keys: Panels,
    keys_transposed: Panels,
    values: Panels,
    values_transposed: Panels,
    /// Of one block.
    queries: Panels,
    upstream: Panels,
}

/// Queries worked on together: each is multiplied with all keys up to the last query's, and those after its own get no weight.
const ROWS: usize = LANES;

/// Queries whose gradients of keys and values are added at once.
const BLOCK: usize = 4 * ROWS;

const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;

/// So many of them at a time.
fn steps(rows: Range<usize>, count: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(count).map(move |first| first..(first + count).min(end))
}

impl Attention<'_> {
    /// Numbers of a row of the output.
    fn width(self) -> usize {
        self.heads * self.head_dims
    }

    /// Numbers of a row of queries, keys and values.
    fn row(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dims
    }

    /// Where a head's queries begin in a row, or the keys or values that serve it.
    fn place(self, head: usize, part: usize) -> usize {
        let serving = head / (self.heads / self.kv_heads);
        let heads_before = match part {
            QUERIES => head,
            KEYS => self.heads + serving,
            _ => self.heads + self.kv_heads + serving,
        };
        heads_before * self.head_dims
    }

    /// Whether it is the first of those that the same keys and values serve.
    fn leads(self, head: usize) -> bool {
        head.is_multiple_of(self.heads / self.kv_heads)
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dims as f32).sqrt()
    }

    /// Some rows of a head's queries, keys or values.
    fn part(self, qkv: &[f32], head: usize, part: usize, rows: Range<usize>) -> Matrix<'_> {
        let row = self.row();
        Matrix::part(&qkv[rows.start * row + self.place(head, part)..], rows.len(), self.head_dims, row)
    }

    fn part_mut(self, qkv: &mut [f32], head: usize, part: usize, rows: Range<usize>) -> MatrixMut<'_> {
        let row = self.row();
        MatrixMut::part(&mut qkv[rows.start * row + self.place(head, part)..], rows.len(), self.head_dims, row)
    }

    /// Writes the output of the sequence numbered `sequence`, and the logarithm of each softmax's denominator.
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
            if self.leads(head) {
                keys_transposed.pack(self.part(qkv, head, KEYS, 0..time).transposed(), Precision::Float32);
                values.pack(self.part(qkv, head, VALUES, 0..time), Precision::Float32);
            }
            for rows in steps(0..time, ROWS) {
                let (first, count, seen) = (rows.start, rows.len(), rows.end);
                self.scores(qkv, head, rows.clone(), keys_transposed, weights);
                let mut shares = [0f32; ROWS];
                softmax_numerators(weights, rows, time, log_sums, &mut shares);
                self.apply_mask(mask, first..seen, weights);
                let out = &mut out[first * d + head * dims..];
                product_of_panels(
                    MatrixMut::part(out, count, dims, d),
                    Onto::Replace,
                    1.0,
                    Matrix::part(weights, count, seen, time),
                    values.part(0..seen, dims),
                );
                scale_rows(out, &shares[..count], dims, d);
            }
        }
    }

    /// Writes the gradient of the queries, keys and values, given `g`, that of the output. Of A = mask∘P, P = softmax(S),
    /// S = scale·q·kᵀ, o = A·v: dv = Aᵀ·g, dA = g·vᵀ, dP = mask∘dA, dS = P∘(dP - rowsum(o∘g)), dq = scale·dS·k,
    /// dk = scale·dSᵀ·q.
    pub fn backward(
        self,
        sequence: usize,
        qkv: &[f32],
        (out, log_sums): (&[f32], &[f32]),
        g: &[f32],
        dqkv: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let AttentionScratch {
            weights, grads, masked, mask, keys, keys_transposed, values_transposed, queries, upstream, ..
        } = scratch;
        let (time, d, dims) = (self.time, self.width(), self.head_dims);
        weights.resize(BLOCK * time, 0.0);
        grads.resize(BLOCK * time, 0.0);
        for (head, log_sums) in log_sums.chunks_exact(time).enumerate() {
            self.fill_mask(sequence, head, mask);
            if self.leads(head) {
                keys.pack(self.part(qkv, head, KEYS, 0..time), Precision::Float32);
                keys_transposed.pack(self.part(qkv, head, KEYS, 0..time).transposed(), Precision::Float32);
                values_transposed.pack(self.part(qkv, head, VALUES, 0..time).transposed(), Precision::Float32);
            }
            let of_head = |rows: &Range<usize>| Matrix::part(&g[rows.start * d + head * dims..], rows.len(), dims, d);
            // The last block of the first head sees every key, so it writes what the earlier ones and the other heads add to.
            for (order, block) in steps(0..time, BLOCK).rev().enumerate() {
                let onto = if order == 0 && self.leads(head) { Onto::Replace } else { Onto::Add };
                for rows in steps(block.clone(), ROWS) {
                    let (first, count, seen) = (rows.start, rows.len(), rows.end);
                    let place = (first - block.start) * time;
                    let (weights, grads) = (&mut weights[place..], &mut grads[place..]);
                    self.scores(qkv, head, rows.clone(), keys_transposed, weights);
                    softmax(weights, rows.clone(), time, log_sums);
                    let of_values = values_transposed.part(0..dims, seen);
                    let grads_mut = MatrixMut::part(grads, count, seen, time);
                    product_of_panels(grads_mut, Onto::Replace, self.scale(), of_head(&rows), of_values);
                    self.apply_mask(mask, rows.clone(), grads);
                    let at = first * d + head * dims;
                    softmax_backward(grads, weights, rows.clone(), time, self.scale(), [&out[at..], &g[at..]], (dims, d));
                    let dq = self.part_mut(dqkv, head, QUERIES, rows);
                    product_of_panels(dq, Onto::Replace, 1.0, Matrix::part(grads, count, seen, time), keys.part(0..seen, dims));
                }
                let kept: &[f32] = match mask.is_empty() {
                    true => weights,
                    false => {
                        masked.clear();
                        masked.extend_from_slice(weights);
                        steps(block.clone(), ROWS).for_each(|rows| {
                            self.apply_mask(mask, rows.clone(), &mut masked[(rows.start - block.start) * time..])
                        });
                        masked
                    }
                };
                queries.pack(self.part(qkv, head, QUERIES, block.clone()), Precision::Float32);
                upstream.pack(of_head(&block), Precision::Float32);
                // Keys before the block are seen by all its rows, those of the block by the rows from them on.
                let keys = once(0..block.start).filter(|before| !before.is_empty()).chain(steps(block.clone(), ROWS));
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
        }
    }

    /// `scale·q·kᵀ` of some rows with the keys up to the last of them, in rows as long as the sequence.
    fn scores(self, qkv: &[f32], head: usize, rows: Range<usize>, keys_transposed: &Panels, scores: &mut [f32]) {
        let (count, seen) = (rows.len(), rows.end);
        let queries = self.part(qkv, head, QUERIES, rows);
        let scores = MatrixMut::part(scores, count, seen, self.time);
        product_of_panels(scores, Onto::Replace, self.scale(), queries, keys_transposed.part(0..self.head_dims, seen));
    }

    /// The mask of a head's weights (t, t); empty without dropout.
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
    /// The exponentials of some rows' scores less the largest, 0 after a row's own place; the logarithm of each row's sum with that
    /// back, and 1 over the sum. scores (rows, time), log_sums (time)
    fn softmax_numerators(scores: &mut [f32], rows: Range<usize>, time: usize, log_sums: &mut [f32], shares: &mut [f32; ROWS]) =
        softmax_numerators_with;

    /// The softmax of some rows' scores, given the logarithms of its denominators. scores (rows, time), log_sums (time)
    fn softmax(scores: &mut [f32], rows: Range<usize>, time: usize, log_sums: &[f32]) = softmax_with;

    /// From gradients of the weights of some rows to those of their scores, `P∘(dP - scale·rowsum(o∘g))`; `of_head` starts at the
    /// rows' outputs o and their gradients g, `place.0` numbers every `place.1`.
    /// gradients, weights (rows, time)
    fn softmax_backward(
        grads: &mut [f32],
        weights: &[f32],
        rows: Range<usize>,
        time: usize,
        scale: f32,
        of_head: [&[f32]; 2],
        place: (usize, usize),
    ) = softmax_backward_with;

    /// `x_i *= y_i` for the first numbers of each row, up to the last of the rows' own places. x, y (rows, time)
    fn multiply_rows(x: &mut [f32], y: &[f32], time: usize, rows: Range<usize>) = multiply_rows_with;

    /// Multiplies `dims` numbers every `d` by a factor of their own.
    fn scale_rows(x: &mut [f32], factors: &[f32], dims: usize, d: usize) = scale_rows_with;
}

#[inline(always)]
fn softmax_numerators_with<S: Simd>(
    scores: &mut [f32],
    rows: Range<usize>,
    time: usize,
    log_sums: &mut [f32],
    shares: &mut [f32; ROWS],
) {
    let seen = rows.end;
    for (row, (scores, share)) in rows.zip(scores.chunks_exact_mut(time).zip(shares)) {
        let scores = &mut scores[..seen];
        let most = max_with::<S>(&scores[..=row]);
        scores[row + 1..].fill(f32::NEG_INFINITY);
        let sum = exponentials_with::<S>(scores, most);
        log_sums[row] = most + libm::logf(sum);
        *share = 1.0 / sum;
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
