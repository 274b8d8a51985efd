//! Causal self-attention of one sequence, block of rows by block of rows: no (t, t) matrix is kept.

use super::dropout::Dropout;
use super::product;
use regatta_core::maths::vector::{LANES, dot, exponentials, max};
use regatta_core::maths::{Matrix, MatrixMut, Onto};

/// `softmax(q·kᵀ / sqrt(d/h), causal)·v` of each head, with dropout on the weights; Vaswani et al. 2017, arXiv 1706.03762.
///
/// # Shapes
/// qkv (t, 3d): queries, keys and values side by side, each of h heads; out (t, d); log_sums (h, t)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub time: usize,
    pub heads: usize,
    pub head_dims: usize,
    pub dropout: Option<&'a Dropout>,
}

/// Numbers between the steps of one block.
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
    weights: Vec<f32>,
    slopes: Vec<f32>,
    masked: Vec<f32>,
    mask: Vec<f32>,
}

/// Queries of one block; keys after the last of them are not looked at.
const ROWS: usize = 64;

/// A block of rows and the columns that they see.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: usize,
    rows: usize,
    columns: usize,
}

impl Attention<'_> {
    fn width(self) -> usize {
        self.heads * self.head_dims
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dims as f32).sqrt()
    }

    fn blocks(self) -> impl DoubleEndedIterator<Item = Block> {
        (0..self.time.div_ceil(ROWS)).map(move |block| {
            let first = block * ROWS;
            let columns = (first + ROWS).min(self.time);
            Block { first, rows: columns - first, columns }
        })
    }

    /// `rows` rows of a head's queries (part 0), keys (1) or values (2), from row `first` on.
    fn part(self, qkv: &[f32], head: usize, part: usize, first: usize, rows: usize) -> Matrix<'_> {
        let d = self.width();
        Matrix::part(&qkv[first * 3 * d + part * d + head * self.head_dims..], rows, self.head_dims, 3 * d)
    }

    fn part_mut(self, qkv: &mut [f32], head: usize, part: usize, first: usize, rows: usize) -> MatrixMut<'_> {
        let d = self.width();
        MatrixMut::part(&mut qkv[first * 3 * d + part * d + head * self.head_dims..], rows, self.head_dims, 3 * d)
    }

    /// Writes the output of the sequence numbered `sequence`, and the logarithm of each softmax's denominator.
    pub fn forward(
        self,
        sequence: usize,
        qkv: &[f32],
        out: &mut [f32],
        log_sums: &mut [f32],
        AttentionScratch { weights, mask, .. }: &mut AttentionScratch,
    ) {
        let (d, dims) = (self.width(), self.head_dims);
        weights.resize(ROWS * self.time, 0.0);
        for (head, log_sums) in log_sums.chunks_exact_mut(self.time).enumerate() {
            self.fill_mask(sequence, head, mask);
            for block @ Block { first, rows, columns } in self.blocks() {
                let weights = &mut weights[..rows * columns];
                self.scores(qkv, head, block, weights);
                let mut shares = [0f32; ROWS];
                for (row, weights) in weights.chunks_exact_mut(columns).enumerate() {
                    let seen = hide_later(weights, first + row + 1);
                    let most = max(&weights[..seen]);
                    let sum = exponentials(&mut weights[..seen], most);
                    log_sums[first + row] = most + sum.ln();
                    shares[row] = 1.0 / sum;
                }
                self.apply_mask(mask, block, weights);
                let out = &mut out[first * d + head * dims..];
                product(
                    MatrixMut::part(out, rows, dims, d),
                    Onto::Replace,
                    1.0,
                    Matrix::new(weights, rows, columns),
                    self.part(qkv, head, 2, 0, columns),
                );
                for (row, share) in shares[..rows].iter().enumerate() {
                    out[row * d..][..dims].iter_mut().for_each(|x| *x *= share);
                }
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
        AttentionScratch { weights, slopes, masked, mask }: &mut AttentionScratch,
    ) {
        let (d, dims) = (self.width(), self.head_dims);
        weights.resize(ROWS * self.time, 0.0);
        slopes.resize(ROWS * self.time, 0.0);
        for (head, log_sums) in log_sums.chunks_exact(self.time).enumerate() {
            self.fill_mask(sequence, head, mask);
            // The last block sees every key, so it writes what the earlier ones add to.
            for (order, block) in self.blocks().rev().enumerate() {
                let onto = if order == 0 { Onto::Replace } else { Onto::Add };
                let Block { first, rows, columns } = block;
                let (weights, slopes) = (&mut weights[..rows * columns], &mut slopes[..rows * columns]);
                let at = first * d + head * dims;
                let g_block = Matrix::part(&g[at..], rows, dims, d);

                self.scores(qkv, head, block, weights);
                for (row, weights) in weights.chunks_exact_mut(columns).enumerate() {
                    let seen = hide_later(weights, first + row + 1);
                    let log_sum = log_sums[first + row];
                    exponentials(&mut weights[..seen], log_sum);
                }
                let kept: &[f32] = match mask.is_empty() {
                    true => weights,
                    false => {
                        masked.clear();
                        masked.extend_from_slice(weights);
                        self.apply_mask(mask, block, masked);
                        masked
                    }
                };
                let kept = Matrix::new(kept, rows, columns).transposed();
                product(self.part_mut(dqkv, head, 2, 0, columns), onto, 1.0, kept, g_block);

                let values = self.part(qkv, head, 2, 0, columns).transposed();
                product(MatrixMut::new(slopes, rows, columns), Onto::Replace, self.scale(), g_block, values);
                self.apply_mask(mask, block, slopes);
                for (row, (slopes, weights)) in slopes.chunks_exact_mut(columns).zip(weights.chunks_exact(columns)).enumerate() {
                    let mean = self.scale() * dot(&out[at + row * d..][..dims], &g[at + row * d..][..dims]);
                    slopes.iter_mut().zip(weights).for_each(|(s, p)| *s = p * (*s - mean));
                }
                let slopes = Matrix::new(slopes, rows, columns);
                let (queries, keys) = (self.part(qkv, head, 0, first, rows), self.part(qkv, head, 1, 0, columns));
                product(self.part_mut(dqkv, head, 0, first, rows), Onto::Replace, 1.0, slopes, keys);
                product(self.part_mut(dqkv, head, 1, 0, columns), onto, 1.0, slopes.transposed(), queries);
            }
        }
    }

    /// `scale·q·kᵀ` of a block.
    fn scores(self, qkv: &[f32], head: usize, Block { first, rows, columns }: Block, scores: &mut [f32]) {
        let (queries, keys) = (self.part(qkv, head, 0, first, rows), self.part(qkv, head, 1, 0, columns));
        product(MatrixMut::new(scores, rows, columns), Onto::Replace, self.scale(), queries, keys.transposed());
    }

    /// The mask of a head's weights (t, t); empty without dropout.
    fn fill_mask(self, sequence: usize, head: usize, mask: &mut Vec<f32>) {
        mask.clear();
        if let Some(dropout) = self.dropout {
            mask.resize(self.time * self.time, 0.0);
            dropout.fill((sequence * self.heads + head) as u64, mask);
        }
    }

    fn apply_mask(self, mask: &[f32], Block { first, columns, .. }: Block, weights: &mut [f32]) {
        if mask.is_empty() {
            return;
        }
        for (row, weights) in weights.chunks_exact_mut(columns).enumerate() {
            let mask = &mask[(first + row) * self.time..][..columns];
            weights.iter_mut().zip(mask).for_each(|(w, m)| *w *= m);
        }
    }
}

/// Gives the keys after the first `seen` no weight: as scores up to a whole register, whose end is returned, as weights beyond.
fn hide_later(row: &mut [f32], seen: usize) -> usize {
    let end = seen.next_multiple_of(LANES).min(row.len());
    row[seen..end].fill(f32::NEG_INFINITY);
    row[end..].fill(0.0);
    end
}
