//! Causal self-attention, fused: scores never leave the thread that made them.

use super::dropout::Dropout;
use super::slices::{floats, with_floats};
use super::vector::{dot, exp, max, sum};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;
use rayon::prelude::*;

/// `softmax(q·kᵀ / sqrt(d/h), causal)·v` of each head, with dropout on the weights; Vaswani et al. 2017, arXiv 1706.03762.
///
/// # Shapes
/// qkv (b, t, 3d): queries, keys and values side by side, each of h heads -> (b, t, d)
///
/// # Errors
/// When the last dim is not 3·h times something.
pub fn causal_attention(qkv: &Tensor, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
    qkv.contiguous()?.apply_op1(CausalAttention { heads, dropout })
}

struct CausalAttention {
    heads: usize,
    dropout: Option<Dropout>,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    time: usize,
    heads: usize,
    head_dims: usize,
}

/// Queries of one pass; keys after the last of them are not looked at.
const ROWS: usize = 64;

impl Sizes {
    fn of(shape: &Shape, heads: usize) -> Result<Self> {
        let (batch, time, width) = shape.dims3()?;
        if !width.is_multiple_of(3 * heads) {
            bail!("attention: {width} is not 3 x {heads} heads x dims")
        }
        Ok(Self { batch, time, heads, head_dims: width / (3 * heads) })
    }

    fn width(self) -> usize {
        self.heads * self.head_dims
    }

    fn scale(self) -> f32 {
        1.0 / (self.head_dims as f32).sqrt()
    }

    /// Offsets of a head's queries, keys and values in qkv, and of its output.
    fn offsets(self, part: usize) -> (usize, usize, usize, usize) {
        let (sequence, head) = (part / self.heads, part % self.heads);
        let first = sequence * self.time * 3 * self.width() + head * self.head_dims;
        (first, first + self.width(), first + 2 * self.width(), sequence * self.time * self.width() + head * self.head_dims)
    }

    /// Blocks of rows: (first row, rows, columns that they see).
    fn blocks(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.time).step_by(ROWS).map(move |first| {
            let end = (first + ROWS).min(self.time);
            (first, end - first, end)
        })
    }
}

/// A matrix inside a larger buffer: where it starts and its strides.
#[derive(Clone, Copy)]
struct At {
    start: *const f32,
    row_stride: usize,
    column_stride: usize,
}

impl At {
    fn rows(start: *const f32, row_stride: usize) -> Self {
        Self { start, row_stride, column_stride: 1 }
    }

    fn transposed(self) -> Self {
        Self { start: self.start, row_stride: self.column_stride, column_stride: self.row_stride }
    }
}

/// `out (m, n) = scale·left (m, k)·right (k, n)`, added to what is there where `add`.
///
/// # Safety
/// Every matrix lies inside its buffer, and no other thread touches `out`.
#[allow(clippy::too_many_arguments)] // the arguments of a matrix product
unsafe fn product(out: *mut f32, out_stride: usize, m: usize, n: usize, k: usize, left: At, right: At, scale: f32, add: bool) {
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            out_stride as isize,
            add,
            left.start,
            left.column_stride as isize,
            left.row_stride as isize,
            right.start,
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// A buffer that heads write side by side: each its own columns.
#[derive(Clone, Copy)]
struct Columns(*mut f32);

// SAFETY: every thread writes the columns of its own head and sequence only.
unsafe impl Send for Columns {}
unsafe impl Sync for Columns {}

impl Columns {
    /// A method, so that closures capture the whole value and not the pointer in it.
    fn start(self) -> *mut f32 {
        self.0
    }
}

/// What one thread needs for one head: weights of a block, and their dropout.
struct Weights {
    softmax: Vec<f32>,
    mask: Vec<f32>,
}

impl CausalAttention {
    fn mask_of(&self, sizes: Sizes, part: usize) -> Vec<f32> {
        let Some(dropout) = &self.dropout else { return Vec::new() };
        let mut mask = vec![0f32; sizes.time * sizes.time];
        dropout.fill(part as u64, &mut mask);
        mask
    }

    /// Fills the rows `first..first + rows` of a head's softmax, `columns` wide.
    fn softmax_block(sizes: Sizes, qkv: &[f32], part: usize, block: (usize, usize, usize), weights: &mut [f32]) {
        let (first, rows, columns) = block;
        let (q, k, _, _) = sizes.offsets(part);
        let stride = 3 * sizes.width();
        assert!(weights.len() >= rows * columns);
        // SAFETY: rows and columns are below `time`, and `weights` is this thread's own.
        unsafe {
            let (q, k) = (At::rows(qkv[q + first * stride..].as_ptr(), stride), At::rows(qkv[k..].as_ptr(), stride));
            product(weights.as_mut_ptr(), columns, rows, columns, sizes.head_dims, q, k.transposed(), sizes.scale(), false);
        }
        for (row, weights) in weights.chunks_exact_mut(columns).take(rows).enumerate() {
            let (seen, ahead) = weights.split_at_mut(first + row + 1);
            let most = max(seen);
            seen.iter_mut().for_each(|x| *x = exp(*x - most));
            let share = 1.0 / sum(seen);
            seen.iter_mut().for_each(|x| *x *= share);
            ahead.fill(0.0);
        }
    }

    /// Multiplies a block of weights by its part of the mask.
    fn mask_block(sizes: Sizes, mask: &[f32], (first, rows, columns): (usize, usize, usize), weights: &mut [f32]) {
        if mask.is_empty() {
            return;
        }
        for row in 0..rows {
            let mask = &mask[(first + row) * sizes.time..][..columns];
            weights[row * columns..][..columns].iter_mut().zip(mask).for_each(|(w, m)| *w *= m);
        }
    }

    /// Writes the output of one head.
    fn head_forward(&self, sizes: Sizes, qkv: &[f32], part: usize, out: Columns) {
        let (_, _, v, o) = sizes.offsets(part);
        let (d, stride) = (sizes.width(), 3 * sizes.width());
        let mut weights = Weights { softmax: vec![0f32; ROWS * sizes.time], mask: self.mask_of(sizes, part) };
        for block @ (first, rows, columns) in sizes.blocks() {
            Self::softmax_block(sizes, qkv, part, block, &mut weights.softmax);
            Self::mask_block(sizes, &weights.mask, block, &mut weights.softmax);
            // SAFETY: as for `Columns`; rows and columns are below `time`.
            unsafe {
                let (weights, v) = (At::rows(weights.softmax.as_ptr(), columns), At::rows(qkv[v..].as_ptr(), stride));
                product(out.start().add(o + first * d), d, rows, sizes.head_dims, columns, weights, v, 1.0, false);
            }
        }
    }

    /// Writes the gradient of one head's queries, keys and values. Of A = mask∘P, P = softmax(S), S = scale·q·kᵀ, o = A·v:
    /// dv = Aᵀ·g, dA = g·vᵀ, dP = mask∘dA, dS = P∘(dP - rowsum(P∘dP)), dq = scale·dS·k, dk = scale·dSᵀ·q.
    fn head_backward(&self, sizes: Sizes, qkv: &[f32], g: &[f32], part: usize, out: Columns) {
        let (q, k, v, o) = sizes.offsets(part);
        let (d, stride, dims) = (sizes.width(), 3 * sizes.width(), sizes.head_dims);
        let mut weights = Weights { softmax: vec![0f32; ROWS * sizes.time], mask: self.mask_of(sizes, part) };
        let (mut masked, mut slope) = (Vec::new(), vec![0f32; ROWS * sizes.time]);
        for block @ (first, rows, columns) in sizes.blocks() {
            let size = rows * columns;
            Self::softmax_block(sizes, qkv, part, block, &mut weights.softmax);
            masked.clear();
            masked.extend_from_slice(&weights.softmax[..size]);
            Self::mask_block(sizes, &weights.mask, block, &mut masked);
            let g = At::rows(g[o + first * d..].as_ptr(), d); // (rows, dims)
            // SAFETY: as for `Columns`; rows and columns are below `time`; the block matrices are this thread's own.
            unsafe {
                let start = out.start();
                let masked = At::rows(masked.as_ptr(), columns);
                product(start.add(v), stride, columns, dims, rows, masked.transposed(), g, 1.0, true);
                let values = At::rows(qkv[v..].as_ptr(), stride).transposed();
                product(slope.as_mut_ptr(), columns, rows, columns, dims, g, values, 1.0, false);
            }
            Self::mask_block(sizes, &weights.mask, block, &mut slope[..size]);
            for (softmax, slope) in weights.softmax.chunks_exact(columns).zip(slope.chunks_exact_mut(columns)).take(rows) {
                let mean = dot(softmax, slope);
                slope.iter_mut().zip(softmax).for_each(|(s, p)| *s = p * (*s - mean));
            }
            // SAFETY: as above.
            unsafe {
                let start = out.start();
                let slope = At::rows(slope.as_ptr(), columns);
                let (keys, queries) = (At::rows(qkv[k..].as_ptr(), stride), At::rows(qkv[q + first * stride..].as_ptr(), stride));
                product(start.add(q + first * stride), stride, rows, dims, columns, slope, keys, sizes.scale(), false);
                product(start.add(k), stride, columns, dims, rows, slope.transposed(), queries, sizes.scale(), true);
            }
        }
    }
}

impl CustomOp1 for CausalAttention {
    fn name(&self) -> &'static str {
        "causal_attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::of(layout.shape(), self.heads)?;
        let qkv = floats(qkv, layout, "attention")?;
        let mut out = vec![0f32; sizes.batch * sizes.time * sizes.width()];
        let columns = Columns(out.as_mut_ptr());
        (0..sizes.batch * sizes.heads).into_par_iter().for_each(|part| self.head_forward(sizes, qkv, part, columns));
        Ok((CpuStorage::F32(out), (sizes.batch, sizes.time, sizes.width()).into()))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let sizes = Sizes::of(qkv.shape(), self.heads)?;
        let gradient = with_floats([qkv, upstream], "attention", |[qkv, g]| {
            let mut gradient = vec![0f32; qkv.len()];
            let columns = Columns(gradient.as_mut_ptr());
            (0..sizes.batch * sizes.heads).into_par_iter().for_each(|part| self.head_backward(sizes, qkv, g, part, columns));
            gradient
        })?;
        Ok(Some(Tensor::from_vec(gradient, qkv.shape(), qkv.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, normals};
    use super::*;
    use candle_core::{D, DType, Device, Var};
    use regatta_core::Draw;

    /// The textbook's attention, of candle's differentiable ops; `mask` multiplies the weights.
    fn plain(qkv: &Tensor, heads: usize, mask: Option<&Tensor>) -> Result<Tensor> {
        let (b, t, width) = qkv.dims3()?;
        let d = width / 3;
        let split = |part: usize| qkv.narrow(2, part * d, d)?.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (split(0)?, split(1)?, split(2)?); // (b, h, t, d/h)
        let scores = (q.matmul(&k.transpose(2, 3)?)? / ((d / heads) as f64).sqrt())?;
        let ahead: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
        let scores = scores.broadcast_add(&Tensor::from_vec(ahead, (t, t), &Device::Cpu)?)?;
        let mut weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        if let Some(mask) = mask {
            weights = weights.mul(mask)?;
        }
        weights.matmul(&v)?.transpose(1, 2)?.reshape((b, t, d))
    }

    #[test]
    fn is_the_textbooks_attention_over_one_and_several_blocks() {
        for time in [5, 150] {
            agree(&[normals(&[2, time, 24])], |x| causal_attention(&x[0], 2, None), |x| plain(&x[0], 2, None));
        }
    }

    #[test]
    fn dropout_masks_the_weights_in_both_passes() {
        let dropout = Dropout::new(0.3, Draw::new(0, "test", 0, 0));
        let masks: Vec<f32> = (0..4)
            .flat_map(|part| {
                let mut mask = vec![0f32; 70 * 70];
                dropout.fill(part, &mut mask);
                mask
            })
            .collect();
        let masks = Tensor::from_vec(masks, (2, 2, 70, 70), &Device::Cpu).unwrap();
        agree(&[normals(&[2, 70, 12])], |x| causal_attention(&x[0], 2, Some(dropout.clone())), |x| plain(&x[0], 2, Some(&masks)));
    }

    #[test]
    fn a_later_token_changes_nothing_before_it() {
        let qkv = normals(&[1, 8, 12]);
        let changed = Var::from_tensor(&qkv).unwrap();
        let last = Tensor::zeros((1, 1, 12), DType::F32, &Device::Cpu).unwrap();
        let changed = changed.slice_assign(&[0..1, 7..8, 0..12], &last).unwrap();
        let first = |x: &Tensor| causal_attention(x, 2, None).unwrap().narrow(1, 0, 7).unwrap().flatten_all().unwrap();
        assert_eq!(first(&qkv).to_vec1::<f32>().unwrap(), first(&changed).to_vec1::<f32>().unwrap());
    }
}
